"""The last changes to a problem before a run: independent noise, and neither far light nor bright points."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from napari_selfdeconv.compute.device import Choice, choose_device
from napari_selfdeconv.config.training import Boundary, TrainConfig
from napari_selfdeconv.events import Event, report_progress
from napari_selfdeconv.inference.predict import computing
from napari_selfdeconv.inference.prepare import Problem, scale_of
from napari_selfdeconv.physics.independent_noise import make_independent, subtract_stripes
from napari_selfdeconv.restoration.bright_points import separate_bright_points
from napari_selfdeconv.restoration.far_light import estimate_far_light
from napari_selfdeconv.stop_token import StopToken

#: Name of the stage in which the far light is estimated, in `Progress`.
HAZE_STAGE = "haze"
#: The same of the stage in which bright points are deconvolved.
POINTS_STAGE = "points"
NOISE_ADDED = (
    "Noise was added to the image before the run, so that the noise of neighbouring pixels is independent again: "
    "shared noise would look like structure in the result."
)
BRIGHT = (
    "Points far brighter than the rest of the image: {count}. Richardson-Lucy deconvolves them, and the "
    "network the rest, because a network makes the surroundings of such points too dark."
)
STRIPES_SUBTRACTED = "The offsets of rows and columns were estimated and subtracted before the run."


def make_ready(
    problem: Problem,
    config: TrainConfig,
    stop: StopToken,
    *,
    choice: Choice | None = None,
    in_tiles: bool = False,
) -> Generator[Event, None, Problem]:
    """Return the problem in the form for a network: with independent noise, without far light and bright points.

    Parameters
    ----------
    config : settings; the boundary, the device and whether the result is refined are used.
    choice : device to compute on; None takes that of ``config``.
    in_tiles : whether the result is written tile by tile: bright points then stay in the image.
    """
    problem = with_independent_noise(problem)
    choice = choice or choose_device(config.compute.device, config.compute.precision)
    with computing():
        keeps = config.result.refine
        problem = yield from without_far_light(problem, config.boundary, choice, stop, keep_scene=keeps)
        return problem if in_tiles else (yield from without_bright_points(problem, choice, stop))


def with_independent_noise(problem: Problem) -> Problem:
    """Return the problem with an image whose pixels do not share their noise (`physics.independent_noise`)."""
    if not problem.shared_noise or problem.noise_changes:
        return problem
    image: NDArray[Any] = problem.image
    done: dict[str, str] = {}
    if "stripes" in problem.shared_noise:
        image, done["stripes subtracted"] = subtract_stripes(image), STRIPES_SUBTRACTED
    if (
        set(problem.shared_noise) - {"stripes"}
        and (whole := make_independent(image, problem.given_psf)) is not None
    ):
        image, done["noise added"] = whole, NOISE_ADDED
    if not done:
        return problem
    scale, notes = scale_of(image, problem.weights), (*problem.notes, *done.values())
    return replace(problem, image=image, scale=scale, notes=notes, noise_changes=tuple(done))


def without_far_light(
    problem: Problem, boundary: Boundary, choice: Choice, stop: StopToken, *, keep_scene: bool = False
) -> Generator[Event, None, Problem]:
    """Return the problem of the compact PSF: background and far light are subtracted.

    Without ``whole_psf`` the problem is returned as it is. Parameters as in `estimate_far_light`.

    Raises
    ------
    Cancelled
        After ``stop.cancel()``.
    """
    if problem.whole_psf is None or problem.far is not None:
        return problem
    # A stop keeps the result so far, which needs all of this; only a cancellation ends it.
    work = estimate_far_light(
        problem.image,
        problem.whole_psf,
        problem.psf.shape,
        boundary,
        choice.device,
        StopToken(),
        weights=problem.weights,
        keep_scene=keep_scene,
    )
    far = yield from report_progress(work, HAZE_STAGE, stop)
    near = far.subtract(problem.image, problem.weights)
    return replace(problem, image=near, scale=scale_of(near, problem.weights), far=far)


def without_bright_points(problem: Problem, choice: Choice, stop: StopToken) -> Generator[Event, None, Problem]:
    """Return the problem of the image without bright points (`separate_bright_points`); it may be the same.

    It is the same after far light was subtracted: the network then sees bright points in the first estimate,
    and makes no ring. A simulated stack with a star gave 46.6 dB, and 37.2 dB with its star apart.

    Raises
    ------
    Cancelled
        After ``stop.cancel()``.
    """
    if problem.bright is not None or problem.far is not None:
        return problem
    device = choice.device
    work = separate_bright_points(
        problem.image, problem.psf, problem.scale, device, StopToken(), weights=problem.weights
    )
    bright = yield from report_progress(work, POINTS_STAGE, stop)
    if bright is None:
        return problem
    image = problem.image - bright.blurred
    notes = (*problem.notes, BRIGHT.format(count=bright.count))
    return replace(problem, image=image, scale=scale_of(image, problem.weights), bright=bright, notes=notes)
