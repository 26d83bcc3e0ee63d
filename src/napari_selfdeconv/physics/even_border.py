"""Brightening of the border of images that are dark there because no light comes from beyond it.

A deconvolution assumes that the scene continues beyond the field of view, as its mirror image. A simulated blur
often has no light from beyond the border. A deconvolution that expects this light makes the border too dark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The missing light, as a share of what is missing if nothing lies beyond the border: all sides, and each side.
_MISSING, _MISSING_AT_A_SIDE = (0.6, 1.4), (0.3, 1.7)
_SIDES = 0.75
# A side is looked at if its light is at least this share of the image's mean.
_LIGHT = 0.25
_LEAST_LOSS = 0.02

Array = NDArray[np.float32]


def ends_in_darkness(image: NDArray[Any], psf: NDArray[Any]) -> bool:
    """Return whether ``image`` gets dark at its border as if no light came from beyond it.

    The missing light at each side is measured against a straight line through the pixels further in, and compared
    with what the PSF would take away there. A specimen that merely fades towards the border does not count.

    Parameters
    ----------
    image : 2D or 3D, no light is 0.
    psf : the same number of axes.

    Examples
    --------
    >>> from scipy.signal import fftconvolve
    >>> psf, image = np.ones((5, 5)) / 25, np.ones((40, 40))
    >>> ends_in_darkness(fftconvolve(image, psf, mode="same"), psf), ends_in_darkness(image, psf)
    (True, False)
    """
    mean = float(image.mean(dtype=np.float64))
    if mean <= 0:
        return False
    sides = [(took, full) for took, full, light in _sides(image, psf) if light >= _LIGHT * mean]
    if not sides:
        return False
    missing = np.array([took / full for took, full in sides])
    everywhere = sum(took for took, _ in sides) / sum(full for _, full in sides)
    low, high = _MISSING_AT_A_SIDE
    share = np.mean((missing > low) & (missing < high))
    return bool(_MISSING[0] < everywhere < _MISSING[1] and share >= _SIDES)


def even_border_of(image: NDArray[Any], psf: NDArray[Any]) -> Array:
    """Return ``image`` divided by the image of a uniform scene that ends at its border; float32."""
    # Imported here: scipy.signal takes half as long to load as torch, and few images need it.
    from scipy.signal import fftconvolve

    kernel = np.pad(np.asarray(psf, np.float64), [(0, 1 - k % 2) for k in psf.shape])
    small = [min(n, 2 * k + 1) for n, k in zip(image.shape, kernel.shape, strict=True)]
    response = fftconvolve(np.ones(small), kernel / kernel.sum(), mode="same").astype(np.float32)
    places = []
    for n, m in zip(image.shape, small, strict=True):
        # Both ends of the small one belong to the ends of the image, its middle to all between.
        i = np.arange(n)
        places.append(np.where(i <= m // 2, i, np.maximum(m // 2, i - (n - m))))
    result: Array = (image / response[np.ix_(*places)]).astype(np.float32)
    return result


def _sides(image: NDArray[Any], psf: NDArray[Any]) -> Iterator[tuple[float, float, float]]:
    """Yield (what is missing, what would be with nothing beyond, light) of every side that is wide enough."""
    for axis, width in enumerate(psf.shape):
        reach, n = width // 2 + 1, image.shape[axis]
        if n < 6 * reach:
            continue
        inner = tuple(
            slice(None) if a == axis or m < 4 * k else slice(k // 2 + 1, m - k // 2 - 1)
            for a, (m, k) in enumerate(zip(image.shape, psf.shape, strict=True))
        )
        others = tuple(a for a in range(image.ndim) if a != axis)
        profile = image[inner].mean(axis=others, dtype=np.float64)
        line = psf.sum(axis=others, dtype=np.float64)
        centre = width // 2
        kept = np.cumsum(line) / line.sum()
        from_start = np.array([kept[min(width - 1, centre + k)] for k in range(reach)])
        from_end = np.array([1 - (kept[centre - k - 1] if centre - k > 0 else 0) for k in range(reach)])
        for values, share in ((profile, from_start), (profile[::-1], from_end)):
            loss = 1 - share
            looked_at = loss > _LEAST_LOSS
            if not looked_at.any():
                continue
            further = np.arange(reach, 3 * reach)
            slope, level = np.polyfit(further, values[further], 1)
            expected = np.maximum(level + slope * np.arange(reach), 0)[looked_at]
            loss, found = loss[looked_at], values[:reach][looked_at]
            yield (
                float(loss @ (expected - found)),
                float(loss @ (loss * expected)) + 1e-30,
                float(expected.mean()),
            )
