"""Random PSFs, 2D or 3D, of the kinds that microscopes have."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.psf.generate import richards_wolf_psf

_HALF = {2: (8, 10, 12, 16), 3: (5, 8, 15)}
# In 3D the PSF is longer along z than across, as a microscope's is. The widest is often cut along z, as people cut
# the PSF of a thin stack: no plane of a widefield PSF has less light than the others.
_HALF_Z = {5: (5, 5, 7), 8: (8, 8, 12), 15: (6, 10, 15)}


def kernel(random: np.random.Generator, ndim: int) -> NDArray[np.float32]:
    """Return a random PSF of odd size and unit sum.

    It is that of a widefield microscope with or without defocus, of a confocal one or of a light sheet (3D), a
    Gaussian, a disk, or a Gaussian with a halo.

    Examples
    --------
    >>> psf = kernel(np.random.default_rng(0), 2)
    >>> psf.shape[0] % 2, round(float(psf.sum()), 3)
    (1, 1.0)
    """
    half = int(random.choice(_HALF[ndim]))
    shape = (2 * half + 1,) * ndim
    if ndim == 3:
        shape = (2 * int(random.choice(_HALF_Z[half])) + 1, *shape[1:])
    kind = random.random()
    if kind < 0.3:
        psf = _gaussian(random, shape)
    elif kind < 0.42:
        psf = _ball(random, shape)
    elif kind < 0.52:
        psf = _gaussian(random, shape, 0.6, 1.5)
        psf = psf / psf.sum() + random.uniform(0.2, 2) * _gaussian(random, shape, 0.3 * half, 0.6 * half)
    else:
        psf = _diffraction(random, shape)
    return np.asarray(psf / psf.sum(), np.float32)


def broad_kernel(random: np.random.Generator, ndim: int) -> NDArray[np.float32]:
    """Return a Gaussian PSF broader than any that `kernel` draws: for validation outside the range of training.

    Examples
    --------
    >>> broad_kernel(np.random.default_rng(0), 2).shape
    (33, 33)
    """
    half = 16 if ndim == 2 else 10
    shape = (2 * half + 1,) * ndim
    offset = (np.indices(shape) - half) / random.uniform(3.6, 4.6)
    psf = np.exp(-0.5 * (offset**2).sum(0))
    return np.asarray(psf / psf.sum(), np.float32)


def _gaussian(
    random: np.random.Generator, shape: tuple[int, ...], low: float = 0.6, high: float = 3.2
) -> NDArray[np.float64]:
    ndim = len(shape)
    offset = np.stack(np.indices(shape) - np.reshape([n // 2 for n in shape], (-1, *[1] * ndim)), -1)
    sigma = random.uniform(low, min(high, shape[-1] / 5)) * np.ones(ndim)
    if random.random() < 0.3:
        turn, _ = np.linalg.qr(random.normal(size=(ndim, ndim)))
        offset, sigma = offset @ turn, sigma * random.uniform(0.7, 1.4, ndim)
    if ndim == 3:
        sigma[0] *= random.uniform(1, 2.5)
    psf: NDArray[np.float64] = np.exp(-0.5 * ((offset / sigma) ** 2).sum(-1)) / sigma.prod()
    return np.asarray(psf / psf.sum(), np.float64)


def _ball(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    distance = np.linalg.norm(
        np.indices(shape) - np.reshape([n // 2 for n in shape], (-1, *[1] * len(shape))), axis=0
    )
    radius = random.uniform(1, 0.45 * min(shape))
    return np.asarray(gaussian_filter(np.clip(radius + 0.5 - distance, 0, 1), random.uniform(0.3, 1)), np.float64)


def _diffraction(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    index = random.choice([1.0, 1.33, 1.515])
    na = min(random.uniform(0.3, 1.4), 0.95 * index)
    wavelength = random.uniform(0.45, 0.7)
    depth = wavelength * index / na**2
    pixel = wavelength / (4 * na) * random.uniform(0.6, 2.5)
    spacing = (pixel,) * len(shape) if len(shape) == 2 else (depth * random.uniform(0.15, 0.6), pixel, pixel)
    defocus = random.choice([0.0, 1.0]) * random.uniform(0, 3.5) * depth if len(shape) == 2 else 0.0
    kind = random.random() if len(shape) == 3 else 1.0
    confocal = {"excitation_um": 0.92 * wavelength, "pinhole_au": random.uniform(0, 2)} if kind < 0.1 else {}
    optics = Optics(na=na, wavelength_um=wavelength, refractive_index=index, defocus_um=defocus, **confocal)
    with warnings.catch_warnings():
        # Coarse pixels and cut-off halos are wanted here: recorded PSFs have them too.
        warnings.simplefilter("ignore")
        psf = np.asarray(richards_wolf_psf(shape, spacing, optics), np.float64)
    if 0.1 <= kind < 0.2:
        z_um = spacing[0] * (np.arange(shape[0]) - shape[0] // 2)
        sheet = np.exp(-0.5 * (z_um / (depth * random.uniform(0.4, 3))) ** 2)
        psf *= sheet[:, None, None]
    return psf
