"""Replacement of outliers (salt and pepper, hot pixels) before a least-squares method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter


def replace_outliers(image: NDArray[Any], *, share: float = 0.4) -> NDArray[np.float32]:
    """Return ``image`` with pixels replaced by the 5-wide median where they differ from it by too much.

    Parameters
    ----------
    image : 2D or 3D.
    share : share of the image's range; a larger difference makes a pixel an outlier.

    Examples
    --------
    >>> image = np.zeros((9, 9))
    >>> image[4, 4] = 1.0
    >>> float(replace_outliers(image).max())
    0.0
    """
    data = np.asarray(image, np.float32)
    middle = median_filter(data, size=5, mode="reflect")
    outliers = np.abs(data - middle) > share * float(np.ptp(data))
    return np.where(outliers, middle, data).astype(np.float32)
