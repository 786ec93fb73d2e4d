"""Segment OASIS brain MR slices with an Improved U-Net, in JAX and Flax.

From Python: `model = oasis_jax.load("pretrained")`, then `oasis_jax.label(model, "scan.nii.gz")`, and
`oasis_jax.score(labels, truth)`. JAX is imported when one of these names is used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oasis_jax.api import LabelledScan, Segmenter, UserError, label, load, score

__version__ = "0.1.0"
__all__ = ["LabelledScan", "Segmenter", "UserError", "label", "load", "score"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # silences XLA's messages at its start; read when JAX is imported


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("oasis_jax.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
