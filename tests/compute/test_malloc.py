"""Large blocks stay with the process while it trains, and no longer."""

from __future__ import annotations

import sys
import threading

import numpy as np
import psutil
import pytest

from napari_selfdeconv.compute import malloc

LARGE = 100 * 2**20
pytestmark = pytest.mark.usefixtures("memory_given_back")
glibc = pytest.mark.skipif(malloc._glibc() is None, reason="only glibc gives large blocks back at once")


def held() -> int:
    return int(psutil.Process().memory_info().rss)


def touched_and_freed() -> int:
    """Return how much more the process holds for having had a large array."""
    before = held()
    array = np.ones(LARGE, np.uint8)
    del array
    return held() - before


@glibc
def test_freed_memory_stays_inside_and_goes_back_at_the_end() -> None:
    start = held()
    assert touched_and_freed() < LARGE // 2
    with malloc.retained_memory():
        assert touched_and_freed() > LARGE // 2
        assert held() - start > LARGE // 2
        # It is there already: nothing more is taken.
        assert touched_and_freed() < LARGE // 2
    assert held() - start < LARGE // 2
    assert touched_and_freed() < LARGE // 2


@glibc
def test_two_threads_share_it() -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with malloc.retained_memory():
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(30)
    with malloc.retained_memory():
        pass
    start = held()
    touched_and_freed()
    still_kept = held() - start
    leave.set()
    thread.join()
    assert still_kept > LARGE // 2
    assert held() - start < LARGE // 2


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert malloc._glibc() is None
    with malloc.retained_memory():
        assert malloc._users == 0
