"""`python -m oasis_jax.evaluate RUN`: restore the best checkpoint and report its scores on a split or on volumes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import tyro

from oasis_jax.config import Split
from oasis_jax.data.batches import Source
from oasis_jax.data.open import open_data
from oasis_jax.data.volumes import study
from oasis_jax.data.volumes.nifti import check_orientation
from oasis_jax.evaluation import record, volumes
from oasis_jax.evaluation.record import Metrics
from oasis_jax.evaluation.result import Evaluated
from oasis_jax.evaluation.split import evaluate_split
from oasis_jax.inference import ensemble
from oasis_jax.inference.segment import Segmenter
from oasis_jax.pretrained import RunPath
from oasis_jax.report.write import show, write_evaluation, write_split
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.folder import Run
from oasis_jax.system import console, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.distributed import Flag, initialize
from oasis_jax.system.errors import UserError, leave_some, run_command


@dataclass(frozen=True)
class Arguments:
    """Evaluate the best checkpoint of a run on a split, or on whole volumes.

    It writes tables, pictures and a report to RUN/evaluation/SPLIT, or RUN/evaluation/volumes.
    """

    run: tyro.conf.Positional[RunPath]
    """Run folder, as training made it; or pretrained or pretrained-heads, the models that come with the program."""
    split: Split | None = None
    """train, validate or test. None: the one the run's config names."""
    slices: tuple[int, ...] = ()
    """Draw these slices too, by index in the split."""
    data_root: Annotated[Path | None, tyro.conf.arg(aliases=("--data.root",))] = None
    """Folder of the slices. None: the one of training."""
    step: int | None = None
    """Evaluate the checkpoint of this step, not the best one."""
    mirror: bool = False
    """Average the probabilities of each slice and its mirror image."""
    with_: Annotated[tuple[RunPath, ...], tyro.conf.arg(name="with", metavar="RUN...")] = ()
    """Average them over these runs too."""
    output: Path | None = None
    """Folder to write to. None: RUN/evaluation/SPLIT, with what was averaged in its name; ./pretrained-SPLIT for
    pretrained."""
    images: str | None = None
    """Evaluate whole T1 volumes on their own voxels: their path, in which {subject} (and {session}) stand for what
    varies, as "study/sub-{subject}/*_T1w.nii.gz"."""
    labels: str | None = None
    """The same for their label volumes."""
    values: Annotated[study.LabelValues, tyro.conf.arg(name="")] = study.LabelValues()  # noqa: RUF009
    orientation: str | None = None
    """Where the axes of volumes lead, such as RAS or LPI, for files whose header does not say it."""
    distributed: Flag = False
    """Share the work with the other processes of this job, each started with this command (docs/devices.md)."""


def evaluate_volumes(runs: Sequence[Run], arguments: Arguments, folder: Path) -> tuple[Metrics, list[str]]:
    """Evaluate checkpoints of runs on whole volumes, and write what they give to a folder.

    Returns:
        The scores, and a sentence about each scan that could not be evaluated.

    Raises:
        UserError: volumes that cannot be paired, none that can be used, or no such checkpoint.
    """
    if arguments.distributed:
        raise UserError("Whole volumes are evaluated by one process: leave out --distributed.")
    if arguments.images is None or arguments.labels is None:
        raise UserError("Whole volumes need both --images and --labels.")
    if arguments.split is not None or arguments.data_root is not None:
        raise UserError("--images and --labels name the data: leave out --split and --data-root.")
    check_orientation(arguments.orientation)
    values = arguments.values.by_class()
    scans = study.pair_scans(arguments.images, arguments.labels)
    segmenter = Segmenter.load(runs, mirror=arguments.mirror, step=arguments.step)
    evaluated, problems = volumes.evaluate_volumes(
        scans,
        segmenter,
        values=values,
        track=console.track,
        tell=console.say,
        orientation=arguments.orientation,
    )
    count = len(evaluated.pairs)  # known only now, when it would be a pity to lose the scores
    if missing := [i for i in arguments.slices if not 0 <= i < count]:
        console.say(f"Note: these volumes have slices 0 to {count - 1}, so slice {missing[0]} is not drawn.")
    used = [scan for scan in scans if scan.case in evaluated.subjects]
    metrics = write_evaluation(
        segmenter.ensemble,
        evaluated,
        data=Path(arguments.images).name,
        split="volumes",
        fingerprint=volumes.fingerprint(used, console.track),
        folder=folder,
        asked=[i for i in arguments.slices if 0 <= i < count],
        caveats=_caveats(segmenter, evaluated, len(problems), len(scans)),
    )
    return metrics, problems


def _caveats(segmenter: Segmenter, evaluated: Evaluated, failed: int, scans: int) -> list[str]:
    """What a reader of the scores of whole volumes must know."""
    caveats = []
    if (heights := segmenter.trained.cut.heights) is not None:
        caveats.append(
            f"Training saw slices from {heights[0]:.2f} to {heights[1]:.2f} of the brain's height. These are whole "
            "volumes; at other heights the labels are unreliable."
        )
    if failed:
        caveats.append(f"{failed} of {scans} scans could not be evaluated and are left out.")
    if evaluated.surfaces is None:
        caveats.append("Surfaces are not compared, because the voxels of a volume are not rectangular.")
    return caveats


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.evaluate")
    if not arguments.distributed:  # other processes may share the cores
        sharding.divide_cpu()
    with initialize(arguments.distributed, arguments):
        _evaluate_run(arguments)


def _evaluate_run(arguments: Arguments) -> None:
    trained = run_folder.load(arguments.run)
    if arguments.data_root is not None:
        trained = trained.at_data(arguments.data_root)
    runs = (trained, *map(run_folder.load, arguments.with_))
    if arguments.images is not None or arguments.labels is not None:
        folder = _output_folder(runs, arguments, "volumes")
        sharding.configure_jax()
        metrics, problems = evaluate_volumes(runs, arguments, folder)
        show(metrics, folder)
        if problems:
            listing = "\n".join(f"  {problem}" for problem in problems)
            leave_some(f"{len(problems)} scan(s) could not be evaluated, the others are:\n{listing}")
        return
    if arguments.values != study.LabelValues() or arguments.orientation is not None:
        raise UserError(
            "--background, --csf, --gray, --white and --orientation are for volumes: name them with --images and "
            "--labels."
        )
    split = arguments.split or trained.config.train.evaluate
    folder = _output_folder(runs, arguments, split)
    sharding.configure_jax()
    tree = open_data(trained.config, (split,))
    recorded = trained.provenance["data_fingerprints"].get(split)
    if recorded not in (None, tree.fingerprints[split]):
        console.say(f"Note: {split} is not the {split} split that this run was started with.")
    count = len(tree.splits[split])
    if missing := [i for i in arguments.slices if not 0 <= i < count]:
        raise UserError(f"{split} has slices 0 to {count - 1}; there is no slice {missing[0]}.")
    mesh = sharding.make_mesh(jax.device_count())
    networks = ensemble.load(runs, mesh, step=arguments.step, mirror=arguments.mirror)
    source = Source(tree.splits[split], trained.config.data, size=tree.size)
    evaluated = evaluate_split(networks, tree, split, source, mesh)
    show(write_split(networks, tree, split, evaluated, folder, arguments.slices), folder)


def _output_folder(runs: Sequence[Run], arguments: Arguments, what: str) -> Path:
    """Where to write an evaluation of a split or of volumes. An older evaluation is replaced, anything else is not."""
    folder = arguments.output or runs[0].evaluation(what + ensemble.suffix(len(runs), arguments.mirror))
    if folder.exists() and not (folder / record.METRICS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is no evaluation: name a new folder as --output.")
    return folder


cli = partial(run_command, main)


if __name__ == "__main__":
    cli()
