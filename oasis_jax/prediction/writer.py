"""The last step of a prediction: write what belongs to each labelled file while the next are labelled."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from types import TracebackType

from oasis_jax.inference.label import Segmentation
from oasis_jax.prediction.destination import Result
from oasis_jax.system.errors import describe

_UNDER_WAY = 2
"""Files that are written at a time; a volume takes a tenth of a gigabyte."""


class Writer:
    """Writes labelled files in threads. A thread records its own result, so an interruption of the caller loses none.

    At the end of a `with` block all files are written. A failing disk is no fault of one file: `put`, or the end of the
    block, raises its `OSError`.
    """

    def __init__(self, write: Callable[[Segmentation], Result], done: Callable[[Result], object]) -> None:
        """`write` writes one file; `done` gets what was written. Both run in a thread."""
        self.results: dict[str, Result] = {}
        """By the name of the file."""
        self.problems: list[str] = []
        """A sentence for each file that could not be written."""
        self._write, self._done = write, done
        self._pool, self._free = ThreadPoolExecutor(_UNDER_WAY), BoundedSemaphore(_UNDER_WAY)
        self._failure: OSError | None = None

    def put(self, file: Segmentation) -> None:
        """Write a file soon; wait while as many are being written as may be at a time."""
        self._free.acquire()
        self._check()
        self._pool.submit(self._record, file)

    def keep(self, result: Result) -> None:
        """Record a result that is there already."""
        self.results[result.source.name] = result
        self._done(result)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pool.shutdown()
        if error is None:
            self._check()

    def _record(self, file: Segmentation) -> None:
        try:
            self.keep(self._write(file))
        except OSError as error:  # the disk is full, say
            self._failure = error
        except Exception as error:
            self.problems.append(describe(file.input.source.path, error))
        finally:
            self._free.release()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
