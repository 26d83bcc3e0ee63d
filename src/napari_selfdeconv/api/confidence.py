"""How far a result can be trusted: the residual, and how much the network's own answers differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.compute import device
from napari_selfdeconv.config.checks import check_whole
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, drain
from napari_selfdeconv.holdout.masks import fill_with_noise, stratified_mask
from napari_selfdeconv.inference.predict import on_device, predict_with
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.stop_token import StopToken

Tile = NDArray[np.float32]


def residual(image: NDArray[Any], result: NDArray[Any], psf: NDArray[Any]) -> NDArray[np.float32]:
    """Return x - g(result), in the image's units: what the result does not explain.

    Parameters
    ----------
    image : the recorded image; result : deconvolved from it, the same shape.
    psf : as many axes.

    Raises
    ------
    ConfigError
        If the shapes differ or the PSF cannot be used.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((16, 16))
    >>> float(np.abs(residual(image, image, np.ones((1, 1)))).max()) < 1e-6
    True
    """
    if image.shape != result.shape:
        raise ConfigError(
            f"the result has shape {result.shape} and the image {image.shape}: they must be the same"
        )
    kernel = Problem.of(image, psf).psf
    with torch.inference_mode():
        blurred = Blur(kernel)(torch.as_tensor(np.asarray(result, np.float32))[None, None])
    left: NDArray[np.float32] = (np.asarray(image, np.float64) - blurred[0, 0].numpy()).astype(np.float32)
    return left


def iter_uncertainty(
    model: Model,
    image: NDArray[Any],
    *,
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
    tiles, stop, device_name : as `iter_apply_model`.
    seed : of the masks.

    Returns
    -------
    float32 standard deviation in the image's units. It shows where the answer depends on chance; a mistake that
    all answers share (a wrong PSF) it cannot show.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.
    """
    started = time.perf_counter()
    check_whole("masks", masks, 1, 64)
    problem = Problem.of_model(model, image)
    choice = device.choose_device(device_name, model.config.precision)
    with on_device(model, choice):
        views = predictors(model, choice, average=True)
        members = [_masked(view, model, masks, seed + i) for i, view in enumerate(views)]
        work = predict_with(
            [_spread(members)],
            model,
            problem.pieces,
            choice,
            tiles or TileConfig(),
            stop or StopToken(),
        )
        spread, _ = yield from work
    yield Finished(seconds=time.perf_counter() - started, steps_done=len(views) * masks, stopped=False)
    scaled: NDArray[np.float32] = (problem.scale.std * spread).astype(np.float32)
    return scaled


def uncertainty(
    model: Model, image: NDArray[Any], *, masks: int = 4, device_name: str = "auto", seed: int = 0
) -> NDArray[np.float32]:
    """Return the spread of the network's answers; see `iter_uncertainty`."""
    return drain(iter_uncertainty(model, image, masks=masks, device_name=device_name, seed=seed))


def _masked(view: Callable[[Tile], Tile], model: Model, masks: int, seed: int) -> Callable[[Tile], list[Tile]]:
    """Return a function that gives a view's answers for a tile under several random masks."""

    def answers(tile: Tile) -> list[Tile]:
        generator = torch.Generator().manual_seed(seed)
        x = torch.from_numpy(tile)[None, None]
        out = []
        for _ in range(masks):
            mask = stratified_mask(1, tile.shape, model.config.mask_percent, generator)
            out.append(view(fill_with_noise(x, mask, model.config.mask_sigma, generator)[0, 0].numpy()))
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
