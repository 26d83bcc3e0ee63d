"""One arrangement of a viewer's layers at a time: a new one ends the one before, whichever dock began that."""

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
    """Forget the arrangement that ``leave`` ends, because it is over."""
    if _CURRENT.get(viewer) == leave:
        del _CURRENT[viewer]
