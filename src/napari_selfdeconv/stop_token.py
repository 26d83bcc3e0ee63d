"""The token that stops, pauses or cancels a running computation."""

from __future__ import annotations

import threading

from napari_selfdeconv.errors import Cancelled


class StopToken:
    """A token shared by a computation and the code that controls it. It can be used from any thread.

    ``stop()`` ends training after the current step and keeps the model. ``cancel()`` discards the run. Both end a
    pause. ``pause()`` and ``resume()`` take effect between two steps. ``request_result()`` asks for an `Interim`.

    A token and its children are one family: they share the pause, the request and the cancellation. A stopped
    token is never paused, but a child that continues can be.

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

    def child(self, *, stops: bool = True) -> StopToken:
        """Return a token for a part of the work. A stop of this token stops it, unless it came before.

        With ``stops=False`` only a cancellation ends the part early.
        """
        token = StopToken()
        token._cancel, token._running, token._requested = self._cancel, self._running, self._requested
        if stops:
            self._children.append(token)
        return token

    def stop(self) -> None:
        self._stop.set()
        for token in self._children:
            token.stop()
        self._running.set()

    def cancel(self) -> None:
        self._cancel.set()
        self._running.set()

    def pause(self) -> None:
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def request_result(self) -> None:
        self._requested.set()

    def take_request(self) -> bool:
        """Return whether a result was asked for since the last call that returned True."""
        if not self._requested.is_set():
            return False
        self._requested.clear()
        return True

    def wait_while_paused(self, seconds: float) -> None:
        """Block while the family is paused, ``seconds`` at most."""
        self._running.wait(seconds)

    @property
    def paused(self) -> bool:
        return not self._running.is_set() and not self.stopped

    @property
    def stopped(self) -> bool:
        return self._stop.is_set() or self.cancelled

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if `cancel` was called."""
        if self.cancelled:
            raise Cancelled("the run was cancelled")
