"""Simulated measurements: the blur and the noise of the benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import convolve2d, fftconvolve

from napari_selfdeconv.config.checks import check_number, check_whole
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import to_array

POISSON_GAIN = 0.001


GAUSSIAN_SIGMA = 0.1


SALT_SHARE = 0.01


GREY_LEVELS = 1024


_MOST_NOISE, _MOST_PHOTONS = 100.0, 1e9


Array = NDArray[np.float32]


def degrade(truth: ArrayLike, psf: ArrayLike, seed: int = 0, salt: bool = True) -> Array:
    """Blur and corrupt an image, to the last bit as the benchmark does.

    The truth is rescaled to [0, 1] by its own minimum and maximum, and convolved with the PSF, with zero outside
    the image. Noise of standard deviation ``sqrt(0.001 b + 0.1^2)`` is added at a blurred intensity ``b``, and 1 %
    of the pixels get random values. The image is then rounded to 1/1024 and clipped to [0, 1].

    Parameters
    ----------
    truth : array_like, shape ([z,] y, x)
        Any real numbers.
    psf : array_like, shape ([z,] y, x)
        As many axes as the truth, nowhere larger; its centre is at ``n // 2``. Used as it is if its sum is 1
        to within 1e-4, divided by its sum otherwise.
    seed : int
        Of NumPy's legacy generator, which the benchmark restarts for every image.
    salt : bool
        Whether to add the random pixels; the benchmark does so in 2D only.

    Returns
    -------
    ndarray of float32, shape of ``truth``
        In [0, 1].

    Raises
    ------
    ConfigError
        For a truth that is constant or not 2D or 3D, values that are not finite, or a PSF that has other
        axes, is larger than the truth or has no positive sum.

    References
    ----------
    Papkov, Palo, Parts (2023), Self-Supervised Single-Image Deconvolution with Siamese Neural Networks.

    Examples
    --------
    >>> truth = np.zeros((16, 16)); truth[8, 8] = 5
    >>> noisy = degrade(truth, np.full((3, 3), 1 / 9))
    >>> noisy.dtype, noisy.shape, float(noisy.min()) >= 0
    (dtype('float32'), (16, 16), True)
    """
    check_whole("seed", seed, 0, 2**32 - 1)
    image, kernel = _checked(truth, psf)
    return _add_noise(_blur(image, kernel), seed, salt)


def measure(
    truth: ArrayLike, psf: ArrayLike, *, sigma: float = 0.0, photons: float | None = None, seed: int = 0
) -> Array:
    """Blur an image and give it the noise of a camera: photon noise and read noise, without clipping.

    Parameters
    ----------
    truth, psf : as `degrade`.
    sigma : standard deviation of the Gaussian read noise, in units of the truth's range.
    photons : how many arrive where the truth is brightest; None for no photon noise.
    seed : seed of NumPy's default generator.

    Returns
    -------
    ndarray of float32, shape of ``truth``
        The truth's range is 0 to 1 in it.

    Raises
    ------
    ConfigError
        As `degrade`; for a sigma that is negative, or photons that are not above 0.

    Examples
    --------
    >>> truth = np.zeros((16, 16)); truth[8, 8] = 5
    >>> bool(measure(truth, np.ones((1, 1)), photons=50).max() > 0.5)
    True
    """
    check_number("sigma", sigma, 0, _MOST_NOISE)
    image, kernel = _checked(truth, psf)
    blurred = _blur(image, kernel).astype(np.float64)
    random = np.random.default_rng(seed)
    if photons is not None:
        check_number("photons", photons, 0, _MOST_PHOTONS, open_low=True)
        blurred = random.poisson(photons * np.maximum(blurred, 0)) / photons
    return np.asarray(blurred + sigma * random.normal(size=blurred.shape), dtype=np.float32)


def _checked(truth: ArrayLike, psf: ArrayLike) -> tuple[Array, NDArray[np.float64]]:
    image = rescale_to_unit(_real("truth", truth))
    kernel = _unit_sum(_real("PSF", psf))
    if image.ndim not in (2, 3):
        raise ConfigError(f"the truth must be a 2D or 3D image, got shape {image.shape}")
    if kernel.ndim != image.ndim:
        raise ConfigError(f"a {image.ndim}D image needs a {image.ndim}D PSF, got shape {kernel.shape}")
    if any(k > n for k, n in zip(kernel.shape, image.shape, strict=True)):
        raise ConfigError(f"the PSF {kernel.shape} is larger than the image {image.shape}: crop it")
    return image, kernel


def _blur(image: Array, kernel: NDArray[np.float64]) -> Array:
    # scipy takes (n - 1) // 2 for the centre; a zero behind an even axis makes that the n // 2 of the PSF.
    kernel = np.pad(kernel, [(0, 1 - n % 2) for n in kernel.shape])
    if image.ndim == 2:
        blurred = convolve2d(image, kernel, mode="same")
    else:
        # In float64 the FFT equals the direct sum to 1e-16: the rounding to 1/1024 gives the same.
        blurred = fftconvolve(image.astype(np.float64), kernel, mode="same")
    return np.asarray(blurred, dtype=np.float32)


def _add_noise(blurred: Array, seed: int, salt: bool) -> Array:
    # The order of the draws is part of the protocol.
    random = np.random.RandomState(seed)
    noise = random.normal(size=blurred.shape)
    noisy = blurred + np.sqrt(POISSON_GAIN * blurred + GAUSSIAN_SIGMA**2) * noise
    if salt:
        hit = random.uniform(size=blurred.shape) < SALT_SHARE
        noisy = np.where(hit, random.uniform(size=blurred.shape), noisy)
    noisy = np.round(noisy * GREY_LEVELS) / GREY_LEVELS
    return np.asarray(np.clip(noisy, 0, 1), dtype=np.float32)


def _real(name: str, values: ArrayLike) -> NDArray[np.generic]:
    array = to_array(f"the {name}", values)
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise ConfigError(f"the {name} must hold real numbers, got {array.dtype} of shape {array.shape}")
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise ConfigError(f"the {name} has {bad} values that are NaN or infinite")
    return array


def rescale_to_unit(image: NDArray[Any]) -> Array:
    """Return ``image`` rescaled to [0, 1] by its own minimum and maximum, float32: the benchmark's truth.

    Raises
    ------
    ConfigError
        For a constant image.
    """
    image32 = image.astype(np.float32)
    low, high = image32.min(), image32.max()
    if low == high:
        raise ConfigError(f"the truth is constant ({low:g}): there is nothing to degrade")
    scaled: Array = (image32 - low) / (high - low)
    return scaled


def _unit_sum(psf: NDArray[np.generic]) -> NDArray[np.float64]:
    kernel = psf.astype(np.float64)
    total = float(kernel.sum())
    if total <= 0:
        raise ConfigError(f"the PSF must have a positive sum, got {total:g}")
    return kernel if abs(total - 1) <= 1e-4 else kernel / total
