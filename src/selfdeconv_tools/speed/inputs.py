"""Images and PSFs to measure speed on: only their sizes matter, their contents are plausible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def random_image(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return positive noise, the same every time."""
    return np.random.default_rng(0).random(tuple(shape), np.float32) + np.float32(0.1)


def standard_image(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return noise of zero mean and unit variance, the same every time."""
    return np.random.default_rng(0).standard_normal(tuple(shape), np.float32)


def gaussian_psf(shape: Sequence[int]) -> NDArray[np.float64]:
    """Return a Gaussian, its width a sixth of the window on every axis, unit sum."""
    psf = np.ones(())
    for n in shape:
        line = np.exp(-0.5 * ((np.arange(n) - n // 2) / (n / 6)) ** 2)
        psf = np.multiply.outer(psf, line)
    result: NDArray[np.float64] = psf / psf.sum()
    return result


def size_text(*shapes: Sequence[int] | str) -> str:
    """Return how sizes read in the table.

    Examples
    --------
    >>> size_text((8, 1, 128), "PSF", (17, 17))
    '8x1x128 PSF 17x17'
    """
    return " ".join(part if isinstance(part, str) else "x".join(map(str, part)) for part in shapes)


def precision_name(dtype: Any) -> str:
    """Return "bfloat16" for ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")
