"""Events that a running computation yields. They hold numpy arrays and plain numbers only."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
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

    A run that collapsed starts again with another seed. `Warned` reports it, and another `Started` follows.

    Attributes
    ----------
    device, device_reason : the device, and the reason for it (one sentence for the user).
    precision : "float32", "bfloat16" or "float16".
    parameters : number of trainable weights.
    steps : number of training steps planned.
    symmetries : number of flips and rotations that leave the PSF unchanged, with the identity.
    remedy : what to install or set to run faster; empty if nothing can be done.
    peak_bytes : memory that training is expected to take beyond what the process holds.

    Examples
    --------
    >>> why = "PyTorch sees no GPU"
    >>> Started(
    ...     device="cpu", device_reason=why, precision="float32", parameters=1000, steps=100, symmetries=8
    ... ).remedy
    ''
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
    """A step of a stage is done.

    Attributes
    ----------
    stage : such as "train", "predict", "choose", "refine", "interim" or "Richardson-Lucy".
    step, steps : number of steps done, and of all steps of the stage.
    seconds : time since the stage began.
    eta_s : time left in this stage in seconds; None while it is unknown.
    losses : value of each loss term at this step, by its name, and of "total"; empty outside training.
    held_out : error at the held-out pixels in standardised units, at the steps at which it was measured.
    part : the stage that an interim result is in, such as "predict" or "refine"; "" for other stages.

    Examples
    --------
    >>> event = Progress(stage="train", step=20, steps=100, seconds=2.0, eta_s=8.0, losses={"total": 0.5})
    >>> f"{event.stage} {event.step}/{event.steps}"
    'train 20/100'
    """

    stage: str
    step: int
    steps: int
    seconds: float
    eta_s: float | None
    losses: Mapping[str, float] = field(default_factory=dict)
    held_out: float | None = None
    part: str = ""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A region, deconvolved with the present weights of the network.

    Attributes
    ----------
    step : number of steps done.
    image : float32, in the intensity units of the image. It is a copy that the receiver may keep.
    offset : index of its first voxel in the whole image.
    reblurred, residual : g(f(x)) and x - g(f(x)) of the same region and units, if they were asked for.

    Examples
    --------
    >>> import numpy as np
    >>> Preview(step=20, image=np.zeros((16, 16), np.float32), offset=(8, 0)).residual is None
    True
    """

    step: int
    image: NDArray[np.float32]
    offset: tuple[int, ...]
    reblurred: NDArray[np.float32] | None = None
    residual: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True)
class Interim:
    """An image, deconvolved with the weights of ``step``. Training goes on.

    Attributes
    ----------
    step : number of steps done; 0 for the instant result.
    image : float32, as in the final result. If it was asked for with `StopToken.request_result`, it may be the
        result of the network without refinement (``quick_interim`` of `iter_deconvolve`).
    provenance : record, as that of the final result.
    psf : the PSF that was used.
    improves : whether it was not asked for: the instant result, or a better one (``instant_first``).
    refined : False if it is the instant result of a widefield stack that is refined now, and comes again.
    offset : index of its first voxel in the whole image, if it is a part of that; None if it is the whole image.

    Examples
    --------
    >>> import numpy as np
    >>> Interim(step=0, image=np.zeros((16, 16), np.float32), provenance={}, improves=True).step
    0
    """

    step: int
    image: NDArray[np.float32]
    provenance: Mapping[str, Any]
    psf: NDArray[np.float32] | None = None
    improves: bool = False
    refined: bool = True
    offset: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Filling:
    """The array that the result is being written into, tile by tile.

    Attributes
    ----------
    image : of numpy, or of zarr on disk. It belongs to the run: receivers of the event may read it but not change
        it.
    instant : whether it holds the instant result of one frame of each channel, and training begins.

    Examples
    --------
    >>> import numpy as np
    >>> Filling(image=np.zeros((4, 64, 64), np.float32)).instant
    False
    """

    image: Any
    instant: bool = False


@dataclass(frozen=True)
class Warned:
    """A message that the user should read. The run continues.

    Attributes
    ----------
    message : one or more sentences.

    Examples
    --------
    >>> Warned("Frame 3 is constant and was left as it is.").message
    'Frame 3 is constant and was left as it is.'
    """

    message: str


@dataclass(frozen=True)
class Noted:
    """A message about a run that is not a warning, such as the values that were taken from the file.

    Attributes
    ----------
    message : a sentence.

    Examples
    --------
    >>> Noted("PSF: widefield, 25x25 voxels of 0.1 x 0.1 um").message
    'PSF: widefield, 25x25 voxels of 0.1 x 0.1 um'
    """

    message: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The run is over.

    Attributes
    ----------
    seconds : time of the run.
    steps_done : number of training steps.
    stopped : whether the user ended training early and kept the result.
    converged : whether training ended automatically, because the held-out error no longer fell or the trial
        failed.
    refined_iterations : number of Richardson-Lucy iterations after the network.
    kept_share : share of the training that was kept, 0 to 1 (`StartSettings.weight_interpolation`); the least of
        several channels.

    Examples
    --------
    >>> Finished(seconds=12.5, steps_done=100, stopped=False).kept_share
    1.0
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

    Examples
    --------
    >>> Tick(3, 10)
    Tick(done=3, total=10)
    """

    done: int
    total: int


Event = Started | Progress | Preview | Interim | Filling | Warned | Noted | Finished
_E = TypeVar("_E")
_F = TypeVar("_F")
_T = TypeVar("_T")


def drain(work: Generator[_E, None, _T], on_event: Callable[[_E], object] | None = None) -> _T:
    """Run a computation to its end, handing every event or tick to ``on_event``; return its result.

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
    return expanded(work, lambda event: () if (one := change(event)) is None else (one,))


def expanded(work: Generator[_E, None, _T], change: Callable[[_E], Iterable[_F]]) -> Generator[_F, None, _T]:
    """Yield those events that ``change`` returns for each event of a computation; return its result.

    Examples
    --------
    >>> def work():
    ...     yield Tick(1, 1)
    ...     return 3
    >>> drain(expanded(work(), lambda tick: (Noted("one"), Noted("two"))), print)
    Noted(message='one')
    Noted(message='two')
    3
    """
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result: _T = end.value
            return result
        yield from change(event)
