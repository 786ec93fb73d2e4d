"""Devices: a mesh of one or many, and how batches, state and steps are placed on it."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from oasis_jax.system import cache
from oasis_jax.system.ahead import ahead
from oasis_jax.system.errors import UserError

AXIS = "data"

_AHEAD = 2
"""Number of batches on their way to the devices before they are asked for."""

_SETTINGS = {
    "jax_enable_x64": False,
    "jax_numpy_rank_promotion": "allow",
    "jax_numpy_dtype_promotion": "standard",
    "jax_transfer_guard": "allow",
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
}
"""Settings of JAX that the environment must not change: the same run gives the same numbers everywhere."""


def divide_cpu(batch: int = 8) -> None:
    """Let JAX see a CPU as 8, 4 or 2 devices, if it has so many cores: together they are faster than one.

    They share a batch of slices evenly. Call it before JAX looks for devices. A number that the user chose
    (`JAX_NUM_CPU_DEVICES`) stays.
    """
    number: Any = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined]  # JAX makes it when it is imported
    if number == -1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        count = next(count for count in (8, 4, 2, 1) if count <= cores and batch % count == 0)
        jax.config.update("jax_num_cpu_devices", count)


def configure_jax() -> None:
    """Fix the settings of JAX, find the devices, and keep compiled programs in the cache folder.

    A cache that the user named (`JAX_COMPILATION_CACHE_DIR`) stays in use.

    Raises:
        UserError: JAX finds no device of the kind that `JAX_PLATFORMS` names.
    """
    for name, value in _SETTINGS.items():
        jax.config.update(name, value)
    find_devices()
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ and (kept := cache.folder()):
        jax.config.update("jax_compilation_cache_dir", str(kept / "compiled"))
    # Of a program that is damaged or finds no space, which JAX then compiles.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")


def find_devices() -> None:
    """Let JAX find its devices, for all later calls.

    Raises:
        UserError: JAX finds no device, such as one of the kind that `JAX_PLATFORMS` names.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts if a plugin is not installed
        reason = next(iter(str(error).splitlines()), "").rstrip(".") or "its plugin is not installed"
        kind = os.environ.get("JAX_PLATFORMS") or os.environ.get("JAX_PLATFORM_NAME") or "default"
        raise UserError(
            f"JAX finds no {kind} device ({reason}): install oasis_jax[cuda13] or oasis_jax[tpu] on a machine that has "
            "one, or unset JAX_PLATFORMS."
        ) from error


def make_mesh(batch: int) -> Mesh:
    """All devices of all processes along one axis, which divides the slices of a batch.

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


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The first axis divided over the devices."""
    return NamedSharding(mesh, P(AXIS))


def compile_step(step: Callable, mesh: Mesh, more: int = 0, **options: Any) -> Callable:
    """`jit` of `step(state, batch, ...)`: each device takes its part of the batch, and has all of everything else.

    Results are on every device. `more` is the number of arguments after the batch; `options` are those of `jit`.
    """
    same = replicated(mesh)
    return jax.jit(step, in_shardings=(same, batch_sharding(mesh), *[same] * more), out_shardings=same, **options)


def to_devices(batches: Iterable[dict[str, np.ndarray]], mesh: Mesh) -> Iterator[dict[str, Any]]:
    """Send this process's part of each batch to its devices, some batches before it is asked for."""
    sharding = batch_sharding(mesh)
    send = partial(jax.tree.map, lambda part: jax.make_array_from_process_local_data(sharding, part))
    return (sent for _, sent in ahead(send, batches, _AHEAD))


class StopVote:
    """All-reduce (max) of one integer per process, read one step late so that the host never blocks on the device.

    The first vote is read at once, because no step runs yet.
    """

    def __init__(self, mesh: Mesh):
        self._split = batch_sharding(mesh)
        self._largest = jax.jit(jnp.max, in_shardings=self._split, out_shardings=replicated(mesh))
        self._last: jax.Array | None = None

    def __call__(self, mine: int) -> int:
        """Vote with this process's number, 0 for nothing; return the largest number of the vote before."""
        mine_everywhere = np.full(jax.local_device_count(), mine, np.int32)
        vote = self._largest(jax.make_array_from_process_local_data(self._split, mine_everywhere))
        result, self._last = vote if self._last is None else self._last, vote
        return int(result)
