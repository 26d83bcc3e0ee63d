"""A result scored by every metric of the registry, against a truth or against the image it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_selfdeconv.metrics.columns import COLUMNS, Residual, TruthPair
from napari_selfdeconv.metrics.full_reference import Units, scale_to_truth


def evaluate(result: ArrayLike, truth: ArrayLike, *, units: Units = "auto") -> dict[str, float]:
    """Score a restored image against the truth, as the benchmark does.

    The result is clipped to [0, 1]. A truth that is an image as stored (integers, or values outside [0, 1])
    is rescaled to [0, 1] by its own minimum and maximum; a truth already inside [0, 1] is left alone.

    Parameters
    ----------
    result, truth : array_like, shape ([z,] y, x)
    units : "auto", "truth" or "unit"
        What the numbers of the result mean: the intensities of the truth ("truth"), or 0 and 1 for the minimum
        and maximum of the truth ("unit"). "auto" decides as `scale_to_truth` says, from the numbers.

    Returns
    -------
    dict
        ``psnr`` in dB, ``ssim``, ``mi``, ``smi``, ``rmse``, and every other metric of the registry that needs a
        truth.

    Raises
    ------
    ConfigError
        As `ssim`; also for a constant truth to rescale, or an integer result beside a floating-point truth.

    References
    ----------
    The protocol is that of Papkov, Palo and Parts 2023, https://doi.org/10.48550/arXiv.2308.09426

    Examples
    --------
    >>> truth = np.linspace(0, 1, 256).reshape(16, 16)
    >>> scores = evaluate(truth + 0.1, truth)
    >>> sorted(scores)
    ['mi', 'psnr', 'rmse', 'smi', 'ssim']
    """
    pair = TruthPair(*scale_to_truth(result, truth, units))
    return {key: column.score(pair) for key, column in COLUMNS.items() if column.needs_truth}


def evaluate_residual(
    result: NDArray[Any],
    image: NDArray[Any],
    reblurred: NDArray[Any],
    voxel_um: Sequence[float] | None = None,
    measured: NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """Score a result against the image that it was made from.

    Parameters
    ----------
    result, image, reblurred : 2D or 3D, the same shape and intensity units; ``reblurred`` is g(result).
    voxel_um : voxel size, for a resolution in um; None gives it in voxels of the last axis.
    measured : as large; pixels where it is False are not compared. None compares all.

    Returns
    -------
    dict with every metric of the registry that needs no truth. ``whiteness`` is that of x - g(result), from 0 to 1
    for white. ``i_divergence`` is that of x and g(result). ``residual_rms`` is in units of the image.
    ``frc_resolution`` is the `fourier_resolution` of the result.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> sorted(evaluate_residual(image, image, image))
    ['frc_resolution', 'i_divergence', 'residual_rms', 'whiteness']
    """
    found = Residual(result, np.asarray(image, np.float64), np.asarray(reblurred, np.float64), voxel_um, measured)
    return {key: column.score(found) for key, column in COLUMNS.items() if not column.needs_truth}
