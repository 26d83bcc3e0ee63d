"""A simulated second recording of the same object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Residuals are exchanged among pixels of about the same brightness: photon noise grows with it.
_BINS, _LEAST_IN_BIN = 16, 64


def another_recording(
    expected: NDArray[np.float32],
    image: NDArray[np.float32],
    random: np.random.Generator,
    measured: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return ``expected`` with the noise of ``image``: each pixel gets the residual of another one as bright.

    So photon noise, read noise, outliers and clipped values are like those of the image, without a model of the
    camera.

    Parameters
    ----------
    expected : the image without noise, g(result).
    image : the recorded one, the same shape and units.
    random : draws the pixels.
    measured : False where a pixel is no measurement: its residual is not used. None uses all.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> expected = np.repeat(np.float32([5, 500]), 5000)
    >>> image = random.poisson(expected).astype(np.float32)
    >>> again = another_recording(expected, image, random)
    >>> [round(float(part.std())) for part in np.split(again, 2)]
    [2, 22]
    """
    residual = (image - expected).ravel()
    counts = np.ones(residual.size, bool) if measured is None else measured.ravel()
    order = np.argsort(expected, axis=None, kind="stable")
    # A number for each pixel says which of the sorted residuals it takes: rounding changes next to nothing.
    drawn = random.random(order.size)
    again = np.array(expected, np.float32).ravel()
    for group in np.array_split(order, max(1, min(_BINS, order.size // _LEAST_IN_BIN))):
        pool = np.sort(residual[group[counts[group]]])
        if pool.size:
            again[group] += pool[(drawn[group] * pool.size).astype(np.intp)]
    return again.reshape(expected.shape)
