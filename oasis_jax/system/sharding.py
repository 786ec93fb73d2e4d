"""Devices: a mesh of one or many, how batches and state lie on it, and the compiled steps."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from oasis_jax.system import files
from oasis_jax.system.errors import UserError

AXIS = "data"


def start() -> None:
    """Keep compiled programs in the cache folder, so that the next start is quick."""
    jax.config.update("jax_compilation_cache_dir", str(files.cache_folder() / "compiled"))


def make_mesh(batch: int) -> Mesh:
    """All devices of all processes along one axis, over which the slices of a batch are divided.

    Raises:
        UserError: the batch cannot be divided evenly.
    """
    count = jax.device_count()
    if batch % count:
        raise UserError(f"train.batch is {batch}, which {count} devices cannot share evenly: choose a multiple.")
    return jax.make_mesh((count,), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, P())


def divided(mesh: Mesh) -> NamedSharding:
    """The first axis divided over the devices."""
    return NamedSharding(mesh, P(AXIS))


def on_mesh(abstract: Any, mesh: Mesh) -> Any:
    """Shapes and types (`jax.eval_shape`) of a pytree, to be replicated over a mesh: what a restore needs."""
    same = replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=same), abstract)


def compile_train_step(step: Callable, mesh: Mesh) -> Callable:
    """`jit` of `train_step(state, batch, key)`; the old state's memory is used for the new one."""
    same, split = replicated(mesh), divided(mesh)
    return jax.jit(step, in_shardings=(same, split, same), out_shardings=same, donate_argnums=0)


def compile_eval_step(step: Callable, mesh: Mesh) -> Callable:
    """`jit` of `eval_step(params, batch)`; every process gets the scores of the whole batch."""
    return jax.jit(step, in_shardings=(replicated(mesh), divided(mesh)), out_shardings=replicated(mesh))


def to_devices(batches: Iterable[dict[str, np.ndarray]], mesh: Mesh, ahead: int = 2) -> Iterator[dict[str, Any]]:
    """Send this process's part of each batch to its devices, `ahead` batches before it is asked for."""
    sharding = divided(mesh)
    waiting: deque[dict[str, Any]] = deque()
    for batch in batches:
        waiting.append(jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


class Vote:
    """What any process asks for before a step, known in all of them before the next, so that none waits for devices.

    The first vote, for which no step is in the way, is known at once.
    """

    def __init__(self, mesh: Mesh):
        self._split = divided(mesh)
        self._largest = jax.jit(jnp.max, in_shardings=self._split, out_shardings=replicated(mesh))
        self._last: jax.Array | None = None

    def __call__(self, mine: int) -> int:
        """Give this process's number, 0 if it asks for nothing; get the largest one of the vote before."""
        mine_everywhere = np.full(jax.local_device_count(), mine, np.int32)
        vote = self._largest(jax.make_array_from_process_local_data(self._split, mine_everywhere))
        known, self._last = vote if self._last is None else self._last, vote
        return int(known)
