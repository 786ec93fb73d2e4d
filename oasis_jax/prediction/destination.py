"""Where results go: the files of each input, those that are there already, and the tables of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from oasis_jax.classes import SHORT
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction import outputs, pages, record
from oasis_jax.prediction.record import Record, Settings
from oasis_jax.prediction.summary import FileSummary, summarise
from oasis_jax.runs.trained import Trained
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import alone_in, write_text
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.nifti import is_volume


class Form(NamedTuple):
    """In which files results lie."""

    names: Callable[[InputFile, bool], list[str]]
    """Names of the files of one input, labels first; with its probabilities if True."""
    write: Callable[[Segmentation, FileSummary, Path, Trained], None]
    """Writes them to a folder, but for the page."""
    common: tuple[str, ...]
    """Names of the files that say how to read them."""
    describe: Callable[[Path], None]
    """Writes these to a folder."""


PLAIN = Form(outputs.names, outputs.write, (outputs.LABELS,), outputs.describe)
"""Results have the names of their inputs."""


class Result(NamedTuple):
    """What there is for one file."""

    source: InputFile
    summary: FileSummary
    entry: dict[str, Any] | None = None
    """A PNG slice as the pages show it; None for a volume, and if an earlier call wrote it."""
    earlier: bool = False
    """Whether an earlier call wrote it."""


@dataclass(frozen=True)
class Destination:
    """A folder for results; other commands may write to it at the same time."""

    folder: Path
    form: Form = PLAIN
    probabilities: bool = False
    """Write them too."""
    overwrite: bool = False
    """Replace what is there already."""

    def names(self, file: InputFile) -> list[str]:
        """Names of the files of one input, labels first."""
        return self.form.names(file, self.probabilities)

    def check(self, inputs: Sequence[InputFile], files: Sequence[InputFile]) -> None:
        """Refuse to replace an input, or a file that no prediction wrote.

        Args:
            inputs: all that must stay.
            files: those to label.

        Raises:
            UserError: a result has the name of such a file.
        """
        names = [name for file in files for name in self.names(file)]
        paths = {file.path.resolve() for file in inputs}
        if lost := [name for name in names if (self.folder / name).resolve() in paths]:
            raise UserError(f"{self.folder / lost[0]} is one of the inputs: name another --output.")
        if self.overwrite:
            return
        there = [name for file in files for name in self._there(file) if record.read(self.folder, file) is None]
        if not outputs.holds_tables(self.folder):  # otherwise this prediction adds to what is common
            common = [*outputs.TABLES, *self.form.common, pages.INDEX]
            common += [pages.SLICES] if any(not is_volume(file.path) for file in files) else []
            there += [name for name in common if (self.folder / name).exists()]
        self._refuse(there)

    def holds(self, file: InputFile) -> bool:
        """Whether the folder holds any file of an input."""
        return bool(self._there(file))

    def earlier(self, file: InputFile, settings: Settings) -> Result | None:
        """What an earlier call made of the same bytes with the same settings, if all its files are there.

        Raises:
            UserError: files are in the way that no call recorded, or that somebody changed since.
            OSError: a file cannot be read.
        """
        if self.overwrite:
            return None
        there, known = self._there(file), record.read(self.folder, file)
        if known is None:
            self._refuse(there)
            return None
        if known.summary is None:  # the call was killed while it wrote them
            return None
        for name in there:
            if known.outputs.get(name) != record.digest([self.folder / name]):
                raise UserError(
                    f"{self.folder / name} is not as the program wrote it: keep it elsewhere, or add --overwrite."
                )
        whole = set(self.names(file)) <= set(there)
        if whole and known.settings == settings and known.input == _input(file, settings):
            return Result(file, known.summary, earlier=True)
        return None

    def write(self, labelled: Segmentation, trained: Trained, settings: Settings) -> Result:
        """Write the files of one input, unless another command has done so meanwhile.

        Raises:
            UserError: as `earlier`, or the labels are more than any head holds.
            OSError: the disk fails.
        """
        file = labelled.input.source
        if (result := self.earlier(file, settings)) is not None:
            return result
        summary = summarise(labelled, trained, settings.all_heights)
        (self.folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        names, begun = self.names(file), Record(_input(file, settings), settings, {}, None)
        if record.read(self.folder, file) is not None:  # probabilities of the result that this one replaces
            for name in set(self._there(file)) - set(names):
                (self.folder / name).unlink()
        record.write(self.folder, file, begun)
        self.form.write(labelled, summary, self.folder, trained)
        entry = None
        if labelled.input.volume is None:
            entry = pages.slice_entry(labelled, summary, summary.slices[0])
        else:
            page = pages.volume_page(labelled, labelled.input.volume, summary, trained.cut.axis)
            write_text(self.folder / f"{file.name}{outputs.PAGE}", page)
        digests = {name: record.digest([self.folder / name]) for name in names}
        record.write(self.folder, file, replace(begun, outputs=digests, summary=summary))
        return Result(file, summary, entry)

    def facts(self, result: Result) -> dict[str, Any]:
        """A result as JSON values: where it lies, and what was found."""
        summary = result.summary
        unit, values = ("cm2", summary.areas / 100) if summary.millilitres is None else ("ml", summary.millilitres)
        return {
            "file": summary.file,
            "input": str(result.source.path),
            "labels": str(self.folder / self.names(result.source)[0]),
            "state": "labelled before" if result.earlier else "labelled",
            "slices": len(summary.slices),
            unit: {name: round(float(value), 2) for name, value in zip(SHORT[1:], values, strict=True)},
            "notes": list(summary.notes),
        }

    def write_tables(self, results: Sequence[Result]) -> list[str]:
        """Write the tables, the pages of PNG slices and the index; other commands may write to the same folder.

        Returns:
            What the user should know.
        """
        if not results:
            return []
        with alone_in(self.folder) as without_locks:
            notes = outputs.write_tables(self.folder, [result.summary for result in results])
            self.form.describe(self.folder)
            if without_locks:
                disk = f"{self.folder} lies on a disk without locks ({without_locks})"
                notes.append(f"{disk}, so predictions that end in it at the same time can lose lines of its tables.")
            slices = [(result.summary, result.entry) for result in results if result.entry is not None]
            there = pages.slices_pages_in(self.folder)
            new = pages.slices_pages(slices, 1 if self.overwrite else len(there) + 1)
            for name in there if new and self.overwrite else ():  # there may have been more pages before
                (self.folder / name).unlink()
            for name, page in new.items():
                write_text(self.folder / name, page)
            write_text(self.folder / pages.INDEX, pages.index_page(self.folder))
        return notes

    def _there(self, file: InputFile) -> list[str]:
        """Names of the files of one input that the folder holds, the probabilities among them."""
        return [name for name in self.form.names(file, True) if (self.folder / name).exists()]

    def _refuse(self, there: Sequence[str]) -> None:
        if there:
            raise UserError(
                f"{self.folder} holds {there[0]} already{f' and {len(there) - 1} more' if there[1:] else ''}: "
                "name another --output, or add --overwrite."
            )


def _input(file: InputFile, settings: Settings) -> str:
    return record.digest(record.seen(file, settings.neighbours))
