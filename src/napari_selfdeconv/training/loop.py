"""The training loop: a generator of events and of its own steps that returns the trained network."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.compute.device import Choice, free_memory_bytes
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import REPORT_EVERY_S, Event, Progress
from napari_selfdeconv.holdout.guide import Guide
from napari_selfdeconv.network.model import Deconvolver
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.checkpoint import CheckpointWriter
from napari_selfdeconv.training.model_selection import SelectedWeights
from napari_selfdeconv.training.run import TrainingRun
from napari_selfdeconv.training.state import RunState, restore_state

_PAUSE_SLICE_S = 0.1
_ROOMY = 2


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """A step of training is done, and training waits until it is asked for the next event.

    During a pause the same step is yielded again and again. Events of this kind do not leave the package.

    Attributes
    ----------
    step : how many steps are done.
    network : in training mode; whoever changes it puts it back.
    use_selected : within ``with use_selected() as selected`` the network is in evaluation mode and has the weights
        that training would return if it ended at this step.
    gains : whether held-out pixels were predicted better at their last measurement than by the initial weights.
    seconds_left : how long the remaining steps take at the pace so far.
    """

    step: int
    network: Deconvolver
    use_selected: Callable[[], AbstractContextManager[SelectedWeights]]
    gains: Callable[[], bool]
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training returns.

    Attributes
    ----------
    network : in evaluation mode, with the selected weights.
    losses : history of every term, as reported.
    held_out : (step, error) of every measurement of the held-out blind-spot error.
    steps_done : how many steps were made.
    selected : which weights of the run the network has.
    converged : whether training ended because the held-out error no longer fell, or did not begin to.
    """

    network: Deconvolver
    losses: dict[str, list[float]]
    held_out: list[tuple[int, float]]
    steps_done: int
    selected: SelectedWeights
    converged: bool


def train(
    frames: Sequence[NDArray[np.float32]],
    psf: NDArray[Any],
    config: TrainConfig,
    choice: Choice,
    *,
    bounds: tuple[float, float],
    stop: StopToken,
    weights: Mapping[str, Tensor] | None = None,
    pixels: Sequence[PixelWeights] | None = None,
    cautious: bool = False,
    guides: Sequence[Guide] | None = None,
    writer: CheckpointWriter | None = None,
    resumed: RunState | None = None,
) -> Generator[Event | StepDone, None, Trained]:
    """Train one network on standardised images of one shape.

    Parameters
    ----------
    frames : 2D or 3D float32, zero mean and unit variance.
    psf : same number of axes, unit sum.
    bounds : minimum and maximum of the frames, standardised units.
    stop : read after every step.
    weights : initial weights; None for random ones.
    pixels : how much the pixels of each frame count; None if all are measurements.
    cautious, guides : as `TrainingRun`.
    writer : stores the run from time to time; None to store nothing.
    resumed : state of the same run, to go on from; None to begin.

    Yields
    ------
    Started, then Progress, and a `StepDone` after every step but the last.

    Raises
    ------
    Collapsed
        If the loss explodes, or the result becomes flat or a checkerboard.
    Cancelled
        If ``stop.cancel()`` was called.
    ConfigError
        If ``resumed`` does not fit this run.
    """
    run = TrainingRun(frames, psf, config, choice, bounds, weights, pixels, cautious, guides)
    if resumed is not None:
        restore_state(run, resumed)
    yield run.describe()
    # A process that holds on to freed memory takes more of it, so only where there is plenty.
    roomy = choice.device.type == "cpu" and _ROOMY * run.peak_bytes < free_memory_bytes(choice.device)
    with retained_memory() if roomy else nullcontext():
        return (yield from _make_steps(run, stop, writer, resumed))


def _make_steps(
    run: TrainingRun, stop: StopToken, writer: CheckpointWriter | None, resumed: RunState | None
) -> Generator[Event | StepDone, None, Trained]:
    start = last = time.perf_counter()
    step, ending = 0, False
    if resumed is not None:
        step, ending = resumed.step, resumed.ended
        start -= resumed.seconds
    while not ending:
        step += 1
        values = run.make_step()
        stop.raise_if_cancelled()
        ending = run.selector.gives_up(step) or stop.stopped or run.schedule.steps_left == 0
        held_out = run.inspect(step, values["total"], ending)
        now = time.perf_counter()
        left_s = (now - start) / step * run.schedule.steps_left
        # A report waits for the device, so there are not many.
        if ending or step == 1 or held_out is not None or now - last >= REPORT_EVERY_S:
            last = now
            yield Progress(
                stage="train",
                step=step,
                steps=step + run.schedule.steps_left,
                seconds=now - start,
                eta_s=left_s,
                losses=run.record_losses(values),
                held_out=held_out,
            )
        if writer is not None:
            yield from writer.write_if_due(run, step, now - start, ending)
        if not ending:
            before = time.perf_counter()
            yield from _suspend(step, left_s, run, stop)
            start += time.perf_counter() - before
    return Trained(
        selected=run.selector.load_selected(step),
        network=run.network,
        losses=run.history,
        held_out=run.selector.curve.history,
        steps_done=step,
        converged=run.converged or run.selector.failed,
    )


def _suspend(step: int, left_s: float, run: TrainingRun, stop: StopToken) -> Iterator[StepDone]:
    """Let others look at the network between two steps, for as long as a pause lasts."""
    done = StepDone(
        step=step,
        network=run.network,
        use_selected=partial(run.selector.use_selected, step),
        gains=run.selector.gains,
        seconds_left=left_s,
    )
    while True:
        yield done
        stop.raise_if_cancelled()
        if not stop.paused:
            return
        stop.wait_while_paused(_PAUSE_SLICE_S)
