"""Deconvolve with a network that was trained before."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.compute import device
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.events import Event, Finished, Warned, drain
from napari_selfdeconv.inference.make_ready import make_ready
from napari_selfdeconv.inference.predict import deconvolve_whole, on_device
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.weigh import Weights
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.psf.measure import psf_hash
from napari_selfdeconv.psf.validate import check_psf
from napari_selfdeconv.stop_token import StopToken


def iter_apply_model(
    model: Model,
    image: NDArray[Any],
    *,
    weights: Weights = None,
    tiles: TileConfig | None = None,
    stop: StopToken | None = None,
    device_name: str = "auto",
) -> Generator[Event, None, NDArray[np.float32]]:
    """Deconvolve another image with a trained model, without training; yield events, return the result.

    Parameters
    ----------
    model : from `deconvolve` or `load_model`. Its PSF and settings are used.
    image : array with as many axes as the model's PSF. It is standardised by its own mean and variance. If sample,
        magnification or exposure differ from those of the model, the result may be wrong without a warning.
    weights : as in `iter_deconvolve`.
    tiles : size of the tiles, which changes memory and speed, not the result.
    stop : ``cancel()`` discards the run.
    device_name : "auto", "cpu", "cuda", "cuda:N" or "mps".

    Returns
    -------
    float32, the shape and units of the image.

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
    >>> type(list(iter_apply_model(model, image))[-1]).__name__
    'Finished'
    """
    started = time.perf_counter()
    problem = Problem.of_model(model, image, weights)
    choice = device.choose_device(device_name, model.config.compute.precision)
    problem = yield from make_ready(problem, model.config, stop := stop or StopToken(), choice=choice)
    yield from map(Warned, problem.notes)
    with on_device(model, choice):
        result, _ = yield from deconvolve_whole(model, problem, choice, tiles or TileConfig(), stop)
    yield Finished(seconds=time.perf_counter() - started, steps_done=0, stopped=False)
    return result


def apply_model(
    model: Model,
    image: NDArray[Any],
    *,
    weights: Weights = None,
    tiles: TileConfig | None = None,
    device_name: str = "auto",
    on_event: Callable[[Event], None] | None = None,
) -> NDArray[np.float32]:
    """Deconvolve another image with a trained model, without training.

    Parameters
    ----------
    model, image, weights, tiles, device_name : as in `iter_apply_model`.
    on_event : called with each event, as it happens.

    Returns
    -------
    float32, the shape and units of the image.

    Raises
    ------
    ConfigError, ComputeError
        As `iter_deconvolve`.

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> first, second = np.random.default_rng(0).random((2, 32, 32))
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> model = deconvolve(first, np.ones((3, 3)) / 9, config).model
    >>> apply_model(model, second).shape
    (32, 32)
    """
    work = iter_apply_model(model, image, weights=weights, tiles=tiles, device_name=device_name)
    return drain(work, on_event)


def model_differences(model: Model, psf: NDArray[Any] | None, voxel_um: Sequence[float] | None) -> list[str]:
    """Return sentences about a PSF or voxel size that differs from that of the model's training.

    Parameters
    ----------
    model : trained.
    psf : the PSF of the image, or None if it is unknown.
    voxel_um : voxel size of the image, or None.

    Returns
    -------
    Sentences for the user; an empty list if PSF and voxel size are the same (voxel sizes to 1 %).

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> image, psf = np.random.default_rng(0).random((32, 32)), np.ones((3, 3)) / 9
    >>> model = deconvolve(image, psf, config, voxel_um=(0.1, 0.1)).model
    >>> model_differences(model, psf, (0.2, 0.2))
    ['The model was trained on voxels of 0.1 x 0.1 um and the image has 0.2 x 0.2 um.']
    """
    found = []
    if psf is not None and psf_hash(check_psf(psf, [10**9] * psf.ndim)[0]) != psf_hash(model.given_psf):
        sizes = [" x ".join(map(str, shape)) for shape in (model.given_psf.shape, psf.shape)]
        found.append(
            f"The model was trained with another PSF ({sizes[0]} voxels; the one chosen has {sizes[1]}): "
            "the result is computed with the PSF of the model."
        )
    if voxel_um is not None and model.voxel_um is not None:
        same = len(voxel_um) == len(model.voxel_um) and np.allclose(voxel_um, model.voxel_um, rtol=0.01, atol=0)
        if not same:
            words = [" x ".join(f"{v:g}" for v in voxel) for voxel in (model.voxel_um, voxel_um)]
            found.append(f"The model was trained on voxels of {words[0]} um and the image has {words[1]} um.")
    return found
