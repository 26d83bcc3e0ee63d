"""Chromatic shift: measured on beads that are visible in two channels, and corrected in an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_selfdeconv.config.checks import check_number, check_voxel
from napari_selfdeconv.config.chromatic import ChromaticShift
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import as_array

Float = NDArray[np.float64]
# Beads further than this many robust standard deviations from the fit are pairs of different beads.
_FAR = 4.0
_ROUNDS = 3
# Rotation and zoom need some beads; one is enough for a shift alone.
_FEWEST = 4


def fit_shift(
    reference: ArrayLike,
    channel: ArrayLike,
    voxel_um: Sequence[float],
    shape: Sequence[int],
    *,
    wavelength_um: float,
    reference_um: float,
    within_um: float = 1.5,
) -> ChromaticShift:
    """Fit the shift between the positions of the same beads in two channels.

    Parameters
    ----------
    reference, channel : (n, ndim) positions in voxels, in any order. Beads visible in one channel only are
        ignored.
    voxel_um : voxel size in um, ([z,] y, x).
    shape : shape of the image; rotation and zoom are about its middle.
    wavelength_um, reference_um : emission of the channel and of the reference.
    within_um : largest distance between the positions of a bead in the two channels, um.

    Returns
    -------
    `ChromaticShift`; without rotation and zoom if fewer than 4 beads are paired.

    Raises
    ------
    ConfigError
        If no bead is visible in both channels.

    Examples
    --------
    >>> beads = np.array([[10.0, 10], [10, 90], [90, 10], [80, 85]])
    >>> found = fit_shift(
    ...     beads, beads + [2, -1], (0.1, 0.1), (100, 100), wavelength_um=0.6, reference_um=0.5
    ... )
    >>> round(found.y_um, 6), round(found.x_um, 6), round(found.zoom, 6), found.beads
    (0.2, -0.1, 1.0, 4)
    """
    ndim = len(shape)
    voxel = np.asarray(check_voxel("voxel_um", voxel_um, ndim))
    check_number("within_um", within_um, 0.0, 100.0, open_low=True)
    middle = (np.asarray(shape) - 1) / 2
    a, b = ((np.asarray(points, np.float64).reshape(-1, ndim) - middle) * voxel for points in (reference, channel))
    first, second = _pairs(a, b, within_um)
    if not len(first):
        raise ConfigError(
            f"no bead is seen in both channels within {within_um:g} um",
            "use beads of several colours, or allow a larger distance",
        )
    p, q = a[first], b[second]
    good = np.ones(len(p), bool)
    for _ in range(_ROUNDS):
        slope, shift = _fit(p[good], q[good])
        left = q - _moved(p, slope, shift)
        size = np.linalg.norm(left, axis=1)
        spread = 1.4826 * float(np.median(size[good])) + 1e-6
        good = size <= _FAR * spread
    zoom, angle = abs(slope), math.degrees(math.atan2(slope.imag, slope.real))
    z = float(shift[0]) if ndim == 3 else 0.0
    return ChromaticShift(
        wavelength_um=wavelength_um,
        reference_um=reference_um,
        z_um=z,
        y_um=float(shift[-2]),
        x_um=float(shift[-1]),
        rotation_deg=angle,
        zoom=zoom,
        beads=int(good.sum()),
        residual_um=float(np.sqrt(np.mean(left[good] ** 2))),
    )


def unshift(image: NDArray[np.generic], shift: ChromaticShift, voxel_um: Sequence[float]) -> NDArray[np.float32]:
    """Return an image of one channel, moved to where the reference channel shows it; float32, same shape.

    Parameters
    ----------
    image : ([z,] y, x), deconvolved or not.
    shift : shift of its channel.
    voxel_um : voxel size in um.

    Raises
    ------
    ConfigError
        If the image is not an array of numbers, or the voxel size does not fit it.

    Notes
    -----
    Cubic splines are used. Beyond its border the image continues with the values of the border. The total light
    changes only with the area, by zoom^2.

    Examples
    --------
    >>> image = np.zeros((9, 9)); image[4, 6] = 1
    >>> moved = unshift(image, ChromaticShift(wavelength_um=0.6, reference_um=0.5, x_um=0.2), (0.1, 0.1))
    >>> np.unravel_index(moved.argmax(), moved.shape)
    (np.int64(4), np.int64(4))
    """
    data = as_array("the image", image)
    voxel = np.asarray(check_voxel("voxel_um", voxel_um, data.ndim))
    angle = math.radians(shift.rotation_deg)
    c, s = shift.zoom * math.cos(angle), shift.zoom * math.sin(angle)
    turn = np.eye(data.ndim)
    turn[-2:, -2:] = [[c, -s], [s, c]]
    step = np.asarray((shift.z_um, shift.y_um, shift.x_um)[-data.ndim :])
    middle = (np.asarray(data.shape) - 1) / 2
    matrix = turn * voxel[None, :] / voxel[:, None]
    offset = middle - matrix @ middle + step / voxel
    moved: NDArray[np.float32] = ndimage.affine_transform(
        data.astype(np.float32), matrix, offset, order=3, mode="nearest", output=np.float32
    )
    return moved


def _pairs(a: Float, b: Float, within: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of points that are each other's nearest, first after the common shift is taken away."""
    if not len(a) or not len(b):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    shift = np.zeros(a.shape[1])
    for _ in range(2):
        there, ab = cKDTree(b).query(a + shift)
        _, ba = cKDTree(a + shift).query(b)
        first = np.flatnonzero((ba[ab] == np.arange(len(a))) & (there <= within))
        if not len(first):
            break
        shift = np.median(b[ab[first]] - a[first], axis=0)
    return first, ab[first]


def _fit(p: Float, q: Float) -> tuple[complex, Float]:
    """Return zoom and rotation as one complex number, and the shift, by least squares."""
    shift = (q - p).mean(axis=0)
    if len(p) < _FEWEST:
        return 1 + 0j, shift
    # Laterally q = slope * p + shift, with y as the real and x as the imaginary part.
    u, v = p[:, -2] + 1j * p[:, -1], q[:, -2] + 1j * q[:, -1]
    centred = u - u.mean()
    slope = complex(np.vdot(centred, v - v.mean()) / np.vdot(centred, centred).real)
    there = v.mean() - slope * u.mean()
    shift[-2:] = there.real, there.imag
    return slope, shift


def _moved(p: Float, slope: complex, shift: Float) -> Float:
    out = p + shift
    lateral = slope * (p[:, -2] + 1j * p[:, -1])
    out[:, -2], out[:, -1] = lateral.real + shift[-2], lateral.imag + shift[-1]
    return out
