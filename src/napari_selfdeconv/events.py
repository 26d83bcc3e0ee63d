"""Events that a running computation yields, and the token that stops it. numpy and plain numbers only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import Cancelled


@dataclass(frozen=True, kw_only=True)
class Started:
    """Training is about to begin.

    Attributes
    ----------
    device, device_reason : where it runs, and why there (one sentence for the user).
    precision : "float32", "bfloat16" or "float16".
    parameters : number of trainable weights.
    steps : training steps planned.
    symmetries : how many flips and rotations leave the PSF unchanged (1 = none but the identity).
    """

    device: str
    device_reason: str
    precision: str
    parameters: int
    steps: int
    symmetries: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """``step`` of ``steps`` is done in ``stage`` ("train", "predict" or "richardson-lucy").

    ``losses`` maps term names (and "total") to their value at this step; empty outside training.
    ``eta_s`` is the time left in this stage in seconds, None while unknown.
    """

    stage: str
    step: int
    steps: int
    seconds: float
    eta_s: float | None
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A deconvolved region as the network sees it now.

    ``image`` is a private float32 copy in the user's intensity units; ``offset`` is the index of its
    first voxel in the whole image.
    """

    step: int
    image: NDArray[np.float32]
    offset: tuple[int, ...]


@dataclass(frozen=True)
class Warned:
    """Something the user should know; the run goes on."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The run is over; ``stopped`` says that the user ended training early and kept the result."""

    seconds: float
    steps_done: int
    stopped: bool


Event = Started | Progress | Preview | Warned | Finished
_T = TypeVar("_T")


def drain(work: Generator[Event, None, _T], on_event: Callable[[Event], None] | None = None) -> _T:
    """Run a computation to its end, handing every event to ``on_event``; return its result.

    Examples
    --------
    >>> def work():
    ...     yield Warned("careful")
    ...     return 42
    >>> drain(work(), print)
    Warned(message='careful')
    42
    """
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result: _T = end.value
            return result
        if on_event is not None:
            on_event(event)


class StopToken:
    """Shared between the one who runs and the one who watches; safe from any thread.

    ``stop()`` ends training after the current step and keeps the model; ``cancel()`` discards the run.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._cancel = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def cancel(self) -> None:
        self._cancel.set()
        self._stop.set()

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
