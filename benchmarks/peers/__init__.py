"""One network in several frameworks, behind one interface, so that they can be compared with each other.

`ours` is the package itself; `torch_unet` and `tensorflow_unet` say the same in PyTorch and in Keras on TensorFlow
(they need: pip install -e ".[peers]"). Each has `build(settings, parameters, exact)`. None imports another's
framework, so that memory is counted apart.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]
"""A batch as in `oasis_jax.data.batches`; or parameters by "module/name" as in Flax (kernels: rows, columns, in,
out)."""

LEVELS, LEAKY_SLOPE, BACKGROUND_LOGIT, EPSILON = 5, 0.01, 30.0, 1e-6
"""As in `oasis_jax.network.unet` and `oasis_jax.metrics.overlap`, which the peers do not import because
these import JAX."""


class Program(NamedTuple):
    """What one framework made of a network, its loss and its optimizer. Results may still be being computed."""

    put: Callable[[Arrays], Any]
    """A batch, onto the device."""
    outputs: Callable[[Any], tuple[np.ndarray, np.ndarray]]
    """Of a batch on the device, without dropout: logits `(B, H, W, 4)`, confusion matrices `(B, 4, 4)`."""
    train: Callable[[Any], Any]
    """Take one optimizer step; the loss."""
    evaluate: Callable[[Any], Any]
    """Loss, soft sums, prediction and, last, the confusion matrices `(B, 4, 4)`."""
    wait: Callable[[Any], Any]
    """Wait until a result is computed."""
    device_bytes: Callable[[], int | None]
    """Largest memory taken on the accelerator; None where there is none."""
    device: str
    """What it runs on: "cpu" or "gpu"."""
    versions: dict[str, str]
    """The framework's version by name."""
