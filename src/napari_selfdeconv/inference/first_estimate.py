"""The first estimate of a stack whose far light was subtracted, made again: of another image, or for training."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Event, report_progress
from napari_selfdeconv.holdout.guide import Guide, choose_hidden
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.far_light import estimate_inside
from napari_selfdeconv.stop_token import StopToken

#: Name of the stage in which the first estimate is made again, in `Progress`.
ESTIMATE_STAGE = "estimate"


def with_new_estimate(problem: Problem, choice: Choice, stop: StopToken) -> Generator[Event, None, Problem]:
    """Return a problem with the first estimate of its image as it is now; without far light, the same.

    Raises
    ------
    Cancelled
        After ``stop.cancel()``.
    """
    if problem.far is None:
        return problem
    estimate = yield from estimate_again(problem, problem.weights, choice, stop)
    return replace(problem, far=replace(problem.far, estimate=estimate))


def make_guide(
    problem: Problem, config: TrainConfig, frame: int, choice: Choice, stop: StopToken
) -> Generator[Event, None, Guide]:
    """Return the input of a network in training besides the image, from which far light was subtracted.

    Parameters
    ----------
    problem : frame of the run.
    config : settings of the run.
    frame : number of the frame among those of the run.
    choice, stop : as elsewhere.

    Raises
    ------
    Cancelled
        After ``stop.cancel()``.
    """
    hidden = choose_hidden(problem.standard, config, config.seed + frame)
    values, at_least = np.ones(problem.image.shape, np.float32), None
    if problem.weights is not None:
        values, at_least = problem.weights.values.astype(np.float32), problem.weights.at_least
    weights = PixelWeights(np.where(hidden, np.float32(0), values), at_least)
    # After a stop there is at most one more step.
    estimate = yield from estimate_again(problem, weights, choice, stop, until=stop)
    return Guide(estimate=problem.scale.apply(estimate), hidden=hidden)


def estimate_again(
    problem: Problem,
    weights: PixelWeights | None,
    choice: Choice,
    stop: StopToken,
    until: StopToken | None = None,
) -> Generator[Event, None, NDArray[np.float32]]:
    """Return the first estimate with other ``weights``; a stop of ``until`` ends it early, in image units."""
    assert problem.far is not None
    image, share, until = problem.image + problem.far.light, problem.far.share, until or StopToken()
    work = estimate_inside(image, problem.given_psf, share, choice.device, until, weights=weights)
    return (yield from report_progress(work, ESTIMATE_STAGE, stop))
