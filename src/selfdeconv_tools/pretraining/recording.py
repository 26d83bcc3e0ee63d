"""Noise and defects of a generated image: what a camera adds to the blurred scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.physics.blur import Blur


@dataclass(frozen=True)
class NoiseRange:
    """How images are recorded. Brightness 1 is the brightest voxel of the scene.

    Parameters
    ----------
    read_noise : lowest and highest standard deviation of the read noise.
    photon_variance : lowest and highest variance of the photon noise at brightness 1; 0.3 is three photons.
    few_photons : lowest and highest number of photons at brightness 1, of images in which they are counted.
    with_photons, with_hot_pixels, clipped, correlated, striped, counted, saturated, with_background : share of the
        images that have each, 0 to 1. A background adds photon noise; its mean is subtracted. With the last
        five three to five times as frequent, and scenes to match, weights for images were worse on real ones
        (docs/data/pretraining.csv).
    """

    read_noise: tuple[float, float] = (0.008, 0.2)
    photon_variance: tuple[float, float] = (1e-4, 0.1)
    with_photons: float = 0.6
    with_hot_pixels: float = 0.4
    clipped: float = 0.4
    correlated: float = 0.02
    striped: float = 0.02
    few_photons: tuple[float, float] = (1.0, 30.0)
    counted: float = 0.03
    saturated: float = 0.02
    with_background: float = 0.1


# Noise that no training image has: for validation.
STRONGER = NoiseRange((0.2, 0.35), (0.1, 0.3), with_photons=1.0)
CORRELATED = NoiseRange(correlated=1.0, with_hot_pixels=0, clipped=0)


def recorded(
    blurred: Tensor, noise: NoiseRange, random: np.random.Generator, generator: torch.Generator
) -> Tensor:
    """Return images with photon noise, read noise, stripes, hot pixels, clipped and saturated values.

    Parameters
    ----------
    blurred : images (batch, 1, *shape), float32, brightness 0 to 1, on the device of ``generator``.
    random : draws what an image has; ``generator`` draws the noise of its voxels.

    Examples
    --------
    >>> flat = torch.full((2, 1, 16, 16), 0.5)
    >>> image = recorded(flat, NoiseRange(), np.random.default_rng(0), torch.Generator().manual_seed(0))
    >>> image.shape == flat.shape, bool(image.std() > 0.005)
    (True, True)
    """
    n, device = len(blurred), blurred.device

    def column(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).reshape(-1, *[1] * (blurred.ndim - 1)).to(device)

    def some(share: float) -> NDArray[np.bool_]:
        return random.random(n) < share

    sigma = column(_log_uniform(random, noise.read_noise, n))
    variance = column(_log_uniform(random, noise.photon_variance, n) * some(noise.with_photons))
    white = torch.randn(blurred.shape, generator=generator, device=device)
    background = column(random.uniform(0, 1, n) * some(noise.with_background))
    photons = torch.sqrt(variance * (blurred.clamp(min=0) + background)) * white
    read = torch.randn(blurred.shape, generator=generator, device=device)
    for index in np.flatnonzero(some(noise.correlated)):
        read[index] = _correlated(read[index], random.uniform(0.4, 0.9))
    image = blurred + photons + sigma * read
    for index in np.flatnonzero(some(noise.counted)):
        # A few photons, and nothing else: most values are 0, 1 or 2.
        brightest = math.exp(random.uniform(*np.log(noise.few_photons)))
        light = brightest * (blurred[index].clamp(min=0) + background[index])
        image[index] = torch.poisson(light, generator=generator) / brightest - background[index]
    rows = torch.randn((*blurred.shape[:-1], 1), generator=generator, device=device)
    image = image + column(some(noise.striped) * random.uniform(0.2, 1, n)) * sigma * rows
    hot = torch.rand(image.shape, generator=generator, device=device) < column(
        random.uniform(0, 0.02, n) * some(noise.with_hot_pixels)
    )
    image = torch.where(hot, torch.rand(image.shape, generator=generator, device=device), image)
    image = torch.where(column(some(noise.clipped)).bool(), image.clamp(0, 1), image)
    for index in np.flatnonzero(some(noise.saturated)):
        image[index] = image[index].clamp(max=random.uniform(0.6, 1) * blurred[index].max())
    return image


def _correlated(noise: Tensor, sigma: float) -> Tensor:
    """Smooth each plane of (1, *shape), as interpolation and sCMOS cameras do; the deviation stays 1."""
    offset = np.arange(9) - 4
    weights = np.exp(-0.5 * (offset / sigma) ** 2)
    blur = Blur(np.outer(weights, weights) / weights.sum() ** 2)
    smooth = blur(noise.reshape(-1, 1, *noise.shape[-2:])).reshape(noise.shape)
    return smooth / smooth.std().clamp(min=1e-6)


def _log_uniform(random: np.random.Generator, limits: tuple[float, float], n: int) -> NDArray[np.float64]:
    low, high = limits
    return np.exp(random.uniform(math.log(low), math.log(high), n))
