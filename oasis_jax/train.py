"""`python -m oasis_jax.train [EXPERIMENT] [--option value ...]`: train, keep the best, resume, evaluate."""

import argparse
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from oasis_jax.system import memory

if __name__ == "__main__":
    memory.use_large_pages()  # before anything is imported that takes seconds

import tyro

from oasis_jax import config
from oasis_jax.config import Config
from oasis_jax.pretrained import run_path
from oasis_jax.runs.folder import Run
from oasis_jax.system import records, sharding
from oasis_jax.system.arguments import command_line, local
from oasis_jax.system.distributed import initialize
from oasis_jax.system.errors import UserError, run_command
from oasis_jax.training import start
from oasis_jax.training.setup import show_scores, train


@dataclass(frozen=True)
class Arguments:
    """What the command line holds: the settings of a run, and what may differ each time it is resumed."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    """Train with the other processes of this job, each started with this command (docs/devices.md)."""


def named_experiments() -> dict[str, Path]:
    """The files of the experiments that come with the program, by name.

    They lie beside the package in a checkout, and in it where a wheel was installed.
    """
    inside = Path(__file__).parent / "experiments"
    folder = inside if inside.is_dir() else Path(__file__).parent.parent / "experiments"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def load_experiment(path: Path) -> Config:
    """The `config` that an experiment file exports.

    Raises:
        UserError: no such file, or it exports no `Config`.
    """
    if not path.is_file():
        names = ", ".join(named_experiments())
        raise UserError(f"There is no experiment file {path}: name a file, or {names}. Options start with two dashes.")
    try:
        exported = runpy.run_path(str(path)).get("config")
    except Exception as error:  # whatever the user's own code raises
        raise UserError(f"{path} cannot be used: {type(error).__name__}: {error}.") from error
    if not isinstance(exported, Config):
        raise UserError(f"{path} must export `config`, an oasis_jax.config.Config.")
    return config.from_json(records.to_json(exported), name=str(path))  # checks the types


def parse(words: list[str]) -> Arguments:
    """What a command line says: an experiment, by name or as a file, or none, and then options.

    Raises:
        UserError: an experiment that cannot be used, or one after an option; or settings out of range.
    """
    if any(word.endswith(".py") for word in words[1:]):
        raise UserError("Name the experiment first, then the options.")
    named = words and not words[0].startswith("-")
    default = load_experiment(named_experiments().get(words[0], Path(words[0]))) if named else _default_settings(words)
    arguments = command_line(
        Arguments,
        default=Arguments(default),
        args=words[1:] if named else words,
        prog="python -m oasis_jax.train [EXPERIMENT]",
        description=_HELP,
        config=(),  # an experiment may set a flag that the user clears
    )
    config.validate(arguments.config)
    return arguments


def _default_settings(words: list[str]) -> Config:
    """The settings without an experiment: those of the run that `--init` names, or the defaults.

    Raises:
        UserError: there is no such run.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--init", "--train.init", dest="init")
    init = first.parse_known_args(words)[0].init
    return Config() if init in (None, "None") else start.settings(Run.load(local(run_path(init))))


def main() -> None:
    arguments = parse(sys.argv[1:])
    if not arguments.distributed:  # other processes may share the cores
        sharding.divide_cpu(arguments.config.train.batch)
    with initialize(arguments.distributed, arguments):
        show_scores(train(arguments.config))


_HELP = """\
Train an Improved U-Net on brain slices, keep the checkpoint with the lowest validation loss, and report its Dice.
An experiment is one of heads, oasis, original, paper and quickstart, or a Python file that exports a `config`. Without
one it is the quickstart: made-up heads, minutes on a CPU; with --init RUN it has that run's network, data options,
augmentation and optimizer, at a tenth of its learning rate; length, seed and split are the defaults. Started again, it
resumes.

Examples:
  python -m oasis_jax.train
  python -m oasis_jax.train oasis --data.root keras_png_slices_data
  python -m oasis_jax.train my_experiment.py --data.root DIR --run runs/mine --optim.learning-rate 1e-3
  python -m oasis_jax.train --init pretrained --data.root DIR --run runs/tuned"""


if __name__ == "__main__":
    run_command(main)
