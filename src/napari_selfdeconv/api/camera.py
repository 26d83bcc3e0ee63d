"""The background, noise and photons of an image, reported before a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.scaling import extremes_in_range
from napari_selfdeconv.inference.weigh import Weights, weigh_pixels
from napari_selfdeconv.io.checks import as_array, check_layout
from napari_selfdeconv.physics import camera
from napari_selfdeconv.physics.camera import CameraReport, Known


def report_camera(
    image: NDArray[Any],
    *,
    weights: Weights = None,
    offset: float | None = None,
    gain: float | None = None,
    read_noise: float | None = None,
) -> CameraReport:
    """Return background, gain, noise and photons of an image.

    Parameters
    ----------
    image : 2D or 3D.
    weights : as in `iter_deconvolve`; pixels of weight 0 are left out.
    offset, gain, read_noise : known values of the camera, as in `Classical`. A value of None is estimated.

    Raises
    ------
    ConfigError
        If the image is not 2D or 3D, a value of the camera is impossible, or the weights do not fit.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> image = random.poisson(40 + 30 * np.sin(np.arange(128) / 9) * np.ones((128, 1))) + 100.0
    >>> report_camera(image).describe().startswith("background 10")
    True
    """
    data, measured = _measured(image, weights)
    return camera.report_camera(data, measured, Known(offset, gain, read_noise))


def estimate_background(
    image: NDArray[Any],
    *,
    weights: Weights = None,
    varying: bool = False,
    offset: float | None = None,
    gain: float | None = None,
    read_noise: float | None = None,
) -> NDArray[np.float32]:
    """Return the background that a classical method uses for this image, to show it as a layer.

    Parameters
    ----------
    image : 2D or 3D.
    varying : whether it varies over the field of view, as `Classical` with the background "varying".
    weights, offset, gain, read_noise : as in `report_camera`.

    Returns
    -------
    float32 array with the shape and units of the image. Do not write to it, because planes may share memory.

    Raises
    ------
    ConfigError
        As `report_camera`.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> image = random.poisson(40 + 30 * np.sin(np.arange(128) / 9) * np.ones((128, 1))) + 100.0
    >>> background = estimate_background(image)
    >>> background.shape, bool(90 < background.mean() < 115)
    ((128, 128), True)
    """
    data, measured = _measured(image, weights)
    found = camera.estimate_background(data, measured, known=Known(offset, gain, read_noise), varies=varying)
    return np.broadcast_to(np.asarray(found.whole, np.float32), data.shape)


def _measured(image: NDArray[Any], weights: Weights) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    data = as_array("the image", image)
    check_layout("the image", data)
    filled, pixels, _ = weigh_pixels(data, weights)
    extremes_in_range(filled)
    return filled, None if pixels is None else pixels.measured
