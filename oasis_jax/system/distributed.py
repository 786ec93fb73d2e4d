"""The processes of one run, on one host or many: how they join, wait for each other, agree, and end together."""

import errno
import json
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jax.experimental import multihost_utils

from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError, explain, leave

JOIN_SECONDS = 300
"""How long processes wait for each other at the start."""

SHARED_SECONDS = 20
"""How long a network file system may take to show one host what another wrote."""

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""The type of `--distributed` in a command's arguments."""

_LAST_SECONDS = 1
"""How much later process 0 ends after an error: JAX kills a process that outlives process 0."""


@contextmanager
def initialize(wanted: bool, command: object) -> Iterator[None]:
    """Join this process and the others of the run into one JAX program; do nothing unless `wanted`.

    Enter it before anything else asks JAX for devices. A process that fails says why and ends. The others fail at the
    next value that they exchange with it, or JAX ends them when it no longer hears from it.

    Args:
        wanted: whether there are other processes: `--distributed`.
        command: the arguments of this process; the others must have the same.

    Raises:
        UserError: no cluster, or wrong numbers.
    """
    if not wanted:
        yield
        return
    _join()
    try:
        sharding.configure_jax()
        assert_equal(repr(command), "was not started with the same options and experiment file")
        yield
        barrier()  # process 0 may still be writing
    except SystemExit:  # a stop, in which all processes agree
        jax.distributed.shutdown()
        raise
    except BaseException as error:
        last_words = _last_words(error)
        if rank() == 0:
            time.sleep(_LAST_SECONDS)
        leave(*last_words)  # at once: a normal exit would wait for the others
    jax.distributed.shutdown()


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


def barrier() -> None:
    """Wait until every process calls this."""
    all_gather(None)


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


def process() -> tuple[int, int]:
    """(rank of this process, number of processes)."""
    return jax.process_index(), jax.process_count()


@contextmanager
def main_process_first() -> Iterator[None]:
    """Process 0 first, then all others at once: on a shared disk, they find what it wrote."""
    if jax.process_index():
        barrier()
    yield
    if not jax.process_index():
        barrier()


def _join() -> None:
    """Join the other processes; process 0 runs the coordinator."""
    variables = _variables()
    # Its handler of SIGTERM would replace ours.
    jax.config.update("jax_enable_preemption_service", False)
    # If JAX cannot connect in time, it ends the process without an exception. This timer comes before that.
    late = threading.Timer(JOIN_SECONDS, leave, (_LATE.format(JOIN_SECONDS), 2))
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(**variables, initialization_timeout=2 * JOIN_SECONDS)
    except Exception as error:  # the software of a cluster may raise anything
        if "should be defined" in str(error) or "must be defined" in str(error):
            raise UserError(
                "--distributed found no cluster (Slurm, Open MPI, Kubernetes or a TPU pod): start every process under "
                f"one, or set {', '.join(_NAMES[:-1])} and {_NAMES[-1]} for each."
            ) from error
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"--distributed could not join the other processes: {reason}.") from error
    finally:
        late.cancel()


_LATE = (
    "error: The processes did not find each other within {} seconds: start all of them, and check that they can reach "
    "the address of process 0."
)

_NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def _variables() -> dict[str, Any]:
    """The coordinator, the number of processes and this one's rank, if the environment names them."""
    address, *numbers = (os.environ.get(name, "") for name in _NAMES)
    if not any((address, *numbers)):
        return {}
    try:
        host, port = address.rsplit(":", 1)
        count, rank = map(int, numbers)
        if not (host and 0 < int(port) < 2**16 and 0 <= rank < count):
            raise ValueError
    except ValueError:
        settings = ", ".join(f"{name}={os.environ.get(name, '')}" for name in _NAMES)
        raise UserError(
            f"{settings} cannot be used: give HOST:PORT of process 0, the number of processes, and this one's rank, "
            "counted from 0."
        ) from None
    if rank == 0:
        _check_free(int(port))
    return {"coordinator_address": address, "num_processes": count, "process_id": rank}


def _check_free(port: int) -> None:
    """Raise `UserError` if a port is in use, because JAX would crash."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise UserError(f"Port {port} of process 0 cannot be used ({error.strerror}): name another one.") from None


def _last_words(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit status with which this process leaves after an error."""
    name = f"process {rank()} on {socket.gethostname()}"
    if (explanation := explain(error)) is None:
        traceback.print_exception(error)
        return (
            f"error: {name} failed, or lost a process that failed and says why. Start the same command again to go on."
        ), 1
    sentence, status = explanation
    return sentence.replace("error: ", f"error: {name}: ", 1) if rank() else sentence, status
