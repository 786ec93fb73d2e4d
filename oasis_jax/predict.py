"""`python -m oasis_jax.predict RUN INPUT... --output DIR`: label slices and volumes of your own."""

import json
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal, NoReturn

import tyro

from oasis_jax.inference.label import label
from oasis_jax.inference.segment import Segmenter
from oasis_jax.prediction import bids, pages
from oasis_jax.prediction.destination import PLAIN, Destination, Form, Result
from oasis_jax.prediction.record import Settings
from oasis_jax.prediction.summary import screen_line
from oasis_jax.prediction.writer import Writer
from oasis_jax.pretrained import RunPath
from oasis_jax.runs.checkpoints import digest
from oasis_jax.runs.folder import Run
from oasis_jax.system import console, sharding
from oasis_jax.system.arguments import command_line
from oasis_jax.system.errors import UserError, describe, leave_some, run_command
from oasis_jax.volumes.finding import InputFile, find_inputs
from oasis_jax.volumes.inputs import read_inputs
from oasis_jax.volumes.nifti import check_orientation


@dataclass(frozen=True)
class Arguments:
    """Label PNG slices and NIfTI volumes with the best checkpoint of a run."""

    run: tyro.conf.Positional[RunPath]
    """Run folder, file of weights, or pretrained or pretrained-slices, the models that come with the program."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...")]
    """PNG files, NIfTI or Analyze volumes, and folders of them; or a BIDS folder, whose T1w files are labelled."""
    output: Path
    """Folder for what is written; made when absent."""
    probabilities: bool = False
    """Write the probability of each class too."""
    values: Literal["own", "bids"] = "own"
    """What label volumes of a BIDS folder hold: 1 CSF, 2 gray matter, 3 white matter; or bids: 3, 1, 2."""
    overwrite: bool = False
    """Label all inputs, and replace files that the output folder holds already."""
    part: str = "1/1"
    """Label one of several equal parts of the inputs: 2/10 is the second of ten. For the jobs of a cluster."""
    json: bool = False
    """Print a line of JSON for each input."""
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


def predict(run: Run, arguments: Arguments) -> tuple[int, list[str]]:
    """Read all inputs, label them, and write what was asked for; the three steps work at the same time.

    Inputs that an earlier call labelled alike are not labelled again.

    Returns:
        How many files have results, and a sentence for each that could not be labelled.

    Raises:
        UserError: nothing to label, files in the way, or no sound checkpoint.
    """
    destination, files, problems = _to_label(arguments)
    if not files:
        console.say(f"There are fewer files than parts, so part {arguments.part} has none.")
        return 0, problems
    runs = (run, *map(Run.load, arguments.with_))
    segmenter = Segmenter.load(runs, mirror=arguments.mirror, batch=arguments.batch)
    settings = _settings(segmenter, arguments)
    earlier, left, changed = _earlier(files, destination, settings)
    arguments.output.mkdir(parents=True, exist_ok=True)
    write = partial(destination.write, trained=segmenter.trained, settings=settings)
    alone, writer = 0, Writer(write, partial(_tell, destination=destination, as_json=arguments.json))
    try:
        for result in earlier:
            writer.keep(result)
        with _progress(len(left)) as advance, writer:

            def fail(reason: str) -> None:
                problems.append(reason)
                advance(Fraction(1))

            inputs = read_inputs(left, segmenter.framing, arguments.orientation, fail)
            for labelled in label(inputs, segmenter, arguments.probabilities, advance):
                alone += labelled.input.alone
                writer.put(labelled)
    finally:  # interrupted or not, what was written is in the tables
        results = [writer.results[file.name] for file in files if file.name in writer.results]
        for note in destination.write_tables(results):
            console.say(f"Note: {note}")
    if alone:
        console.say(f"{alone} PNG file(s) have no neighbouring slice beside them: they are their own neighbours.")
    if same := sum(result.earlier for result in results):
        console.say(f"{same} file(s) were labelled before, from the same bytes with the same weights and options.")
    return len(results), problems + changed + writer.problems


def _to_label(arguments: Arguments) -> tuple[Destination, list[InputFile], list[str]]:
    """Where results go, the files of this part, and what is wrong with others; nothing may be in the way."""
    form, found, problems = _found(arguments)
    destination = Destination(arguments.output, form, arguments.probabilities, arguments.overwrite)
    files = _part(found, arguments.part)
    destination.check(found, files)
    return destination, files, problems if arguments.part.startswith("1/") else []  # the first part tells for all


def _found(arguments: Arguments) -> tuple[Form, list[InputFile], list[str]]:
    """In which form results are wanted, all files to label, and what is wrong with others; checks the arguments."""
    check_orientation(arguments.orientation)
    if arguments.batch is not None and arguments.batch < 1:
        raise UserError(f"--batch is {arguments.batch} and must be at least 1.")
    if any(path.is_dir() and path.resolve() == arguments.output.resolve() for path in arguments.inputs):
        raise UserError(f"{arguments.output} is where the inputs lie: name another --output.")
    dataset = next(filter(bids.is_dataset, arguments.inputs), None)
    if dataset is not None and len(arguments.inputs) > 1:
        raise UserError(f"{dataset} is a BIDS folder: name it alone.")
    if dataset is None and arguments.values != "own":
        raise UserError(f"--values is for a BIDS folder, and no input has a {bids.DESCRIPTION}: leave it out.")
    if dataset is not None:
        bids.check_values(arguments.output, arguments.values)
    form = PLAIN if dataset is None else bids.derivative(dataset, arguments.values)
    files, problems = find_inputs(arguments.inputs) if dataset is None else bids.find(dataset)
    if not files:
        raise UserError(_listing("Nothing to label", problems or ["name PNG files, volumes or folders of them"]))
    return form, files, problems


def _part(files: Sequence[InputFile], part: str) -> list[InputFile]:
    """The files of a part: of the second of ten, 2/10, every tenth from the second on."""
    found = re.fullmatch(r"([1-9]\d{0,8})/(\d{1,9})", part, re.ASCII)
    if found is None or int(found[1]) > int(found[2]):
        raise UserError(f"--part is {part} and must be i/n with i from 1 to n: 1/10 is the first of ten parts.")
    return list(files[int(found[1]) - 1 :: int(found[2])])


def _settings(segmenter: Segmenter, arguments: Arguments) -> Settings:
    return Settings(
        weights=tuple(map(digest, segmenter.ensemble.params)),
        neighbours=segmenter.framing.neighbours,
        mirror=arguments.mirror,
        orientation=arguments.orientation,
        all_heights=arguments.all_heights,
        values=arguments.values,
    )


def _earlier(
    files: Sequence[InputFile], destination: Destination, settings: Settings
) -> tuple[list[Result], list[InputFile], list[str]]:
    """The results that are there already, the files that are left, and a sentence for each result that must stay."""
    results, left, problems = [], [], []
    shown = console.track if any(map(destination.holds, files)) else console.silent
    for file in shown(files, len(files), "Comparing"):
        try:
            result = destination.earlier(file, settings)
        except Exception as error:
            problems.append(describe(file.path, error))
        else:
            if result is None:
                left.append(file)
            else:
                results.append(result)
    return results, left, problems


@contextmanager
def _progress(files: int) -> Iterator[Callable[[Fraction], None]]:
    """A progress bar over files; the function that it gives moves it on by a share of a file."""
    with console.bar() as bar:
        task, finished = bar.add_task("Labelling", total=files), Fraction(0)

        def advance(share: Fraction) -> None:
            nonlocal finished
            finished += share
            bar.update(task, completed=float(finished))

        yield advance


def _tell(result: Result, destination: Destination, as_json: bool) -> None:
    """Print the line of a file: for people, or as JSON."""
    if as_json:
        print(json.dumps(destination.facts(result)), flush=True)
    elif not result.earlier:
        print(screen_line(result.summary), flush=True)


def _listing(title: str, problems: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {problem}" for problem in problems)])


def _end(number: int, frame: FrameType | None) -> NoReturn:
    console.say(f"{signal.Signals(number).name}: what was saved stays.")
    raise SystemExit(128 + number)


def main() -> None:
    arguments = command_line(Arguments, prog="python -m oasis_jax.predict", config=(tyro.conf.FlagCreatePairsOff,))
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # as job runners send it: the tables are written first
        signal.signal(signal.SIGTERM, _end)
    run = Run.load(arguments.run)
    sharding.divide_cpu()
    sharding.configure_jax()
    done, problems = predict(run, arguments)
    for problem in problems if arguments.json else ():
        print(json.dumps({"error": problem}), flush=True)
    if done:
        (console.say if arguments.json else print)(
            f"Labels and tables: {arguments.output}; look at {arguments.output / pages.INDEX}"
        )
    if problems and not done:
        raise UserError(_listing(f"{len(problems)} input(s) could not be labelled", problems))
    if problems:
        leave_some(_listing(f"{len(problems)} input(s) could not be labelled, the others are done", problems))


cli = partial(run_command, main)


if __name__ == "__main__":
    cli()
