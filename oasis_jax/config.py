"""All settings of a run, as frozen dataclasses. `Config()` without arguments is the quickstart."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from oasis_jax.system import records
from oasis_jax.system.errors import UserError

Method = Literal["scale", "zscore"]

SPLITS = ("train", "validate", "test")
Split = Literal["train", "validate", "test"]

MAX_LEVELS = 5
"""Resolutions of the deepest network."""

STRIDE = 2 ** (MAX_LEVELS - 1)
"""Sides of a slice are multiples of this, so that every network can halve them down to its lowest level."""

Value = TypeVar("Value")


def setting(default: Value, wanted: str, rule: Callable[[Value], bool]) -> Value:
    """A setting with a range: `rule` tests a value, `wanted` describes the range in an error."""
    return field(default=default, metadata={"wanted": wanted, "rule": rule})


@dataclass(frozen=True)
class Data:
    """Which slices, and how they reach the network."""

    root: Annotated[Path | None, tyro.conf.arg(aliases=("--data-root",))] = None
    """Folder of keras_png_slices_train, _validate, _test and their _seg_ twins. None: made-up heads (phantoms)."""
    join: tuple[Path, ...] = ()
    """More such folders. Their slices join those of `root`, padded to one size; each keeps its own neighbours."""
    shares: tuple[float, ...] = setting(
        (),
        "numbers, 0 or more, not all 0",
        lambda shares: max(shares, default=1) > 0 and all(0 <= x < math.inf for x in shares),
    )
    """How much of a training each folder gets: `root`, then those of `join`. Without: as much as it has slices."""
    leave_out: tuple[str, ...] = ()
    """Subjects whose slices do not train, such as those whom another folder has for validation."""
    normalise: Method = "zscore"
    """scale: grey level / 255, as in the original. zscore: mean 0, deviation 1 for each slice."""
    spacing_mm: tuple[float, float, float | None] | None = setting(
        (1.0, 1.0, 1.0),
        "three numbers above 0, the last or all None if unknown",
        lambda mm: mm is None or all(x is None or 0 < x < math.inf for x in mm),
    )
    """Distance of rows, of columns and of slices, mm (OASIS: 1), for surface distances and tissue volumes. None for the
    last or for all: unknown. A tree that `data volumes` made holds its own spacing, which is used instead."""
    cache: bool = True
    """Hold the decoded slices in memory as uint8 once they are read (128 KiB a pair; 1.3 GB for 9,664 pairs)."""
    threads: int = setting(2, "at least 1", lambda n: n >= 1)
    """Threads that read, decode and normalise ahead of the device."""
    neighbours: int = setting(0, "from 0 to 8", lambda n: 0 <= n <= 8)
    """Slices below and above in the same case that the network sees as extra channels. 0: the slice alone."""

    @property
    def channels(self) -> int:
        """Channels of the network's input: the slice and its neighbours."""
        return 1 + 2 * self.neighbours


@dataclass(frozen=True)
class Augment:
    """Random changes to training slices, new ones in each step; 0 or False switches one off."""

    mirror: bool = False
    """Swap left and right (the row axis) for half of the slices."""
    mirror_axis: float | None = setting(
        None,
        "a row of the slices, a multiple of 0.5, or None",
        lambda row: row is None or (row >= 0 and (2 * row).is_integer()),
    )
    """Row about which this and `--mirror` mirror slices; it may lie half way between two rows. None: the middle.
    129 for the genuine OASIS slices, whose brains lie 1.5 rows off the middle."""
    rotate: float = setting(0.0, "from 0 to 180 degrees", lambda x: 0 <= x <= 180)
    """Largest rotation, degrees."""
    scale: float = setting(0.0, "from 0 to below 1", lambda x: 0 <= x < 1)
    """Largest relative change of size: 0.1 means 0.9 to 1.1."""
    shift: float = setting(0.0, "0 or more pixels", lambda x: 0 <= x < math.inf)
    """Largest shift along either axis, pixels."""
    elastic: float = setting(0.0, "0 or more pixels", lambda x: 0 <= x < math.inf)
    """Typical displacement of the smooth elastic warp, pixels."""
    warped: float = setting(1.0, "from 0 to 1", lambda x: 0 <= x <= 1)
    """Share of slices that rotate, scale, shift and elastic change. Below 1, the network also learns where the brain
    lies in the slices as they are, as heads that are all aligned to an atlas."""
    gamma: float = setting(0.0, "from 0 to 3", lambda x: 0 <= x <= 3)
    """Largest change of log gamma: 0.3 means an exponent from exp(-0.3) to exp(0.3)."""
    bias_field: float = setting(0.0, "from 0 to 2", lambda x: 0 <= x <= 2)
    """Typical logarithm of a smooth field that brightens some parts and darkens others, like a scanner's coil."""
    strip: float = setting(0.0, "from 0 to 1", lambda x: 0 <= x <= 1)
    """Share of slices shown without skull: everything outside the labelled brain is black before normalisation."""


@dataclass(frozen=True)
class Model:
    """The Improved U-Net; `experiments/original.py` has the original's values."""

    stem: int = setting(8, "at least 1", lambda n: n >= 1)
    """Filters of the first convolution; each level below has twice as many as the one above."""
    levels: int = setting(MAX_LEVELS, f"from 3 to {MAX_LEVELS}", lambda n: 3 <= n <= MAX_LEVELS)
    """Resolutions, each half the one above (5: the original, the paper). Fewer see less and have fewer parameters."""
    norm: Literal["none", "instance"] = "instance"
    """Normalisation of each hidden convolution: none (the original) or instance (the paper)."""
    pre_activation: bool = False
    """Context modules normalise and activate before each convolution (the paper), not after (the original)."""
    segmentation: Literal["3x3", "1x1"] = "1x1"
    """Segmentation layers: 3x3 with LeakyReLU (the original) or linear 1x1 (the paper)."""
    dropout: float = setting(0.0, "from 0 to below 1", lambda x: 0 <= x < 1)
    """Share of values dropped between the two convolutions of a context module (0.3 in the original and the paper)."""
    crop: tuple[int, int] | None = setting(
        (176, 208),
        f"multiples of {STRIDE} or None",
        lambda sides: sides is None or all(n > 0 and n % STRIDE == 0 for n in sides),
    )
    """Central rows and columns that the network sees; around them it predicts background. None: the whole slice."""
    # OASIS slices are 176x208 scans padded to 256x256, so this crop loses nothing and computes 1.8 times less.
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type. Parameters and loss stay float32; bfloat16 is for GPU and TPU, slower on a CPU."""


@dataclass(frozen=True)
class Optim:
    """The loss and Adam."""

    learning_rate: float = setting(4e-3, "above 0", lambda x: 0 < x < math.inf)
    """Adam's learning rate; the peak of the schedule."""
    schedule: Literal["constant", "one_cycle", "exponential"] = "one_cycle"
    """constant; one_cycle: a cosine rise over the first 30 % of the steps and a cosine fall to nearly 0; exponential:
    times 0.985 every 100 steps, which the paper calls an epoch."""
    weight_decay: float = setting(1e-4, "0 or more", lambda x: 0 <= x < math.inf)
    """Decoupled weight decay (AdamW); 0 is plain Adam."""
    l2: float = setting(0.0, "0 or more", lambda x: 0 <= x < math.inf)
    """Weight of half the sum of the squared parameters, added to the loss (the paper: 1e-5)."""
    cross_entropy: float = setting(1.0, "0 or more", lambda x: 0 <= x < math.inf)
    """Weight of the mean pixel cross-entropy added to the Dice loss; 0 is the Dice loss alone."""


@dataclass(frozen=True)
class Train:
    """Length of the training, batches, validation, random seed."""

    epochs: int = setting(6, "at least 1", lambda n: n >= 1)
    """Passes over the training slices."""
    steps: int | None = setting(None, "None or at least 1", lambda n: n is None or n >= 1)
    """Number of steps, instead of `epochs`; the schedule of the learning rate ends with them. None: use `epochs`."""
    validate_every: int | None = setting(None, "None or at least 1", lambda n: n is None or n >= 1)
    """Steps from one validation and checkpoint to the next; the last step always has one. None: an epoch."""
    batch: int = setting(8, "at least 1", lambda n: n >= 1)
    """Slices in a step, over all devices and processes together."""
    seed: int = setting(0, "from 0 to 4294967295", lambda n: 0 <= n < 2**32)
    """Random seed of everything: initial parameters, order of slices, dropout, augmentation."""
    init: Annotated[str | None, tyro.conf.arg(aliases=("--init",), metavar="RUN")] = None
    """Start from the parameters of this run, or of `pretrained`, the model that comes with the program. None: from
    random parameters."""
    patience: int | None = setting(None, "None or at least 1", lambda n: n is None or n >= 1)
    """Stop after this many validations without a lower loss. None: train to the end."""
    evaluate: Split = "test"
    """Split that the final evaluation reports. Keep it at validate while you choose settings."""


@dataclass(frozen=True)
class Config:
    """All settings of a run."""

    run: Path = Path("runs/quickstart")
    """Run folder: made if it does not exist, resumed if it does."""
    data: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    model: Model = field(default_factory=Model)
    optim: Optim = field(default_factory=Optim)
    train: Train = field(default_factory=Train)


def validate(config: Config) -> Config:
    """Return the config unchanged, or raise `UserError` naming every value out of range."""
    problems = []
    for part in ("data", "augment", "model", "optim", "train"):
        settings = getattr(config, part)
        for option in dataclasses.fields(settings):
            value, rule = getattr(settings, option.name), option.metadata.get("rule")
            if rule and not rule(value):
                problems.append(f"{part}.{option.name} is {value!r} and must be {option.metadata['wanted']}")
    if problems:
        raise UserError("; ".join(problems) + ".")
    return config


def from_json(values: dict[str, Any], name: str = "config") -> Config:
    """Build a config from the values of `records.to_json`; errors call it `name`.

    A missing setting did not exist yet when the values were written. It gets its default, which changes nothing.

    Raises:
        UserError: a setting does not exist in this version, a part is missing, or a value has the wrong type.
    """
    known = records.to_json(Config())
    if unknown := sorted(_flat(values).keys() - _flat(known).keys() - known.keys()):
        raise UserError(f"{name} has no setting {', '.join(unknown)}.")
    try:
        return records.from_json(Config, values, name)
    except ValueError as error:
        raise UserError(f"{error}.") from error


def _flat(config: Config | dict[str, Any]) -> dict[str, Any]:
    """Single values of a config, or of its JSON values, by their names, such as "data.root"."""
    flat: dict[str, Any] = {}
    for part, value in records.to_json(config).items():
        flat |= {f"{part}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {part: value}
    return flat


def differences(a: Config, b: Config) -> list[str]:
    """Settings that differ between two configs and would change the result of a run, as `name: a -> b`.

    The run folder, the place and spacing of the data, caching, reading threads and the split to evaluate may differ.
    """
    free = {"run", "data.root", "data.join", "data.spacing_mm", "data.cache", "data.threads", "train.evaluate"}
    x, y = map(_flat, (a, b))
    return [f"{key}: {x[key]} -> {y[key]}" for key in x if key not in free and x[key] != y[key]]
