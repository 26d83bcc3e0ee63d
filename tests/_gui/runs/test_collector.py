"""The cycle collector leaves the import of torch alone."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from napari_selfdeconv._gui.runs.collector import without_collecting


class _Cycle:
    def __init__(self) -> None:
        self.me = self


def test_nothing_is_collected_meanwhile_and_what_came_is_old_afterwards() -> None:
    seen: list[dict[str, Any]] = []

    def watch(_phase: str, info: dict[str, Any]) -> None:
        seen.append(info)

    # What the test suite froze would keep new objects young.
    gc.unfreeze()
    gc.callbacks.append(watch)
    try:
        with without_collecting():
            kept = [_Cycle() for _ in range(5000)]
            meanwhile = len(seen)
        assert gc.isenabled()
        assert meanwhile == 0
    finally:
        gc.callbacks.remove(watch)
    old = {id(thing) for thing in gc.get_objects(generation=2)}
    assert all(id(thing) in old for thing in kept)
    gone = weakref.ref(kept.pop())
    gc.collect()
    assert gone() is None


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collecting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
