"""Messages of a command while it works, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from napari_selfdeconv.events import Event, Finished, Noted, Progress, Started, Warned, drain
from napari_selfdeconv.stop_token import StopToken

_T = TypeVar("_T")


_verbosity = 0


def set_verbosity(level: int) -> None:
    """Print less (-1: warnings and errors only) or more (1: the progress every second)."""
    global _verbosity
    _verbosity = level


def say(line: str, *, always: bool = False) -> None:
    """Print one line on standard error; a quiet command prints warnings and errors only."""
    if _verbosity < 0 and not always and not line.startswith("warning"):
        return
    print(f"selfdeconv: {line}", file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def interruptible(token: StopToken, first: Literal["keep", "discard"] | None) -> Generator[None, None, None]:
    """Turn the first Ctrl-C into "stop and keep" or "discard", and the second into "discard".

    SIGTERM, which a cluster or a shutdown sends, counts as Ctrl-C. With None both raise KeyboardInterrupt, because
    the command is short and writes its file whole or not at all.
    """

    def interrupt(_signal: int, _frame: object) -> None:
        if first is None:
            raise KeyboardInterrupt
        if first == "discard" or token.stopped:
            token.cancel()
            return
        token.stop()
        say("stopping after this step; press Ctrl-C again to discard the result")

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(one, interrupt) for one in signals]
    except ValueError:  # not the main thread: the caller owns the signals
        yield
        return
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


@contextmanager
def warnings_as_lines() -> Generator[None, None, None]:
    """Print a warning as one line, without its place in the code."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield


def watch(work: Generator[Event, None, _T]) -> _T:
    """Run to the end. Show a bar on a terminal, and print a line every ten seconds elsewhere."""
    progress: Callable[[Event], None] = _Lines(1.0 if _verbosity > 0 else 10.0)
    if sys.stderr.isatty() and _verbosity == 0:
        progress = _Bar()

    def show(event: Event) -> None:
        if isinstance(event, Warned):
            say(f"warning: {event.message}")
        elif isinstance(event, Noted):
            say(event.message)
        elif isinstance(event, Started):
            what = f"training {event.steps} steps" if event.steps else "initial weights, no training,"
            say(f"{what} on {event.device} ({event.precision}; {event.device_reason})")
        progress(event)

    return drain(work, show)


class _Bar:
    """One bar for each stage; a stage that was cut short leaves its bar where it stopped."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._show(event)
        elif isinstance(event, Finished):
            self._close()

    def _show(self, event: Progress) -> None:
        from tqdm import tqdm

        if event.stage != self._stage:
            self._close()
            self._stage = event.stage
            self._bar = tqdm(total=event.steps, desc=event.stage, file=sys.stderr)
        if "total" in event.losses:
            self._bar.set_postfix_str(f"loss {event.losses['total']:.4f}", refresh=False)
        self._bar.update(event.step - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar, self._stage = None, ""


class _Lines:
    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s, self._last = every_s, time.perf_counter()

    def __call__(self, event: Event) -> None:
        now = time.perf_counter()
        if not isinstance(event, Progress) or now - self._last < self._every_s:
            return
        self._last = now
        left = "" if event.eta_s is None else f", {event.eta_s:.0f} s left"
        say(f"{event.stage} {event.step}/{event.steps}{left}")
