"""From the command to the first training step: cold (nothing cached) and warm.

Run:  python benchmarks/startup.py [EXPERIMENT.py] [--data.root DIR ...]

Starts the training command in a new run folder, waits for the metrics of step 1, and stops it. A cold start has an
empty cache folder; a warm start has the cache of a cold one. Prints a table of seconds.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import figures

TURNS = 3


def seconds_to_first_step(words: list[str], run: Path, cache: Path) -> float:
    """Seconds from the start until `metrics.jsonl` has its first line; then the process is stopped."""
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
        caches = [Path(folder, f"cache{i}") for i in range(TURNS)]
        cold = [seconds_to_first_step(words, Path(folder, f"cold{i}"), cache) for i, cache in enumerate(caches)]
        warm = [seconds_to_first_step(words, Path(folder, f"warm{i}"), cache) for i, cache in enumerate(caches)]
    print(f"{figures.machine()}; jax {version('jax')}; {' '.join(words) or 'quickstart'}\n")
    rows = [["nothing cached", figures.spread(cold)], ["programs cached", figures.spread(warm)]]
    print(figures.markdown(["from the command to step 1", f"s, {TURNS} turns"], rows))


if __name__ == "__main__":
    main()
