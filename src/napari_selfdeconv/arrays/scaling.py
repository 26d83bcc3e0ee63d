"""Standardisation of whole images and its exact inverse. Any real dtype is accepted, and float32 is returned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConstantImage, NotFinite, UnusablePixels

# Voxels that are turned into float64 at a time.
_CHUNK_SIZE = 2**20
#: Every method gives the same result, in other units, from the least difference to the largest value.
LEAST, LARGEST = 1e-30, 1e30
# Of the largest value: 64 steps of float32.
_LEAST_SHARE = 2.0**-18


@dataclass(frozen=True)
class Standardizer:
    """Zero mean and unit variance over the whole image, not patch by patch, which would add structure.

    ``low`` and ``high`` are the image's own extremes in user units; the bound terms of the loss measure
    against them.
    """

    mean: float
    std: float
    low: float
    high: float

    @classmethod
    def of(cls, image: NDArray[Any]) -> Self:
        """Measure ``image`` in float64.

        Raises
        ------
        UnusablePixels
            As `check_values`.
        """
        low, high = check_values(image)
        mean = float(image.mean(dtype=np.float64))
        return cls(mean, _deviation(image, mean), low, high)

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return the standardised image, float32."""
        result = np.empty(image.shape, np.float32)
        for part in _chunks(image.shape):
            result[part] = (image[part].astype(np.float64) - self.mean) / self.std
        return result

    def undo(self, image: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return user units, float32; written into ``out`` if given, which may be ``image``."""
        result = np.empty(image.shape, np.float32) if out is None else out
        for part in _chunks(image.shape):
            result[part] = image[part].astype(np.float64) * self.std + self.mean
        return result

    @property
    def bounds(self) -> tuple[float, float]:
        """``low`` and ``high`` in standardised units."""
        return (self.low - self.mean) / self.std, (self.high - self.mean) / self.std


def extremes(image: NDArray[Any], name: str = "the image") -> tuple[float, float]:
    """Return the lowest and the highest value.

    Raises
    ------
    NotFinite
        If a pixel is NaN or infinite.

    Examples
    --------
    >>> extremes(np.array([2, 7, 5]))
    (2.0, 7.0)
    """
    low, high = float(image.min()), float(image.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        nan, infinite = (int(np.count_nonzero(found(image))) for found in (np.isnan, np.isinf))
        raise NotFinite(f"{name} has {nan} NaN and {infinite} infinite pixels: replace them first")
    return low, high


def extremes_in_range(image: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and the highest value, as `extremes` does; values beyond `LARGEST` are refused."""
    low, high = extremes(image)
    if (most := max(abs(low), abs(high))) > LARGEST:
        raise UnusablePixels(f"the image has values of {most:.3g}, and the most is {LARGEST:g}: divide it first")
    return low, high


def check_values(image: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and the highest value of an image that can be deconvolved in float32.

    Raises
    ------
    UnusablePixels
        If a pixel is not finite, all are equal (`ConstantImage`), the values or their differences are beyond
        `LEAST` and `LARGEST`, or too small beside the values themselves.

    Examples
    --------
    >>> check_values(np.array([0.0, 1e31]))
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.UnusablePixels: the image has values of 1e+31, and the most is 1e+30: divide it first
    """
    low, high = extremes_in_range(image)
    if low == high:
        raise ConstantImage(f"the image is constant (every pixel is {low:g}): nothing to deconvolve")
    most, span = max(abs(low), abs(high)), high - low
    if span < LEAST:
        raise UnusablePixels(
            f"the pixels differ by {span:.3g}, and the least is {LEAST:g}: multiply the image first"
        )
    _check_span(low, most, span)
    return low, high


def as_float32(data: NDArray[Any]) -> NDArray[np.float32]:
    """Return an array in float32, in which NaN and infinite values stay what they are.

    Raises
    ------
    UnusablePixels
        If finite values or their differences are lost.

    Examples
    --------
    >>> as_float32(np.array([1e39, 0]))
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.UnusablePixels: the image has values of 1e+39, which float32 cannot hold: ...
    """
    if not np.can_cast(data.dtype, np.float32):
        finite = data[np.isfinite(data)]
        low, high = (finite.min().item(), finite.max().item()) if finite.size else (0.0, 0.0)
        most = max(abs(low), abs(high))
        if most > float(np.finfo(np.float32).max):
            raise UnusablePixels(f"the image has values of {most:.3g}, which float32 cannot hold: divide it first")
        if high > low:
            _check_span(low, most, high - low)
    return data.astype(np.float32, copy=False)


def _check_span(low: float, most: float, span: float) -> None:
    if span < _LEAST_SHARE * most:
        raise UnusablePixels(
            f"the pixels differ by {span:.3g} at values near {most:.3g}, which float32 cannot hold: "
            f"subtract {low:.6g} first"
        )


def _chunks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut the first axis so that each part holds about a million voxels."""
    rows = max(1, _CHUNK_SIZE // max(1, math.prod(shape[1:])))
    return (slice(start, start + rows) for start in range(0, shape[0], rows))


def _deviation(image: NDArray[Any], mean: float) -> float:
    """Return the standard deviation in float64; of a large image without holding it in float64."""
    if image.size <= 16 * _CHUNK_SIZE:
        return float(image.std(dtype=np.float64))
    squares = sum(float(np.square(image[part] - np.float64(mean)).sum()) for part in _chunks(image.shape))
    return math.sqrt(squares / image.size)
