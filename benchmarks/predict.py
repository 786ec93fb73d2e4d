"""The speed and memory of `predict` beside those of the network alone.

Run:  python benchmarks/predict.py MODEL [INPUT]

INPUT is a volume or a folder of slices; without it, a phantom head of 256x256x256 voxels. Each of three turns measures
the compiled network alone, on the frames that INPUT gives; then the command from the shell with a warm cache, which
reads, labels and writes everything; and the command for four copies. Prints medians and ranges, the ratio
of each command to the network, and the command's peak memory.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

import figures
import jax
import numpy as np

from oasis_jax import pretrained
from oasis_jax.data.phantoms.volume import draw_volume
from oasis_jax.data.volume import write_head
from oasis_jax.inference.segment import Segmenter
from oasis_jax.runs.folder import Run
from oasis_jax.system import sharding
from oasis_jax.volumes.cut import read_inputs
from oasis_jax.volumes.finding import find_inputs

COPIES, TURNS = 4, 3
SIZE = 256
"""Voxels of the phantom along each axis."""
MEASURE = Path(__file__).parent / "tools" / "measure.py"


def write_large_head(path: Path) -> Path:
    """A phantom, with air around it."""
    image, classes = draw_volume()
    pads = [((SIZE - n) // 2, SIZE - n - (SIZE - n) // 2) for n in image.shape]
    write_head(path, np.pad(image.round().astype(np.int16), pads), np.pad(classes, pads))
    return path


def frames_of(source: Path, segmenter: Segmenter) -> Counter[tuple[int, int]]:
    """How many frames of each size an input gives."""
    count: Counter[tuple[int, int]] = Counter()
    for file in read_inputs(find_inputs([source])[0], segmenter.framing, None, lambda _, problem: sys.exit(problem)):
        count[file.place.frame] += int(file.head.any(axis=(1, 2)).sum())
    return count


def seconds_of_network(segmenter: Segmenter, frames: Counter[tuple[int, int]]) -> float:
    """Seconds of the compiled network alone."""
    channels, random = 2 * segmenter.framing.neighbours + 1, np.random.default_rng(0)
    batches = {
        size: random.integers(0, 256, (segmenter.batch(size), *size, channels)).astype(np.uint8) for size in frames
    }
    for batch in batches.values():
        jax.block_until_ready(segmenter.forward(batch))
    start = time.perf_counter()
    for size, count in frames.items():
        for _ in range(-(-count // len(batches[size]))):
            jax.block_until_ready(segmenter.forward(batches[size]))
    return time.perf_counter() - start


def run_command(model: str, sources: list[Path], output: Path) -> tuple[float, int]:
    """Seconds of the command from the shell, and its peak memory in bytes."""
    words = ["-m", "oasis_jax.predict", model, *map(str, sources), "--output", str(output), "--overwrite"]
    took = output.with_suffix(".json")
    subprocess.run([sys.executable, MEASURE, took, sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    measured = json.loads(took.read_text())
    return measured["seconds"], measured["peak_bytes"]


def main() -> None:
    model, *given = sys.argv[1:]
    sharding.divide_cpu()
    sharding.configure_jax()
    segmenter = Segmenter.load([Run.load(pretrained.run_path(model))])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Path(given[0]) if given else write_large_head(folder / "head.nii.gz")
        sources = [folder / f"{copy}-{source.name}" for copy in range(COPIES)]
        for copy in sources:
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
        frames = frames_of(source, segmenter)
        times: dict[str, list[float]] = {"network": [], "one": [], "copies": []}
        peaks: dict[str, list[int]] = {"one": [], "copies": []}
        for turn in range(TURNS + 1):
            measured = {"network": (seconds_of_network(segmenter, frames), 0)}
            for kind, where in (("one", [source]), ("copies", sources)):
                measured[kind] = run_command(model, where, folder / f"out-{kind}")
                peaks[kind].append(measured[kind][1])
            if turn:  # the first turn compiles
                for kind, (seconds, _) in measured.items():
                    times[kind].append(seconds)
    network, one, copies = (median(values) for values in times.values())
    print(f"frames: {', '.join(f'{n} of {rows}x{columns}' for (rows, columns), n in frames.items())}")
    for kind, values in times.items():
        peak = f", {figures.mebibytes(max(peaks[kind]))} MiB" if kind in peaks else ""
        print(f"{kind}: {figures.spread(values)} s{peak}")
    print(f"one: 1.25 times the network and {one - 1.25 * network:.2f} s")
    print(f"each further copy: {(copies - one) / (COPIES - 1) / network:.2f} times the network")
    print(f"{figures.machine()}; jax {jax.__version__}")


main()
