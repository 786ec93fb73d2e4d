"""Large pages of memory: the command starts anew as the same process, with the words that it was given."""

import json
import os
import subprocess
import sys

import pytest
from helpers import REPOSITORY

SAY = """
import json, os, sys
from oasis_jax.system.memory import use_large_pages
print("started", flush=True)
use_large_pages()
print(json.dumps([os.getpid(), sys.argv, os.environ["GLIBC_TUNABLES"]]))
"""


@pytest.mark.parametrize(("chosen", "starts"), [(None, 2), ("", 1), ("glibc.malloc.check=0", 1)])
def test_it_starts_anew_once_unless_the_user_chose(chosen: str | None, starts: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    environment |= {"PYTHONPATH": str(REPOSITORY)} | ({} if chosen is None else {"GLIBC_TUNABLES": chosen})
    line = [sys.executable, "-X", "utf8", "-c", SAY, "a b", "--option"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as process:
        said, _ = process.communicate(timeout=60)
    *started, last = said.splitlines()
    assert started == ["started"] * starts
    wanted = "glibc.malloc.hugetlb=1" if chosen is None else chosen
    assert json.loads(last) == [process.pid, ["-c", "a b", "--option"], wanted]
