"""The border between the computation's thread and the window.

A napari generator worker swallows RuntimeErrors and then never ends, throws results away when it is asked
to quit, and queues every yielded array. So nothing is ever raised across this border: the guard turns
every error into a returned `Failure`, our own token stops the run, and previews wait in a slot that
holds the newest one only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QObject, QTimer, Signal

from napari_selfdeconv._gui.runs.failure import Failure, explain
from napari_selfdeconv._gui.runs.warm_up import wait_until_loaded
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import Event, Preview, Warned
from napari_selfdeconv.stop_token import StopToken

PREVIEW_POLL_MS = 100
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Succeeded:
    """The run ended with a result: the value that the generator returned."""

    value: Any


@dataclass(frozen=True)
class Discarded:
    """The run was cancelled; there is no result."""


Outcome = Succeeded | Discarded | Failure
_DIED = Failure("The computation ended without a result.", "Start it again, and report it if it happens again.")
Job = Callable[[StopToken], Generator[Event, None, Any]]


class _Slot:
    """Holds the newest preview; written by the worker, emptied by the window."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: Preview | None = None

    def put(self, value: Preview) -> None:
        with self._lock:
            self._value = value

    def take(self) -> Preview | None:
        with self._lock:
            value, self._value = self._value, None
        return value


def _guarded(job: Job, token: StopToken, slot: _Slot) -> Generator[Event | None, None, Outcome]:
    """Iterate ``job`` and never raise; a job that is cancelled ends here if it does not look at the token."""
    events = None
    wait_until_loaded()
    try:
        while True:
            try:
                events = events or job(token)
                event = next(events)
            except StopIteration as end:
                return Discarded() if token.cancelled else Succeeded(end.value)
            except Cancelled:
                return Discarded()
            except BaseException as error:  # A SystemExit ends this thread without a message.
                _log.debug("run failed", exc_info=True)
                # After a cancellation nobody needs the errors of the last step.
                return Discarded() if token.cancelled else explain(error)
            if token.cancelled:
                return Discarded()
            if isinstance(event, Preview):
                slot.put(event)
                yield None
            else:
                yield event
    finally:
        _close(events)


def _close(events: Generator[Event, None, Any] | None) -> None:
    """End a job that is dropped half-way. Errors while it clears up are ignored."""
    try:
        if events is not None:
            events.close()
    except BaseException:
        _log.debug("clearing up failed", exc_info=True)


class _TokenWorker(GeneratorWorker):  # type: ignore[misc]  # napari has no type hints
    """napari calls ``quit`` when the window closes; that must reach the computation at once.

    It does no more than that: a worker that quits as napari means it drops the generator half-way. Whatever the
    computation holds (memory, a file) then stays until the garbage collector finds it.
    """

    token: StopToken

    def quit(self) -> None:
        self.token.cancel()


class Run(QObject):
    """One computation in a worker thread; signals arrive in the main thread.

    Parameters
    ----------
    job : called in the worker with the stop token; returns the generator of events to iterate.
    parent : owner; the run is cancelled when this object is destroyed.

    Signals: ``happened`` (everything but previews), ``preview`` (the newest), ``ended`` (an `Outcome`, once).
    """

    happened = Signal(object)
    preview = Signal(object)
    ended = Signal(object)

    def __init__(self, job: Job, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.token = StopToken()
        self._slot = _Slot()
        self._outcome: Outcome | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(PREVIEW_POLL_MS)
        self._timer.timeout.connect(self._drain)
        worker = create_worker(_guarded, job, self.token, self._slot, _worker_class=_TokenWorker)
        worker.token = self.token
        worker.yielded.connect(self._on_yielded)
        worker.warned.connect(self._on_warned)
        worker.returned.connect(self._on_returned)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        self.destroyed.connect(self.token.cancel)

    def start(self) -> None:
        self._timer.start()
        self._worker.start()

    def _drain(self) -> None:
        newest = self._slot.take()
        if newest is not None and not self.token.cancelled:
            self.preview.emit(newest)

    def _on_yielded(self, event: Event | None) -> None:
        if event is not None:
            self.happened.emit(event)

    def _on_warned(self, arguments: tuple[Any, ...]) -> None:
        message, category = arguments[:2]
        # Deprecations and the like are for developers; napari shows them in its own corner.
        if issubclass(category, UserWarning):
            self.happened.emit(Warned(str(message)))

    def _on_returned(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def _on_finished(self) -> None:
        self._timer.stop()
        # ``returned`` does not fire if the worker dies.
        outcome = self._outcome or (Discarded() if self.token.cancelled else _DIED)
        self.ended.emit(outcome)
