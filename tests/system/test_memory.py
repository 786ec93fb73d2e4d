"""Large pages of memory: the program starts anew as the same process, with the words that it was given."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import REPOSITORY

SAY = """
import json, os, sys
from oasis_jax.system.memory import use_large_pages
print("started", flush=True)
use_large_pages()
print(json.dumps([os.getpid(), sys.argv[1:], os.environ.get("GLIBC_TUNABLES")]))
"""


@pytest.mark.parametrize(
    ("chosen", "program", "starts"),
    [
        (None, SAY, 2),
        ("", SAY, 1),
        ("glibc.malloc.check=0", SAY, 1),
        (None, f"import sys; sys.argv = ['train', *sys.argv[1:]]\n{SAY}", 1),
        (None, f"import sys; sys.orig_argv[-2] = 'other'\n{SAY}", 1),
        (None, "", 1),
    ],
    ids=["anew", "empty", "chosen", "other program", "other words", "no file"],
)
def test_it_starts_anew_once_unless_the_user_chose(
    chosen: str | None, program: str, starts: int, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    environment |= {"PYTHONPATH": str(REPOSITORY)} | ({} if chosen is None else {"GLIBC_TUNABLES": chosen})
    (tmp_path / "say.py").write_text(program)
    start = ["./say.py"] if program else ["-c", SAY]
    line = [sys.executable, "-X", "utf8", *start, "a b", "--option"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        said, _ = process.communicate(timeout=60)
    *started, last = said.splitlines()
    assert started == ["started"] * starts
    wanted = "glibc.malloc.hugetlb=1" if starts == 2 else chosen
    assert json.loads(last) == [process.pid, ["a b", "--option"], wanted]
