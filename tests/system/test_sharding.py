"""Devices: how many a command that labels slices takes from a CPU."""

import os
import subprocess
import sys

import pytest
from helpers import environ

from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError

COUNT = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
from oasis_jax.system import sharding
import jax
sharding.divide_cpu()
sharding.configure_jax()
print(jax.device_count())
"""


@pytest.mark.parametrize(
    ("cores", "chosen", "devices"),
    [
        (1, {}, 1),
        (2, {}, 2),
        (2, {"JAX_NUM_CPU_DEVICES": "1"}, 1),
        (2, {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, 3),
    ],
)
def test_each_core_of_a_cpu_is_a_device_unless_the_user_chose_otherwise(
    cores: int, chosen: dict[str, str], devices: int
) -> None:
    if len(os.sched_getaffinity(0)) < cores:
        pytest.skip("This machine has one core.")
    environment = {k: v for k, v in environ().items() if k != "JAX_NUM_CPU_DEVICES"} | chosen
    words = [sys.executable, "-c", COUNT, str(cores)]
    assert subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split() == [
        str(devices)
    ]


def test_a_batch_that_the_devices_cannot_share_is_refused() -> None:
    assert sharding.make_mesh(8).size == 4
    with pytest.raises(UserError, match=r"train\.batch is 6, which 4 devices cannot share evenly"):
        sharding.make_mesh(6)
