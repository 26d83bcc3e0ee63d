"""Regularised least squares: what the Wiener filter minimises, for any border, with weights."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Tick
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.forward_operator import ForwardOperator
from napari_selfdeconv.stop_token import StopToken

# A residual of this share of the first one is small enough.
_SMALL = 1e-4
# Rounds in which saturated pixels are compared with the model again.
_ROUNDS = 2


def solve_least_squares(
    image: NDArray[Any],
    operator: ForwardOperator,
    regularisation: float,
    iterations: int,
    *,
    device: torch.device,
    stop: StopToken,
    weights: PixelWeights | None = None,
    background: float | NDArray[np.float32] = 0.0,
) -> Generator[Tick, None, Tensor]:
    """Minimise ``sum w (A f + b - x)^2 + l sum (f - m)^2`` by conjugate gradients; m is the mean light.

    Parameters
    ----------
    image : 2D or 3D; x.
    operator : A, with what lies beyond the border. Where nothing does, this is the Wiener filter.
    regularisation : l > 0, in units of |H|^2 (H is 1 at frequency 0).
    iterations : at most; fewer if the residual is small before.
    stop : when set, the estimate so far is returned.
    weights : w; None is 1 everywhere. A saturated pixel counts as long as the model has less light than it.
    background : b; a number, or (y, x).

    Returns
    -------
    float32 tensor, (1, 1, *estimate), light above the background; it may be negative. What differs from m is
    multiplied by 1 + l. In the computer's memory.

    Notes
    -----
    Light that the image says nothing about, as beyond the border, is m. The square of a block of the coarse grid
    counts as often as the block has voxels.
    """
    above = np.asarray(image, np.float32) - background
    # Squares of extreme numbers would not be finite. A power of two changes no digit.
    unit = math.ldexp(1.0, math.frexp(float(np.abs(above).max()))[1])
    above /= unit
    x = torch.as_tensor(above.astype(np.float32, copy=False), device=device)[None, None]
    given = torch.ones_like(x)
    if weights is not None:
        given = torch.as_tensor(weights.values, device=device).to(x)[None, None]
    saturated = None
    if weights is not None and weights.at_least is not None:
        saturated = torch.as_tensor(weights.at_least, device=device)[None, None]
    rounds = 1 if saturated is None else _ROUNDS
    with torch.inference_mode():
        size = operator.adjoint(torch.ones_like(x))
        for part in operator.grids(size):
            part.fill_(float(part.max()))
        mean = float((given * x).sum(dtype=torch.float64) / given.sum(dtype=torch.float64))
        usual = operator.clear(torch.full_like(size, mean))
        x -= operator.forward(usual)
        f, w = torch.zeros_like(size), given
    for number in range(rounds):
        with torch.inference_mode():
            if number and saturated is not None:
                w = given.masked_fill(saturated & (operator.forward(f) > x), 0.0)
            residual = operator.adjoint(w * (x - operator.forward(f))) - regularisation * size * f
            # Every grid is scaled to columns of the same length.
            scaled = residual / size
            direction, power = scaled.clone(), _dot(residual, scaled)
            enough = _SMALL**2 * power
        for n in range(1, iterations + 1):
            with torch.inference_mode():
                changed = operator.adjoint(w * operator.forward(direction)) + regularisation * size * direction
                length = power / max(_dot(direction, changed), 1e-30)
                f = f + length * direction
                residual = residual - length * changed
                scaled = residual / size
                now = _dot(residual, scaled)
                direction = scaled + now / max(power, 1e-30) * direction
                power = now
            yield Tick(number * iterations + n, rounds * iterations)
            if stop.stopped or power <= enough:
                break
    return operator.clear((1 + regularisation) * f).add_(usual).mul_(unit).cpu()


def _dot(a: Tensor, b: Tensor) -> float:
    return float(torch.vdot(a.flatten(), b.flatten()))
