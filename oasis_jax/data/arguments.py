"""The options of the commands of `python -m oasis_jax.data`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from oasis_jax.config import SPLITS, Split
from oasis_jax.data import study
from oasis_jax.geometry import Axis


@dataclass(frozen=True)
class Check:
    """Check a folder of keras_png_slices_*: pairs, names, sizes, every pixel, subjects in two splits."""

    root: tyro.conf.Positional[Path]
    """Folder that holds keras_png_slices_train, _validate, _test and their _seg_ twins."""
    splits: tuple[Split, ...] = SPLITS
    """Splits to check."""
    all: bool = False
    """List every problem, not the first 20 of a kind."""


@dataclass(frozen=True)
class Phantom:
    """Draw made-up heads as a tree of slices, or one head as a volume; the same seed gives the same pixels."""

    root: tyro.conf.Positional[Path | None] = None
    """Folder of the tree to make; it must not exist yet."""
    volume: Path | None = None
    """Write one head to this file, NAME.nii.gz, and its labels to NAME_labels.nii.gz."""
    seed: int = 0
    """Seed of the heads; 0 gives those of the quickstart."""


@dataclass(frozen=True)
class Volumes:
    """Make a tree of slices from T1 volumes and their label volumes (NIfTI), split at random by subject."""

    root: tyro.conf.Positional[Path]
    """Folder to make; it must not exist yet."""
    images: str
    """Path of the T1 volumes; {subject} (and {session}) stand for what varies: "study/sub-{subject}/*_T1w.nii.gz"."""
    labels: str
    """The same for the label volumes, which lie on the grid of their T1."""
    values: Annotated[study.LabelValues, tyro.conf.arg(name="")] = study.LabelValues()  # noqa: RUF009
    orientation: str | None = None
    """Directions of the axes, such as RAS or LPI, for volumes whose header does not give them."""
    axis: Axis = "axial"
    """The plane that slices show."""
    start: float = 0.5
    """Height of the first slice: 0 is the base of the labelled brain, 1 its top. OASIS slices start half-way up."""
    extent: float = 32.0
    """How far up from there the slices reach, mm."""
    every_height: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Cut all slices that show the head, from the neck to the vertex, whatever --start and --extent say."""
    frame: tuple[int, int] = (256, 256)
    """Rows and columns of the slices, multiples of 16, 1 mm each; the scans are centred in them."""
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Shares of the subjects in train, validate and test; 0 leaves a split empty."""
    seed: int = 0
    """Seed of the split."""


@dataclass(frozen=True)
class Heads:
    """Draw T1 scans of heads from label maps, as a tree of slices or one as a volume."""

    maps: tyro.conf.Positional[Path]
    """A label map (NIfTI, MGH), or a folder of them. Values are those of FreeSurfer, and above 500 of CHARM."""
    root: tyro.conf.Positional[Path | None] = None
    """Folder of the tree to make; it must not exist yet."""
    volume: Path | None = None
    """Write one head, from the first map, to this file, NAME.nii.gz, and its labels to NAME_labels.nii.gz."""
    table: Path | None = None
    """What other values stand for: a CSV file with the columns value and structure."""
    heads: int = 3
    """Heads to draw from each map."""
    validate: tuple[str, ...] = ()
    """Names of the maps whose heads are for validation (without endings, as 17)."""
    test: tuple[str, ...] = ()
    """Names of the maps whose heads are for testing."""
    frame: tuple[int, int] = (256, 256)
    """Rows and columns of the slices, multiples of 16, 1 mm each."""
    seed: int = 0
    """Random seed; the same seed gives the same pixels."""


@dataclass(frozen=True)
class Verify:
    """Compare a keras_png_slices_data folder with the published one, byte for byte; status 1 if they differ."""

    root: tyro.conf.Positional[Path]
    """Folder that holds keras_png_slices_train, _validate, _test and their _seg_ twins."""
    json: bool = False
    """Print the result as JSON, with every name."""


@dataclass(frozen=True)
class Rebuild:
    """Make the keras_png_slices_* folders from OASIS-1 discs; status 1 if a file differs from the published one."""

    root: tyro.conf.Positional[Path]
    """Folder to make; it must not exist yet."""
    discs: tyro.conf.Positional[tuple[Path, ...]]
    """Discs: folders, .tar.gz files as downloaded, or folders that hold several of them."""
