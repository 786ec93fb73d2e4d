"""What a user can get wrong: one exception, one sentence, exit status 2."""

import errno
import sys
from collections.abc import Callable


class UserError(Exception):
    """A mistake the user can mend. Its text names the thing and says how to mend it."""


def run_command(command: Callable[[], None]) -> None:
    """Run a command; print a `UserError` or a failing disk as a sentence on stderr and exit with status 2."""
    try:
        command()
    except UserError as error:
        sys.exit(_say(str(error)))
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        where = f" ({error.filename})" if error.filename else ""
        sys.exit(_say(f"{_DISK_ERRORS[error.errno]}{where}. Nothing already saved is lost."))


_DISK_ERRORS = {
    errno.ENOSPC: "The disk is full: free some space and start the same command again",
    errno.EDQUOT: "Your disk quota is used up: free some space and start the same command again",
    errno.EFBIG: "A file grew past the size this system allows: raise the limit and start the same command again",
    errno.EACCES: "Permission denied: choose a folder you may write to",
    errno.EPERM: "Permission denied: choose a folder you may write to",
    errno.EROFS: "The file system is read-only: choose a folder you may write to",
}


def _say(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2
