"""What the network has left in the residual: put back, as strongly as pixels held out of it say.

A short run explains an image with little noise less well than the image allows. Then the residual x - g(f(x))
still holds structure, and a Wiener filter brings it back to f; where the residual is noise alone, the held-out
pixels say so and f is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.calibration import has_specks, is_cut_off
from napari_selfdeconv.config import Boundary
from napari_selfdeconv.forward import Blur, wiener_kernel
from napari_selfdeconv.masks import stratified_mask
from napari_selfdeconv.slabs import convolved, slabs

#: Regularisations of the Wiener filter, weakest correction first; each is tried only if the one before it helped.
STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
# Fine detail is held back more than coarse: the regularisation has doubled at this frequency, in cycles a voxel.
_CORNER = 0.1
_HELD_OUT_PERCENT = 4.0
# A fall of the held-out error counts if it is this many times its own standard error.
_SURE = 3.0
_MOST_VOXELS = 1_500_000
# Specks would be brought back as stars: residuals are cut at this many robust standard deviations.
_CUT = 3.0

Array = NDArray[np.float32]


class Refiner:
    """Puts back into a result what its residual still holds; how strongly is chosen on the first image and kept.

    Kept, so that the frames of a series are all as sharp as one another.

    Attributes
    ----------
    regularisation : of the Wiener filter; None before the first image, and where nothing helped.
    """

    def __init__(self) -> None:
        self.regularisation: float | None = None
        self._chosen = False

    def __call__(
        self,
        result: Array,
        image: NDArray[Any],
        psf: NDArray[Any],
        boundary: Boundary,
        standardize: Callable[[NDArray[Any]], Array] | None = None,
    ) -> None:
        """Refine ``result`` in place, or leave it where the held-out pixels saw no gain; its mean stays.

        Parameters
        ----------
        result : f(x), deconvolved; float32, 2D or 3D.
        image : x, the same shape and units.
        psf, boundary : of g.
        standardize : brings a part of ``image`` into the units of ``result``.

        Examples
        --------
        >>> random = np.random.default_rng(0)
        >>> noise, refiner = random.normal(size=(64, 64)).astype(np.float32), Refiner()
        >>> result = np.zeros_like(noise)
        >>> refiner(result, noise, np.ones((3, 3)) / 9, "reflect")
        >>> refiner.regularisation is None, float(np.abs(result).max())
        (True, 0.0)
        """
        if self._chosen and self.regularisation is None:
            return
        blur = Blur(psf, boundary=boundary)

        def recorded(where: tuple[slice, ...]) -> Array:
            return image[where] if standardize is None else standardize(image[where])

        middle = _middle(result.shape)
        expected = convolved(blur, result[middle])
        looked_at = recorded(middle)
        residual = np.asarray(looked_at - expected, np.float32)
        limits = _limits(residual) if has_specks(looked_at, expected) else None
        if not self._chosen:
            self._chosen = True
            # Noise that is cut off has a mean, and not the same one in dark places as in bright ones.
            usual = slice(None) if limits is None else (residual > limits[0]) & (residual < limits[1])
            if is_cut_off(looked_at[usual], expected[usual]):
                return
            level = _trim(residual, limits)
            self.regularisation = _choose(residual, blur)
        else:
            level = _trim(residual, limits)
        if self.regularisation is None:
            return
        wiener = _filter(blur, self.regularisation)
        total = 0.0
        waiting: tuple[slice, Array] | None = None
        for core, wide in slabs(result.shape, blur.psf.shape[0] + wiener.psf.shape[0]):
            residual = np.asarray(recorded((wide,)) - convolved(blur, result[wide]), np.float32)
            _trim(residual, limits, level)
            correction = convolved(wiener, residual)[core.start - wide.start : core.stop - wide.start]
            total += float(correction.sum(dtype=np.float64))
            # The next slab still looks at this one as it was.
            if waiting is not None:
                result[waiting[0]] += waiting[1]
            waiting = core, correction
        assert waiting is not None
        result[waiting[0]] += waiting[1]
        result -= np.float32(total / result.size)


def _limits(residual: Array) -> tuple[float, float]:
    middle = float(np.median(residual))
    width = _CUT * 1.4826 * float(np.median(np.abs(residual - middle)))
    return middle - width, middle + width


def _trim(residual: Array, limits: tuple[float, float] | None, level: float | None = None) -> float:
    """Cut in place at the limits, then take off the level (None: the mean), which is returned."""
    if limits is not None:
        np.clip(residual, *limits, out=residual)
    level = float(residual.mean(dtype=np.float64)) if level is None else level
    residual -= np.float32(level)
    return level


def _choose(residual: Array, blur: Blur) -> float | None:
    """Return the strongest filter up to which pixels kept from it are explained better and better."""
    generator = torch.Generator().manual_seed(0)
    held = stratified_mask(1, residual.shape, _HELD_OUT_PERCENT, generator)[0, 0].numpy()
    seen = np.where(held, np.float32(0), residual)
    recorded, chosen = residual[held].astype(np.float64), None
    best = recorded**2
    for strength in STRENGTHS:
        predicted = convolved(blur, convolved(_filter(blur, strength), seen))[held]
        error = (recorded - predicted) ** 2
        gain = best - error
        if gain.mean() <= _SURE * gain.std() / np.sqrt(max(1, gain.size)):
            break
        best, chosen = error, strength
    return chosen


def _filter(blur: Blur, strength: float) -> Blur:
    return Blur(wiener_kernel(blur.psf, strength, corner=_CORNER), boundary=blur.boundary)


def _middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return where the middle lies, as much of it as the choice needs."""
    size = list(shape)
    while np.prod(size, dtype=float) > _MOST_VOXELS:
        size[int(np.argmax(size))] -= max(1, max(size) // 16)
    return tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, size, strict=True))
