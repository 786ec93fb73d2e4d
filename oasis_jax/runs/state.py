"""What training carries from step to step."""

from typing import Any, NamedTuple

from oasis_jax.network.unet import Params


class TrainState(NamedTuple):
    """A pytree: the number of steps taken (int32, also the position in the data), parameters, optimizer state.

    The root key is not part of it: it follows from the random seed in the run's config and never changes.
    """

    step: Any  # leaves are not always arrays: JAX also fills a pytree with shapes or shardings
    params: Params
    opt_state: Any
