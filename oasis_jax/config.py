"""What a run is: frozen dataclasses. `Config()` with no arguments is the quickstart."""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from oasis_jax.system.errors import UserError

Method = Literal["scale", "zscore"]

SPLITS = ("train", "validate", "test")
Split = Literal["train", "validate", "test"]


@dataclass(frozen=True)
class Data:
    """Which slices, and how they reach the network."""

    root: Annotated[Path | None, tyro.conf.arg(aliases=("--data-root",))] = None
    """Folder of keras_png_slices_train, _validate, _test and their _seg_ twins. None: made-up heads (phantoms)."""
    normalise: Method = "zscore"
    """scale: grey level / 255, as the seed does. zscore: mean 0, deviation 1 for each slice."""
    spacing_mm: tuple[float, float, float | None] | None = (1.0, 1.0, 1.0)
    """Distance of rows, of columns and of slices, mm (OASIS: 1), for distances between surfaces and volumes of tissue;
    None for the last or for all: unknown. A tree that `data volumes` made knows its own, which is used instead."""
    cache: bool = True
    """Hold the decoded slices in memory as uint8 once they are read (128 KiB a pair; 1.3 GB for 9,664 pairs)."""
    threads: int = 2
    """Threads that read, decode and normalise ahead of the device."""
    neighbours: int = 0
    """Slices below and slices above of the same case that the network sees as further channels. 0: the slice alone."""

    @property
    def channels(self) -> int:
        """Channels of the network's input: the slice and its neighbours."""
        return 1 + 2 * self.neighbours


@dataclass(frozen=True)
class Augment:
    """Random changes to training slices, drawn anew each step; 0 or False switches one off."""

    mirror: bool = False
    """Swap left and right (the row axis) for half of the slices."""
    mirror_axis: float | None = None
    """Row about which slices are mirrored, here and by `--mirror`; it may lie half way between two. None: the middle.
    129 for the genuine OASIS slices, whose brains lie 1.5 rows off the middle."""
    rotate: float = 0.0
    """Largest rotation, degrees."""
    scale: float = 0.0
    """Largest relative change of size: 0.1 means 0.9 to 1.1."""
    shift: float = 0.0
    """Largest shift along either axis, pixels."""
    elastic: float = 0.0
    """Typical displacement of the smooth elastic warp, pixels."""
    gamma: float = 0.0
    """Largest change of log gamma: 0.3 means an exponent from exp(-0.3) to exp(0.3)."""
    bias_field: float = 0.0
    """Typical logarithm of a smooth field that brightens some parts and darkens others, as a scanner's coil does."""
    strip: float = 0.0
    """Share of slices shown without skull: all but the labelled brain black, normalised anew."""


@dataclass(frozen=True)
class Model:
    """The Improved U-Net. The original's network is stem 16 with all else as `experiments/original.py` sets it."""

    stem: int = 8
    """Filters of the first convolution; each of the four levels below has twice as many as the one above."""
    norm: Literal["none", "instance"] = "instance"
    """Normalisation of each hidden convolution: none (the seed) or instance (the paper)."""
    pre_activation: bool = False
    """Context modules normalise and activate before each convolution (the paper), not after (the seed)."""
    segmentation: Literal["3x3", "1x1"] = "1x1"
    """Segmentation layers: 3x3 with LeakyReLU (the seed) or linear 1x1 (the paper)."""
    dropout: float = 0.0
    """Share of values dropped between the two convolutions of a context module (0.3 in seed and paper)."""
    crop: tuple[int, int] | None = (176, 208)
    """Central rows and columns the network sees; around them it answers background. None: all of the slice."""
    # OASIS slices are 176x208 scans padded to 256x256, so this crop loses nothing and computes 1.8 times less.
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type. Parameters and loss stay float32; bfloat16 is for GPU and TPU, slower on a CPU."""


@dataclass(frozen=True)
class Optim:
    """The loss and Adam."""

    learning_rate: float = 4e-3
    """Adam's learning rate; the peak of the schedule."""
    schedule: Literal["constant", "one_cycle", "exponential"] = "one_cycle"
    """constant; one_cycle: a cosine rise over the first 30 % of the steps and a cosine fall to nearly 0; exponential:
    times 0.985 every 100 steps, which the paper calls an epoch."""
    weight_decay: float = 1e-4
    """Decoupled weight decay (AdamW); 0 is plain Adam."""
    l2: float = 0.0
    """Weight of half the sum of the squared parameters, added to the loss (the paper: 1e-5)."""
    cross_entropy: float = 1.0
    """Weight of the mean pixel cross-entropy added to the Dice loss; 0 is the Dice loss alone."""


@dataclass(frozen=True)
class Train:
    """How long, how large, from which seed."""

    epochs: int = 6
    """Passes over the training slices."""
    steps: int | None = None
    """Steps in all, in place of `epochs`; the learning rate's schedule ends with them. None: `epochs` counts."""
    validate_every: int | None = None
    """Steps from one validation and checkpoint to the next; the last step always has one. None: an epoch."""
    batch: int = 8
    """Slices a step, over all devices and processes together."""
    seed: int = 0
    """Root of all randomness: initial parameters, order of slices, dropout, augmentation."""
    patience: int | None = None
    """Stop after so many validations without a lower loss. None: run to the end."""
    evaluate: Split = "test"
    """Split that the final evaluation reports. Keep it at validate while you choose a recipe."""


@dataclass(frozen=True)
class Config:
    """A whole run."""

    run: Path = Path("runs/quickstart")
    """Run folder: made when absent, resumed when present."""
    data: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    model: Model = field(default_factory=Model)
    optim: Optim = field(default_factory=Optim)
    train: Train = field(default_factory=Train)


def validate(config: Config) -> Config:
    """Return the config unchanged, or raise `UserError` naming every value out of range."""
    a, m, o, t = config.augment, config.model, config.optim, config.train
    rules = [
        (
            "data.spacing_mm",
            config.data.spacing_mm,
            config.data.spacing_mm is None or all(mm is None or 0 < mm < math.inf for mm in config.data.spacing_mm),
            "three numbers above 0, the last or all None where unknown",
        ),
        ("data.threads", config.data.threads, config.data.threads >= 1, "at least 1"),
        ("data.neighbours", config.data.neighbours, 0 <= config.data.neighbours <= 8, "from 0 to 8"),
        (
            "augment.mirror_axis",
            a.mirror_axis,
            a.mirror_axis is None or (a.mirror_axis >= 0 and (2 * a.mirror_axis).is_integer()),
            "a row of the slices, a multiple of 0.5, or None",
        ),
        ("augment.rotate", a.rotate, 0 <= a.rotate <= 180, "from 0 to 180 degrees"),
        ("augment.scale", a.scale, 0 <= a.scale < 1, "from 0 to below 1"),
        ("augment.shift", a.shift, 0 <= a.shift < math.inf, "0 or more pixels"),
        ("augment.elastic", a.elastic, 0 <= a.elastic < math.inf, "0 or more pixels"),
        ("augment.gamma", a.gamma, 0 <= a.gamma <= 3, "from 0 to 3"),
        ("augment.bias_field", a.bias_field, 0 <= a.bias_field <= 2, "from 0 to 2"),
        ("augment.strip", a.strip, 0 <= a.strip <= 1, "from 0 to 1"),
        ("model.stem", m.stem, m.stem >= 1, "at least 1"),
        (
            "model.crop",
            m.crop,
            m.crop is None or all(n > 0 and n % 16 == 0 for n in m.crop),
            "multiples of 16 or None",
        ),
        ("model.dropout", m.dropout, 0 <= m.dropout < 1, "from 0 to below 1"),
        ("optim.learning_rate", o.learning_rate, 0 < o.learning_rate < math.inf, "above 0"),
        ("optim.weight_decay", o.weight_decay, 0 <= o.weight_decay < math.inf, "0 or more"),
        ("optim.l2", o.l2, 0 <= o.l2 < math.inf, "0 or more"),
        ("optim.cross_entropy", o.cross_entropy, 0 <= o.cross_entropy < math.inf, "0 or more"),
        ("train.epochs", t.epochs, t.epochs >= 1, "at least 1"),
        ("train.steps", t.steps, t.steps is None or t.steps >= 1, "None or at least 1"),
        (
            "train.validate_every",
            t.validate_every,
            t.validate_every is None or t.validate_every >= 1,
            "None or at least 1",
        ),
        ("train.batch", t.batch, t.batch >= 1, "at least 1"),
        ("train.seed", t.seed, 0 <= t.seed < 2**32, "from 0 to 4294967295"),
        ("train.patience", t.patience, t.patience is None or t.patience >= 1, "None or at least 1"),
    ]
    wrong = [f"{name} is {value!r} and must be {want}" for name, value, right, want in rules if not right]
    if wrong:
        raise UserError("; ".join(wrong) + ".")
    return config


def to_json(config: Config) -> dict[str, Any]:
    """The config as plain JSON values; paths become strings."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, tuple):
            return list(value)
        return str(value) if isinstance(value, Path) else value

    return plain(dataclasses.asdict(config))


def from_json(values: Any, kind: type = Config, name: str = "config") -> Any:
    """Build a `Config` (or one of its parts) from `to_json`'s values.

    A setting that is missing did not exist when the values were written; its default is what was done before.

    Raises:
        UserError: a key is unknown, or a value has the wrong type.
    """
    hints = {field.name: typing.get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)}
    if not isinstance(values, dict):
        raise UserError(f"{name} must have the entries {sorted(hints)}, not {type(values).__name__}.")
    if missing := [key for key, hint in hints.items() if dataclasses.is_dataclass(hint) and key not in values]:
        raise UserError(f"{name} lacks {', '.join(missing)}.")
    if unknown := sorted(set(values) - set(hints)):
        raise UserError(f"{name} has no setting {', '.join(unknown)}; it has {', '.join(hints)}.")
    return kind(**{key: _typed(value, hints[key], f"{name}.{key}") for key, value in values.items()})


def _typed(value: Any, hint: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_json(value, typing.cast(type, hint), name)
    if typing.get_origin(hint) is Literal:
        if value in typing.get_args(hint):
            return value
    elif isinstance(hint, types.UnionType):
        return None if value is None else _typed(value, typing.get_args(hint)[0], name)
    elif typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if isinstance(value, list) and len(value) == len(kinds):
            return tuple(_typed(item, kind, name) for item, kind in zip(value, kinds, strict=True))
    elif hint is Path and isinstance(value, str):
        return Path(value)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif type(value) is hint:
        return value
    want = " or ".join(map(str, typing.get_args(hint))) if typing.get_origin(hint) is Literal else hint
    raise UserError(f"{name} is {value!r} and must be {getattr(want, '__name__', want)}.")


def differences(a: Config, b: Config) -> list[str]:
    """Settings that differ between two configs and would change the result of a run, as `name: a -> b`.

    The run folder, the place and spacing of the data, caching and reading threads may differ.
    """

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        items: dict[str, Any] = {}
        for key, value in values.items():
            items |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return items

    free = {"run", "data.root", "data.spacing_mm", "data.cache", "data.threads", "train.evaluate"}
    x, y = flat(to_json(a)), flat(to_json(b))
    return [f"{key}: {x[key]} -> {y[key]}" for key in x if key not in free and x[key] != y[key]]
