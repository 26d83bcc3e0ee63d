"""A first estimate made without the pixels that training hides from the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.holdout.held_out import choose_held_out, hold_out

#: Share of the pixels that a first estimate for training does not see: one in every box of 2 x 2 x 2.
HIDDEN_PERCENT = 12.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Guide:
    """The input of a network in training besides the stack itself.

    Attributes
    ----------
    estimate : float32, standardised: the first estimate of the stack, made without the pixels ``hidden``.
    hidden : boolean, as large. Only these may be hidden from the network: the estimate has the others.
    """

    estimate: NDArray[np.float32]
    hidden: NDArray[np.bool_]


def choose_hidden(standard: NDArray[np.float32], config: TrainConfig, seed: int) -> NDArray[np.bool_]:
    """Return the pixels that a first estimate for training leaves out. The held-out pixels are among them.

    Parameters
    ----------
    standard : the standardised stack.
    config : its share of held-out pixels.
    seed : of the frame, as in `hold_out`.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> stack = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    >>> bool(0.11 < choose_hidden(stack, preset("quick", 3), seed=0).mean() < 0.17)
    True
    """
    _, held = hold_out(standard, config.blind_spot.held_out_percent, seed)
    hidden: NDArray[np.bool_] = held | choose_held_out(standard, HIDDEN_PERCENT, seed)
    return hidden
