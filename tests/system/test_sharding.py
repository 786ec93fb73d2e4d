"""Devices: how many a command takes from a CPU."""

import os

import pytest
from forked import start_process
from helpers import environ, finish

from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError

COUNT = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
from oasis_jax.system import sharding
import jax
sharding.divide_cpu(int(sys.argv[2]))
sharding.configure_jax()
print(jax.device_count())
"""


@pytest.mark.parametrize(
    ("cores", "batch", "chosen", "devices"),
    [
        (1, 8, {}, 1),
        (2, 8, {}, 2),
        (2, 7, {}, 1),
        (2, 8, {"JAX_NUM_CPU_DEVICES": "1"}, 1),
        (2, 8, {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, 3),
    ],
)
def test_each_core_of_a_cpu_is_a_device_unless_the_batch_or_the_user_asks_for_another_number(
    cores: int, batch: int, chosen: dict[str, str], devices: int
) -> None:
    if len(os.sched_getaffinity(0)) < cores:
        pytest.skip("This machine has one core.")
    environment = {k: v for k, v in environ().items() if k != "JAX_NUM_CPU_DEVICES"} | chosen
    done = finish(start_process([str(cores), str(batch)], COUNT, environment, None))
    assert done.stdout == f"{devices}\n", done.stderr


def test_a_batch_that_the_devices_cannot_share_is_refused() -> None:
    assert sharding.make_mesh(8).size == 4
    with pytest.raises(UserError, match=r"train\.batch is 6, which 4 devices cannot share evenly"):
        sharding.make_mesh(6)
