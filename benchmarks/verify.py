"""How long `python -m oasis_jax.data verify` takes on a tree of the real set's size: 22,656 files, 265 MB.

Run:  python benchmarks/verify.py

The files have the published names and the published mean sizes and hold noise, so every one is read and found
different. The first time is with the files dropped from memory, the second with them in it.
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
    """Write the tree and drop it from memory."""
    for name in published().digests:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.write(os.urandom(BYTES[path.name.split("_")[0]]))
    os.sync()
    for path in root.glob("*/*"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        command = [sys.executable, "-m", "oasis_jax.data", "verify", folder, "--json"]
        times = []
        for _ in range(2):
            start = time.monotonic()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            times.append(time.monotonic() - start)
            assert done.returncode == 1, done.stderr
    different = done.stdout.count(".png")
    print(f"{different} files: {times[0]:.1f} s from the disk, {times[1]:.1f} s from memory; {figures.machine()}")


if __name__ == "__main__":
    main()
