"""The processes of one run, on one host or many: how they join, wait for each other, agree, and leave together."""

import errno
import json
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jax.experimental import multihost_utils

from oasis_jax.system import sharding
from oasis_jax.system.errors import UserError, explain, leave

JOIN_SECONDS = 300
"""How long processes wait for each other at the start."""

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""The type of `--distributed` in a command's arguments."""

_LAST_SECONDS = 5  # for which process 0 waits for the others to leave
_FOR_EVER = 10**12  # milliseconds


@contextmanager
def initialize(wanted: bool, command: object) -> Iterator[None]:
    """Within, this process and the others of the run are one JAX program; unless `wanted`, nothing happens.

    It comes before anything else asks JAX for devices. Whatever ends one process early ends all of them with the same
    exit status, and process 0 says why, even while the others wait for it in a collective operation.

    Args:
        wanted: whether there are others: `--distributed`.
        command: what this process was told to do; the others must have been told the same.

    Raises:
        UserError: no cluster, wrong numbers, or the processes were told different things.
    """
    if not wanted:
        yield
        return
    client = _join()
    told = threading.Event()
    watcher = threading.Thread(target=_leave_when_told, args=(client, told), daemon=True)
    watcher.start()
    try:
        sharding.configure_jax()
        assert_equal(repr(command), "was not started with the same options and experiment file")
        yield
        barrier()  # process 0 may still be writing
    except BaseException as error:
        if _state().process_id or explain(error) is None:
            told.wait(1)  # what befalls all is best said by process 0, a lost process by the one that knows why
        sentence, status = ("", 1) if told.is_set() else _last_words(error)
        with suppress(jax.errors.JaxRuntimeError):  # another process was quicker, or process 0 is gone
            client.key_value_set("leave", json.dumps([sentence, status]))
        watcher.join()
        leave(sentence, status)  # process 0 is gone
    jax.distributed.shutdown()
    watcher.join(_LAST_SECONDS)  # a thread that Python ends while it is inside JAX would abort the process


def all_gather(value: Any) -> list[Any]:
    """What each process gave, by rank: anything that JSON holds. All processes must call it, at the same point."""
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.full(1, text.size)).ravel()
    room = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)  # few sizes, as each is compiled
    room[: text.size] = text
    texts = multihost_utils.process_allgather(room).reshape(len(lengths), -1)
    return [json.loads(row[:length].tobytes()) for row, length in zip(texts, lengths, strict=True)]


def rank() -> int:
    """The number of this process among those of its run, from 0; JAX is not asked for devices."""
    return _state().process_id


def barrier() -> None:
    """Wait until every process is here."""
    all_gather(None)


def broadcast(value: Any) -> Any:
    """What process 0 gave, in every process: anything that JSON holds."""
    return all_gather(value)[0]


def assert_equal(value: Any, sentence: str) -> None:
    """Raise UserError, in every process, that a process `sentence` as process 0, unless all gave the same value."""
    first, *others = all_gather(value)
    if different := [str(rank) for rank, other in enumerate(others, 1) if other != first]:
        raise UserError(f"Process {', '.join(different)} {sentence} as process 0.")


def process() -> tuple[int, int]:
    """(rank of this process, number of processes)."""
    return jax.process_index(), jax.process_count()


@contextmanager
def main_process_first() -> Iterator[None]:
    """Process 0 first, then all others at once: what it puts on a disk that they share is there for them."""
    if jax.process_index():
        barrier()
    yield
    if not jax.process_index():
        barrier()


def _join() -> Any:
    """Join the other processes; return the client of their coordinator, which runs in process 0."""
    given = _by_hand()
    # Its handler of SIGTERM would take the place of ours.
    jax.config.update("jax_enable_preemption_service", False)
    # JAX ends the process without a word to Python where it cannot connect in time, so this comes before it.
    late = threading.Timer(JOIN_SECONDS, _late)
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(**given, initialization_timeout=2 * JOIN_SECONDS)
    except Exception as error:  # whatever the cluster's own software raises
        if "should be defined" in str(error) or "must be defined" in str(error):
            raise UserError(
                "--distributed found no cluster (Slurm, Open MPI, Kubernetes or a TPU pod): start every process under "
                f"one, or set {', '.join(_NAMES[:-1])} and {_NAMES[-1]} for each."
            ) from error
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"--distributed could not join the other processes: {reason}.") from error
    finally:
        late.cancel()
    return _state().client


_NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def _by_hand() -> dict[str, Any]:
    """The coordinator, the number of processes and this one's rank, where the environment names them."""
    address, *numbers = (os.environ.get(name) for name in _NAMES)
    if address is None and numbers == [None, None]:
        return {}
    try:
        host, port = (address or "").rsplit(":", 1)
        count, rank = (int(number or "") for number in numbers)
        if not (host and 0 < int(port) < 2**16 and 0 <= rank < count):
            raise ValueError
    except ValueError:
        said = ", ".join(f"{name}={os.environ.get(name, '')}" for name in _NAMES)
        raise UserError(
            f"{said} cannot be used: name HOST:PORT of process 0, the number of processes, and this one's rank, "
            "counted from 0."
        ) from None
    if rank == 0:
        _check_free(int(port))
    return {"coordinator_address": address, "num_processes": count, "process_id": rank}


def _check_free(port: int) -> None:
    """JAX crashes on a port that is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise UserError(f"Port {port} of process 0 cannot be used ({error.strerror}): name another one.") from None


def _late() -> None:
    state = _state()
    leave(
        f"error: The {state.num_processes} processes did not find each other at {state.coordinator_address} within "
        f"{JOIN_SECONDS} seconds: start all of them, and let them reach that address, which is of process 0.",
        2,
    )


def _last_words(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit status with which all processes leave, for what ended this one."""
    if isinstance(error, SystemExit):
        return "", error.code if isinstance(error.code, int) else 1
    rank, known = _state().process_id, explain(error)
    who = f"process {rank} on {socket.gethostname()}"
    if known is None:
        traceback.print_exception(error)
        return f"error: {who} failed, or lost one that did. Start the same command again to go on.", 1
    sentence, status = known
    return sentence.replace("error: ", f"error: {who}: ", 1) if rank else sentence, status


def _leave_when_told(client: Any, told: threading.Event) -> None:
    """End this process as soon as any process says so; process 0 last, for the others need its coordinator."""
    try:
        sentence, status = json.loads(client.blocking_key_value_get("leave", _FOR_EVER))
    except jax.errors.JaxRuntimeError:
        return  # the run has ended, or process 0 is gone
    told.set()
    state, deadline = _state(), time.monotonic() + _LAST_SECONDS
    if state.process_id:
        with suppress(BrokenPipeError):
            sys.stdout.flush()
            sys.stderr.flush()
        client.key_value_set(f"left/{state.process_id}", "")
        os._exit(status)
    for other in range(1, state.num_processes):
        with suppress(jax.errors.JaxRuntimeError):  # one that was killed does not answer
            client.blocking_key_value_get(f"left/{other}", max(0, round(1000 * (deadline - time.monotonic()))))
    time.sleep(1)  # from saying that it leaves to having left; JAX aborts what outlives its coordinator
    leave(sentence, status)


def _state() -> Any:
    # The one door to the coordinator's notes, which Orbax uses too: what is public speaks over the devices, and they
    # may be waiting in a collective operation for the very process that failed.
    from jax._src import distributed

    return distributed.global_state
