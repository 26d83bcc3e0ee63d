"""The 90 % interval of each pixel, and the places that the data do not support.

The truth is never seen, so no image can calibrate its own interval. Pixels kept from training calibrate the
blurred image alone. The step from the evidence (`inference.evidence`) to the error is therefore learned on
generated scenes, whose truth is known: ``python -m selfdeconv_tools.fit_intervals`` makes intervals.toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdeconv.inference.evidence import Evidence

Array = NDArray[np.float32]

#: Share of the true pixels that the intervals are made for.
LEVEL = 0.9
_FITTED = Path(__file__).with_name("intervals.toml")
# Smoothing of squared changes, voxels: few recordings give a noisy estimate of them.
_NEAR = 1.5
# Nothing is smaller than this share of the spread of the result: logarithms need something above 0.
_LEAST = 1e-3
# Disagreements count between these widths of a Gaussian, voxels: finer is noise, coarser is background.
_STRUCTURE = (2.0, 16.0)


def features(evidence: Evidence) -> NDArray[np.float64]:
    """Return the features from which the half-width of each pixel is computed.

    Returns
    -------
    Array of shape (3, *space). The first feature is a constant. The second is the logarithm of the change by other
    recordings and of the departure from the initial weights together, as a share of the result's spread. The third
    is the logarithm of the width of the PSF over 1 + (noise / spread)^2. Other recordings show the effect of
    noise, and less of that of the blur: a wide PSF hides more detail, unless noise hides it first.
    """
    spread = spread_of(evidence.result)
    squares = evidence.change.astype(np.float64) ** 2 + evidence.departure.astype(np.float64) ** 2
    doubt = np.sqrt(np.maximum(gaussian_filter(squares, _NEAR), 0)) / spread
    hidden = evidence.width / (1 + (evidence.noise / spread) ** 2)
    ones = np.ones(doubt.shape)
    return np.stack([ones, np.log(np.maximum(doubt, _LEAST)), np.log(hidden) * ones])


def half_widths(evidence: Evidence) -> Array:
    """Return half of the width of the 90 % interval of each pixel, in the units of the result."""
    kind = "haze" if evidence.hazy else f"{evidence.result.ndim}d"
    fitted = np.array(_coefficients()[kind])
    logarithm = np.tensordot(fitted, features(evidence), 1)
    width: Array = (spread_of(evidence.result) * np.exp(logarithm)).astype(np.float32)
    return width


def unsupported(result: Array, half_width: Array, others: Sequence[Array]) -> NDArray[np.bool_]:
    """Return where another result has a structure that differs by more than the interval.

    Structure is what is wider than noise and narrower than background: Gaussians of 2 and of 16 voxels.

    Examples
    --------
    >>> result = np.zeros((33, 33), np.float32)
    >>> result[14:19, 14:19] = 9
    >>> marked = unsupported(result, np.ones((33, 33), np.float32), [np.zeros((33, 33), np.float32)])
    >>> bool(marked[16, 16]), bool(marked[2, 2])
    (True, False)
    """
    marked = np.zeros(result.shape, bool)
    for other in others:
        fine, coarse = (gaussian_filter(other - result, width) for width in _STRUCTURE)
        marked |= np.abs(fine - coarse) > half_width
    return marked


def spread_of(result: Array) -> float:
    """Return the standard deviation of a result: the scale of everything that is fitted."""
    return float(result.std(dtype=np.float64)) or 1.0


@cache
def _coefficients() -> dict[str, list[float]]:
    return {
        kind: list(values["coefficients"]) for kind, values in tomllib.loads(_FITTED.read_text("utf-8")).items()
    }
