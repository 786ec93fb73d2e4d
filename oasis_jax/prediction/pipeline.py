"""One prediction: files are read, labelled and written; the three steps work at the same time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from oasis_jax.inference.label import Segmentation, label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.prediction.record import Settings
from oasis_jax.prediction.results import Destination
from oasis_jax.prediction.summary import FileSummary
from oasis_jax.system import console
from oasis_jax.system.ahead import ahead
from oasis_jax.system.errors import describe
from oasis_jax.volumes.cut import read_inputs
from oasis_jax.volumes.finding import InputFile, Problems

Tell = Callable[[InputFile, FileSummary, bool], object]
"""Shows what was found in a file, and whether an earlier call had found it."""

_WRITERS = 2
"""Files that are written at a time; a volume takes a tenth of a gigabyte."""


def label_files(
    files: Sequence[InputFile],
    segmenter: Segmenter,
    destination: Destination,
    settings: Settings,
    tell: Tell,
) -> tuple[int, Problems]:
    """Label files and write what belongs to each. The tables are written in the end, also at an interruption.

    Inputs that an earlier call labelled alike are not labelled again. `tell` is called as soon as there is a result,
    also in other threads.

    Returns:
        How many files have results, and what is wrong with the others.

    Raises:
        OSError: the disk fails, which is no fault of one file.
    """
    left, problems = _left(files, destination, settings, tell)
    if same := len(files) - len(left) - len(problems):
        console.say(f"{same} file(s) were labelled before, from the same bytes with the same weights and options.")
    destination.folder.mkdir(parents=True, exist_ok=True)
    try:
        with console.bar() as bar, ThreadPoolExecutor(_WRITERS) as pool:
            task, trained = bar.add_task("Labelling", total=len(left)), segmenter.trained
            advance = partial(bar.advance, task)

            def fail(path: Path, sentence: str) -> None:
                problems[path] = sentence
                advance()

            def write(found: Segmentation) -> None:
                tell(found.input.source, destination.write(found, trained, settings), False)

            inputs = read_inputs(left, segmenter.framing, settings.orientation, fail)
            labelled = label(inputs, segmenter, destination.probabilities, advance)
            for found, writing in ahead(partial(pool.submit, write), labelled, _WRITERS - 1):
                try:
                    writing.result()
                except OSError:
                    raise
                except Exception as error:
                    problems[found.input.source.path] = describe(found.input.source.path, error)
            bar.update(task, completed=len(left))  # shares of files do not add up exactly
    finally:
        done, without_locks = destination.write_tables(files, settings)
        if without_locks:
            console.say(
                f"Note: {destination.folder} lies on a disk without locks ({without_locks}), so predictions that end "
                "in it at the same time can lose lines of its tables."
            )
    return done, problems


def _left(
    files: Sequence[InputFile], destination: Destination, settings: Settings, tell: Tell
) -> tuple[list[InputFile], Problems]:
    """The files without a result that is there already, and what is wrong with those whose result must stay."""
    left: list[InputFile] = []
    problems: Problems = {}
    for file in console.track(files, len(files), "Comparing") if any(map(destination.there, files)) else files:
        try:
            summary = destination.earlier(file, settings)
        except Exception as error:
            problems[file.path] = describe(file.path, error)
            continue
        if summary is None:
            left.append(file)
        else:
            tell(file, summary, True)
    return left, problems
