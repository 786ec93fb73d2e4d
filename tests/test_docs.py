"""What the pages tell people to type works."""

import re
import subprocess
import sys

from conftest import REPOSITORY


def test_the_drivers_example_runs_and_agrees() -> None:
    text = (REPOSITORY / "docs/parallel.md").read_text()
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found
    done = subprocess.run([sys.executable, "-c", found[1]], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    losses = done.stdout.split()
    assert len(losses) == 3
    assert len(set(losses)) == 1


def test_every_file_the_readme_names_exists() -> None:
    text = (REPOSITORY / "README.md").read_text()
    for name in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (REPOSITORY / name).exists(), name
