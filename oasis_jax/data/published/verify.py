"""Compare a tree of slices with the published set, file by file, by digest."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from oasis_jax.config import SPLITS
from oasis_jax.data.published.manifest import Manifest, digest
from oasis_jax.data.slices import folders
from oasis_jax.system import console
from oasis_jax.system.errors import UserError

_SHOWN = 20
"""Names of a kind that are printed."""


@dataclass(frozen=True)
class Verdict:
    """What sets one split of a tree apart from the published one; files by name, in the order of the set."""

    files: int
    """Number of files in the published split."""
    missing: list[str]
    extra: list[str]
    different: list[str]

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


def verify(root: Path, manifest: Manifest) -> dict[str, Verdict]:
    """Compare every split under `root` with the manifest.

    Hidden files are ignored. A file that cannot be read counts as different.

    Raises:
        UserError: `root` is not a folder, or holds none of the split folders.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: name the one that holds keras_png_slices_train.")
    here = [folder for split in SPLITS for folder in folders(root, split) if folder.is_dir()]
    if not here:
        raise UserError(f"{root} holds no keras_png_slices_* folder: name the folder that does.")
    present = [f"{folder.name}/{name}" for folder in here for name in sorted(os.listdir(folder)) if name[0] != "."]
    known = [name for name in present if name in manifest.digests]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda name: _digest(root / name), known)
        digests = dict(zip(known, console.track(results, len(known), "Verifying"), strict=True))
    verdicts = {}
    for split in dict.fromkeys(manifest.cases.values()):
        places = tuple(f"{folder.name}/" for folder in folders(root, split))
        expected = {name: wanted for name, wanted in manifest.digests.items() if name.startswith(places)}
        verdicts[split] = Verdict(
            files=len(expected),
            missing=[name for name in expected if name not in digests],
            extra=[name for name in present if name.startswith(places) and name not in expected],
            different=[name for name, wanted in expected.items() if digests.get(name, wanted) != wanted],
        )
    return verdicts


def _digest(path: Path) -> bytes:
    try:
        return digest(path.read_bytes())
    except OSError:  # a folder, a dead link, or no permission
        return b""
