"""What the pages tell people to type works."""

import os
import re
import subprocess
import sys

from helpers import REPOSITORY


def test_the_drivers_example_runs_and_agrees() -> None:
    text = (REPOSITORY / "docs/parallel.md").read_text()
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiles twice as fast
    done = subprocess.run(
        [sys.executable, "-c", found[1]], capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment
    )
    assert done.returncode == 0, done.stderr
    losses = done.stdout.split()
    assert len(losses) == 3
    assert len(set(losses)) == 1


def test_every_file_the_readme_names_exists() -> None:
    text = (REPOSITORY / "README.md").read_text()
    for name in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (REPOSITORY / name).exists(), name
