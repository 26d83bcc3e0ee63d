"""The search for pixels that hold no measurement."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_fill_holes,
    binary_opening,
    find_objects,
    label,
    maximum_filter,
    median_filter,
)

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import as_array, check_layout
from napari_selfdeconv.physics.pixel_weights import PixelWeights

# This many pixels at the highest value are not a coincidence.
_LEAST_SATURATED = 3
# A line that differs from both neighbours by this many usual differences is dead.
_DEAD_NOISY = 32.0
# A constant line needs a smaller difference.
_DEAD_CONSTANT = 3.0
# A dark area that is narrower may be dark background with few photons.
_WIDTH = 9
# Beside an area that ends at an edge the darkest hundredth is at least this share of the darkest tenth; beside
# darkness that fades into noise it is a tenth of it.
_EDGE = 0.3
# A pixel whose neighbours have less than this share of its light stands alone.
_NEIGHBOUR = 0.25
# A hot pixel is this many usual deviations off its surroundings, in the median of these many frames.
_HOT, _HOT_SHARE = 10.0, 0.2
LEAST_FRAMES, MOST_FRAMES = 5, 16
# More pixels than this do not improve a median.
_MOST_SAMPLES = 2**18
_MOST_LINE_PIXELS = 2**22


@dataclass(frozen=True, eq=False)
class Unmeasured:
    """Pixels of an image that hold no measurement.

    Attributes
    ----------
    saturated, dead_lines, black, not_finite, hot : boolean, as large as the image; a pixel is in at most one.
        Saturated pixels have at least as much light as was recorded. Black areas have no data. Hot pixels are
        bright or dark in every plane or frame, independently of the object.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(100, 5, (64, 64))
    >>> image[:, 20] = 0
    >>> int(find_unmeasured(image).dead_lines.sum())
    64
    """

    saturated: NDArray[np.bool_]
    dead_lines: NDArray[np.bool_]
    black: NDArray[np.bool_]
    not_finite: NDArray[np.bool_]
    hot: NDArray[np.bool_]

    @property
    def kinds(self) -> dict[str, NDArray[np.bool_]]:
        """The pixels of each kind, by its name in messages."""
        return {
            "saturated": self.saturated,
            "in dead rows or columns": self.dead_lines,
            "in black areas": self.black,
            "not finite": self.not_finite,
            "hot": self.hot,
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many pixels there are of each kind that occurs."""
        counts = {name: int(np.count_nonzero(mask)) for name, mask in self.kinds.items()}
        return {name: count for name, count in counts.items() if count}

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The number of its kind at each pixel, from 1 in the order of `kinds`; 0 at a measurement."""
        labels = np.zeros(self.saturated.shape, np.uint8)
        for number, mask in enumerate(self.kinds.values(), 1):
            labels[mask] = number
        return labels

    @property
    def any(self) -> NDArray[np.bool_]:
        """All of them."""
        return self.labels > 0

    @property
    def weights(self) -> PixelWeights:
        """1 where a pixel is a measurement or saturated, else 0."""
        missing = self.dead_lines | self.black | self.not_finite | self.hot
        return PixelWeights(~missing, self.saturated if self.saturated.any() else None)

    def describe(self, without: str = "") -> str:
        """Return how many there are of each kind but ``without``; empty if there are none.

        Examples
        --------
        >>> image = np.random.default_rng(0).random((20, 20))
        >>> image[3, 4] = np.nan
        >>> find_unmeasured(image).describe()
        '1 pixel is no measurement: 1 not finite'
        """
        counts = {name: count for name, count in self.counts.items() if name != without}
        total = sum(counts.values())
        if not total:
            return ""
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"{total} pixel{' is' if total == 1 else 's are'} no measurement: {told}"


def find_unmeasured(image: NDArray[Any], hot: NDArray[np.bool_] | None = None) -> Unmeasured:
    """Find the pixels of an image that hold no measurement.

    Parameters
    ----------
    image : 2D or 3D, real; NaN and infinite pixels are allowed.
    hot : the hot pixels of a camera, as large as a plane. None finds them in a stack of planes.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((40, 40))
    >>> image[:, 7] = 0
    >>> found = find_unmeasured(image)
    >>> bool(found.dead_lines[:, 7].all()), found.counts
    (True, {'in dead rows or columns': 40})
    """
    image = as_array("the image", image)
    check_layout("the image", image)
    not_finite = ~np.isfinite(image)
    values = np.where(not_finite, np.nan, image) if not_finite.any() else image
    black = find_black_areas(values)
    seen = np.where(black, np.nan, values) if black.any() else values
    dead = find_dead_lines(seen) & ~black & ~not_finite
    saturated = find_saturated(image) & ~black & ~dead & ~not_finite
    if hot is None and image.ndim == 3:
        hot = find_hot_pixels(seen)
    hot = np.zeros(image.shape, bool) if hot is None else np.broadcast_to(hot, image.shape) & ~black & ~not_finite
    return Unmeasured(saturated & ~hot, dead & ~hot, black, not_finite, hot)


def find_saturated(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels at the highest value, if several of them are equal to the last digit.

    The light of a bright object spreads to its neighbours. A pixel at the highest value that stands alone in
    darkness is an outlier (salt and pepper), and is not returned.

    Examples
    --------
    >>> int(find_saturated(np.minimum(np.arange(100).reshape(10, 10), 90)).sum())
    10
    """
    data = np.asarray(image)
    finite = data[np.isfinite(data)] if data.dtype.kind == "f" else data.ravel()
    none = np.zeros(data.shape, bool)
    if finite.size == 0:
        return none
    highest = finite.max()
    top = data == highest
    count = int(np.count_nonzero(top))
    # Whole numbers of few photons are often equal: the highest must be more frequent than what lies below it.
    below = finite[finite < highest]
    if count < _LEAST_SATURATED or below.size == 0 or count <= 2 * int(np.count_nonzero(below == below.max())):
        return none
    usual = float(np.median(below[:: max(1, below.size // _MOST_SAMPLES)]))
    planes = _planes(data)
    where = np.nonzero(_planes(top))
    around = [
        planes[
            where[0],
            *(np.clip(w + s, 0, n - 1) for w, s, n in zip(where[1:], step, planes.shape[1:], strict=True)),
        ]
        for step in product((-1, 0, 1), repeat=2)
        if step != (0, 0)
    ]
    lit = np.mean(np.stack(around), axis=0, dtype=np.float64) > usual + _NEIGHBOUR * (float(highest) - usual)
    _planes(none)[tuple(w[lit] for w in where)] = True
    return none if lit.sum() >= _LEAST_SATURATED else np.zeros(data.shape, bool)


def find_black_areas(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return areas of exactly the lowest value, 9 pixels wide or more in a plane: the empty areas of a mosaic.

    Such an area has no islands, and it ends at an edge: the pixels beside it are well above it. Darkness from
    which a background was subtracted ends gradually, so it stays a measurement. So does a plane that is black
    everywhere.
    NaN pixels belong to no area.
    """
    data = np.asarray(image)
    if not np.isfinite(data).any():
        return np.zeros(data.shape, bool)
    low = np.nanmin(data)
    planes = _planes(data)
    found = np.zeros(planes.shape, bool)
    for number, plane in enumerate(planes):
        dark = plane == low
        if np.count_nonzero(dark) >= _WIDTH**2:
            found[number] = _with_edge(_wide(dark), plane, float(low))
    return found.reshape(data.shape)


def find_hot_pixels(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of a camera that differ from all their neighbours in all frames, bright or dark.

    Parameters
    ----------
    frames : (n, y, x) array of a series or a stack. At least 5 frames are needed, and 16 are enough.

    Returns
    -------
    Boolean array (y, x). Real light spreads to the neighbours of a pixel; the signal of a hot pixel does not.

    Examples
    --------
    >>> frames = np.random.default_rng(0).normal(100, 2, (8, 32, 32))
    >>> frames[:, 5, 7] += 500
    >>> np.argwhere(find_hot_pixels(frames)).tolist()
    [[5, 7]]
    """
    frames = as_array("the frames", frames)
    if frames.ndim != 3 or 0 in frames.shape[1:]:
        raise ConfigError(f"frames must have the axes (n, y, x), got shape {frames.shape}")
    if len(frames) < LEAST_FRAMES:
        return np.zeros(frames.shape[1:], bool)
    some = np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES)).round().astype(int)
    middle = np.median(np.nan_to_num(frames[some].astype(np.float32)), axis=0)
    local = median_filter(middle, 5)
    excess, light = middle - local, local - local.min()
    usual = 1.4826 * float(np.median(np.abs(excess)))
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    hot = np.zeros(middle.shape, bool)
    for sign in (1, -1):
        beside = maximum_filter(sign * excess, footprint=around)
        # The noise grows with the light, and pixels differ in their gain by some percent.
        far = (sign * excess > _HOT * usual) & (sign * excess > _HOT_SHARE * light)
        hot |= far & (beside < _NEIGHBOUR * sign * excess)
    return hot if usual > 0 else np.zeros(middle.shape, bool)


def find_dead_lines(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return rows and columns, of the last two axes, in which every pixel is far off those on either side.

    NaN pixels are left out.
    """
    data = _planes(np.asarray(image))
    out = np.zeros(data.shape, bool)
    # A line is dead in all planes: some planes of a large stack are enough.
    planes = data[:: max(1, -(-data.size // _MOST_LINE_PIXELS))].astype(np.float64)
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
    return out.reshape(np.shape(image))


def _wide(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the parts of an area that hold a square, with their rims."""
    core = binary_opening(area, np.ones((_WIDTH, _WIDTH)))
    found: NDArray[np.bool_] = binary_dilation(core, mask=area, iterations=_WIDTH // 2) & area
    return found


def _with_edge(areas: NDArray[np.bool_], plane: NDArray[Any], low: float) -> NDArray[np.bool_]:
    """Return those of the areas, all at the value ``low``, that end at an edge and have no islands."""
    numbered, count = label(areas)
    found = np.zeros(areas.shape, bool)
    for number, box in enumerate(find_objects(numbered, count), 1):
        wide = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in box)
        area = numbered[wide] == number
        rim = plane[wide][binary_dilation(area, iterations=2) & ~area]
        rim = rim[np.isfinite(rim)] - low
        if rim.size == 0 or int(binary_fill_holes(area).sum()) > int(area.sum()):
            continue
        darkest, dark = np.quantile(rim, (0.01, 0.1))
        if darkest > _EDGE * dark:
            found[wide] |= area
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
