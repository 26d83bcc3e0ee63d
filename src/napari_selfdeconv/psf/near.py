"""The part of a PSF that fits into a training patch; `far_light` handles the light beyond it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# No suggested compact PSF is longer on any axis: a longer one does not fit into the patches of training.
_LONGEST = 65
# Lateral side: this share of the light of the planes in focus. Along z: until the light there has fallen by it.
_SHARE = 0.9
# A plane whose brightest voxel has this share of the PSF's is in focus.
_IN_FOCUS = 0.05


def has_far_light(psf_shape: Sequence[int], image_shape: Sequence[int]) -> bool:
    """Return whether a PSF is too large for a patch: longer than 65 voxels, or larger than the image; only in 3D.

    Examples
    --------
    >>> has_far_light((79, 223, 223), (40, 112, 112)), has_far_light((21, 19, 19), (40, 112, 112))
    (True, False)
    """
    if len(psf_shape) != 3:
        return False
    return max(psf_shape) > _LONGEST or any(k > n for k, n in zip(psf_shape, image_shape, strict=True))


def near_shape(psf: NDArray[np.float32], image_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the size of the compact part around the centre of a 3D PSF: odd, inside the image.

    Laterally it holds 90 % of the light of the planes in focus. Along z it ends where the light inside that window
    has fallen to a tenth. `suggest_psf_shape` does the same from the optics.

    Parameters
    ----------
    psf : 3D, >= 0, its centre at ``n // 2``.
    image_shape : (z, y, x).

    Examples
    --------
    >>> z, y, x = np.mgrid[-40:41, -40:41, -40:41]
    >>> psf = np.exp(-(z**2 / 32 + (y**2 + x**2) / 8)).astype(np.float32)
    >>> near_shape(psf, (50, 90, 90))
    (17, 9, 9)
    """
    limits = [min(n - 1 + n % 2, _LONGEST, k - 1 + k % 2) for n, k in zip(image_shape, psf.shape, strict=True)]
    centre = [k // 2 for k in psf.shape]
    peaks = psf.max((1, 2))
    focused = psf[peaks >= _IN_FOCUS * peaks.max()].sum(0, dtype=np.float64)
    total = float(focused.sum())
    widest = max(limits[1:]) // 2
    sizes = (r for r in range(1, widest) if _box(focused, centre[1:], r).sum() >= _SHARE * total)
    lateral = next(sizes, widest)
    inside = psf[:, *_window(centre[1:], lateral)].sum((1, 2), dtype=np.float64)
    far = np.abs(np.arange(psf.shape[0]) - centre[0])[inside >= (1 - _SHARE) * inside.max()].max()
    halves = (max(1, int(far)), lateral, lateral)
    return tuple(min(2 * h + 1, limit) for h, limit in zip(halves, limits, strict=True))


def near_part(psf: NDArray[np.float32], shape: Sequence[int]) -> tuple[NDArray[np.float32], float]:
    """Return the part of a PSF around its centre with sum 1, and the share of the PSF's light that it holds.

    Examples
    --------
    >>> near, share = near_part(np.full((3, 3, 3), 1 / 27, np.float32), (1, 3, 3))
    >>> near.shape, round(float(near.sum()), 6), round(share, 6)
    ((1, 3, 3), 1.0, 0.333333)
    """
    cut = tuple(slice(k // 2 - n // 2, k // 2 - n // 2 + n) for k, n in zip(psf.shape, shape, strict=True))
    held = float(psf[cut].sum(dtype=np.float64))
    near: NDArray[np.float32] = np.ascontiguousarray(psf[cut] / held, np.float32)
    return near, held / float(psf.sum(dtype=np.float64))


def _window(centre: Sequence[int], half: int) -> tuple[slice, ...]:
    return tuple(slice(max(0, c - half), c + half + 1) for c in centre)


def _box(plane: NDArray[np.float64], centre: Sequence[int], half: int) -> NDArray[np.float64]:
    return plane[_window(centre, half)]
