"""What a run is: frozen dataclasses. `Config()` with no arguments is the quickstart."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from oasis_jax.system.errors import UserError

Method = Literal["scale", "zscore"]

SPLITS = ("train", "validate", "test")
Split = Literal["train", "validate", "test"]


Value = TypeVar("Value")


def setting(default: Value, wanted: str, rule: Callable[[Value], bool]) -> Value:
    """A setting with a range: `rule` says whether a value lies in it, `wanted` says so to people."""
    return field(default=default, metadata={"wanted": wanted, "rule": rule})


@dataclass(frozen=True)
class Data:
    """Which slices, and how they reach the network."""

    root: Annotated[Path | None, tyro.conf.arg(aliases=("--data-root",))] = None
    """Folder of keras_png_slices_train, _validate, _test and their _seg_ twins. None: made-up heads (phantoms)."""
    normalise: Method = "zscore"
    """scale: grey level / 255, as the seed does. zscore: mean 0, deviation 1 for each slice."""
    spacing_mm: tuple[float, float, float | None] | None = setting(
        (1.0, 1.0, 1.0),
        "three numbers above 0, the last or all None where unknown",
        lambda mm: mm is None or all(x is None or 0 < x < math.inf for x in mm),
    )
    """Distance of rows, of columns and of slices, mm (OASIS: 1), for distances between surfaces and volumes of tissue;
    None for the last or for all: unknown. A tree that `data volumes` made knows its own, which is used instead."""
    cache: bool = True
    """Hold the decoded slices in memory as uint8 once they are read (128 KiB a pair; 1.3 GB for 9,664 pairs)."""
    threads: int = setting(2, "at least 1", lambda n: n >= 1)
    """Threads that read, decode and normalise ahead of the device."""
    neighbours: int = setting(0, "from 0 to 8", lambda n: 0 <= n <= 8)
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
    mirror_axis: float | None = setting(
        None,
        "a row of the slices, a multiple of 0.5, or None",
        lambda row: row is None or (row >= 0 and (2 * row).is_integer()),
    )
    """Row about which slices are mirrored, here and by `--mirror`; it may lie half way between two. None: the middle.
    129 for the genuine OASIS slices, whose brains lie 1.5 rows off the middle."""
    rotate: float = setting(0.0, "from 0 to 180 degrees", lambda x: 0 <= x <= 180)
    """Largest rotation, degrees."""
    scale: float = setting(0.0, "from 0 to below 1", lambda x: 0 <= x < 1)
    """Largest relative change of size: 0.1 means 0.9 to 1.1."""
    shift: float = setting(0.0, "0 or more pixels", lambda x: 0 <= x < math.inf)
    """Largest shift along either axis, pixels."""
    elastic: float = setting(0.0, "0 or more pixels", lambda x: 0 <= x < math.inf)
    """Typical displacement of the smooth elastic warp, pixels."""
    gamma: float = setting(0.0, "from 0 to 3", lambda x: 0 <= x <= 3)
    """Largest change of log gamma: 0.3 means an exponent from exp(-0.3) to exp(0.3)."""
    bias_field: float = setting(0.0, "from 0 to 2", lambda x: 0 <= x <= 2)
    """Typical logarithm of a smooth field that brightens some parts and darkens others, as a scanner's coil does."""
    strip: float = setting(0.0, "from 0 to 1", lambda x: 0 <= x <= 1)
    """Share of slices shown without skull: all but the labelled brain black, normalised anew."""


@dataclass(frozen=True)
class Model:
    """The Improved U-Net. The original's network is stem 16 with all else as `experiments/original.py` sets it."""

    stem: int = setting(8, "at least 1", lambda n: n >= 1)
    """Filters of the first convolution; each of the four levels below has twice as many as the one above."""
    norm: Literal["none", "instance"] = "instance"
    """Normalisation of each hidden convolution: none (the seed) or instance (the paper)."""
    pre_activation: bool = False
    """Context modules normalise and activate before each convolution (the paper), not after (the seed)."""
    segmentation: Literal["3x3", "1x1"] = "1x1"
    """Segmentation layers: 3x3 with LeakyReLU (the seed) or linear 1x1 (the paper)."""
    dropout: float = setting(0.0, "from 0 to below 1", lambda x: 0 <= x < 1)
    """Share of values dropped between the two convolutions of a context module (0.3 in seed and paper)."""
    crop: tuple[int, int] | None = setting(
        (176, 208), "multiples of 16 or None", lambda sides: sides is None or all(n > 0 and n % 16 == 0 for n in sides)
    )
    """Central rows and columns the network sees; around them it answers background. None: all of the slice."""
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
    """How long, how large, from which seed."""

    epochs: int = setting(6, "at least 1", lambda n: n >= 1)
    """Passes over the training slices."""
    steps: int | None = setting(None, "None or at least 1", lambda n: n is None or n >= 1)
    """Steps in all, in place of `epochs`; the learning rate's schedule ends with them. None: `epochs` counts."""
    validate_every: int | None = setting(None, "None or at least 1", lambda n: n is None or n >= 1)
    """Steps from one validation and checkpoint to the next; the last step always has one. None: an epoch."""
    batch: int = setting(8, "at least 1", lambda n: n >= 1)
    """Slices a step, over all devices and processes together."""
    seed: int = setting(0, "from 0 to 4294967295", lambda n: 0 <= n < 2**32)
    """Root of all randomness: initial parameters, order of slices, dropout, augmentation."""
    init: Annotated[str | None, tyro.conf.arg(aliases=("--init",), metavar="RUN")] = None
    """Start from the parameters of this run, or of `pretrained`, the model that comes with the program. None: start
    from random ones."""
    patience: int | None = setting(None, "None or at least 1", lambda n: n is None or n >= 1)
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
    wrong = []
    for part in ("data", "augment", "model", "optim", "train"):
        settings = getattr(config, part)
        for one in dataclasses.fields(settings):
            value, rule = getattr(settings, one.name), one.metadata.get("rule")
            if rule and not rule(value):
                wrong.append(f"{part}.{one.name} is {value!r} and must be {one.metadata['wanted']}")
    if wrong:
        raise UserError("; ".join(wrong) + ".")
    return config


class UnknownSetting(UserError):
    """Values hold settings that this version of the program lacks; `names` are theirs."""

    def __init__(self, message: str, names: list[str]):
        super().__init__(message)
        self.names = names


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
        UnknownSetting: there is none of that name.
        UserError: a part is missing, or a value has the wrong type.
    """
    hints = {field.name: typing.get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)}
    if not isinstance(values, dict):
        raise UserError(f"{name} must have the entries {sorted(hints)}, not {type(values).__name__}.")
    if missing := [key for key, hint in hints.items() if dataclasses.is_dataclass(hint) and key not in values]:
        raise UserError(f"{name} lacks {', '.join(missing)}.")
    if unknown := sorted(set(values) - set(hints)):
        keys = [f"{name}.{key}".removeprefix("config.") for key in unknown]
        raise UnknownSetting(f"{name} has no setting {', '.join(unknown)}; it has {', '.join(hints)}.", keys)
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
