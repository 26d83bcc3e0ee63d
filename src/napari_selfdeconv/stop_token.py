"""The token that stops, pauses or cancels a running computation."""

from __future__ import annotations

import threading

from napari_selfdeconv.errors import Cancelled


class StopToken:
    """Shared between the one who runs and the one who watches; safe from any thread.

    ``stop()`` ends training after the current step and keeps the model; ``cancel()`` discards the run; both end
    a pause. ``pause()`` and ``resume()`` take effect between two steps. ``request_result()`` asks for an
    `Interim`.

    Examples
    --------
    >>> token = StopToken()
    >>> token.pause()
    >>> token.paused
    True
    >>> token.stop()
    >>> token.paused, token.stopped, token.cancelled
    (False, True, False)
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._cancel = threading.Event()
        self._running = threading.Event()
        self._running.set()
        self._requested = threading.Event()
        self._children: list[StopToken] = []

    def child(self) -> StopToken:
        """Return a token for a part of the work: stopped with this one, but not by a stop before it was made."""
        token = StopToken()
        token._cancel, token._running, token._requested = self._cancel, self._running, self._requested
        self._children.append(token)
        return token

    def stop(self) -> None:
        self._stop.set()
        for token in self._children:
            token.stop()
        self._running.set()

    def cancel(self) -> None:
        self._cancel.set()
        self.stop()

    def pause(self) -> None:
        if not self.stopped:
            self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def request_result(self) -> None:
        self._requested.set()

    def take_request(self) -> bool:
        """Return whether a result was asked for since the last call."""
        asked = self._requested.is_set()
        self._requested.clear()
        return asked

    def wait_while_paused(self, seconds: float) -> None:
        """Block until nobody wants a pause any more, ``seconds`` at most."""
        self._running.wait(seconds)

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if `cancel` was called."""
        if self.cancelled:
            raise Cancelled("the run was cancelled")
