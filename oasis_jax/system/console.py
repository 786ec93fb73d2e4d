"""What a command shows in the terminal: sentences and progress bars. Only process 0 shows anything."""

import sys
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from oasis_jax.system import distributed

console = Console(stderr=True, emoji=False)  # ":brain:" in a name stays as it is


def say(sentence: str) -> None:
    """Show a sentence in the terminal."""
    if distributed.rank() == 0:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def bar(*texts: str) -> Progress:
    """A progress bar; `texts` are more columns, as format strings of rich."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        *(TextColumn(text) for text in texts),
        console=console,
        redirect_stdout=sys.stdout.isatty(),  # results that go to a file must not end up on the screen
        disable=distributed.rank() != 0,
    )


def track(items: Iterable, total: int, description: str) -> Iterator:
    """Pass items on and show a progress bar."""
    with bar() as progress:
        yield from progress.track(items, total=total, description=description)
