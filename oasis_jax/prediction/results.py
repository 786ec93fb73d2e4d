"""Where results go: the files of each input, those that are there already, and the tables of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from oasis_jax.classes import COUNT, SHORT
from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction import images, pages, record, tables
from oasis_jax.prediction.record import Record, Settings
from oasis_jax.prediction.summary import FileSummary, file_summary
from oasis_jax.runs.trained import Trained
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import alone_in, write_text
from oasis_jax.volumes.finding import InputFile
from oasis_jax.volumes.nifti import is_volume


class Form(NamedTuple):
    """In which files labels and probabilities lie."""

    names: Callable[[InputFile, bool], list[str]]
    """Names of the files of one input, labels first; with its probabilities if True."""
    write: Callable[[Segmentation, Path], None]
    """Writes them to a folder."""
    common: dict[str, str]
    """The texts of the files that say how to read the results in a folder, by name."""


PLAIN = Form(images.names, images.write, {"labels.tsv": tables.meanings(range(COUNT))})
"""Results have the names of their inputs."""


@dataclass(frozen=True)
class Destination:
    """A folder for results; other commands may write to it at the same time."""

    folder: Path
    form: Form = PLAIN
    probabilities: bool = False
    """Write them too."""
    overwrite: bool = False
    """Replace what is there already."""

    def names(self, file: InputFile, probabilities: bool) -> list[str]:
        """Names of the files of one input, labels first."""
        pictures = [pages.OVERLAY, *([pages.PAGE] if is_volume(file.path) else [])]
        return [*self.form.names(file, probabilities), *(f"{file.name}{suffix}" for suffix in pictures)]

    def there(self, file: InputFile) -> list[str]:
        """Names of the files of one input that the folder holds, the probabilities among them."""
        return [name for name in self.names(file, True) if (self.folder / name).exists()]

    def check(self, inputs: Sequence[InputFile], files: Sequence[InputFile]) -> None:
        """Raise `UserError` if a result of `files` would replace one of all inputs, or what no prediction wrote."""
        names = [name for file in files for name in self.names(file, self.probabilities)]
        paths = {file.path.resolve() for file in inputs}
        if lost := [name for name in names if (self.folder / name).resolve() in paths]:
            raise UserError(f"{self.folder / lost[0]} is one of the inputs: name another --output.")
        if self.overwrite:
            return
        there = [name for file in files for name in self.there(file) if record.read(self.folder, file) is None]
        common = [tables.TISSUE, tables.SLICES, *self.form.common, pages.INDEX]
        if tables.read(self.folder / tables.TISSUE, tables.TISSUE_COLUMNS) is not None:  # it adds to the others' lines
            common = [tables.SLICES] if tables.read(self.folder / tables.SLICES, tables.SLICES_COLUMNS) is None else []
        there += [name for name in common if (self.folder / name).exists()]
        self._refuse(there)

    def earlier(self, file: InputFile, settings: Settings) -> FileSummary | None:
        """What an earlier call made of the same bytes with the same settings, if all its files are there.

        Raises:
            UserError: files are in the way that no call recorded, or that somebody changed since.
            OSError: a file cannot be read.
        """
        if self.overwrite:
            return None
        there, known = self.there(file), record.read(self.folder, file)
        if known is None:
            self._refuse(there)
            return None
        if known.summary is None:  # the call was killed while it wrote them
            return None
        for name in there:
            if known.outputs.get(name) != record.digest([self.folder / name]):
                raise UserError(
                    f"{self.folder / name} is not as the program wrote it, so it stays, and {tables.TISSUE} has the "
                    "amounts from before: move it elsewhere, or add --overwrite."
                )
        whole = set(self.names(file, self.probabilities)) <= set(there)
        if whole and known.settings == settings and known.input == record.seen(file, settings.neighbours):
            return known.summary
        return None

    def write(self, found: Segmentation, trained: Trained, settings: Settings) -> FileSummary:
        """Write the files of one input, unless another command has done so meanwhile.

        Raises:
            UserError: as `earlier`, or the labels are more than any head holds.
            OSError: the disk fails.
        """
        file = found.input.source
        if (summary := self.earlier(file, settings)) is not None:
            return summary
        summary = file_summary(found, trained)
        (self.folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        names = self.names(file, self.probabilities)
        begun = Record(record.seen(file, settings.neighbours), settings, {}, None)
        if record.read(self.folder, file) is not None:  # probabilities of the result that this one replaces
            for name in set(self.there(file)) - set(names):
                (self.folder / name).unlink()
        record.write(self.folder, file, begun)
        self.form.write(found, self.folder)
        images.write_overlay(self.folder / f"{file.name}{pages.OVERLAY}", found)
        if found.input.volume is not None:
            write_text(self.folder / f"{file.name}{pages.PAGE}", pages.volume_page(found, summary))
        digests = {name: record.digest([self.folder / name]) for name in names}
        record.write(self.folder, file, replace(begun, outputs=digests, summary=summary))
        return summary

    def facts(self, file: InputFile, summary: FileSummary, earlier: bool) -> dict[str, Any]:
        """What was found in a file as JSON values, and where its results lie; `earlier`: an earlier call wrote them."""
        unit, values = summary.amounts
        return {
            "file": summary.file,
            "input": str(file.path),
            "labels": str(self.folder / self.names(file, False)[0]),
            "state": "labelled before" if earlier else "labelled",
            "slices": len(summary.slices),
            unit: {name: round(float(value), 2) for name, value in zip(SHORT[1:], values, strict=True)},
            "notes": list(summary.notes),
        }

    def write_tables(self, files: Sequence[InputFile], settings: Settings) -> tuple[int, str | None]:
        """Write the tables and the index; other commands may write to the same folder.

        Returns:
            How many of the files have results with these settings; and a reason if the disk has no locks, so that
            predictions that end at the same time can lose lines.
        """
        known = [record.read(self.folder, file) for file in files]
        summaries = [each.summary for each in known if each and each.summary and each.settings == settings]
        if not summaries:
            return 0, None
        with alone_in(self.folder) as without_locks:
            tables.write(self.folder, summaries, settings)
            for name, text in self.form.common.items():
                write_text(self.folder / name, text)
            write_text(self.folder / pages.INDEX, pages.index_page(self.folder))
        return len(summaries), without_locks

    def _refuse(self, there: Sequence[str]) -> None:
        if there:
            raise UserError(
                f"{self.folder} holds {there[0]} already{f' and {len(there) - 1} more' if there[1:] else ''}: "
                "name another --output, or add --overwrite."
            )
