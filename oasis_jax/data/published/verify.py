"""Compare a tree of slices with the published set, file by file, by digest."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from oasis_jax.data.published.manifest import Manifest, digest
from oasis_jax.data.slices import folders_of
from oasis_jax.system.console import Tracker, silent
from oasis_jax.system.errors import UserError

_CHUNK = 64
"""Files that a thread reads in one task: a task for each file would cost as much as reading it."""

_SHOWN = 20
"""Names of a kind that are printed."""


@dataclass(frozen=True)
class Comparison:
    """One split of a tree, compared with the published one; files by name, in the order of the set."""

    files: int
    """Number of files in the published split."""
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    different: tuple[str, ...]

    @property
    def identical(self) -> int:
        """Number of files that equal the published ones."""
        return self.files - len(self.missing) - len(self.different)

    @property
    def authentic(self) -> bool:
        """Whether the split is complete and every file equals the published one."""
        return not (self.missing or self.extra or self.different)

    def __str__(self) -> str:
        if self.authentic:
            return f"complete and authentic, {self.files} files"
        kinds = {"missing": self.missing, "extra": self.extra, "different": self.different}
        lines = [", ".join(f"{len(names)} {kind}" for kind, names in kinds.items()) + f" of {self.files} files"]
        for kind, names in kinds.items():
            lines += [f"  {kind}: {name}" for name in names[:_SHOWN]]
            lines += [f"  {kind}: {len(names) - _SHOWN} more; --json lists them"] if len(names) > _SHOWN else []
        return "\n".join(lines)


def compare(root: Path, manifest: Manifest, track: Tracker = silent) -> dict[str, Comparison]:
    """Compare every split under `root` with the manifest.

    Hidden files are ignored. A file that cannot be read counts as different.

    Raises:
        UserError: `root` is not a folder, or holds none of the split folders.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name the one that holds keras_png_slices_train.")
    splits = list(dict.fromkeys(manifest.cases.values()))
    if not any((root / folder).is_dir() for split in splits for folder in folders_of(split)):
        raise UserError(f"{root} holds no keras_png_slices_* folder: name the folder that does.")
    present = {split: [name for folder in folders_of(split) for name in _listing(root, folder)] for split in splits}
    known = [name for names in present.values() for name in names if name in manifest.digests]
    chunks = [known[start : start + _CHUNK] for start in range(0, len(known), _CHUNK)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda names: [_digest(root / name) for name in names], chunks)
        values = (value for chunk in results for value in chunk)
        digests = dict(zip(known, track(values, len(known), "Verifying"), strict=True))
    return {split: _compare(split, present[split], digests, manifest) for split in splits}


def _compare(split: str, present: Iterable[str], digests: dict[str, bytes], manifest: Manifest) -> Comparison:
    folders = folders_of(split)
    expected = [name for name in manifest.digests if name.split("/")[0] in folders]
    return Comparison(
        files=len(expected),
        missing=tuple(name for name in expected if name not in digests),
        extra=tuple(name for name in present if name not in manifest.digests),
        different=tuple(name for name in expected if name in digests and digests[name] != manifest.digests[name]),
    )


def _listing(root: Path, folder: str) -> list[str]:
    if not (root / folder).is_dir():
        return []
    return sorted(f"{folder}/{name}" for name in os.listdir(root / folder) if not name.startswith("."))


def _digest(path: Path) -> bytes:
    try:
        return digest(path.read_bytes())
    except OSError:  # a folder, a dead link, or no permission
        return b""
