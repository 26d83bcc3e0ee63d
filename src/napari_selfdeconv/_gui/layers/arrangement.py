"""One way at a time to arrange the layers of a viewer: a new one ends the one before, whichever dock it is of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_CURRENT: WeakKeyDictionary[Any, Callable[[], None]] = WeakKeyDictionary()


def begin_arrangement(viewer: Any, leave: Callable[[], None]) -> None:
    """End the arrangement of ``viewer``, if there is one; ``leave`` ends the one that begins now."""
    before = _CURRENT.pop(viewer, None)
    if before is not None:
        before()
    _CURRENT[viewer] = leave


def end_arrangement(viewer: Any, leave: Callable[[], None]) -> None:
    """Say that the arrangement that ``leave`` ends is over."""
    if _CURRENT.get(viewer) == leave:
        del _CURRENT[viewer]
