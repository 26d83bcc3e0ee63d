"""What the network has left in the residual: put back, as strongly as pixels held out of it say.

A short run explains an image with little noise less well than the image allows. Then the residual x - g(f(x))
still holds structure, and a Wiener filter brings it back to f; where the residual is noise alone, the held-out
pixels say so and f is left as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.calibration import has_specks
from napari_selfdeconv.config import Boundary
from napari_selfdeconv.forward import Blur, wiener_kernel
from napari_selfdeconv.masks import stratified_mask

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

    def __call__(self, result: Array, image: Array, psf: NDArray[Any], boundary: Boundary) -> Array:
        """Return ``result`` refined, or itself where the held-out pixels saw no gain.

        Parameters
        ----------
        result : f(x), deconvolved; float32, 2D or 3D.
        image : x, the same shape and units.
        psf, boundary : of g.

        Returns
        -------
        float32, the mean of ``result``.

        Examples
        --------
        >>> random = np.random.default_rng(0)
        >>> noise, refiner = random.normal(size=(64, 64)).astype(np.float32), Refiner()
        >>> refined = refiner(np.zeros_like(noise), noise, np.ones((3, 3)) / 9, "reflect")
        >>> refiner.regularisation is None, float(np.abs(refined).max())
        (True, 0.0)
        """
        if self._chosen and self.regularisation is None:
            return result
        blur = Blur(psf, boundary=boundary)
        residual = _residual(result, image, blur)
        if not self._chosen:
            self.regularisation, self._chosen = _choose(_middle(residual), blur), True
        if self.regularisation is None:
            return result
        correction = _convolved(_filter(blur, self.regularisation), residual)
        refined: Array = result + (correction - correction.mean())
        return refined


def _residual(result: Array, image: Array, blur: Blur) -> Array:
    expected = _convolved(blur, result)
    residual = np.asarray(image - expected, np.float32)
    if has_specks(image, expected):
        middle = np.median(residual)
        width = _CUT * 1.4826 * float(np.median(np.abs(residual - middle)))
        residual = np.clip(residual, middle - width, middle + width)
    residual -= residual.mean()
    return residual


def _choose(residual: Array, blur: Blur) -> float | None:
    """Return the strongest filter up to which pixels kept from it are explained better and better."""
    generator = torch.Generator().manual_seed(0)
    held = stratified_mask(1, residual.shape, _HELD_OUT_PERCENT, generator)[0, 0].numpy()
    seen = np.where(held, np.float32(0), residual)
    recorded, chosen = residual[held].astype(np.float64), None
    best = recorded**2
    for strength in STRENGTHS:
        predicted = _convolved(blur, _convolved(_filter(blur, strength), seen))[held]
        error = (recorded - predicted) ** 2
        gain = best - error
        if gain.mean() <= _SURE * gain.std() / np.sqrt(max(1, gain.size)):
            break
        best, chosen = error, strength
    return chosen


def _filter(blur: Blur, strength: float) -> Blur:
    return Blur(wiener_kernel(blur.psf, strength, corner=_CORNER), boundary=blur.boundary)


def _middle(array: Array) -> Array:
    """Return the middle of an array, as much as the choice needs."""
    shape = list(array.shape)
    while np.prod(shape, dtype=float) > _MOST_VOXELS:
        shape[int(np.argmax(shape))] -= max(1, max(shape) // 16)
    return array[tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(array.shape, shape, strict=True))]


def _convolved(blur: Blur, image: Array) -> Array:
    with torch.inference_mode():
        out: Array = blur(torch.from_numpy(np.ascontiguousarray(image))[None, None])[0, 0].numpy()
    return out
