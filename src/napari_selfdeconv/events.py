"""Events that a running computation yields. They hold numpy arrays and plain numbers only."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.stop_token import StopToken

#: Stage of the `Progress` of an `Interim`, during which training is under way.
INTERIM_STAGE = "interim"
#: At most ten reports of progress a second.
REPORT_EVERY_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Started:
    """The network is ready. Training begins next if ``steps`` is above 0.

    Attributes
    ----------
    device, device_reason : the device, and the reason for it (one sentence for the user).
    precision : "float32", "bfloat16" or "float16".
    parameters : number of trainable weights.
    steps : number of training steps planned.
    symmetries : number of flips and rotations that leave the PSF unchanged, with the identity.
    remedy : what to install or set to run faster; empty if nothing can be done.
    peak_bytes : memory that training is expected to take beyond what the process holds.

    A run that collapsed starts again with another seed. `Warned` reports it, and another `Started` follows.
    """

    device: str
    device_reason: str
    precision: str
    parameters: int
    steps: int
    symmetries: int
    remedy: str = ""
    peak_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """``step`` of ``steps`` is done in ``stage`` ("train", "predict", "choose", "refine", "interim",
    "Richardson-Lucy" ...).

    ``losses`` maps term names (and "total") to their value at this step; empty outside training.
    ``eta_s`` is the time left in this stage in seconds, None while unknown. ``held_out`` is the blind-spot error
    on the pixels held out of training, in standardised units, at the steps at which it was measured.
    """

    stage: str
    step: int
    steps: int
    seconds: float
    eta_s: float | None
    losses: Mapping[str, float] = field(default_factory=dict)
    held_out: float | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A region, deconvolved with the present weights of the network.

    ``image`` is a private float32 copy in the user's intensity units; ``offset`` is the index of its
    first voxel in the whole image. ``reblurred`` is g(f(x)) and ``residual`` x - g(f(x)), of the same region and
    units, if they were asked for.
    """

    step: int
    image: NDArray[np.float32]
    offset: tuple[int, ...]
    reblurred: NDArray[np.float32] | None = None
    residual: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True)
class Interim:
    """The whole image as the model deconvolves it at ``step``. Training goes on.

    ``image`` and ``provenance`` are like those of the final result. If it was asked for with
    `StopToken.request_result`, ``image`` may be the network's own result without refinement (``quick_interim`` of
    `iter_deconvolve`). ``psf`` is the PSF that was used. ``improves`` is True if it was not asked for: it is the
    instant result, of step 0, or a better one (``instant_first``).
    """

    step: int
    image: NDArray[np.float32]
    provenance: Mapping[str, Any]
    psf: NDArray[np.float32] | None = None
    improves: bool = False


@dataclass(frozen=True, kw_only=True)
class Filling:
    """The array that the result is being written into, tile by tile: numpy, or zarr on disk.

    It belongs to the run. Receivers of the event may read it but not change it. ``instant`` is True if
    it holds the instant result of one frame of each channel, and training begins.
    """

    image: Any
    instant: bool = False


@dataclass(frozen=True)
class Warned:
    """A message that the user should read. The run continues."""

    message: str


@dataclass(frozen=True)
class Noted:
    """A message about a run that is not a warning, such as the values that were taken from the file."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The run is over.

    ``stopped`` is True if the user ended training early and kept the result. ``converged`` is True if training
    ended automatically, because the held-out error no longer fell or the trial failed. ``refined_iterations`` is
    the number of Richardson-Lucy iterations after the network. ``kept_share`` is the share of the training that
    was kept, 0 to 1 (`StartSettings.weight_interpolation`), the least of several channels.
    """

    seconds: float
    steps_done: int
    stopped: bool
    converged: bool = False
    refined_iterations: int = 0
    kept_share: float = 1.0


class Tick(NamedTuple):
    """``done`` of ``total`` pieces of work are done.

    Computations yield this while they run. They know neither the name of their stage nor the time:
    `report_progress` makes `Progress` of it.
    """

    done: int
    total: int


Event = Started | Progress | Preview | Interim | Filling | Warned | Noted | Finished
_E = TypeVar("_E")
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


def report_progress(
    work: Generator[Tick | Event, None, _T], stage: str, stop: StopToken
) -> Generator[Event, None, _T]:
    """Yield `Progress` for the ticks of a computation; return its result.

    The first and the last tick are reported, and at most ten a second between them. Other events are passed on.

    Raises
    ------
    Cancelled
        If ``stop.cancel()`` was called. It is read at every tick, after every report and at the end.

    Examples
    --------
    >>> def work():
    ...     yield Tick(1, 2)
    ...     yield Tick(2, 2)
    ...     return "result"
    >>> show = lambda event: print(event.stage, event.step, "of", event.steps)
    >>> drain(report_progress(work(), "sum", StopToken()), show)
    sum 1 of 2
    sum 2 of 2
    'result'
    """
    start, last = time.perf_counter(), -REPORT_EVERY_S
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            stop.raise_if_cancelled()
            result: _T = end.value
            return result
        stop.raise_if_cancelled()
        if not isinstance(event, Tick):
            yield event
            continue
        seconds = time.perf_counter() - start
        if event.done < event.total and seconds - last < REPORT_EVERY_S:
            continue
        last = seconds
        left = seconds / event.done * (event.total - event.done) if event.done else None
        yield Progress(stage=stage, step=event.done, steps=event.total, seconds=seconds, eta_s=left)
        # The receiver of the report may have cancelled.
        stop.raise_if_cancelled()


def mapped(work: Generator[_E, None, _T], change: Callable[[_E], _E | None]) -> Generator[_E, None, _T]:
    """Pass on the events or ticks of a computation, each as ``change`` returns it, or not for None.

    The result is that of the computation.

    Examples
    --------
    >>> def work():
    ...     yield Warned("low")
    ...     return 3
    >>> drain(mapped(work(), lambda event: Warned(event.message.upper())), print)
    Warned(message='LOW')
    3
    """
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result: _T = end.value
            return result
        changed = change(event)
        if changed is not None:
            yield changed
