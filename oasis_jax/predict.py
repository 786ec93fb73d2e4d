"""`python -m oasis_jax.predict RUN INPUT... --output DIR`: label slices and volumes of your own."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from oasis_jax.data.volumes.finding import InputFile, find_inputs
from oasis_jax.data.volumes.inputs import read_inputs
from oasis_jax.data.volumes.nifti import check_orientation, is_volume
from oasis_jax.inference import outputs
from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.inference.summary import FileSummary, screen_line, summarise
from oasis_jax.pretrained import RunPath
from oasis_jax.report import predictions
from oasis_jax.runs import folder as run_folder
from oasis_jax.runs.folder import Run
from oasis_jax.runs.trained import Trained
from oasis_jax.system import console, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, describe, leave_some, run_command
from oasis_jax.system.files import alone_in, write_text

_UNDER_WAY = 2
"""Files whose labels are being written while the next are computed."""


@dataclass(frozen=True)
class Arguments:
    """Label PNG slices and NIfTI volumes with the best checkpoint of a run."""

    run: tyro.conf.Positional[RunPath]
    """Run folder, as training made it; or pretrained or pretrained-heads, the models that come with the program."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...")]
    """PNG files, NIfTI or Analyze volumes, and folders of them."""
    output: Path
    """Folder for what is written; made when absent."""
    probabilities: bool = False
    """Write the probability of each class too."""
    overwrite: bool = False
    """Replace files that the output folder holds already."""
    orientation: str | None = None
    """Where the axes of volumes lead, such as RAS or LPI, for files whose header does not say it."""
    mirror: bool = False
    """Average the probabilities of each slice and its mirror image: better, and twice as slow."""
    with_: Annotated[tuple[RunPath, ...], tyro.conf.arg(name="with", metavar="RUN...")] = ()
    """Average them over these runs too."""
    all_heights: bool = False
    """Add up the tissue of all slices, also where training saw no slices and labels are unreliable."""
    batch: int | None = None
    """Slices at a time. None: 8 for a CPU, 64 for each accelerator."""


class _Result(NamedTuple):
    """What was written for one file."""

    summary: FileSummary
    entry: dict[str, Any] | None
    """A PNG slice as the pages show it."""


def predict(run: Run, arguments: Arguments) -> tuple[int, list[str]]:
    """Label all inputs and write what was asked for.

    Returns:
        How many files were labelled, and a sentence for each that could not be.

    Raises:
        UserError: nothing to label, files in the way, or no sound checkpoint.
    """
    files, problems = _check(arguments)
    runs = (run, *map(run_folder.load, arguments.with_))
    segmenter = Segmenter.load(runs, mirror=arguments.mirror, batch=arguments.batch)
    results: dict[str, _Result] = {}
    try:
        alone = _label_files(files, segmenter, arguments, results, problems)
    finally:  # interrupted or not, what was labelled is in the tables
        _write_tables([results[file.name] for file in files if file.name in results], arguments)
    if alone:
        console.say(f"{alone} PNG file(s) have no neighbouring slice beside them: they are their own neighbours.")
    return len(results), problems


def _label_files(
    files: Sequence[InputFile],
    segmenter: Segmenter,
    arguments: Arguments,
    results: dict[str, _Result],
    problems: list[str],
) -> int:
    """Label files and write what belongs to each, while the next are labelled.

    Args:
        files: the files.
        segmenter: the networks.
        arguments: of the command.
        results: gets what was written for each file, by its name.
        problems: gets a sentence for each file that could not be labelled.

    Returns:
        How many PNG files had no neighbouring slice beside them.
    """
    framing, trained, alone = segmenter.framing, segmenter.trained, 0
    arguments.output.mkdir(parents=True, exist_ok=True)
    with console.bar() as bar, ThreadPoolExecutor(2) as writers:
        task, finished = bar.add_task("Labelling", total=len(files)), Fraction(0)

        def advance(share: Fraction) -> None:
            nonlocal finished
            finished += share
            bar.update(task, completed=float(finished))

        def fail(reason: str) -> None:
            problems.append(reason)
            advance(Fraction(1))

        def finish(file: InputFile, written: Future[_Result]) -> None:
            try:
                results[file.name] = written.result()
            except OSError:  # the disk is full, say: no fault of one file
                raise
            except Exception as error:
                problems.append(describe(file.path, error))
                return
            print(screen_line(results[file.name].summary), flush=True)

        writing: deque[tuple[InputFile, Future[_Result]]] = deque()
        inputs = read_inputs(files, framing, arguments.orientation, fail, segmenter.classify)
        try:
            for labelled in label(inputs, segmenter, arguments.probabilities, advance):
                alone += labelled.input.alone
                writing.append((labelled.input.source, writers.submit(_write, labelled, trained, arguments)))
                if len(writing) > _UNDER_WAY:
                    finish(*writing[0])
                    writing.popleft()  # only now: an interruption of `finish` must not lose it
            while writing:
                finish(*writing[0])
                writing.popleft()
        finally:
            for file, written in writing:
                if written.exception() is None:
                    results[file.name] = written.result()
    return alone


def _check(arguments: Arguments) -> tuple[list[InputFile], list[str]]:
    """The files to label and what is wrong with others; UserError where there is none, or something is in the way."""
    check_orientation(arguments.orientation)
    if arguments.batch is not None and arguments.batch < 1:
        raise UserError(f"--batch is {arguments.batch} and must be at least 1.")
    files, problems = find_inputs(arguments.inputs)
    if not files:
        raise UserError(_listing("Nothing to label", problems or ["name PNG files, volumes or folders of them"]))
    _check_output(files, arguments)
    return files, problems


def _write(file: Segmentation, trained: Trained, arguments: Arguments) -> _Result:
    """Write the files of one input; return what the tables and the pages of all inputs need."""
    _check_free(outputs.names(file.input.source, arguments.probabilities), arguments)  # another command may be as far
    summary = summarise(file, trained, arguments.all_heights)
    (arguments.output / file.input.source.name).parent.mkdir(parents=True, exist_ok=True)
    outputs.write(file, summary, arguments.output, trained)
    if file.input.volume is None:
        return _Result(summary, predictions.slice_entry(file, summary, summary.slices[0]))
    write_text(arguments.output / f"{file.input.source.name}{outputs.PAGE}", predictions.volume_page(file, summary))
    return _Result(summary, None)


def _write_tables(results: Sequence[_Result], arguments: Arguments) -> None:
    """Write the tables, the pages of PNG slices and the index; other commands may write to the same folder."""
    if not results:
        return
    folder = arguments.output
    with alone_in(folder) as without_locks:
        notes = outputs.write_tables(folder, [result.summary for result in results])
        if without_locks:
            disk = f"{folder} lies on a disk without locks ({without_locks})"
            notes.append(f"{disk}, so predictions that end in it at the same time can lose lines of its tables.")
        slices = [(result.summary, result.entry) for result in results if result.entry is not None]
        there = predictions.slices_pages_in(folder)
        pages = predictions.slices_pages(slices, 1 if arguments.overwrite else len(there) + 1)
        for name in there if pages and arguments.overwrite else ():  # there may have been more pages before
            (folder / name).unlink()
        for name, page in pages.items():
            write_text(folder / name, page)
        write_text(folder / predictions.INDEX, predictions.index_page(folder))
    for note in notes:
        console.say(f"Note: {note}")


def _check_output(inputs: Sequence[InputFile], arguments: Arguments) -> None:
    """Raise `UserError` if the output would replace an input, or something that is not to be overwritten."""
    if any(path.is_dir() and path.resolve() == arguments.output.resolve() for path in arguments.inputs):
        raise UserError(f"{arguments.output} is where the inputs lie: name another --output.")
    names = [name for file in inputs for name in outputs.names(file, arguments.probabilities)]
    paths = {file.path.resolve() for file in inputs}
    if lost := [name for name in names if (arguments.output / name).resolve() in paths]:
        raise UserError(f"{arguments.output / lost[0]} is one of the inputs: name another --output.")
    common = [*outputs.TABLES, predictions.INDEX]
    common += [predictions.SLICES] if any(not is_volume(file.path) for file in inputs) else []
    _check_free(names, arguments, common)


def _check_free(names: Sequence[str], arguments: Arguments, common: Sequence[str] = ()) -> None:
    """Raise `UserError` if there are files of these names, or of common names and no prediction wrote them."""
    if arguments.overwrite:
        return
    there = [name for name in (*names, *common) if (arguments.output / name).exists()]
    if there and outputs.holds_tables(arguments.output):  # this prediction adds to what is common
        there = [name for name in there if name not in common]
    if there:
        raise UserError(
            f"{arguments.output} holds {there[0]} already{f' and {len(there) - 1} more' if there[1:] else ''}: "
            "name another --output, or add --overwrite."
        )


def _listing(title: str, problems: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {problem}" for problem in problems)])


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.predict", config=(tyro.conf.FlagCreatePairsOff,))
    run = run_folder.load(arguments.run)
    sharding.divide_cpu()
    sharding.configure_jax()
    done, problems = predict(run, arguments)
    if done:
        print(f"Labels and tables: {arguments.output}; look at {arguments.output / predictions.INDEX}", flush=True)
    if problems and not done:
        raise UserError(_listing(f"{len(problems)} input(s) could not be labelled", problems))
    if problems:
        leave_some(_listing(f"{len(problems)} input(s) could not be labelled, the others are done", problems))


cli = partial(run_command, main)


if __name__ == "__main__":
    cli()
