"""`python -m oasis_jax.train [EXPERIMENT] [--option value ...]`: train, keep the best, resume, evaluate."""

from oasis_jax import guard

if __name__ == "__main__":
    guard.install()  # before the imports that take seconds

import dataclasses
import json
import os
import runpy
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's start-up chatter; must be set before jax is imported

import tyro

from oasis_jax import config, evaluate, hosts, model, parallel, pipeline, progress, run, tables
from oasis_jax.arguments import command_line
from oasis_jax.config import SPLITS, Config
from oasis_jax.data.tree import Tree
from oasis_jax.errors import UserError, run_command
from oasis_jax.loop import Stop, optimize
from oasis_jax.run import Run


@dataclass(frozen=True)
class Arguments:
    """What the command line holds: the settings of a run, and what may differ each time it is resumed."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    distributed: hosts.Flag = False
    """Train with the other processes of this job, each started with this command (docs/devices.md)."""


def train(settings: Config) -> None:
    """Train the run that the config names from where it stands to its end, then evaluate its best checkpoint.

    Raises:
        UserError: a mistake in config or data, a damaged run, or a loss that is no longer finite.
        SystemExit: a signal stopped the run; all is saved.
    """
    config.validate(settings)
    if settings.data.root is not None:  # so that the run can be evaluated from any folder
        settings = replace(settings, data=replace(settings.data, root=settings.data.root.absolute()))
    parallel.start()
    if run.exists(settings.run):
        _same_run(settings)  # a quick refusal, before any data is read
    split = settings.train.evaluate
    tree = evaluate.open_data(settings, tuple(s for s in SPLITS if s in ("train", "validate", split)))
    _check_fit(settings, tree)
    with run.lock(settings.run):
        if run.exists(settings.run):
            here = _same_run(settings)
            _same_data(here, tree)
            run.save(here)  # the data may have moved
        else:
            here = run.create(settings, _facts(tree))
        with _stop_signals() as stop:
            step = optimize(here, tree, stop)
        if number := max(hosts.gather(stop.signal)):
            _leave(here, step, number)
        evaluate.show(_final_scores(here, tree, split), here.evaluation(split))


def _check_fit(settings: Config, tree: Tree) -> None:
    """Whatever a user can get wrong about data and devices is found before a run folder is made."""
    model.check_frame(settings.model, tree.size, tree.extent)
    pipeline.check_batch(len(tree.splits["train"]), settings.train.batch, pipeline.process()[1])
    parallel.make_mesh(settings.train.batch)


def _facts(tree: Tree) -> dict[str, Any]:
    """What a run remembers of its data."""
    return {
        "data_fingerprints": tree.fingerprints,
        "slice_size": list(tree.size),
        "slice_cut": dataclasses.asdict(tree.cut),
        "slice_looks": tree.looks["train"],
    }


def _same_run(settings: Config) -> Run:
    """The run on disk, with those settings of the command that may differ from its own."""
    here = run.load(settings.run)
    if changed := config.differences(here.config, settings):
        raise UserError(
            f"{settings.run} was started with other settings ({'; '.join(changed)}): "
            "name another --run, or repeat the old settings to resume."
        )
    return here._replace(config=settings)


def _same_data(here: Run, tree: Tree) -> None:
    recorded = here.provenance["data_fingerprints"]
    if changed := [s for s in ("train", "validate") if recorded.get(s) != tree.fingerprints[s]]:
        raise UserError(
            f"The slices in {tree.root} are not those that {here.folder} was started with ({' and '.join(changed)} "
            "differ): name another --run, or the old --data.root."
        )


def _final_scores(here: Run, tree: Tree, split: str) -> dict:
    """The evaluation of the best checkpoint: the one on disk where it is of this very checkpoint and data."""
    return hosts.share(_scores_on_disk(here, tree, split)) or evaluate.evaluate(here, tree, split)


def _scores_on_disk(here: Run, tree: Tree, split: str) -> dict | None:
    try:
        metrics = json.loads((here.evaluation(split) / "metrics.json").read_text(encoding="utf-8"))
        tables.score_table(metrics)  # another version of the program may have kept other scores
        return metrics if evaluate.is_current(metrics, here, tree) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there yet, or damaged


@contextmanager
def _stop_signals() -> Iterator[Stop]:
    """Turn the first of `guard.SIGNALS` into a request to save and leave; a second one acts at once."""
    stop = Stop()

    def request(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        signal.signal(number, before[number])
        progress.say(f"{signal.Signals(number).name}: saving after this step ...")

    before = guard.handle(request)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(here: Run, step: int, number: int) -> None:
    saved = f"Saved {here.folder} after step {step}." if step else "Stopped before the first step."
    progress.say(f"{saved} Start the same command again to go on.")
    raise SystemExit(128 + number)


def load_experiment(path: Path) -> Config:
    """The `config` that an experiment file exports.

    Raises:
        UserError: no such file, or it exports no `Config`.
    """
    if not path.is_file():
        raise UserError(f"There is no experiment file {path}; options start with two dashes.")
    try:
        exported = runpy.run_path(str(path)).get("config")
    except Exception as error:  # whatever the user's own code raises
        raise UserError(f"{path} cannot be used: {type(error).__name__}: {error}.") from error
    if not isinstance(exported, Config):
        raise UserError(f"{path} must export `config`, an oasis_jax.config.Config.")
    return config.from_json(config.to_json(exported), name=str(path))  # checks the types


def parse(words: list[str]) -> Arguments:
    """What a command line says: an experiment file, or none, and then options.

    Raises:
        UserError: an experiment that cannot be used, or one after an option.
    """
    if any(word.endswith(".py") for word in words[1:]):
        raise UserError("Name the experiment first, then the options.")
    named = words and not words[0].startswith("-")
    return command_line(
        Arguments,
        default=Arguments(load_experiment(Path(words[0])) if named else Config()),
        args=words[1:] if named else words,
        prog="python -m oasis_jax.train [EXPERIMENT.py]",
        description=_HELP,
    )


def main() -> None:
    arguments = parse(sys.argv[1:])
    with hosts.joined(arguments.distributed, arguments):
        train(arguments.config)


_HELP = """\
Train an Improved U-Net on brain slices, keep the checkpoint with the lowest validation loss, and report its Dice.
Without an experiment file it is the quickstart: made-up heads, minutes on a CPU. Started again, it resumes.

Examples:
  python -m oasis_jax.train
  python -m oasis_jax.train experiments/oasis.py --data.root keras_png_slices_data
  python -m oasis_jax.train experiments/seed.py --data.root DIR --run runs/mine --optim.learning-rate 1e-3"""


if __name__ == "__main__":
    run_command(main)
