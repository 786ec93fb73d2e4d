"""From the command to the first training step: cold (nothing cached) and warm.

Run:  python benchmarks/startup.py [EXPERIMENT.py] [--data.root DIR ...]

Starts the training command in a new run folder, waits for the metrics of step 1, stops it; first with an empty cache
folder, then with what the first left there. Prints seconds.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds_to_first_step(words: list[str], run: Path, cache: Path) -> float:
    """Start, wait for the first line of `metrics.jsonl`, stop."""
    command = [sys.executable, "-m", "oasis_jax.train", *words, "--run", str(run)]
    start = time.monotonic()
    process = subprocess.Popen(
        command, env=os.environ | {"OASIS_JAX_CACHE": str(cache)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    metrics = run / "metrics.jsonl"
    while not (metrics.is_file() and metrics.stat().st_size):
        if process.poll() is not None:
            sys.exit(f"{' '.join(command)} ended with status {process.returncode}")
        time.sleep(0.01)
    seconds = time.monotonic() - start
    process.send_signal(signal.SIGTERM)
    process.wait()
    return seconds


def main() -> None:
    words = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        cold = seconds_to_first_step(words, Path(folder, "cold"), cache)
        warm = [seconds_to_first_step(words, Path(folder, f"warm{i}"), cache) for i in range(3)]
    print(f"cold {cold:.1f} s; warm {sorted(warm)[1]:.1f} s (median of 3, {min(warm):.1f} to {max(warm):.1f})")


if __name__ == "__main__":
    main()
