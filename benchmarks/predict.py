"""The speed of prediction beside that of the network alone, on a folder of 544 slices and on a volume.

Run:  python benchmarks/predict.py RUN [VOLUME.nii.gz]

The 544 slices are copies of phantom slices, PNG files of 256x256. Each of three turns measures the network alone, on as
many batches as the folder has, then the whole prediction (reading, labelling, writing label maps, overlays and tables),
warm and in one process. Prints medians, ranges, and the ratio of the medians.
"""

import contextlib
import io
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import figures
import jax
import numpy as np

from oasis_jax.data.phantoms.dataset import default_tree
from oasis_jax.data.slices import find_slices
from oasis_jax.inference.segment import Segmenter
from oasis_jax.predict import Arguments, predict
from oasis_jax.runs import folder as run_folder
from oasis_jax.system import sharding

SLICES, BATCH, TURNS = 544, 8, 3


def seconds_of_network(trained: run_folder.Run, count: int) -> float:
    """Seconds of the compiled network alone, on `count` slices."""
    segment = Segmenter.load([trained])
    frames = np.random.default_rng(0).integers(0, 256, (BATCH, *trained.shape)).astype(np.uint8)
    jax.block_until_ready(segment(frames))
    start = time.perf_counter()
    for _ in range(-(-count // BATCH)):
        jax.block_until_ready(segment(frames))
    return time.perf_counter() - start


def seconds_of_prediction(trained: run_folder.Run, source: Path, output: Path) -> float:
    """Seconds of `predict`, without the imports."""
    arguments = Arguments(trained.folder, (source,), output, overwrite=True, batch=BATCH)
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        predict(trained, arguments)
    return time.perf_counter() - start


def main() -> None:
    trained = run_folder.load(Path(sys.argv[1]))
    sharding.divide_cpu()
    sharding.configure_jax()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "slices").mkdir()
        pairs, _ = find_slices(default_tree(), "train")
        for i in range(SLICES):
            shutil.copy(pairs[i % len(pairs)].image, folder / "slices" / f"{i}.png")
        jobs = {"folder": folder / "slices"} | ({"volume": Path(sys.argv[2])} if sys.argv[2:] else {})
        times: dict[str, list[float]] = {name: [] for name in ("network", *jobs)}
        for turn in range(TURNS + 1):
            for kind in times:
                measured = (
                    seconds_of_network(trained, SLICES)
                    if kind == "network"
                    else seconds_of_prediction(trained, jobs[kind], folder / f"out-{kind}")
                )
                if turn:  # the first turn compiles
                    times[kind].append(measured)
    for kind, values in times.items():
        each = "" if kind == "volume" else f", {SLICES / median(values):.1f} slices/s"
        print(f"{kind}: {median(values):.2f} s (median of {TURNS}, {min(values):.2f} to {max(values):.2f}){each}")
    print(f"{figures.machine()}; jax {jax.__version__}")
    print(f"folder: {median(times['network']) / median(times['folder']):.3f} of the speed of the network alone")


if __name__ == "__main__":
    main()
