"""The life cycle of the runs of one dock or tab: one run at a time, from its start to its last message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, Signal

from napari_selfdeconv._gui.runs.failure import Failure, explain
from napari_selfdeconv._gui.runs.worker import Discarded, Job, Outcome, Run, Succeeded
from napari_selfdeconv.events import Event, Preview


def _ignore(_value: Any = None) -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A job, and all that belongs to its run alone.

    Attributes
    ----------
    job : see `Run`.
    what : shown while it prepares, such as "Training".
    on_success : gets the result in the main thread; returns what to say.
    on_event, on_preview : get the events, and the newest preview.
    on_discard : called if the run ends without a result: it takes away what the run has added so far.
    on_end : called first, however the run ends.
    then : called last, after a result was shown; it may start another run.
    trains : whether it trains (a loss curve, Pause and 'Use now').
    interim : whether 'Use now' is possible. A result that is filled tile by tile is complete only at its end.
    follows : whether it belongs to the run before it, whose remarks stay.
    """

    job: Job
    what: str
    on_success: Callable[[Any], str]
    on_event: Callable[[Event], None] = _ignore
    on_preview: Callable[[Preview], None] = _ignore
    on_discard: Callable[[], None] = _ignore
    on_end: Callable[[], None] = _ignore
    then: Callable[[], None] = _ignore
    trains: bool = False
    interim: bool = True
    follows: bool = False


@dataclass(frozen=True)
class Ending:
    """How a run ended, and what its request says of the result."""

    outcome: Outcome
    said: str = ""


class RunController(QObject):
    """Starts, stops, cancels and pauses runs, and reports their state.

    Parameters
    ----------
    parent : owner; a run that is under way is cancelled when it is destroyed.
    asks : whether the user is asked before the dock is closed during a run.

    Signals, all in the main thread: ``began`` (`RunRequest`), ``happened`` (`Event`, all but previews),
    ``preview`` (the newest), ``finished`` (`Ending`, once a run). ``event`` is a method of every QObject already.
    """

    began = Signal(object)
    happened = Signal(object)
    preview = Signal(object)
    finished = Signal(object)

    def __init__(self, parent: QObject | None = None, *, asks: bool = True) -> None:
        super().__init__(parent)
        self.asks = asks
        self.run: Run | None = None
        self._request: RunRequest | None = None
        self._waiting: RunRequest | None = None

    @property
    def busy(self) -> bool:
        """Whether a run is under way or waits for one to end."""
        return self.run is not None or self._waiting is not None

    def start(self, request: RunRequest) -> None:
        """Run the job of ``request`` in a worker; not while another one is under way."""
        assert self.run is None
        self._request = request
        self.run = run = Run(request.job, self)
        run.happened.connect(partial(self._on_event, run))
        run.preview.connect(partial(self._on_preview, run))
        run.ended.connect(partial(self._on_ended, run))
        self.began.emit(request)
        run.start()

    def start_newest(self, request: RunRequest) -> None:
        """Run the job of ``request``, after the run under way, which is cancelled; only the newest one waits."""
        if self.run is None:
            self.start(request)
        else:
            self._waiting = request
            self.run.token.cancel()

    def stop(self) -> None:
        """End training after the current step and keep what there is."""
        if self.run is not None:
            self.run.token.stop()

    def cancel(self) -> None:
        """End as soon as possible and discard."""
        self._waiting = None
        if self.run is not None:
            self.run.token.cancel()

    def pause(self, paused: bool) -> None:
        """Hold training between two steps, or let it go on."""
        if self.run is not None and paused:
            self.run.token.pause()
        elif self.run is not None:
            self.run.token.resume()

    def request_result(self) -> None:
        """Ask for the whole image with what has been learned so far."""
        if self.run is not None:
            self.run.token.request_result()

    def close(self) -> None:
        """Cancel, and discard at once: the dock is gone, or will be before the worker has ended."""
        self.cancel()
        if self.run is not None:
            self._end(self.run, Discarded())

    # A run that `close` has ended may still have signals on their way.
    def _on_event(self, run: Run, event: Event) -> None:
        if run is self.run and self._request is not None:
            self._request.on_event(event)
            self.happened.emit(event)

    def _on_preview(self, run: Run, preview: Preview) -> None:
        if run is self.run and self._request is not None:
            self._request.on_preview(preview)
            self.preview.emit(preview)

    def _on_ended(self, run: Run, outcome: Outcome) -> None:
        if run is self.run:
            # The result may have been on its way when the run was cancelled.
            late = isinstance(outcome, Succeeded) and run.token.cancelled
            self._end(run, Discarded() if late else outcome)

    def _end(self, run: Run, outcome: Outcome) -> None:
        request, self.run, self._request = self._request, None, None
        assert request is not None
        run.deleteLater()
        waiting, self._waiting = self._waiting, None
        request.on_end()
        said = ""
        if isinstance(outcome, Succeeded) and waiting is None:
            try:
                said = request.on_success(outcome.value)
            except Exception as problem:
                # A result that cannot be shown is a failure like any other: the dock must be live again.
                outcome = explain(problem)
                request.on_discard()
        else:
            request.on_discard()
        if waiting is not None:
            self.start(waiting)
            return
        self.finished.emit(Ending(outcome, said))
        if isinstance(outcome, Succeeded):
            request.then()
        elif isinstance(outcome, Failure) and outcome.unexpected is not None:
            error = outcome.unexpected
            # Last: napari's notification may process events.
            notification_manager.receive_error(type(error), error, error.__traceback__)
