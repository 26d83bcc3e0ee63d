"""The detection of training runs that collapsed, from the output of the network."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from napari_selfdeconv.errors import ComputeError

# f(x) varies by less than this share of the image's own variation: a flat picture.
_FLAT = 0.01
# A pattern of period 2 whose amplitude exceeds this share of the variation of f(x): a checkerboard.
_CHECKERBOARD = 0.5
# The loss is this many times the first one: it explodes, though it may still be finite.
_EXPLODED = 100.0


class Collapsed(ComputeError):
    """The training collapsed. Another seed may succeed."""


def measure_checkerboard(y: Tensor) -> float:
    """Return the amplitude of the strongest pattern of period 2 in ``y``, as a share of its standard deviation.

    Parameters
    ----------
    y : (batch, 1, *space). Stripes along any axis and checkerboards over any axes are looked for.

    Examples
    --------
    >>> board = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    >>> round(measure_checkerboard(board[None, None].float()), 3)
    1.0
    """
    y = y.float()
    y = y - y.mean(dim=tuple(range(1, y.ndim)), keepdim=True)
    spread = float(y.std(correction=0))
    if spread == 0:
        return 0.0
    strongest = 0.0
    for axes in itertools.product((False, True), repeat=y.ndim - 2):
        pattern = y
        for axis, used in enumerate(axes, 2):
            if used:
                sign = 1.0 - 2.0 * (torch.arange(y.shape[axis], device=y.device) % 2)
                pattern = pattern * sign.view([-1 if a == axis else 1 for a in range(y.ndim)])
        if any(axes):
            means = pattern.mean(dim=tuple(range(1, y.ndim)))
            strongest = max(strongest, float(means.abs().mean()) / spread)
    return strongest


def find_collapse(y: Tensor, loss: float, first_loss: float) -> str:
    """Return why a run counts as collapsed, in the user's words, or "".

    Parameters
    ----------
    y : f(x) of a batch, (batch, 1, *space), standardised units.
    loss, first_loss : total loss now and at the first step.
    """
    if not math.isfinite(loss):
        return "the loss is no longer finite"
    if loss > _EXPLODED * first_loss:
        return f"the loss grew to {loss / first_loss:.0f} times its first value"
    if float(y.float().std(correction=0)) < _FLAT:
        return "the result became flat"
    share = measure_checkerboard(y)
    if share > _CHECKERBOARD:
        return f"the result became a checkerboard ({share:.0%} of its variation)"
    return ""
