"""How long `python -m oasis_jax.data verify` takes on a tree as large as the real set: 22,656 files, 265 MB.

Run:  python benchmarks/verify.py

The files have the published names and mean sizes, and hold noise. So all files are read, and all are different. The
files are not in the memory of the system the first time; they are in it the second time.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures

from oasis_jax.data.published.manifest import published

BYTES = {"case": 20_396, "seg": 2_978}


def make(root: Path) -> None:
    """Write the tree, and remove its files from the memory of the system."""
    for name in published().digests:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.write(os.urandom(BYTES[path.name.split("_")[0]]))
    os.sync()
    for path in root.glob("*/*"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds_of_verify(root: str) -> tuple[int, float]:
    """Number of files that differ, and seconds of the command."""
    command = [sys.executable, "-m", "oasis_jax.data", "verify", root, "--json"]
    start = time.monotonic()
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    assert process.returncode == 1, process.stderr
    return process.stdout.count(".png"), seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        different, from_disk = seconds_of_verify(folder)
        _, from_memory = seconds_of_verify(folder)
    print(f"{different} files: {from_disk:.1f} s from the disk, {from_memory:.1f} s from memory; {figures.machine()}")


if __name__ == "__main__":
    main()
