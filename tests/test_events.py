"""Progress is made of ticks in one place, and a cancelled computation never returns a result."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_selfdeconv import events
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import Event, Progress, Tick, Warned, drain, report_progress
from napari_selfdeconv.stop_token import StopToken


def ticks(total: int, said: Sequence[int] = ()) -> Generator[Tick | Event, None, str]:
    """Tick from 0 to ``total``; warn before the ticks in ``said``."""
    for done in range(total + 1):
        if done in said:
            yield Warned(str(done))
        yield Tick(done, total)
    return "result"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds between two looks at the clock; changed in place."""
    now, stride = [0.0], [0.03]

    def read() -> float:
        now[0] += stride[0]
        return now[0]

    monkeypatch.setattr(events.time, "perf_counter", read)
    return stride


@given(total=st.integers(1, 60), data=st.data())
def test_steps_rise_to_the_last_and_nothing_else_is_lost(total: int, data: st.DataObject) -> None:
    said = data.draw(st.lists(st.integers(0, total), unique=True))
    seen: list[Any] = []
    assert drain(report_progress(ticks(total, said), "count", StopToken()), seen.append) == "result"
    progress = [event for event in seen if isinstance(event, Progress)]
    assert [int(event.message) for event in seen if isinstance(event, Warned)] == sorted(said)
    assert progress[0].step == 0
    assert progress[0].eta_s is None
    assert progress[-1].step == progress[-1].steps == total
    assert progress[-1].eta_s == 0
    assert all(a.step < b.step and a.seconds <= b.seconds for a, b in pairwise(progress))
    assert {event.stage for event in progress} == {"count"}


def test_at_most_ten_reports_a_second(clock: list[float]) -> None:
    seen: list[Any] = []
    drain(report_progress(ticks(100), "count", StopToken()), seen.append)
    assert all(b.seconds - a.seconds >= events.REPORT_EVERY_S for a, b in pairwise(seen[:-1]))
    assert 20 < len(seen) < 40
    clock[0] = 1.0
    seen.clear()
    drain(report_progress(ticks(100), "count", StopToken()), seen.append)
    assert len(seen) == 101


@pytest.mark.parametrize("cancel_at", [0, 1, 5])
def test_a_cancelled_computation_returns_nothing(cancel_at: int) -> None:
    stop = StopToken()

    def work() -> Generator[Tick, None, str]:
        for done in range(6):
            if done == cancel_at:
                stop.cancel()
            if stop.stopped:
                break
            yield Tick(done, 6)
        return "half a result"

    with pytest.raises(Cancelled):
        drain(report_progress(work(), "count", stop))


def test_cancelling_on_a_report_ends_the_work_there(clock: list[float]) -> None:
    clock[0], stop, made = 1.0, StopToken(), []

    def work() -> Generator[Tick, None, None]:
        for done in range(1, 6):
            made.append(done)
            yield Tick(done, 6)

    def watch(event: Event) -> None:
        if isinstance(event, Progress) and event.step == 3:
            stop.cancel()

    with pytest.raises(Cancelled):
        drain(report_progress(work(), "count", stop), watch)
    assert made == [1, 2, 3]
