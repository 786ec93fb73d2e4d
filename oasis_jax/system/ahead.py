"""Work that is begun before its result is needed, in other threads or on devices."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Work = TypeVar("Work")


def ahead(begin: Callable[[Item], Work], items: Iterable[Item], count: int) -> Iterator[tuple[Item, Work]]:
    """Each item, in order, with the work that was begun on it; that on the next `count` items is under way by then.

    Args:
        begin: begins the work on an item; its result may be a future.
        items: taken one by one, as late as can be.
        count: bounds what is in memory.
    """
    begun: deque[tuple[Item, Work]] = deque()
    for item in items:
        begun.append((item, begin(item)))
        if len(begun) > count:
            yield begun.popleft()
    yield from begun
