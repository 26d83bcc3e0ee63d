"""The Wiener filter as a finite kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.physics.blur import smooth_size


def wiener_kernel(psf: NDArray[Any], regularisation: float, *, energy: float = 0.999) -> NDArray[np.float64]:
    """Return the Wiener filter ``conj(H) / (|H|^2 + regularisation)`` as a finite kernel.

    A finite kernel can be applied to a tile exactly as to the whole image. It is cut to the smallest
    centred odd box that holds ``energy`` of its squared sum, and never beyond four times the PSF.

    Parameters
    ----------
    psf : array, unit sum, centre at ``n // 2``.
    regularisation : > 0, in units of |H|^2 (H is 1 at frequency 0).
    energy : share of the squared sum to keep, 0 to 1.

    Returns
    -------
    float64 array of odd sizes, centre at ``n // 2``; use it with `Blur`.
    """
    shape = [smooth_size(4 * n + 1) for n in psf.shape]
    centred = np.zeros(shape)
    centred[tuple(slice(0, n) for n in psf.shape)] = psf
    centred = np.roll(centred, [-(n // 2) for n in psf.shape], range(psf.ndim))
    otf = np.fft.rfftn(centred)
    inverse = np.conj(otf) / (np.abs(otf) ** 2 + regularisation)
    kernel = np.fft.fftshift(np.fft.irfftn(inverse, s=shape, axes=tuple(range(psf.ndim))))
    centre = [n // 2 for n in shape]
    total = float((kernel**2).sum())
    limits = [(n - 1) // 2 for n in shape]
    for fraction in np.linspace(0.0, 1.0, 65):
        radii = [math.ceil(fraction * limit) for limit in limits]
        box = kernel[tuple(slice(c - r, c + r + 1) for c, r in zip(centre, radii, strict=True))]
        if float((box**2).sum()) >= energy * total:
            break
    return box
