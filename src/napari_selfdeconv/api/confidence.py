"""How well a result explains its image: the residual, and scores without a truth."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.arrays.scaling import LARGEST, extremes
from napari_selfdeconv.config.checks import check_number, check_voxel
from napari_selfdeconv.errors import ConfigError, UnusablePixels
from napari_selfdeconv.events import Event, Tick, drain, report_progress
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.io.checks import as_array
from napari_selfdeconv.metrics.scores import evaluate_residual
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.psf.near import has_far_light
from napari_selfdeconv.restoration.far_light import estimate_scene
from napari_selfdeconv.stop_token import StopToken


def iter_residual(
    image: NDArray[Any],
    result: NDArray[Any],
    psf: NDArray[Any],
    *,
    weights: Weights = None,
    background: float = 0.0,
    stop: StopToken | None = None,
) -> Generator[Event, None, NDArray[np.float32]]:
    """Return the residual x - g(result) in the units of the image: what the result does not explain.

    If the PSF has far light (longer than 65 voxels, or than the image), light from outside the image is estimated.
    In this case a constant background is fitted if none is given.

    Parameters
    ----------
    image, result : the recorded image, and the array that was deconvolved from it, of the same shape.
    psf : the whole PSF, with as many axes. A cropped PSF hides haze in the result of a widefield stack: the haze
        of the result stays haze after the blur, and the residual is white.
    weights : as in `iter_deconvolve`. The residual is 0 at pixels of weight 0.
    background : as in `evaluate_without_truth`.

    Raises
    ------
    ConfigError, Cancelled
        If the shapes differ, a value is not finite, or the PSF cannot be used; and after ``stop.cancel()``.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((16, 16))
    >>> float(np.abs(drain(iter_residual(image, image, np.ones((1, 1))))).max()) < 1e-6
    True
    """
    problem = Problem.of(image, psf, weights=weights, psf_may_be_larger=True)
    checked = _checked(result, problem)
    level = check_number("background", background, -1e30, 1e30)
    stop = stop or StopToken()
    reblurred = (yield from report_progress(_reblurring(problem, stop), "reblur", stop))(checked, level)
    left: NDArray[np.float32] = (problem.image.astype(np.float64) - reblurred).astype(np.float32)
    if problem.weights is not None:
        left[~problem.weights.measured] = 0
    return left


def residual(
    image: NDArray[Any],
    result: NDArray[Any],
    psf: NDArray[Any],
    *,
    weights: Weights = None,
    background: float = 0.0,
) -> NDArray[np.float32]:
    """Return the residual x - g(result) in the units of the image: what the result does not explain.

    Parameters
    ----------
    image, result, psf, weights, background : as in `iter_residual`.

    Returns
    -------
    float32, the shape of the image. It should look like noise; an outline of the object means that light was lost
    or invented there.

    Raises
    ------
    ConfigError
        If the shapes differ, a value is not finite, or the PSF cannot be used.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((16, 16))
    >>> float(np.abs(residual(image, image, np.ones((1, 1)))).max()) < 1e-6
    True
    """
    return drain(iter_residual(image, result, psf, weights=weights, background=background))


def evaluate_without_truth(
    result: NDArray[Any],
    image: NDArray[Any],
    psf: NDArray[Any],
    voxel_um: Sequence[float] | None = None,
    *,
    weights: Weights = None,
    background: float = 0.0,
) -> dict[str, float]:
    """Score a result against the image it was made from.

    Parameters
    ----------
    result, image : 2D or 3D, the same shape and intensity units.
    psf : the whole PSF, as in `iter_residual`. It is divided by its sum.
    voxel_um : voxel size, for a resolution in um; None gives it in voxels of the last axis.
    weights : as in `iter_deconvolve`. Pixels of weight 0 and saturated pixels are not compared.
    background : background of the image that the result does not contain, in the units of the image.
        `background_of` finds it in the record of a result.

    Returns
    -------
    ``whiteness``, ``i_divergence``, ``residual_rms`` and ``frc_resolution``: see `evaluate_residual`.

    Raises
    ------
    ConfigError
        If the shapes differ, a value is not finite, or the PSF cannot be used.

    References
    ----------
    ``frc_resolution``: Koho et al. 2019, https://doi.org/10.1038/s41467-019-11024-z

    Examples
    --------
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> found = evaluate_without_truth(image, image, np.ones((1, 1)))
    >>> round(found["residual_rms"], 6)
    0.0
    """
    work = iter_evaluate_without_truth([result], image, psf, voxel_um, weights=weights, backgrounds=[background])
    return drain(work)[0]


def iter_evaluate_without_truth(
    results: Sequence[NDArray[Any]],
    image: NDArray[Any],
    psf: NDArray[Any],
    voxel_um: Sequence[float] | None = None,
    *,
    weights: Weights = None,
    backgrounds: Sequence[float] | None = None,
    stop: StopToken | None = None,
) -> Generator[Event, None, list[dict[str, float]]]:
    """Score several results of one image; see `evaluate_without_truth`.

    Parameters
    ----------
    backgrounds : one for each result; None means 0 for all. If the PSF has far light, a constant is fitted for 0.

    Raises
    ------
    ConfigError, Cancelled
        As `evaluate_without_truth`, and after ``stop.cancel()``.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> scores = drain(iter_evaluate_without_truth([image, 0.5 * image], image, np.ones((1, 1))))
    >>> scores[0]["residual_rms"] < scores[1]["residual_rms"]
    True
    """
    problem = Problem.of(image, psf, weights=weights, psf_may_be_larger=True)
    voxel = None if voxel_um is None else check_voxel("voxel_um", voxel_um, problem.image.ndim)
    checked = [_checked(result, problem) for result in results]
    measured = None if problem.weights is None else problem.weights.measured
    levels = [0.0] * len(checked) if backgrounds is None else backgrounds
    levels = [check_number("background", level, -1e30, 1e30) for level in levels]
    stop = stop or StopToken()
    reblur = yield from report_progress(_reblurring(problem, stop), "reblur", stop)
    return [
        evaluate_residual(result, problem.image, reblur(result, level), voxel, measured)
        for result, level in zip(checked, levels, strict=True)
    ]


def background_of(record: Mapping[str, Any] | None) -> float:
    """Return the background that a result lacks, by its record; 0 if the result has the background of its image.

    Parameters
    ----------
    record : provenance of a result; None gives 0.

    Examples
    --------
    >>> background_of({"background": {"mean": 100.5}}), background_of(None)
    (100.5, 0.0)
    """
    found = (record or {}).get("background")
    if not isinstance(found, Mapping):
        return 0.0
    # Older records have no mean of the background.
    return float(found.get("mean", found.get("constant", 0.0)))


def _checked(result: NDArray[Any], problem: Problem) -> NDArray[Any]:
    """Return a result as an array, after checking that it can be compared with its image."""
    data = as_array("the result", result)
    if problem.image.shape != data.shape:
        raise ConfigError(
            f"the result has shape {data.shape} and the image {problem.image.shape}: they must be the same"
        )
    if max(abs(value) for value in extremes(data, "the result")) > LARGEST:
        raise UnusablePixels(f"the result has values beyond {LARGEST:g}: divide image and result first")
    return data


def _reblurring(
    problem: Problem, stop: StopToken
) -> Generator[Tick, None, Callable[[NDArray[Any], float], NDArray[np.float32]]]:
    """Return the function from a result and its background to g(result)."""
    if has_far_light(problem.psf.shape, problem.image.shape):
        scene = yield from estimate_scene(
            problem.image, problem.psf, torch.device("cpu"), stop, weights=problem.weights
        )

        def seen(result: NDArray[Any], level: float) -> NDArray[np.float32]:
            expected = scene.expected(result)
            measured = ... if problem.weights is None else problem.weights.measured
            expected += np.float32(level or (problem.image - expected)[measured].mean(dtype=np.float64))
            return expected

        return seen
    if any(k > n for k, n in zip(problem.psf.shape, problem.image.shape, strict=True)):
        raise ConfigError(f"the PSF {problem.psf.shape} is larger than the image {problem.image.shape}: crop it")
    # A copy, because torch does not accept mirrored or read-only arrays.
    return lambda result, level: (
        convolved(Blur(problem.psf), np.array(result, np.float32, order="C")) + np.float32(level)
    )
