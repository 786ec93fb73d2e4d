"""A run folder is held by one command at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from oasis_jax.system import console
from oasis_jax.system.errors import UserError
from oasis_jax.system.files import lock_file


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the run for this command alone; process 0 holds it for all. The system frees the lock however it ends.

    On a disk without locks a note says so, and the command goes on.

    Raises:
        UserError: another command is training this run.
    """
    if jax.process_index():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            without_locks = lock_file(file.fileno())
        except BlockingIOError:
            raise UserError(f"{folder} is being trained by another process: wait, or name another --run.") from None
        if without_locks:
            console.say(
                f"Note: {folder} lies on a disk without locks ({without_locks}), so a second process that trains this "
                "run would not be stopped: start it only once."
            )
        yield
