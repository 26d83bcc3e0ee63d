"""Evidence of the error of a result without a truth, from simulated recordings of the result.

The result f is blurred and gets the noise of the image again (`another_recording`). The network deconvolves that
image, whose truth is f. The distance of the answer from f shows the effect of noise and blur on this object. This
is the parametric bootstrap, and because the network averages the symmetries of the PSF, also the equivariant one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.events import Event, Progress, Warned, mapped
from napari_selfdeconv.inference.first_estimate import with_new_estimate
from napari_selfdeconv.inference.predict import deconvolve_whole
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.inference.resample import another_recording
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.physics.noise import has_outliers
from napari_selfdeconv.stop_token import StopToken

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """The evidence. Arrays have the shape and the units of the result.

    Attributes
    ----------
    result : deconvolved image.
    change : root of the mean squared change of the answers for other recordings.
    departure : how far the result is from that of the initial weights; 0 where these are not known.
    noise : standard deviation of the noise of the image, robust.
    width : width of the PSF in voxels: the root of how many voxels share its light.
    hazy : whether far light was subtracted from the image.
    outliers : whether the image has outliers (`has_outliers`).
    """

    result: Array
    change: Array
    departure: Array
    noise: float
    width: float
    hazy: bool
    outliers: bool


def gather_evidence(
    model: Model,
    problem: Problem,
    choice: Choice,
    tiles: TileConfig,
    stop: StopToken,
    *,
    initial: Array | None,
    samples: int,
    seed: int,
) -> Generator[Event, None, Evidence]:
    """Deconvolve an image, and ``samples`` other recordings of the result; the model is on its device.

    Parameters
    ----------
    model, problem, choice, tiles, stop : as in `deconvolve_whole`.
    initial : result of the initial weights, if they are known.
    samples : how many other recordings, >= 1.
    seed : seed of their noise.
    """
    share = 1.0 if problem.far is None else problem.far.share
    refiner, total = Refiner(choice.device), samples + 1

    def deconvolve(one: Problem, number: int) -> Generator[Event, None, Array]:
        # The expected image is that of the network: bright points are not in it.
        work = deconvolve_whole(model, replace(one, bright=None), choice, tiles, stop, refiner)
        result, _ = yield from mapped(work, _counted(number, total))
        return result

    result = yield from deconvolve(problem, 0)
    if refiner.expected is not None and problem.far is not None:
        expected = refiner.expected - problem.far.light
    else:
        expected = convolved(Blur(model.psf, boundary=model.config.boundary), share * result)
    image = problem.image.astype(np.float32, copy=False)
    measured = None if problem.weights is None else problem.weights.measured
    random = np.random.default_rng(seed)
    squares = np.zeros(result.shape)
    for number in range(1, total):
        again = replace(problem, image=another_recording(expected, image, random, measured))
        if model.network.takes_estimate:
            again = yield from mapped(with_new_estimate(again, choice, stop), _counted(number, total))
        answer = yield from deconvolve(again, number)
        squares += (answer - result).astype(np.float64) ** 2
    counts = ... if measured is None else measured
    left = (image - expected)[counts]
    if problem.bright is not None:
        result = result + problem.bright.light / np.float32(share)
    return Evidence(
        result=result,
        change=np.sqrt(squares / samples).astype(np.float32),
        departure=np.zeros_like(result) if initial is None else np.abs(initial - result),
        noise=1.4826 * float(np.median(np.abs(left - np.median(left)))) / share,
        width=float((model.psf.astype(np.float64) ** 2).sum()) ** -0.5,
        hazy=problem.far is not None,
        outliers=has_outliers(image[counts], expected[counts]),
    )


def _counted(number: int, total: int) -> Callable[[Event], Event | None]:
    """Return the events of one deconvolution as those of part ``number`` of ``total``; it warns the first time."""

    def change(event: Event) -> Event | None:
        if isinstance(event, Progress):
            return replace(event, step=number * event.steps + event.step, steps=total * event.steps)
        return None if number and isinstance(event, Warned) else event

    return change
