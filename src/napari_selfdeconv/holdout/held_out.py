"""Pixels held out of a computation, to measure afterwards how well it predicts them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from napari_selfdeconv.config.checks import check_number
from napari_selfdeconv.holdout.masks import stratified_mask
from napari_selfdeconv.holdout.orientation import Orientation

_STANDARD_ERRORS = 2.0
# Iterations are used if held-out pixels are predicted better by so many standard errors: then they do not fit
# noise.
_SURE = 3.0
# With fewer held-out pixels than this no choice is reliable.
_FEWEST = 8


def hold_out(
    image: NDArray[Any], percent: float, seed: int, measured: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Replace a stratified random set of pixels by the median of their neighbours.

    Parameters
    ----------
    image : 2D or 3D, real.
    percent : share of the pixels to hold out, 0 (none) to 20.
    seed : the same seed holds out the same pixels.
    measured : where it is False, the value has no influence on which pixels are chosen.

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
    held = choose_held_out(image, percent, seed, measured)
    source = np.pad(np.where(held, np.nan, filled), 1, mode="symmetric")
    where = np.nonzero(held)
    steps = [step for step in itertools.product((0, 1, 2), repeat=image.ndim) if step != (1,) * image.ndim]
    around = np.stack([source[tuple(w + s for w, s in zip(where, step, strict=True))] for step in steps])
    filled[where] = np.nanmedian(around, axis=0)
    return filled, held


def choose_held_out(
    image: NDArray[Any], percent: float, seed: int, measured: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return a stratified random set of pixels, True where one is held out; parameters as in `hold_out`.

    The mirror images and the transposes of an image have the same pixels held out.
    """
    lies = Orientation.of(image, measured)
    generator = torch.Generator().manual_seed(seed)
    mask = stratified_mask(1, lies.shape(image.shape), percent, generator)[0, 0].numpy()
    return np.ascontiguousarray(lies.undo(mask))


def hold_out_measured(
    image: NDArray[Any], percent: float, seed: int, measured: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """Return measured pixels that are held out, to choose by; None if they are too few.

    Parameters as in `hold_out`.

    Examples
    --------
    >>> everywhere = np.ones((64, 64), bool)
    >>> held = hold_out_measured(np.eye(64), 4, 0, everywhere)
    >>> held is not None and int(held.sum()) > 100, hold_out_measured(np.eye(64), 0.1, 0, everywhere)
    (True, None)
    """
    held: NDArray[np.bool_] = choose_held_out(image, percent, seed, measured) & measured
    return held if np.count_nonzero(held) >= _FEWEST else None


def with_neighbours(held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels held out and their eight neighbours in the plane.

    Where neighbours share their noise, a pixel alone is predicted from them as if its noise were structure.
    Without its neighbours it is not. In larger squares there is structure that nothing else predicts.

    Examples
    --------
    >>> held = np.zeros((5, 5), bool)
    >>> held[2, 2] = True
    >>> int(with_neighbours(held).sum()), bool(with_neighbours(held)[1, 3])
    (9, True)
    """
    around: NDArray[np.bool_] = binary_dilation(held, np.ones((1,) * (held.ndim - 2) + (3, 3), bool))
    return around


def surely_less(errors: NDArray[np.float64], than: NDArray[np.float64]) -> bool:
    """Return whether the mean of ``errors`` is lower than that of ``than`` by three standard errors.

    Both are measured at the same pixels.

    Examples
    --------
    >>> errors = np.random.default_rng(0).random(100)
    >>> surely_less(errors - 0.1, errors), surely_less(errors, errors)
    (True, False)
    """
    gain = than - errors
    return bool(gain.mean() > _SURE * gain.std() / np.sqrt(max(1, gain.size)))


def first_not_worse(errors: Sequence[NDArray[np.float32]], share: float = 0.0) -> int:
    """Return the first of ``errors`` that is not measurably worse than the least.

    Parameters
    ----------
    errors : for each setting, the most cautious one first, the error at every held-out pixel. Worse is measurable
        beyond two standard errors of the difference at the same pixels.
    share : a mean error that is larger by no more than this share is no worse, however many pixels measure it.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    >>> first_not_worse([noise + 9, noise + 0.001 * noise**2, noise])
    2
    >>> first_not_worse([noise + 9, noise + 0.01 * noise[::-1], noise])
    1
    """
    best = errors[int(np.argmin([e.mean() for e in errors]))]
    enough = (1 + share) * float(best.mean())
    for place, error in enumerate(errors):
        if share and float(error.mean()) <= enough:
            return place
        worse = (error - best).astype(np.float64)
        if worse.mean() <= _STANDARD_ERRORS * worse.std() / math.sqrt(worse.size):
            return place
    raise AssertionError("the least is not worse than itself")
