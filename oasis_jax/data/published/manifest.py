"""The published `keras_png_slices_data`: which files it has, and the digest of each."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from oasis_jax.config import SPLITS
from oasis_jax.data.slices import slice_of

SLICES = 32
"""Slices of every case, numbered from 0."""

DIGEST = 8
"""Bytes kept of each SHA-256: enough to notice every file that changed by accident."""

_CASES = {
    "train": "1-7 9-23 25-35 37-47 49-72 81-88 90-91 151-153 155-170 173-174 176-186 188-193 195 197-214 216-218 "
    "220-224 226-241 243-244 246-247 249-250 253-256 258-275 277-296 298-305 307-319 321-323 325-333 335-346 348-359 "
    "361-363 365-390 392 394-401",
    "validate": "402-411 413 415-426 428-435 437-440",
    "test": "441-457",
}
"""Subject numbers of OASIS-1, each a case."""

_RESCANNED = "061 156 191 202 230 236 239 249 285 353 368 379 395"
"""Proven by OASIS-1's own pictures of labels, which become published files: docs/data.md."""


@dataclass(frozen=True)
class Manifest:
    """The files of a set of slices."""

    cases: dict[str, str]
    """The split of each case; a case is a subject's number in three digits."""
    digests: dict[str, bytes]
    """First 8 bytes of the SHA-256 of each file, by its name: `keras_png_slices_test/case_441_slice_0.nii.png`."""
    rescanned: frozenset[str] = frozenset()
    """Cases that show the second scan (MR2) of their subject."""

    def scan_of(self, case: str) -> str:
        """The scan that a case shows, OAS1_NNNN_MRk."""
        return f"OAS1_{int(case):04d}_MR{2 if case in self.rescanned else 1}"


def digest(content: bytes) -> bytes:
    """The first 8 bytes of the SHA-256 of a file's content."""
    return hashlib.sha256(content).digest()[:DIGEST]


def published() -> Manifest:
    """The published set: 354 cases, 22,656 files.

    The digests lie in `published.bin`, 8 bytes each, by split, case and slice, image before label.
    """
    cases = {f"{number:03d}": split for split in SPLITS for number in _numbers(_CASES[split])}
    names = [
        str(path)
        for case, split in cases.items()
        for k in range(SLICES)
        for path in slice_of(Path(), split, case, k)[2:]
    ]
    content = (resources.files("oasis_jax.data.published") / "published.bin").read_bytes()
    digests = [content[start : start + DIGEST] for start in range(0, len(content), DIGEST)]
    return Manifest(cases, dict(zip(names, digests, strict=True)), frozenset(_RESCANNED.split()))


def _numbers(runs: str) -> list[int]:
    ends = [[int(end) for end in run.split("-")] for run in runs.split()]
    return [number for end in ends for number in range(end[0], end[-1] + 1)]
