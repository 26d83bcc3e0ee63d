"""What the Qt bindings' type hints leave open."""

from __future__ import annotations

from typing import TypeVar

_T = TypeVar("_T")


def existing(part: _T | None) -> _T:
    """Return a part that a Qt object always has, although the type hints allow None."""
    assert part is not None
    return part
