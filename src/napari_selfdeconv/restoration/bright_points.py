"""Points that are so bright that a network would make their surroundings too dark.

Around a point of a thousand times the background a network makes a ring below the background, as deep as a few
percent of the point. Beside ordinary structure this is below the noise. Richardson-Lucy makes no such ring: its
light is never negative, and it converges fast where there is much light. So it deconvolves the points, their image
is subtracted, and the network deconvolves the rest.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, label, maximum_filter

from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.events import Tick, mapped
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.physics.camera import Background
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.forward_operator import BlurOperator
from napari_selfdeconv.restoration.weighted_richardson_lucy import iterate_weighted_richardson_lucy
from napari_selfdeconv.stop_token import StopToken

#: Standard deviations above the mean of the other pixels from which on a pixel is a bright point. The images of
#: the benchmarks stay below 9, a volume with few bright grains below 14.2.
FAR = 15.0
# If more of the image than this is bright, it is not a point.
_MOST = 0.02
_ROUNDS = 20
_ITERATIONS = 100
# Light in the shape of the PSF is explained nearly completely, a hot pixel by a seventh.
_EXPLAINED = 0.8
# Light that the model has everywhere, in standard deviations of the other pixels. It represents their noise.
_LEVEL = 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class BrightPoints:
    """The bright points that were subtracted from an image.

    Attributes
    ----------
    light : float32, as large as the image: the deconvolved points.
    blurred : float32, as large: their image, which was subtracted.
    count : number of points. Points nearer to each other than the width of the PSF count as one.
    """

    light: NDArray[np.float32]
    blurred: NDArray[np.float32]
    count: int


@dataclass(frozen=True)
class _Others:
    """The pixels that are not bright: mean, standard deviation, lowest and highest value."""

    mean: float
    std: float
    low: float
    high: float

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> Self:
        std = float(pixels.std(dtype=np.float64)) or 1.0
        mean, low, high = float(pixels.mean(dtype=np.float64)), float(pixels.min()), float(pixels.max())
        return cls(mean, std, low, high)

    def apply(self, part: NDArray[Any]) -> NDArray[np.float32]:
        """Return a part of the image in standard deviations above the mean."""
        return ((part.astype(np.float64) - self.mean) / self.std).astype(np.float32)


def find_bright(image: NDArray[Any], counts: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Return which pixels are more than `FAR` standard deviations above the mean of the others.

    Parameters
    ----------
    image : array of any shape.
    counts : boolean, True at the pixels to examine; None examines all.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(10, 1, (32, 32)); image[4, 5] = 1000
    >>> np.argwhere(find_bright(image)).tolist()
    [[4, 5]]
    """
    looked_at = np.ones(image.shape, bool) if counts is None else counts
    bright = np.zeros(image.shape, bool)
    for _ in range(_ROUNDS):
        rest = image[looked_at & ~bright]
        now = looked_at & (image > rest.mean(dtype=np.float64) + FAR * rest.std(dtype=np.float64))
        if now.sum() == bright.sum():
            break
        bright = now
    return bright


def separate_bright_points(
    image: NDArray[Any],
    psf: NDArray[np.float32],
    scale: Standardizer,
    device: torch.device,
    stop: StopToken,
    *,
    weights: PixelWeights | None = None,
) -> Generator[Tick, None, BrightPoints | None]:
    """Deconvolve the bright points of an image; None if there are none. Yield a `Tick` an iteration.

    Parameters
    ----------
    image : 2D or 3D, finite.
    psf : array with as many axes, sum 1.
    scale : scale of the image, measured before; an image without bright points costs no time.
    device, stop : as elsewhere; a stop ends the iterations early.
    weights : how much each pixel counts; None is 1 everywhere.

    Notes
    -----
    Light that is not a point is left in the image: a hot pixel, which does not have the shape of the PSF, and a
    body whose light takes up more voxels than the PSF. Richardson-Lucy would amplify noise in that body.

    Examples
    --------
    >>> from napari_selfdeconv import StopToken
    >>> from napari_selfdeconv.events import drain
    >>> psf = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16
    >>> image = np.random.default_rng(0).normal(10, 1, (32, 32)).astype(np.float32)
    >>> image[10:13, 20:23] += 16_000 * psf
    >>> work = separate_bright_points(image, psf, Standardizer.of(image), torch.device("cpu"), StopToken())
    >>> found = drain(work)
    >>> found.count, round(float(found.light[11, 21]), -3), bool((image - found.blurred).max() < 20)
    (1, 16000.0, True)
    """
    if scale.high <= scale.mean + FAR * scale.std:
        return None
    counts = None if weights is None else weights.values > 0
    bright = find_bright(image, counts)
    if not 0 < np.count_nonzero(bright) <= _MOST * image.size:
        return None
    others = _Others.of(image[~bright if counts is None else counts & ~bright])
    light, blurred = (np.zeros(image.shape, np.float32) for _ in range(2))
    support = binary_dilation(bright)
    # The box that the PSF reaches: the light that a point adds to its neighbours lies inside.
    regions, _ = label(maximum_filter(support, tuple(2 * (n // 2) + 1 for n in psf.shape)))
    found = find_objects(regions)
    count = 0
    for number, where in enumerate(found):
        region = regions[where] == number + 1
        pixels = None if weights is None else weights.cut(where)
        work = _deconvolve(others.apply(image[where]), psf, support[where] & region, pixels, device, stop)
        explained, point = yield from mapped(work, partial(_counted, before=number, regions=len(found)))
        if explained is None:
            continue
        count += 1
        part = np.asarray(image[where], np.float32)
        left = part - np.float32(others.std) * explained
        # The remainder of a point is its noise and the error of the fit. It stays within the range of the others.
        left = np.where(region, np.clip(left, others.low, others.high), left)
        light[where] += np.float32(others.std) * point
        blurred[where] += part - left
    return BrightPoints(light=light, blurred=blurred, count=count) if count else None


def _deconvolve(
    part: NDArray[np.float32],
    psf: NDArray[np.float32],
    support: NDArray[np.bool_],
    weights: PixelWeights | None,
    device: torch.device,
    stop: StopToken,
) -> Generator[Tick, None, tuple[NDArray[np.float32] | None, NDArray[np.float32]]]:
    """Return the part of an image that light in ``support`` explains through the PSF, and that light.

    ``part`` is in standard deviations of the other pixels. The first is None if light does not explain it.
    """
    outside = part[~support]
    level = float(np.median(outside)) if outside.size else 0.0
    above = part - np.float32(level)
    start = torch.from_numpy(np.where(support, np.maximum(above, 1), 0).astype(np.float32))[None, None].to(device)
    blur = Blur(psf, boundary="zero")
    estimates = yield from iterate_weighted_richardson_lucy(
        part,
        BlurOperator(blur, part.shape),
        (_ITERATIONS,),
        device=device,
        stop=stop,
        weights=weights,
        background=Background(level - _LEVEL, _LEVEL, 0.0),
        start=start,
    )
    (estimate,) = estimates.values()
    light: NDArray[np.float32] = estimate[0, 0].numpy()
    explained = convolved(blur, light)
    counts = support if weights is None else support & weights.measured
    missing, there = (float((a[counts].astype(np.float64) ** 2).sum()) for a in (above - explained, above))
    is_point = _voxels_of(light) <= _voxels_of(psf) and missing <= (1 - _EXPLAINED) * there
    return (explained if is_point else None), light


def _voxels_of(light: NDArray[np.float32]) -> float:
    """Return the effective number of voxels of some light: all of them if it is the same in all."""
    wide = light.astype(np.float64)
    return float(wide.sum() ** 2 / max((wide**2).sum(), 1e-300))


def _counted(tick: Tick, before: int, regions: int) -> Tick:
    return Tick(before * _ITERATIONS + tick.done, regions * _ITERATIONS)
