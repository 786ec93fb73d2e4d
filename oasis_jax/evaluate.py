"""`python -m oasis_jax.evaluate RUN`: restore the best checkpoint and report its scores on a split or on volumes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import tyro

from oasis_jax.config import Split
from oasis_jax.data import study
from oasis_jax.data.batches import Source
from oasis_jax.data.open import open_data
from oasis_jax.evaluation import record
from oasis_jax.evaluation.result import Result
from oasis_jax.evaluation.split import evaluate_split
from oasis_jax.evaluation.volumes import evaluate_volumes
from oasis_jax.inference import ensemble
from oasis_jax.inference.segment import Segmenter
from oasis_jax.pretrained import MoreRuns, RunPath
from oasis_jax.report.write import write_evaluation
from oasis_jax.runs.folder import Run
from oasis_jax.system import console, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.distributed import initialize
from oasis_jax.system.errors import UserError, leave_some, run_command


@dataclass(frozen=True)
class SplitArguments:
    """A split of a tree of slices."""

    split: Split | None = None
    """train, validate or test. None: the one the run's config names."""
    data_root: Annotated[Path | None, tyro.conf.arg(aliases=("--data.root",))] = None
    """Folder of the slices. None: the one of training."""
    distributed: bool = False
    """Share the work with the other processes of this job, each started with this command (docs/devices.md)."""


@dataclass(frozen=True)
class VolumeArguments:
    """Or whole volumes, on their own voxels."""

    images: str | None = None
    """Path of the T1 volumes, in which {subject} (and {session}) stand for what varies, as
    "study/sub-{subject}/*_T1w.nii.gz"."""
    labels: str | None = None
    """The same for their label volumes."""
    values: Annotated[study.LabelValues, tyro.conf.arg(name="")] = study.LabelValues()  # noqa: RUF009
    orientation: str | None = None
    """Where the axes of volumes lead, such as RAS or LPI, for files whose header does not say it."""


@dataclass(frozen=True)
class Arguments:
    """Evaluate the best checkpoint of a run on a split, or on whole volumes.

    It writes tables and a report to RUN/evaluation/SPLIT, or RUN/evaluation/volumes.
    """

    run: tyro.conf.Positional[RunPath]
    """Run folder, file of weights, or pretrained or pretrained-slices, the models that come with the program."""
    step: int | None = None
    """Evaluate the checkpoint of this step, not the best one."""
    mirror: bool = False
    """Average the probabilities of each slice and its mirror image."""
    with_: Annotated[MoreRuns, tyro.conf.arg(name="with")] = ()
    """Average the probabilities over these runs too."""
    output: Path | None = None
    """Folder to write to. None: RUN/evaluation/SPLIT, with what was averaged in its name; ./pretrained-SPLIT for
    pretrained."""
    slices: tyro.conf.OmitArgPrefixes[SplitArguments] = SplitArguments()
    volumes: tyro.conf.OmitArgPrefixes[VolumeArguments] = VolumeArguments()


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.evaluate")
    if not arguments.slices.distributed:  # other processes may share the cores
        sharding.divide_cpu()
    with initialize(arguments.slices.distributed, arguments):
        evaluate(arguments)


def evaluate(arguments: Arguments) -> None:
    """Evaluate on what the arguments name, write the files, and print the table.

    Raises:
        UserError: arguments that do not go together, or what cannot be evaluated.
        SystemExit: some scans could not be evaluated, the others are.
    """
    whole = arguments.volumes != VolumeArguments()
    if whole and arguments.slices != SplitArguments():
        raise UserError("Whole volumes have no splits: leave out --split, --data-root and --distributed.")
    trained = Run.load(arguments.run)
    if arguments.slices.data_root is not None:
        trained = trained.at_data(arguments.slices.data_root)
    runs = (trained, *map(Run.load, arguments.with_))
    split = "volumes" if whole else arguments.slices.split or runs[0].config.train.evaluate
    folder = _output_folder(runs, arguments, split)
    sharding.configure_jax()
    result, problems = _on_volumes(runs, arguments) if whole else (_on_split(runs, arguments, split), [])
    write_evaluation(result, folder, runs[0].curves)
    if problems:
        listing = "\n".join(f"  {problem}" for problem in problems)
        leave_some(f"{len(problems)} scan(s) could not be evaluated, the others are:\n{listing}")


def _on_split(runs: Sequence[Run], arguments: Arguments, split: str) -> Result:
    config = runs[0].config
    if runs[0].weights and config.data.root and not (arguments.slices.data_root or config.data.root.is_dir()):
        raise UserError(f"{runs[0].name} comes without slices: give the folder of yours with --data-root.")
    tree = open_data(config.data, (split,))
    recorded = runs[0].provenance["data_fingerprints"].get(split)
    if recorded not in (None, tree.fingerprints[split]):
        console.say(f"Note: {split} is not the {split} split that this run was started with.")
    mesh = sharding.make_mesh(jax.device_count())
    networks = ensemble.load(runs, mesh, step=arguments.step, mirror=arguments.mirror)
    return evaluate_split(networks, tree, split, Source(tree.splits[split], config.data, size=tree.size), mesh)


def _on_volumes(runs: Sequence[Run], arguments: Arguments) -> tuple[Result, list[str]]:
    """The evaluation, and a sentence about each scan that could not be evaluated."""
    images, labels = arguments.volumes.images, arguments.volumes.labels
    if images is None or labels is None:
        raise UserError("Whole volumes need both --images and --labels.")
    values = arguments.volumes.values.by_class()
    scans = study.pair_scans(images, labels)
    segmenter = Segmenter.load(runs, mirror=arguments.mirror, step=arguments.step)
    name, orientation = Path(images).name, arguments.volumes.orientation
    return evaluate_volumes(scans, segmenter, values=values, data=name, orientation=orientation)


def _output_folder(runs: Sequence[Run], arguments: Arguments, split: str) -> Path:
    """Where to write an evaluation. An older evaluation is replaced, anything else is not."""
    folder = arguments.output or runs[0].evaluation(split + ensemble.suffix(len(runs), arguments.mirror))
    if folder.exists() and not (folder / record.METRICS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not an evaluation: name a new folder as --output.")
    return folder


if __name__ == "__main__":
    run_command(main)
