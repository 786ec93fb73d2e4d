"""The processes of one run, on one host or many: how they join, wait for each other, agree, and end together."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError, leave

JOIN_SECONDS = 300
"""How long processes wait for each other at the start."""

SHARED_SECONDS = 20
"""How long a network file system may take to show one host what another wrote."""


@contextmanager
def initialize(wanted: bool, command: object) -> Iterator[None]:
    """Join this process and the others of the run into one JAX program; do nothing unless `wanted`.

    Enter it before anything else asks JAX for devices. A process that fails says why and ends (`run_command`). The
    others fail at the next value that they exchange with it, or JAX ends them when it no longer hears from it.

    Raises:
        UserError: no cluster, or wrong numbers; or a process was started with another `command`, its arguments.
    """
    if not wanted:
        yield
        return
    _join()
    try:
        sharding.configure_jax()
        assert_equal(repr(command), "was not started with the same options and experiment file")
        yield
        all_gather(None)  # process 0 may still be writing
    except (Exception, KeyboardInterrupt) as error:
        error.add_note(f"(Process {rank()} on {socket.gethostname()}.)")
        if rank() == 0:
            time.sleep(1)  # JAX kills a process that outlives process 0, before it can say what ends it
        raise


def all_gather(value: Any) -> list[Any]:
    """The values of all processes, by rank: anything that JSON holds. All processes must call it at the same point."""
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.full(1, text.size)).ravel()
    padded = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)  # powers of 2, because each size is compiled
    padded[: text.size] = text
    texts = multihost_utils.process_allgather(padded).reshape(len(lengths), -1)
    return [json.loads(row[:length].tobytes()) for row, length in zip(texts, lengths, strict=True)]


def rank() -> int:
    """The number of this process in its run, from 0. This does not ask JAX for devices."""
    return jax.process_index() if jax.distributed.is_initialized() else 0


def broadcast(value: Any) -> Any:
    """The value of process 0, in every process: anything that JSON holds."""
    return all_gather(value)[0]


def appears(seen: Callable[[], bool], folder: Path) -> bool:
    """Whether this process sees what another one wrote to a folder; a network disk may take its time to show it."""
    deadline = time.monotonic() + SHARED_SECONDS
    while not (there := seen()) and time.monotonic() < deadline:
        with suppress(OSError):
            os.listdir(folder)  # it looks again
        time.sleep(0.1)
    return there


def assert_equal(value: Any, sentence: str) -> None:
    """Check, in every process, that all processes gave the same value.

    Raises:
        UserError: "Process N `sentence` as process 0."
    """
    first, *others = all_gather(value)
    if different := [str(rank) for rank, other in enumerate(others, 1) if other != first]:
        raise UserError(f"Process {', '.join(different)} {sentence} as process 0.")


def _join() -> None:
    """Join the other processes; process 0 runs the coordinator."""
    jax.config.update("jax_enable_preemption_service", False)  # its handler of SIGTERM would replace ours
    # Where a process never comes or a port is in use, JAX crashes without an exception.
    sentence = (
        "error: The processes did not find each other in time: start all of them, and check that they can reach the "
        "address of process 0."
    )
    late = threading.Timer(JOIN_SECONDS, leave, (sentence, 2))
    try:
        address, *numbers = map(os.environ.get, ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"))
        count, mine = (int(number) if number else None for number in numbers)
        if address and mine == 0:
            socket.create_server(("", int(address.rpartition(":")[2]))).close()
        late.start()
        jax.distributed.initialize(num_processes=count, process_id=mine, initialization_timeout=2 * JOIN_SECONDS)
    except Exception as error:  # the software of a cluster may raise anything
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"--distributed cannot join the other processes ({reason}): start each under Slurm, Open MPI, Kubernetes "
            "or on a TPU pod, or set JAX_COORDINATOR_ADDRESS (HOST:PORT of process 0), JAX_NUM_PROCESSES and "
            "JAX_PROCESS_ID (from 0) for each."
        ) from error
    finally:
        late.cancel()
