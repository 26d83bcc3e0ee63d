"""The check of a PSF that is used without preparation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import as_array
from napari_selfdeconv.psf.measure import (
    Float,
    background_level,
    background_share,
    bright_centre,
    core_centre,
    has_background,
)

#: The paper's PSF, with two equal planes, is off by exactly half a voxel; a thousandth is tolerance.
NEAR_CENTRE = 0.501
# Share of the light in the brightest voxel from which on a PSF blurs nothing.
_POINT = 0.9
# A PSF that rises less than this share of its peak above its border is flat.
_FLAT = 1e-6


def check_psf(
    psf: ArrayLike, image_shape: Sequence[int], *, may_be_larger: bool = False
) -> tuple[NDArray[np.float32], list[str]]:
    """Validate a PSF that is used unchanged, apart from division by its sum.

    Parameters
    ----------
    psf : 2D or 3D array of real numbers, >= 0, of any parity; its centre is taken at ``n // 2``.
    image_shape : shape of the image, as many axes.
    may_be_larger : whether the PSF may be larger than the image; the boundary "open" has room for it.

    Returns
    -------
    psf : float32 copy with sum 1.
    warnings : sentences for the user; empty when all is well.

    Raises
    ------
    ConfigError
        If the PSF is not a real 2D or 3D array, or holds NaN, infinite or negative values or only zeros. Also if
        it has another number of axes than the image, or is larger than the image and may not be.

    Examples
    --------
    >>> kernel, doubts = check_psf([[0, 1, 0], [1, 4, 1], [0, 1, 0]], (64, 64))
    >>> float(kernel[1, 1]), doubts
    (0.5, [])
    """
    data = real_psf(psf)
    shape = tuple(int(n) for n in image_shape)
    if data.ndim != len(shape):
        remedy = (
            "give a 3D PSF, or take one plane or time point of the image"
            if data.ndim < len(shape)
            else "give one plane of the PSF (the one in focus), or a 3D image"
        )
        raise ConfigError(f"the PSF is {data.ndim}D but the image is {len(shape)}D: {remedy}")
    if not may_be_larger and any(p > n for p, n in zip(data.shape, shape, strict=True)):
        raise ConfigError(f"the PSF {data.shape} is larger than the image {shape}: crop it (prepare the PSF)")
    bad = data.size - int(np.count_nonzero(np.isfinite(data)))
    if bad:
        raise ConfigError(f"the PSF holds {bad} NaN or infinite voxels: prepare the PSF, or replace them")
    negative = int(np.count_nonzero(data < 0))
    if negative:
        raise ConfigError(
            f"the PSF holds {negative} negative values (lowest {data.min():.4g}): prepare the PSF (background)"
        )
    if data.max() == 0:
        raise ConfigError("every voxel of the PSF is 0: choose another layer or file")
    peak = float(data.max())
    data /= peak  # before the sum, which could overflow
    warnings = [*_light_warnings(data, peak), *_centre_warnings(data)]
    data /= data.sum()
    return data.astype(np.float32), warnings


def _light_warnings(data: Float, peak: float) -> list[str]:
    """Return sentences about a PSF, divided by its peak, that holds light of no point or more, or no blur."""
    said = []
    level = background_level(data, "auto")
    above = ndimage.gaussian_filter(data, 1.0, mode="nearest") - level
    if min(float(above.max()), 1 - level) < _FLAT:
        return []  # A box has neither background nor spots.
    if has_background(data, level):
        said.append(
            f"the PSF has a background of {level * peak:.3g}, {background_share(data, level):.0%} of all its "
            "light: the result would lose contrast; prepare the PSF (--prepare-psf) to subtract it"
        )
    if data.size > 1 and data.max() > _POINT * data.sum():
        said.append(
            "nearly all light of the PSF lies in one voxel: it blurs nothing, and the result is the image, hardly "
            "changed; compare the voxel sizes of the PSF and the image"
        )
    spots = core_centre(above)[1]
    if spots > 1:
        said.append(
            f"the PSF has {spots} separate bright spots, so every point of the result stands for {spots} in the "
            "image; if it is an image of several beads, crop it to one, or average them (selfdeconv beads)"
        )
    return said


def _centre_warnings(data: Float) -> list[str]:
    off = [c - n // 2 for c, n in zip(bright_centre(data), data.shape, strict=True)]
    if max(abs(o) for o in off) <= NEAR_CENTRE:
        return []
    shift = ", ".join(f"{o:+.1f}" for o in off)
    return [
        f"the PSF's centre is off the middle voxel (n // 2) by ({shift}) voxels: the result will be shifted by as "
        "much the other way; prepare the PSF to centre it"
    ]


def real_psf(psf: ArrayLike) -> Float:
    """Return a 2D or 3D array of real numbers as float64; ConfigError with the reason for anything else."""
    data = as_array("the PSF", psf)
    if data.ndim not in (2, 3) or data.size == 0:
        raise ConfigError(f"the PSF must have 2 or 3 axes and no empty one, got shape {data.shape}")
    return data.astype(np.float64)
