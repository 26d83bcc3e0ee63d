"""Pixels held out of a computation, to measure afterwards how well it predicts them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.config import check_number
from napari_selfdeconv.masks import stratified_mask


def hold_out(image: NDArray[Any], percent: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Replace a stratified random set of pixels by the median of their neighbours.

    Parameters
    ----------
    image : 2D or 3D, real.
    percent : share of the pixels to hold out, 0 (none) to 20.
    seed : the same seed holds out the same pixels.

    Returns
    -------
    filled : float32 copy of ``image`` in which no held-out value is left.
    held_out : boolean, True at the pixels held out.

    Examples
    --------
    >>> image = np.arange(64 * 64.0).reshape(64, 64)
    >>> filled, held_out = hold_out(image, 2, seed=0)
    >>> bool((filled[~held_out] == image[~held_out]).all()), 60 < int(held_out.sum()) < 110
    (True, True)
    """
    check_number("percent", percent, 0.0, 20.0)
    filled = np.array(image, np.float32)
    if percent == 0:
        return filled, np.zeros(image.shape, bool)
    generator = torch.Generator().manual_seed(seed)
    held = stratified_mask(1, image.shape, percent, generator)[0, 0].numpy()
    source = np.pad(np.where(held, np.nan, filled), 1, mode="symmetric")
    where = np.nonzero(held)
    steps = [step for step in itertools.product((0, 1, 2), repeat=image.ndim) if step != (1,) * image.ndim]
    around = np.stack([source[tuple(w + s for w, s in zip(where, step, strict=True))] for step in steps])
    filled[where] = np.nanmedian(around, axis=0)
    return filled, held
