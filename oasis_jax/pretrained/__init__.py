"""The trained models that come with the program (weights, card, licence of the weights), and how commands name them."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.constructors import PrimitiveConstructorSpec

FOLDER = Path(__file__).parent
MODELS = {"pretrained": FOLDER, "pretrained-slices": FOLDER / "pretrained-slices"}
"""The folder of each model: for whole heads, and for slices in the space of the atlas of OASIS."""


def run_path(word: str) -> Path:
    """The folder that a word of a command line means: `pretrained` is this one, `./pretrained` one of your own."""
    return MODELS.get(word, Path(word))


RunPath = Annotated[
    Path,
    PrimitiveConstructorSpec[Path](
        nargs=1,
        metavar="RUN",
        instance_from_str=lambda words: run_path(words[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    ),
]
"""The type of a run in a command's arguments."""

MoreRuns = Annotated[tuple[RunPath, ...], tyro.conf.arg(metavar="RUN...", help_behavior_hint="")]
"""Any number of them."""
