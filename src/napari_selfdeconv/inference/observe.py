"""Previews and interim results of a network in training, made while training waits between two steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.compute.device import Choice, release_memory
from napari_selfdeconv.compute.failures import translate_errors
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.errors import ComputeError
from napari_selfdeconv.events import INTERIM_STAGE, Event, Interim, Progress, Warned, expanded, mapped
from napari_selfdeconv.inference.preview import Previewer
from napari_selfdeconv.network.model import Deconvolver, Model
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.loop import StepDone
from napari_selfdeconv.training.model_selection import INITIAL, SelectedWeights

DeconvolveWhole = Callable[[Model], Generator[Event, None, NDArray[np.float32]]]
_T = TypeVar("_T")
# Training continues for this many times as long as the last better result took, before there is another.
_PATIENCE = 4.0
# There is no better result if the final one follows within this many times as long: the wait for it would grow.
_WORTH = 2.0


class TrainingObserver:
    """Makes previews and interim results of a network in training.

    An error in a preview or in an interim result is reported to the user, and training continues.

    Parameters
    ----------
    previewer : makes the previews; None for no previews.
    deconvolve : deconvolves the whole image with a model; None if results cannot be asked for.
    make_model : from a network, the steps done and the selected weights to a model with its provenance.
    stop : says whether a result was asked for.
    improvements : makes better results while training continues; None for no such results.
    """

    def __init__(
        self,
        previewer: Previewer | None,
        deconvolve: DeconvolveWhole | None,
        make_model: Callable[[Deconvolver, int, SelectedWeights], Model],
        stop: StopToken,
        choice: Choice,
        improvements: Improvements | None = None,
    ) -> None:
        self._previewer, self._deconvolve = previewer, deconvolve
        self._make_model, self._stop, self._choice = make_model, stop, choice
        self._improvements = improvements

    def observe(self, done: StepDone) -> Iterator[Event]:
        """Yield a preview when it is time for one, the interim result if it was asked for, or a better result."""
        yield from self._preview(done)
        if self._deconvolve is not None and self._stop.take_request():
            yield from _make_interim(done, self._deconvolve, self._make_model, self._choice)
        elif self._improvements is not None and not self._stop.paused:
            yield from self._improvements.observe(done)

    def _preview(self, done: StepDone) -> Iterator[Event]:
        if self._previewer is None:
            return
        try:
            with translate_errors():
                event: Event | None = self._previewer.make_preview(done.step, done.network, self._stop)
        except ComputeError as error:
            event = Warned(f"There are no more previews in this run, because {error.problem}. Training goes on.")
            self._previewer = None
        if event is not None:
            yield event


class Improvements:
    """The instant result, then better ones while training goes on.

    Parameters
    ----------
    deconvolve : deconvolves the whole image with a model.
    make_model : as in `TrainingObserver`.
    """

    def __init__(
        self,
        deconvolve: DeconvolveWhole,
        make_model: Callable[[Deconvolver, int, SelectedWeights], Model],
        choice: Choice,
    ) -> None:
        self._deconvolve, self._make_model, self._choice = deconvolve, make_model, choice
        self._next, self._seconds = math.inf, 0.0

    def begin(self, network: Deconvolver) -> Iterator[Event]:
        """Yield the result of the initial weights, which ``network`` has, as the interim result of step 0."""
        done = StepDone(
            step=0,
            network=network,
            use_selected=lambda: nullcontext(INITIAL),
            gains=lambda: True,
            seconds_left=math.inf,
        )
        with retained_memory():
            yield from self._improve(done)

    def observe(self, done: StepDone) -> Iterator[Event]:
        """Yield a better result if it is time for one and held-out pixels are predicted better than at first."""
        worth = done.seconds_left >= _WORTH * self._seconds
        if worth and time.perf_counter() >= self._next and done.gains():
            yield from self._improve(done)

    def _improve(self, done: StepDone) -> Iterator[Event]:
        started = time.perf_counter()
        yield from _make_interim(done, self._deconvolve, self._make_model, self._choice, improves=True)
        ended = time.perf_counter()
        self._seconds = max(self._seconds, ended - started)
        self._next = ended + _PATIENCE * self._seconds


def _make_interim(
    done: StepDone,
    deconvolve: DeconvolveWhole,
    make_model: Callable[[Deconvolver, int, SelectedWeights], Model],
    choice: Choice,
    improves: bool = False,
) -> Generator[Event, None, None]:
    image, problem = None, ""
    with done.use_selected() as selected:
        if improves and selected.share == 0:
            return
        model = make_model(done.network, done.step, selected)
        try:
            with translate_errors():
                work = deconvolve(model)
                # Before training the stages are those of a result.
                image = yield from mapped(work, _as_interim) if done.step else work
        except ComputeError as error:
            problem = error.problem
    if image is not None:
        yield Interim(
            step=done.step,
            image=image,
            provenance=model.provenance,
            psf=model.given_psf,
            improves=improves,
        )
        return
    # Not in the except block: until it ends the error holds the frames, and they hold the memory.
    release_memory(choice.device)
    yield Warned(f"There is no result of step {done.step}, because {problem}. Training goes on.")


def _as_interim(event: Event) -> Event:
    """Give progress the stage of an interim result, because training is under way."""
    return replace(event, stage=INTERIM_STAGE, part=event.stage) if isinstance(event, Progress) else event


def observe_steps(
    work: Generator[Event | StepDone, None, _T], observer: TrainingObserver
) -> Generator[Event, None, _T]:
    """Yield the events of a training and those of ``observer`` after every step; return the result of training."""
    return (yield from expanded(work, lambda one: observer.observe(one) if isinstance(one, StepDone) else (one,)))
