"""The same network in several frameworks, with the same interface, so that they can be compared.

`ours` is the package itself. `torch_unet` and `tensorflow_unet` are the same network in PyTorch and in Keras on
TensorFlow (they need: pip install -e ".[peers]"). Each has `build(settings, parameters, exact)`. No module imports the
framework of another one, so that the memory of each is measured alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]
"""A batch as in `oasis_jax.data.batches`; or parameters by "module/name" as in Flax (kernels: rows, columns, in,
out)."""

LEAKY_SLOPE, BACKGROUND_LOGIT, EPSILON = 0.01, 30.0, 1e-6
"""As in `oasis_jax.network.unet` and `oasis_jax.metrics.overlap`. The peers do not import these, because they import
JAX."""


class Program(NamedTuple):
    """A network with its loss and its optimizer in one framework. A result may not be computed yet: see `wait`."""

    put: Callable[[Arrays], Any]
    """Put a batch onto the device."""
    outputs: Callable[[Any], tuple[np.ndarray, np.ndarray]]
    """For a batch on the device, without dropout: logits `(B, H, W, 4)` and confusion matrices `(B, 4, 4)`."""
    train: Callable[[Any], Any]
    """Take an optimizer step on a batch; return the loss."""
    evaluate: Callable[[Any], Any]
    """For a batch: loss, soft sums, prediction and, as the last item, confusion matrices `(B, 4, 4)`."""
    wait: Callable[[Any], Any]
    """Wait until a result is computed."""
    device_bytes: Callable[[], int | None]
    """Peak memory on the accelerator; None if there is none."""
    device: str
    """The device it runs on: "cpu" or "gpu"."""
    versions: dict[str, str]
    """Versions of the framework, by name."""
