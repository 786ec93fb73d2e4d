"""A run folder is held by one command at a time, in all its processes."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax

from oasis_jax.system import console, distributed
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import lock_file


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the run for this command alone, in all its processes. The system frees the lock however it ends.

    On a disk without locks a note says so, and the command goes on.

    Raises:
        UserError: another command is training this run, or a process does not see the folder that process 0 sees.
    """
    if jax.process_index():
        _check_shared(folder, distributed.broadcast(None))
        distributed.barrier()
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            without_locks = lock_file(handle)
        except BlockingIOError:
            raise UserError(f"{folder} is being trained by another process: wait, or name another --run.") from None
        if without_locks:
            console.say(
                f"Note: {folder} lies on a disk without locks ({without_locks}), so a second process that trains this "
                "run would not be stopped: start it only once."
            )
        token = secrets.token_hex(16)
        os.ftruncate(handle, 0)
        os.pwrite(handle, token.encode(), 0)
        os.fsync(handle)
        distributed.broadcast(token)
        distributed.barrier()  # all have found it
        yield
    finally:
        os.close(handle)


def _check_shared(folder: Path, token: str) -> None:
    """Checkpoints are written by one process and read by all."""

    def seen() -> bool:
        with suppress(OSError):
            return (folder / ".lock").read_text() == token
        return False

    if not distributed.appears(seen, folder.parent):
        raise UserError(f"{folder} is not the folder that process 0 sees: name a --run on a disk that all share.")
