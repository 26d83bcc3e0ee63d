"""Loading the computation in the background."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

from napari_selfdeconv._gui.runs import warm_up, worker
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken


def test_a_run_begins_once_nothing_is_loading() -> None:
    begun = threading.Event()

    def job(token: StopToken) -> Generator[Event, None, Any]:
        begun.set()
        return token
        yield

    run = threading.Thread(target=lambda: list(worker._guarded(job, StopToken(), worker._Slot())))
    with warm_up._loading:
        run.start()
        assert not begun.wait(0.1)
    run.join(10)
    assert begun.is_set()


def test_one_thread_at_a_time_loads(monkeypatch: Any) -> None:
    """Docks that are opened together start one thread each."""
    at_once, most = threading.Semaphore(1), []

    def load() -> None:
        most.append(at_once.acquire(blocking=False))
        threading.Event().wait(0.02)
        at_once.release()

    monkeypatch.setattr(warm_up, "_import_once", load)
    threads = [threading.Thread(target=warm_up._import_api) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == [True] * 3
