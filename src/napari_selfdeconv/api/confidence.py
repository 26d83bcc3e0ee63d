"""How far a result can be trusted: the residual, scores without a truth, and how much the answers differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.arrays.scaling import LARGEST, extremes
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.checks import check_number, check_voxel, check_whole
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import ConfigError, UnusablePixels
from napari_selfdeconv.events import Event, Finished, Tick, Warned, drain, report_progress
from napari_selfdeconv.holdout.masks import fill_with_noise, stratified_mask
from napari_selfdeconv.inference.check_result import check_finite
from napari_selfdeconv.inference.predict import make_ready, on_device, predict_and_fit, predict_with
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.io.checks import as_array
from napari_selfdeconv.metrics.scores import evaluate_residual
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.psf.near import has_far_light
from napari_selfdeconv.restoration.far_light import estimate_scene
from napari_selfdeconv.stop_token import StopToken

Tile = NDArray[np.float32]


def iter_residual(
    image: NDArray[Any],
    result: NDArray[Any],
    psf: NDArray[Any],
    *,
    weights: Weights = None,
    background: float = 0.0,
    stop: StopToken | None = None,
) -> Generator[Event, None, NDArray[np.float32]]:
    """Return x - g(result), in the image's units: what the result does not explain.

    With a PSF that has far light (longer than 65 voxels, or than the image) light from outside the image is
    estimated, and without a background a constant one is fitted.

    Parameters
    ----------
    image : the recorded image; result : deconvolved from it, the same shape.
    psf : as many axes; the whole one. A PSF that was cropped hides the haze of a widefield stack: the result has
        it, the cropped PSF keeps it, and the residual is white.
    weights : as in `iter_deconvolve`; where a pixel is no measurement the residual is 0.
    background : as in `evaluate_without_truth`.

    Raises
    ------
    ConfigError, Cancelled
        If the shapes differ, a value is not finite, or the PSF cannot be used; and after ``stop.cancel()``.
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
    """Return x - g(result), in the image's units: what the result does not explain.

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
    psf : as many axes; it is divided by its sum. It should be whole, as in `iter_residual`.
    voxel_um : voxel size, for a resolution in um; None gives it in voxels of the last axis.
    weights : as in `iter_deconvolve`; pixels that are no measurement, or saturated, are not compared.
    background : that the image has and the result has not, in the image's units; `background_of` finds it in the
        record of a result.

    Returns
    -------
    ``whiteness``, ``i_divergence``, ``residual_rms`` and ``frc_resolution``: see `evaluate_residual`.

    Raises
    ------
    ConfigError
        If the shapes differ, a value is not finite, or the PSF cannot be used.

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
    backgrounds : that of each result; None is 0 for all. With a PSF that has far light, 0 fits a constant.

    Raises
    ------
    ConfigError, Cancelled
        As `evaluate_without_truth`, and after ``stop.cancel()``.
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
    record : provenance of a result; None has no background.

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
    """Return a result if it can be compared with its image."""
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
    # A copy: torch takes no array that is mirrored or must not be written to.
    return lambda result, level: (
        convolved(Blur(problem.psf), np.array(result, np.float32, order="C")) + np.float32(level)
    )


def iter_uncertainty(
    model: Model,
    image: NDArray[Any],
    *,
    weights: Weights = None,
    masks: int = 4,
    tiles: TileConfig | None = None,
    stop: StopToken | None = None,
    device_name: str = "auto",
    seed: int = 0,
) -> Generator[Event, None, NDArray[np.float32]]:
    """Return the spread of the network's answers: over the PSF's flips and rotations, and over random masks.

    Parameters
    ----------
    model : trained on this image or one like it.
    image : as many axes as the model's PSF.
    masks : random blind spots per view, 1 to 64: as in training, some pixels are replaced by noise.
    weights, tiles, stop, device_name : as `iter_apply_model`.
    seed : of the masks.

    Returns
    -------
    float32 standard deviation in the image's units. It belongs to the result that `apply_model` gives before
    refinement: the border is evened and the gain is fitted in the same way. It shows where the answer depends on
    chance. It cannot show a mistake that all answers share, such as that of a wrong PSF.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> model = deconvolve(image, np.ones((3, 3)) / 9, config).model
    >>> drain(iter_uncertainty(model, image, masks=1)).shape
    (32, 32)
    """
    started = time.perf_counter()
    check_whole("masks", masks, 1, 64)
    problem = Problem.of_model(model, image, weights)
    choice = device.choose_device(device_name, model.config.compute.precision)
    tiles, stop = tiles or TileConfig(), stop or StopToken()
    problem = yield from make_ready(problem, model.config, stop)
    yield from map(Warned, problem.notes)
    gain = 1.0
    with on_device(model, choice):
        if model.config.result.calibrate:
            _, line, tiles = yield from predict_and_fit(model, problem, choice, tiles, stop)
            gain = line.gain
        views = predictors(model, choice, average=True)
        members = [_masked(view, model, masks, seed + i) for i, view in enumerate(views)]
        spread, _ = yield from predict_with([_spread(members)], model, problem.standard, choice, tiles, stop)
    yield Finished(seconds=time.perf_counter() - started, steps_done=len(views) * masks, stopped=False)
    share = 1.0 if problem.far is None else problem.far.share
    scaled: NDArray[np.float32] = (gain * problem.scale.std / share * spread).astype(np.float32)
    check_finite("the uncertainty", scaled)
    return scaled


def uncertainty(
    model: Model, image: NDArray[Any], *, masks: int = 4, device_name: str = "auto", seed: int = 0
) -> NDArray[np.float32]:
    """Return the spread of the network's answers.

    Parameters
    ----------
    model, image, masks, device_name, seed : as in `iter_uncertainty`.

    Returns
    -------
    float32 standard deviation in the image's units; bright places depend on chance.

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> model = deconvolve(image, np.ones((3, 3)) / 9, config).model
    >>> bool(uncertainty(model, image, masks=1).max() > 0)
    True
    """
    return drain(iter_uncertainty(model, image, masks=masks, device_name=device_name, seed=seed))


def _masked(view: Callable[[Tile], Tile], model: Model, masks: int, seed: int) -> Callable[[Tile], list[Tile]]:
    """Return a function that gives a view's answers for a tile under several random masks."""

    def answers(tile: Tile) -> list[Tile]:
        generator = torch.Generator().manual_seed(seed)
        x = torch.from_numpy(tile)[None, None]
        out = []
        for _ in range(masks):
            mask = stratified_mask(1, tile.shape, model.config.blind_spot.mask_percent, generator)
            out.append(view(fill_with_noise(x, mask, model.config.blind_spot.mask_sigma, generator)[0, 0].numpy()))
        return out

    return answers


def _spread(members: list[Callable[[Tile], list[Tile]]]) -> Callable[[Tile], Tile]:
    """Return a function that gives the standard deviation over all answers for a tile, one pass, little memory."""

    def spread(tile: Tile) -> Tile:
        count, mean, squares = 0, np.zeros(tile.shape), np.zeros(tile.shape)
        for member in members:
            for answer in member(tile):
                count += 1
                delta = answer - mean
                mean += delta / count
                squares += delta * (answer - mean)
        return np.sqrt(squares / max(1, count - 1)).astype(np.float32)

    return spread
