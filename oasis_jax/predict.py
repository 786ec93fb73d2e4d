"""`python -m oasis_jax.predict RUN INPUT... --output DIR`: label slices and volumes of your own."""

from oasis_jax.system import guard

if __name__ == "__main__":
    guard.install()  # before the imports that take seconds

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from oasis_jax.data.volumes.finding import InputFile, find_inputs
from oasis_jax.data.volumes.inputs import read_inputs
from oasis_jax.data.volumes.nifti import check_orientation
from oasis_jax.inference import outputs
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.outputs import FileSummary
from oasis_jax.inference.segment import Segmenter
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.folder import Run, Trained
from oasis_jax.system import console, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, describe, leave_some, run_command

_UNDER_WAY = 2
"""Files whose labels are being written while the next are computed."""


@dataclass(frozen=True)
class Arguments:
    """Label PNG slices and NIfTI volumes with the best checkpoint of a run."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder, as training made it."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...")]
    """PNG files, NIfTI or Analyze volumes, and folders of them."""
    output: Path
    """Folder for what is written; made when absent."""
    probabilities: bool = False
    """Write the probability of each class too."""
    overwrite: bool = False
    """Replace files that the output folder holds already."""
    orientation: str | None = None
    """Where the axes of volumes lead that do not say so themselves, as RAS or LPI."""
    mirror: bool = False
    """Average the probabilities of each slice and its mirror image: better, and twice as slow."""
    with_: Annotated[tuple[Path, ...], tyro.conf.arg(name="with", metavar="RUN...")] = ()
    """Average them over these runs too."""
    all_heights: bool = False
    """Add up the tissue of whole volumes, beyond the heights that training saw, where labels are a guess."""
    batch: int | None = None
    """Slices at a time. None: 8 for each CPU, 64 for each accelerator."""


def predict(run: Run, arguments: Arguments) -> tuple[int, list[str]]:
    """Label all inputs and write what was asked for.

    Returns:
        How many files were labelled, and a sentence for each that could not be.

    Raises:
        UserError: nothing to label, files in the way, or no sound checkpoint.
    """
    found, problems = _check(arguments)
    runs = (run, *map(run_folder.load, arguments.with_))
    segmenter = Segmenter.load(runs, mirror=arguments.mirror, batch=arguments.batch)
    framing, trained = segmenter.framing, segmenter.trained
    arguments.output.mkdir(parents=True, exist_ok=True)
    reports: dict[str, FileSummary] = {}
    alone = 0
    with console.bar() as shown, ThreadPoolExecutor(2) as writers:
        task = shown.add_task("Labelling", total=len(found))

        def fail(reason: str) -> None:
            problems.append(reason)
            shown.advance(task)

        def finish(one: InputFile, written: Future[FileSummary]) -> None:
            try:
                reports[one.name] = written.result()
            except OSError:  # the disk is full, say: no fault of one file
                raise
            except Exception as error:
                fail(describe(one.path, error))
                return
            print(outputs.sentence(reports[one.name]), flush=True)
            shown.advance(task)

        writing: deque[tuple[InputFile, Future[FileSummary]]] = deque()
        inputs = read_inputs(found, framing, arguments.orientation, fail, segmenter.classify)
        try:
            for one in label(inputs, segmenter, arguments.probabilities):
                alone += one.input.alone
                writing.append((one.input.file, writers.submit(_write, one, trained, arguments)))
                if len(writing) > _UNDER_WAY:
                    finish(*writing.popleft())
            for one in writing:
                finish(*one)
        finally:  # interrupted or not, what was labelled is in the tables
            _write_tables([reports[one.name] for one in found if one.name in reports], arguments.output)
    if alone:
        console.say(f"{alone} PNG file(s) have no neighbouring slice beside them and stand in for it themselves.")
    return len(reports), problems


def _check(arguments: Arguments) -> tuple[list[InputFile], list[str]]:
    """The files to label and what is wrong with others; UserError where there is none, or something is in the way."""
    check_orientation(arguments.orientation)
    if arguments.batch is not None and arguments.batch < 1:
        raise UserError(f"--batch is {arguments.batch} and must be at least 1.")
    found, problems = find_inputs(arguments.inputs)
    if not found:
        raise UserError(_listing("Nothing to label", problems or ["name PNG files, volumes or folders of them"]))
    _check_free(found, arguments)
    return found, problems


def _write(one: Segmentation, trained: Trained, arguments: Arguments) -> FileSummary:
    facts = outputs.report(one, trained, arguments.all_heights)
    outputs.write(one, facts, arguments.output, trained)
    return facts


def _write_tables(reports: list[FileSummary], folder: Path) -> None:
    if reports:
        for sentence in outputs.write_tables(folder, reports):
            console.say(f"Note: {sentence}")


def _check_free(found: Sequence[InputFile], arguments: Arguments) -> None:
    if any(path.is_dir() and path.resolve() == arguments.output.resolve() for path in arguments.inputs):
        raise UserError(f"{arguments.output} is where the inputs lie: name another --output.")
    files = [name for one in found for name in outputs.names(one, arguments.probabilities)] + list(outputs.TABLES)
    inputs = {one.path.resolve() for one in found}
    if lost := [name for name in files if (arguments.output / name).resolve() in inputs]:
        raise UserError(f"{arguments.output / lost[0]} is one of the inputs: name another --output.")
    there = [name for name in files if (arguments.output / name).exists()]
    if there and not arguments.overwrite:
        raise UserError(
            f"{arguments.output} holds {there[0]} already{f' and {len(there) - 1} more' if there[1:] else ''}: "
            "name another --output, or add --overwrite."
        )


def _listing(title: str, problems: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {problem}" for problem in problems)])


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.predict", config=(tyro.conf.FlagCreatePairsOff,))
    run = run_folder.load(arguments.run)
    sharding.configure_jax()
    done, problems = predict(run, arguments)
    if done:
        print(f"Labels, overlays and tables: {arguments.output}", flush=True)
    if problems and not done:
        raise UserError(_listing(f"{len(problems)} input(s) could not be labelled", problems))
    if problems:
        leave_some(_listing(f"{len(problems)} input(s) could not be labelled, the others are done", problems))


if __name__ == "__main__":
    run_command(main)
