"""The distance of a restored image from the truth: PSNR, SSIM, RMSE and two mutual informations.

The definitions are those of the benchmark of Papkov, Palo, Parts (2023): intensities in [0, 1], data range 1.
Nothing is clipped or rescaled here except by `scale_to_truth`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dctn
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_selfdeconv.config.checks import check_choice
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import to_array

BINS = 256
SSIM_WINDOW = 7
Units = Literal["auto", "truth", "unit"]
# A result on a scale of 0 to 1 may overshoot, but one pixel in a hundred does not lie above twice its range.
_MOST_ON_UNIT_SCALE = 2.0

Image = NDArray[np.floating[Any]]


def psnr(result: ArrayLike, truth: ArrayLike) -> float:
    """Return the peak signal-to-noise ratio in dB for a data range of 1.

    Parameters
    ----------
    result, truth : array_like, shape ([z,] y, x)
        Intensities in [0, 1].

    Returns
    -------
    float
        ``10 log10(1 / mean((result - truth)^2))``; infinity for equal images.

    Raises
    ------
    ConfigError
        If the shapes differ, an image is not 2D or 3D, or a value is not finite.

    Examples
    --------
    >>> round(psnr(np.full((8, 8), 0.5), np.full((8, 8), 0.4)), 6)
    20.0
    """
    a, b = _pair(result, truth)
    if np.array_equal(a, b):
        return math.inf  # scikit-image returns this as well, by a division by zero and with a warning
    return float(peak_signal_noise_ratio(b, a, data_range=1.0))  # type: ignore[no-untyped-call]


def ssim(result: ArrayLike, truth: ArrayLike) -> float:
    """Return scikit-image's mean structural similarity for a data range of 1 (in 3D: of the volume).

    Parameters
    ----------
    result, truth : array_like, shape ([z,] y, x)
        Intensities in [0, 1].

    Returns
    -------
    float
        At most 1, which only equal images reach. The window has 7 voxels a side as in the benchmark, or
        the largest odd number that fits the shortest axis.

    Raises
    ------
    ConfigError
        As `psnr`, and if an axis is shorter than 3.

    Examples
    --------
    >>> ramp = np.linspace(0, 1, 64).reshape(8, 8)
    >>> ssim(ramp, ramp)
    1.0
    """
    a, b = _pair(result, truth)
    shortest = min(a.shape)
    if shortest < 3:
        raise ConfigError(f"SSIM needs at least 3 voxels along every axis, got an image of shape {a.shape}")
    window = min(SSIM_WINDOW, shortest - 1 + shortest % 2)
    mean = structural_similarity(b, a, data_range=1.0, win_size=window)  # type: ignore[no-untyped-call]
    return float(mean)


def rmse(result: ArrayLike, truth: ArrayLike) -> float:
    """Return the root of the mean squared difference, in the unit of the images.

    Parameters
    ----------
    result, truth : array_like, shape ([z,] y, x)

    Raises
    ------
    ConfigError
        As `psnr`.

    Examples
    --------
    >>> rmse(np.full((8, 8), 0.5), np.full((8, 8), 0.25))
    0.25
    """
    a, b = _pair(result, truth)
    return math.sqrt(float(np.mean(np.square(a - b), dtype=np.float64)))


def mutual_information(result: ArrayLike, truth: ArrayLike) -> float:
    """Return the mutual information of two images as a share of their joint entropy, 0 to 1.

    Both come from the joint histogram of 256 x 256 equal bins, each axis from the minimum to the maximum of
    its image; so the measure sees no change of scale or offset.

    Parameters
    ----------
    result, truth : array_like, shape ([z,] y, x)

    Returns
    -------
    float
        ``I(result; truth) / H(result, truth)``; 0 if the images say nothing about each other, or if
        both are constant.

    Raises
    ------
    ConfigError
        As `psnr`.

    Examples
    --------
    >>> ramp = np.linspace(0, 1, 64).reshape(8, 8)
    >>> mutual_information(2 * ramp + 1, ramp)
    1.0
    """
    a, b = _pair(result, truth)
    return _normalised_information(a.astype(np.float64), b.astype(np.float64))


def spectral_mutual_information(result: ArrayLike, truth: ArrayLike) -> float:
    """Return the `mutual_information` of the discrete cosine transforms of two images.

    The transform is of type II, over all axes; each image is first divided by its L2 norm.

    Parameters
    ----------
    result, truth : array_like, shape ([z,] y, x)

    Returns
    -------
    float
        0 to 1; 0 if one of the images is zero everywhere.

    Raises
    ------
    ConfigError
        As `psnr`.

    Examples
    --------
    >>> ramp = np.linspace(0, 1, 64).reshape(8, 8)
    >>> spectral_mutual_information(ramp, ramp)
    1.0
    """
    a, b = _pair(result, truth)
    return _normalised_information(_spectrum(a), _spectrum(b))


def scale_to_truth(result: ArrayLike, truth: ArrayLike, units: Units = "auto") -> tuple[Image, Image]:
    """Return both images on the scale of the truth, 0 to 1; the result is clipped to that range.

    Parameters
    ----------
    result, truth : 2D or 3D, the same shape.
    units : what the numbers of the result mean. "unit": 0 and 1 are the minimum and maximum of the truth. "truth":
        the intensities of the truth. "auto" is the benchmark's rule: a truth inside [0, 1] and its result are left
        alone. Any other truth is rescaled by its own minimum and maximum. A result beside it is taken to be in the
        intensities of the truth if it has whole numbers, or if its 99 % quantile is above 2.

    Raises
    ------
    ConfigError
        As `psnr`; also for a constant truth to rescale, or an integer result beside a floating-point truth.
    """
    check_choice("units", units, get_args(Units))
    a, b = _pair(result, truth)
    whole_result = np.asarray(result).dtype.kind in "iu"
    whole_truth = np.asarray(truth).dtype.kind in "iu"
    if whole_result and not whole_truth and units == "auto":
        raise ConfigError(
            f"the result has whole numbers ({np.asarray(result).dtype}) and the truth has not: "
            "give the result as floating-point numbers on the scale of the truth"
        )
    low, high = float(b.min()), float(b.max())
    if units != "auto" or whole_truth or low < 0 or high > 1:
        if low == high:
            raise ConfigError(f"the truth is constant ({low:g}): there is nothing to compare with")
        b = (b - b.min()) / (b.max() - b.min())
        counts = whole_result or float(np.quantile(a, 0.99)) > _MOST_ON_UNIT_SCALE
        if units == "truth" or (units == "auto" and counts):
            a = (a - low) / (high - low)
    return np.clip(a, 0, 1), b


def _pair(result: ArrayLike, truth: ArrayLike) -> tuple[Image, Image]:
    a, b = _as_image(result, "result"), _as_image(truth, "truth")
    if a.shape != b.shape:
        raise ConfigError(f"result and truth must have the same shape, got {a.shape} and {b.shape}")
    return a, b


def _as_image(values: ArrayLike, name: str) -> Image:
    image = to_array(f"the {name}", values)
    if image.dtype.kind not in "biuf":
        raise ConfigError(f"the {name} must hold real numbers, got {image.dtype}")
    if image.ndim not in (2, 3) or image.size == 0:
        raise ConfigError(f"the {name} must be a 2D or 3D image, got shape {image.shape}")
    image = image.astype(np.result_type(image.dtype, np.float32))  # the benchmark works in float32
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    if bad:
        raise ConfigError(f"the {name} has {bad} values that are NaN or infinite")
    return image


def _spectrum(image: Image) -> NDArray[np.float64]:
    image = image.astype(np.float64)
    norm = float(np.linalg.norm(image)) or 1.0
    spectrum: NDArray[np.float64] = dctn(image / norm, overwrite_x=True)
    return spectrum


def _normalised_information(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    counts, _, _ = np.histogram2d(a.ravel(), b.ravel(), bins=BINS)
    joint = counts / counts.sum()
    entropy = _entropy_bits(joint)
    if entropy == 0:
        return 0.0
    shared = _entropy_bits(joint.sum(axis=1)) + _entropy_bits(joint.sum(axis=0)) - entropy
    return max(0.0, shared / entropy)  # rounding may leave -1e-16


def _entropy_bits(probability: NDArray[np.float64]) -> float:
    p = probability[probability > 0]
    return float(-np.sum(p * np.log2(p)))
