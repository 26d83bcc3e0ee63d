"""Pixels that are no measurement, found in an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_opening

from napari_selfdeconv.physics.pixel_weights import PixelWeights

# So many pixels at the highest value are no coincidence.
_LEAST_SATURATED = 3
# A line that is off those on either side by so many of the usual differences is dead.
_DEAD_NOISY = 32.0
# A line that is constant besides needs less.
_DEAD_CONSTANT = 3.0
# A dark area that is narrower may be dark background with few photons.
_WIDTH = 9


@dataclass(frozen=True)
class Unmeasured:
    """Pixels of an image that hold no measurement, as boolean arrays; a pixel is in one of them at most.

    ``saturated`` pixels say something: there is at least as much light.
    """

    not_finite: NDArray[np.bool_]
    black: NDArray[np.bool_]
    dead_lines: NDArray[np.bool_]
    saturated: NDArray[np.bool_]

    @property
    def any(self) -> NDArray[np.bool_]:
        """All of them."""
        return self.not_finite | self.black | self.dead_lines | self.saturated

    @property
    def weights(self) -> PixelWeights:
        """1 where a pixel is a measurement or saturated, else 0."""
        missing = self.not_finite | self.black | self.dead_lines
        return PixelWeights(~missing, self.saturated if self.saturated.any() else None)

    def describe(self) -> str:
        """Return how many there are of each kind; empty if there are none.

        Examples
        --------
        >>> image = np.random.default_rng(0).random((20, 20))
        >>> image[3, 4] = np.nan
        >>> find_unmeasured(image).describe()
        '1 pixel is no measurement: 1 not finite'
        """
        kinds = {
            "not finite": self.not_finite,
            "in black areas": self.black,
            "in dead rows or columns": self.dead_lines,
            "saturated": self.saturated,
        }
        counts = {name: int(np.count_nonzero(mask)) for name, mask in kinds.items()}
        total = sum(counts.values())
        if not total:
            return ""
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"{total} pixel{' is' if total == 1 else 's are'} no measurement: {told}"


def find_unmeasured(image: NDArray[Any]) -> Unmeasured:
    """Find the pixels of an image that hold no measurement.

    Parameters
    ----------
    image : 2D or 3D, real; NaN and infinite pixels are allowed.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((40, 40))
    >>> image[:, 7] = 0
    >>> found = find_unmeasured(image)
    >>> bool(found.dead_lines[:, 7].all()), int(found.any.sum())
    (True, 40)
    """
    not_finite = ~np.isfinite(image)
    values = np.where(not_finite, np.nan, image)
    black = find_black_areas(values)
    dead = find_dead_lines(np.where(black, np.nan, values)) & ~black & ~not_finite
    saturated = find_saturated(image) & ~black & ~dead & ~not_finite
    return Unmeasured(not_finite, black, dead, saturated)


def find_saturated(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels at the highest value, if several of them are equal to the last digit.

    Examples
    --------
    >>> int(find_saturated(np.minimum(np.arange(100).reshape(10, 10), 90)).sum())
    10
    """
    data = np.asarray(image)
    finite = data[np.isfinite(data)]
    if finite.size == 0:
        return np.zeros(data.shape, bool)
    highest = finite.max()
    top = data == highest
    count = int(np.count_nonzero(top))
    # Whole numbers of few photons are often equal: the highest must be more frequent than what lies below it.
    below = finite[finite < highest]
    if count < _LEAST_SATURATED or below.size == 0:
        return np.zeros(data.shape, bool)
    next_count = int(np.count_nonzero(below == below.max()))
    return top if count > 2 * next_count else np.zeros(data.shape, bool)


def find_black_areas(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return areas of exactly the lowest value, 9 pixels wide or more in a plane: what a mosaic left empty.

    NaN pixels belong to no area.
    """
    data = np.asarray(image)
    if not np.isfinite(data).any():
        return np.zeros(data.shape, bool)
    darkest = data == np.nanmin(data)
    found = np.stack([_wide(plane) if plane.any() else plane for plane in _planes(darkest)])
    return found.reshape(data.shape)


def find_dead_lines(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return rows and columns, of the last two axes, in which every pixel is far off those on either side.

    NaN pixels are left out.
    """
    data = np.asarray(image, np.float64)
    planes = data if data.ndim == 3 else data[None]
    out = np.zeros(planes.shape, bool)
    for axis in (1, 2):
        lines = np.moveaxis(planes, axis, 0)
        if len(lines) < 5:
            continue
        middle = lines[1:-1] - 0.5 * (lines[:-2] + lines[2:])
        with np.errstate(invalid="ignore"):
            off = _medians(middle)
            constant = _spreads(lines[1:-1]) == 0
        usual = np.nanmedian(np.abs(off - np.nanmedian(off))) * 1.4826
        apart = np.abs(off - np.nanmedian(off))
        least = max(usual, 1e-9 * float(np.abs(off).max(initial=0)))
        # The neighbours of a dead line are off by half as much the other way.
        beside = np.zeros(len(off), bool)
        beside[1:] |= apart[:-1] > 1.2 * apart[1:]
        beside[:-1] |= apart[1:] > 1.2 * apart[:-1]
        dead = np.zeros(len(lines), bool)
        far = (constant & (apart > _DEAD_CONSTANT * least)) | ((usual > 0) & (apart > _DEAD_NOISY * least))
        dead[1:-1] = far & ~beside
        np.moveaxis(out, axis, 0)[dead] = True
    return out.reshape(data.shape)


def _wide(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the parts of an area that hold a square, with their rims."""
    core = binary_opening(area, np.ones((_WIDTH, _WIDTH)))
    found: NDArray[np.bool_] = binary_dilation(core, mask=area, iterations=_WIDTH // 2) & area
    return found


def _planes(image: NDArray[Any]) -> NDArray[Any]:
    return image if image.ndim == 3 else image[None]


def _medians(lines: NDArray[Any]) -> NDArray[np.float64]:
    flat = lines.reshape(len(lines), -1)
    known = np.isfinite(flat).any(axis=1)
    out = np.zeros(len(flat))
    out[known] = np.nanmedian(flat[known], axis=1)
    return out


def _spreads(lines: NDArray[Any]) -> NDArray[np.float64]:
    flat = lines.reshape(len(lines), -1)
    known = np.isfinite(flat).any(axis=1)
    out = np.full(len(flat), np.inf)
    out[known] = np.nanmax(flat[known], axis=1) - np.nanmin(flat[known], axis=1)
    return out
