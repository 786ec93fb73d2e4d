"""How long the parts of an evaluation take, on 544 slices of 256x256, as many as in the OASIS test split.

Run:  python benchmarks/evaluate.py RUN

Repeats the slices of the run's evaluation up to 544. Prints the seconds of the network (compiled before), of the
surfaces, of all other scores, and of the files with the report.
"""

import itertools
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import figures
import jax

from oasis_jax.data.batches import Source
from oasis_jax.data.open import open_data
from oasis_jax.data.slices import Slice
from oasis_jax.evaluation import counting
from oasis_jax.evaluation.counting import Evaluated
from oasis_jax.evaluation.result import finish
from oasis_jax.inference.ensemble import Ensemble
from oasis_jax.metrics import surface
from oasis_jax.network import unet
from oasis_jax.report.write import write_evaluation
from oasis_jax.runs import restore
from oasis_jax.runs.folder import Run
from oasis_jax.system import sharding

SLICES, PER_SUBJECT = 544, 32


def main() -> None:
    trained = Run.load(Path(sys.argv[1]))
    config = trained.config
    sharding.divide_cpu()
    sharding.configure_jax()
    tree = open_data(config, (config.train.evaluate,))
    split = tree.splits[config.train.evaluate]
    pairs = [split[i % len(split)] for i in range(SLICES)]
    names = [str(i // PER_SUBJECT) for i in range(SLICES)]
    batch = -(-config.train.batch // jax.device_count()) * jax.device_count()
    source, few = (Source(chosen, replace(config.data, cache=True)) for chosen in (pairs, pairs[:batch]))
    for i in range(len(source)):
        source[i]  # reading is not timed
    mesh = sharding.make_mesh(batch)
    best, params = restore.load_best(trained, mesh)
    step = counting.compiled_eval_step(config, unet.network(config.model).apply, mesh)
    counting.count_slices(step, params, few, config.data, batch, mesh)

    times, start = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        times[name], start = time.perf_counter() - start, time.perf_counter()

    table, predictions = counting.count_slices(step, params, source, config.data, batch, mesh)
    lap("network")
    masks = ((source[i][1], prediction) for i, prediction in enumerate(predictions))
    surfaces = surface.table(masks, itertools.repeat((1.0, 1.0)))
    lap("surfaces")
    evaluated = Evaluated(
        pairs=[Slice(name, i, pair.image, pair.label) for i, (name, pair) in enumerate(zip(names, pairs, strict=True))],
        subjects={name: name for name in names},
        slices=source,
        predictions=list(predictions),
        table=table,
        surfaces=surfaces,
        spacing=dict.fromkeys(names, (1.0, 1.0, 1.0)),
    )
    networks = Ensemble((trained,), (best,), (params,), mirror=False)
    result = finish(networks, evaluated, data="repeated", split=config.train.evaluate, fingerprint="-")
    lap("other scores")
    with tempfile.TemporaryDirectory() as folder:
        write_evaluation(result, Path(folder), trained.curves)
        lap("files and report")
        megabytes = (Path(folder) / "report.html").stat().st_size / 1e6
    print("; ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items()))
    rest = sum(times.values()) - times["network"]
    print(f"{figures.machine()}; jax {jax.__version__}")
    print(f"all but the network: {rest:.1f} s for {SLICES} slices; report {megabytes:.1f} MB")


if __name__ == "__main__":
    main()
