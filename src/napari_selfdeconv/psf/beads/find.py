"""Bright spots in an image: difference of Gaussians at the size of a bead, local maxima above the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.measure import half_width

Float = NDArray[np.float64]

_FWHM = 2.3548  # of a Gaussian, in standard deviations
_WIDER = 1.6  # the second Gaussian; this ratio comes closest to the Laplacian of a Gaussian
_FIRST_GUESS = 2.5  # voxels: a well sampled bead is 2 to 4 wide
_NOISE = 7.0  # standard deviations of the filtered noise: a million voxels of pure noise reach 5
_FAINT = 0.15  # share of the typical bead below which diffraction rings are found, not beads
_PROBED = 50  # beads whose width is measured
_SURROUND = 12  # half the width in voxels of the square whose median is a bead's surroundings
_SMOOTH = 0.7


@dataclass(frozen=True)
class Spots:
    """Local maxima, brightest first: ``positions`` (n, ndim) in voxels, ``heights`` (n,) in the image's units.

    ``fwhm`` is the typical width of a bead per axis in voxels; ``threshold`` the height that separates beads from
    noise and rings; ``typical`` the height of a typical bead.
    """

    positions: NDArray[np.int64]
    heights: Float
    fwhm: tuple[float, ...]
    threshold: float
    typical: float

    @property
    def is_bead(self) -> NDArray[np.bool_]:
        """Which are above the threshold."""
        return self.heights >= self.threshold


def find_spots(image: NDArray[np.generic], threshold: float | None = None) -> Spots:
    """Find bright spots of one size, which is taken from the image.

    Parameters
    ----------
    image : 2D or 3D array of real numbers.
    threshold : least height above the surroundings, in the image's units. None: 7 standard deviations of the
        filtered noise, and 15 % of the typical bead, so that diffraction rings are not taken for beads.

    Returns
    -------
    `Spots`; those below the threshold but above the noise are in it too, for points that a person placed.

    Raises
    ------
    ConfigError
        If nothing stands out of the noise.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :40]
    >>> spots = find_spots(500 * np.exp(-((y - 20) ** 2 + (x - 12) ** 2) / 8.0))
    >>> spots.positions.tolist(), round(spots.heights[0] / 100), round(spots.fwhm[0])
    ([[20, 12]], 5, 5)
    """
    data = np.asarray(image, np.float32)
    fwhm: tuple[float, ...] = (_FIRST_GUESS,) * data.ndim
    for _ in range(2):
        positions, heights, _ = _maxima(data, fwhm)
        if not len(positions):
            raise ConfigError(
                "No beads found: nothing stands out of the noise. Choose the image of the beads; "
                "if they are faint, mark them in a Points layer, or record them with more light."
            )
        fwhm = _typical_fwhm(data, positions, heights)
    positions, heights, noise = _maxima(data, fwhm, threshold)
    typical = _typical(heights)
    chosen = max(noise, _FAINT * typical) if threshold is None else threshold
    return Spots(positions, heights, fwhm, float(chosen), typical)


def _maxima(
    data: NDArray[np.float32], fwhm: tuple[float, ...], wanted: float | None = None
) -> tuple[NDArray[np.int64], Float, float]:
    """Return positions and heights of the local maxima above the noise, brightest first, and that level.

    A ``wanted`` height below the noise lowers the level.
    """
    sigma = [w / _FWHM if n > 1 else 0.0 for w, n in zip(fwhm, data.shape, strict=True)]
    narrow = ndimage.gaussian_filter(data, sigma, mode="nearest")
    response = narrow - ndimage.gaussian_filter(data, [s * _WIDER for s in sigma], mode="nearest")
    # A Gaussian bead of this width keeps its height.
    axes = sum(s > 0 for s in sigma)
    response /= 2 ** (-axes / 2) - (1 + _WIDER**2) ** (-axes / 2)
    noise = _NOISE * 1.4826 * float(np.median(np.abs(response - np.median(response))))
    level = noise if wanted is None else min(noise, wanted)
    size = [max(3, 2 * round(w / 2) + 1) for w in fwhm]
    peaks = (ndimage.maximum_filter(response, size, mode="nearest") == response) & (response > level)
    # In an image without noise the level is 0: what is left of rounding is no bead either.
    peaks &= response > 1e-4 * response.max()
    labels, count = ndimage.label(peaks, np.ones((3,) * data.ndim))
    if not count:
        return np.zeros((0, data.ndim), np.int64), np.zeros(0), noise
    places = np.asarray(ndimage.maximum_position(response, labels, range(1, count + 1)), np.int64)
    heights = response[tuple(places.T)].astype(np.float64)
    order = np.argsort(-heights, kind="stable")
    return places[order], heights[order], noise


def _typical(heights: Float) -> float:
    """Return the height at which half of all light is reached: many faint rings do not lower it."""
    ordered = np.sort(heights)[::-1]
    return float(ordered[int(np.searchsorted(np.cumsum(ordered), ordered.sum() / 2))])


def _typical_fwhm(data: NDArray[np.float32], positions: NDArray[np.int64], heights: Float) -> tuple[float, ...]:
    """Return the median width of the beads that are about as bright as the typical one."""
    distance = np.abs(np.log(heights / _typical(heights)))
    chosen = np.argsort(distance, kind="stable")[:_PROBED]
    chosen = chosen[distance[chosen] <= np.log(2)]
    smooth = ndimage.gaussian_filter(data, _SMOOTH, mode="nearest")
    widths = np.median([_widths(smooth, tuple(p)) for p in positions[chosen]], axis=0)
    sharp = np.sqrt(np.maximum(widths**2 - (_FWHM * _SMOOTH) ** 2, 1.5**2))
    return tuple(float(min(w, n)) for w, n in zip(sharp, data.shape, strict=True))


def _widths(smooth: NDArray[np.float32], position: tuple[int, ...]) -> list[float]:
    square = tuple(slice(max(0, p - _SURROUND), p + _SURROUND + 1) for p in position[-2:])
    plane = smooth[position[0]] if smooth.ndim == 3 else smooth
    level = float(np.median(plane[square]))
    widths = []
    for axis, start in enumerate(position):
        line = (
            smooth[tuple(slice(None) if a == axis else p for a, p in enumerate(position))].astype(np.float64)
            - level
        )
        widths.append(half_width(line[start:]) + half_width(line[start::-1]))
    return widths
