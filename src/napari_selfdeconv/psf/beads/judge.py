"""The selection of single, whole, well exposed beads, and the size of the window that fits between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_selfdeconv.psf.beads.find import Spots
from napari_selfdeconv.psf.beads.settings import BeadSettings

Float = NDArray[np.float64]
Half = tuple[int, ...]

_LATERAL = 4.5  # half a window, in widths of a bead
_AXIAL = 3.0
_LEAST = 1.5
_FLAT = 4  # voxels of exactly the same value at the top of a bead
_ROOM = 0.8  # share of the beads for which a suggested window must have room


def suggest_half(spots: Spots, chosen: NDArray[np.bool_], shape: tuple[int, ...]) -> Half:
    """Return half the window in voxels: wide enough for the light, small enough for most of the chosen beads.

    Parameters
    ----------
    spots : all that was found.
    chosen : which of them are candidates.
    shape : shape of the image.
    """
    bright = chosen & (spots.heights >= 0.3 * spots.typical)
    positions = spots.positions[bright] if bright.any() else spots.positions[chosen]
    fwhm = np.asarray(spots.fwhm)
    share = np.array([_AXIAL, _LATERAL, _LATERAL][-len(shape) :])
    edge = np.minimum(positions, np.asarray(shape) - 1 - positions)
    apart = _distances(positions, spots.positions[spots.is_bead], fwhm)
    # Neighbours count in widths: a window of s widths either side is free of light from 2 s widths on.
    free = np.quantile(apart, 1 - _ROOM) - 0.5 if len(apart) else math.inf
    widths = np.maximum(np.minimum(share, free), _LEAST) * fwhm
    room = np.quantile(edge, 1 - _ROOM, axis=0)
    half = np.minimum(np.ceil(widths), np.maximum(np.floor(room), np.ceil(fwhm)))
    return tuple(int(min(h, (n - 1) // 2)) for h, n in zip(half, shape, strict=True))


def _distances(positions: NDArray[np.int64], others: NDArray[np.int64], fwhm: Float) -> Float:
    """Return each bead's distance to its nearest neighbour: the largest over the axes, in widths."""
    nearest = []
    for position in positions:
        apart = np.max(np.abs(others - position) / fwhm, axis=1)
        apart = apart[apart > 0]
        if len(apart):
            nearest.append(float(apart.min()))
    return np.array(nearest)


def judge(
    image: NDArray[Any],
    spots: Spots,
    candidates: NDArray[np.int64],
    half: Half,
    settings: BeadSettings,
) -> list[str]:
    """Return for each candidate why it cannot be used, "" if it can.

    Parameters
    ----------
    image : as recorded, in its own data type.
    spots : all that was found in it.
    candidates : indices into ``spots``.
    half : half the window in voxels.
    settings : the limits.

    Notes
    -----
    Each bead is judged alone. Outliers are found later, by comparison with the average.
    """
    dim = settings.min_brightness * spots.typical
    threshold = 0.0 if settings.threshold is None else settings.threshold
    reasons = []
    for index in candidates:
        position, height = spots.positions[index], float(spots.heights[index])
        if is_saturated(image, tuple(position), height, spots.fwhm, settings.saturation):
            reasons.append("saturated")
        elif np.any(position < half) or np.any(position + half >= image.shape):
            reasons.append("clipped")
        elif _has_neighbour(spots, int(index), half, settings.neighbour_share):
            reasons.append("overlapping")
        elif height < max(dim, threshold):
            reasons.append("dim")
        else:
            reasons.append("")
    return reasons


def _has_neighbour(spots: Spots, index: int, half: Half, share: float) -> bool:
    # A bead whose middle lies half its width outside still puts light into the window.
    reach = np.asarray(half) + np.asarray(spots.fwhm) / 2
    near = np.all(np.abs(spots.positions - spots.positions[index]) <= reach, axis=1)
    near &= spots.heights >= max(share * spots.heights[index], 0)
    near[index] = False
    return bool(near.any())


def is_saturated(
    image: NDArray[Any],
    position: tuple[int, ...],
    height: float,
    fwhm: tuple[float, ...],
    limit: float | None = None,
) -> bool:
    """Return whether a bead reaches ``limit``, the top of an integer type, or has a flat top.

    A flat top is four or more touching voxels of exactly the brightest value, and twice as many as whole grey
    levels explain on a bead of this height and width.

    Examples
    --------
    >>> y, x = np.mgrid[:21, :21]
    >>> bead = 5000 * np.exp(-((y - 10) ** 2 + (x - 10) ** 2) / 8)
    >>> clipped = np.minimum(bead, 4095).astype(np.uint16)
    >>> is_saturated(clipped, (10, 10), 4000, (4.7, 4.7)), is_saturated(bead, (10, 10), 5000, (4.7, 4.7))
    (True, False)
    """
    reach = [math.ceil(w) for w in fwhm]
    core = tuple(slice(max(0, p - r), p + r + 1) for p, r in zip(position, reach, strict=True))
    data = image[core]
    top = data.max()
    whole = data.dtype.kind in "ui"
    if limit is not None:
        return bool(top >= limit)
    if whole and top >= np.iinfo(data.dtype).max:
        return True
    labels, _ = ndimage.label(data == top)
    plateau = int(np.bincount(labels.ravel())[1:].max())
    level = 1.0 if whole else 0.0
    # A Gaussian stays within one grey level of its top over this ellipsoid.
    share = math.sqrt(2 * level / max(height, 1e-12)) / 2.3548
    radii = [share * w for w in fwhm]
    expected = math.prod(radii) * (math.pi if len(radii) == 2 else 4 / 3 * math.pi)
    return plateau >= _FLAT and plateau > 2 * expected
