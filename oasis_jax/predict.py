"""`python -m oasis_jax.predict RUN INPUT... --output DIR`: label slices and volumes of your own."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from oasis_jax.inference.segment import Segmenter
from oasis_jax.prediction import bids, pages
from oasis_jax.prediction.pipeline import label_files
from oasis_jax.prediction.record import Settings
from oasis_jax.prediction.results import PLAIN, Destination, Form
from oasis_jax.prediction.summary import FileSummary, screen_line
from oasis_jax.pretrained import MoreRuns, RunPath
from oasis_jax.runs.checkpoints import digest
from oasis_jax.runs.folder import Run
from oasis_jax.system import console, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, leave_some, run_command
from oasis_jax.volumes.finding import InputFile, Problems, find_inputs
from oasis_jax.volumes.nifti import check_orientation


@dataclass(frozen=True)
class Arguments:
    """Label PNG slices and volumes (NIfTI, MGH, Analyze) with the best checkpoint of a run."""

    run: tyro.conf.Positional[RunPath]
    """Run folder, file of weights, or pretrained or pretrained-slices, the models that come with the program."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...", help_behavior_hint="")]
    """PNG files, volumes, and folders of them; or a BIDS folder, whose T1w files are labelled."""
    output: Path
    """Folder for what is written; made when absent."""
    probabilities: bool = False
    """Write the probability of each class too."""
    values: Literal["own", "bids"] = "own"
    """What label volumes of a BIDS folder hold: 1 CSF, 2 gray matter, 3 white matter; or bids: 3, 1, 2."""
    overwrite: bool = False
    """Label all inputs, and replace files that the output folder holds already."""
    part: Annotated[str, tyro.conf.arg(metavar="I/N")] = "1/1"
    """Label one of several equal parts of the inputs: 2/10 is the second of ten. For the jobs of a cluster."""
    json: bool = False
    """Print a line of JSON for each input."""
    orientation: str | None = None
    """Where the axes of volumes lead, such as RAS or LPI, for files whose header does not say it."""
    mirror: bool = False
    """Average the probabilities of each slice and its mirror image: better, and twice as slow."""
    with_: Annotated[MoreRuns, tyro.conf.arg(name="with")] = ()
    """Average the probabilities over these runs too."""
    batch: int | None = None
    """Slices at a time. None: 8 for a CPU, 64 for each accelerator."""


def predict(run: Run, arguments: Arguments) -> tuple[int, Problems]:
    """Label what the arguments name, and write what they ask for.

    Returns:
        How many files have results, and a sentence for each path that could not be labelled.

    Raises:
        UserError: nothing to label, files in the way, or no sound checkpoint.
    """
    form, found, problems = _found(arguments)
    destination = Destination(arguments.output, form, arguments.probabilities, arguments.overwrite)
    files = _part(found, arguments.part)
    destination.check(found, files)
    if not arguments.part.startswith("1/"):
        problems = {}  # the first part tells for all
    if not files:
        console.say(f"There are fewer files than parts, so part {arguments.part} has none.")
        return 0, problems
    runs = (run, *map(Run.load, arguments.with_))
    segmenter = Segmenter.load(runs, mirror=arguments.mirror, batch=arguments.batch)
    settings = Settings(
        weights=tuple(map(digest, segmenter.ensemble.params)),
        neighbours=segmenter.framing.neighbours,
        mirror=arguments.mirror,
        orientation=arguments.orientation,
        values=arguments.values,
    )

    def tell(file: InputFile, summary: FileSummary, earlier: bool) -> None:
        if arguments.json:
            _print_json([destination.facts(file, summary, earlier)])
        elif not earlier:
            print(screen_line(summary), flush=True)

    done, failed = label_files(files, segmenter, destination, settings, tell)
    return done, problems | failed


def _found(arguments: Arguments) -> tuple[Form, list[InputFile], Problems]:
    """In which form results are wanted, all files to label, and what is wrong with others; checks the arguments."""
    check_orientation(arguments.orientation)
    if arguments.batch is not None and arguments.batch < 1:
        raise UserError(f"--batch is {arguments.batch} and must be at least 1.")
    if any(path.is_dir() and path.resolve() == arguments.output.resolve() for path in arguments.inputs):
        raise UserError(f"{arguments.output} is where the inputs lie: name another --output.")
    dataset = next(filter(bids.is_dataset, arguments.inputs), None)
    if dataset is None:
        if arguments.values != "own":
            raise UserError(f"--values is for a BIDS folder, and no input has a {bids.DESCRIPTION}: leave it out.")
        form, (files, problems) = PLAIN, find_inputs(arguments.inputs)
    else:
        if len(arguments.inputs) > 1:
            raise UserError(f"{dataset} is a BIDS folder: name it alone.")
        form = bids.derivative(dataset, arguments.output, arguments.values)
        files, problems = bids.find(dataset)
    if not files:
        named = problems.values() or ["name PNG files, volumes or folders of them"]
        raise UserError(_listing("Nothing to label", named))
    return form, files, problems


def _part(files: Sequence[InputFile], part: str) -> list[InputFile]:
    """The files of a part: of the second of ten, 2/10, every tenth from the second on."""
    found = re.fullmatch(r"([1-9]\d{0,8})/(\d{1,9})", part, re.ASCII)
    if found is None or int(found[1]) > int(found[2]):
        raise UserError(f"--part is {part} and must be i/n with i from 1 to n: 1/10 is the first of ten parts.")
    return list(files[int(found[1]) - 1 :: int(found[2])])


def _print_json(lines: Iterable[dict[str, Any]]) -> None:
    for line in lines:
        print(f"{json.dumps(line)}\n", end="", flush=True)  # in one piece: other threads print too


def _listing(title: str, problems: Iterable[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {problem}" for problem in problems)])


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.predict")
    run = Run.load(arguments.run)
    sharding.divide_cpu()
    sharding.configure_jax()
    done, problems = predict(run, arguments)
    if arguments.json:
        _print_json({"input": str(path), "error": problem} for path, problem in problems.items())
    if done:
        (console.say if arguments.json else print)(
            f"Labels and tables: {arguments.output}; look at {arguments.output / pages.INDEX}"
        )
    if problems and not done:
        raise UserError(_listing(f"{len(problems)} input(s) could not be labelled", problems.values()))
    if problems:
        leave_some(_listing(f"{len(problems)} input(s) could not be labelled, the others are done", problems.values()))


if __name__ == "__main__":
    run_command(main)
