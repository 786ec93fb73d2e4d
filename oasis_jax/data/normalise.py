"""Grey levels to network input: one function for numpy and JAX arrays, used wherever a network gets slices."""

from typing import Any

from oasis_jax.config import Method


def normalise(image: Any, method: Method) -> Any:
    """Normalise slices one by one.

    Args:
        image: grey levels 0 to 255, shape `(..., H, W, C)`, any real dtype, a numpy or a JAX array.
        method: `scale` divides by 255 (range 0 to 1); `zscore` subtracts each slice's mean and divides by its
            standard deviation over the whole frame, but at least by 1 grey level so that an empty slice stays finite.

    Returns:
        float32 of the same shape and array kind.
    """
    xp = image.__array_namespace__()
    image = image.astype(xp.float32)
    if method == "scale":
        return image / xp.float32(255)
    mean = image.mean(axis=(-3, -2), keepdims=True)
    deviation = image.std(axis=(-3, -2), keepdims=True)
    return (image - mean) / xp.maximum(deviation, xp.float32(1))
