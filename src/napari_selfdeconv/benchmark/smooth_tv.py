"""Smoothed total variation by nonlinear conjugate gradients: the classical method SSI's paper compares with."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.events import Event, Tick, report_progress
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.restoration.gradient import apply_gradient_adjoint, compute_gradient
from napari_selfdeconv.stop_token import StopToken

# Below this gradient (the image's range is 1) the total variation is a square.
_SMOOTH = 1e-2


def iter_smooth_tv(
    image: NDArray[np.float32],
    psf: NDArray[Any],
    regularisation: float,
    steps: int,
    *,
    device: torch.device,
    stop: StopToken,
) -> Generator[Event, None, NDArray[np.float32]]:
    """Minimise ``1/2 |A f - x|^2 + lambda sum sqrt(|grad f|^2 + 0.01^2)``.

    Parameters
    ----------
    image : 2D or 3D, its range about 1.
    psf : same number of axes, unit sum.
    regularisation : lambda > 0.
    steps : number of conjugate gradient steps (Polak and Ribiere, restarted where the direction does not lead
        down).
    device, stop : as elsewhere; when stopped, the estimate reached is returned.

    Returns
    -------
    float32, the image's shape and units.
    """
    work = _minimise(image, psf, regularisation, steps, device, stop)
    return (yield from report_progress(work, "tv-cg", stop))


def _minimise(
    image: NDArray[np.float32],
    psf: NDArray[Any],
    regularisation: float,
    steps: int,
    device: torch.device,
    stop: StopToken,
) -> Generator[Tick, None, NDArray[np.float32]]:
    blur = Blur(psf)
    with torch.inference_mode():
        x = torch.as_tensor(image, device=device)[None, None]
        f = x.clone()
        residual = blur(f) - x
        gradient = _gradient(f, residual, blur, regularisation)
        direction = -gradient
    for n in range(1, steps + 1):
        with torch.inference_mode():
            blurred = blur(direction)
            # A square root lies below every one of its tangents, so this quadratic along the direction touches the
            # energy from above: the step to its minimum always goes down, and needs no line search.
            curvature = blurred.square().sum() + regularisation * _majorant(f, direction)
            step = -(gradient * direction).sum() / curvature.clamp(min=1e-30)
            f = f + step * direction
            residual = residual + step * blurred
            new = _gradient(f, residual, blur, regularisation)
            beta = ((new - gradient) * new).sum() / gradient.square().sum().clamp(min=1e-30)
            direction = beta.clamp(min=0) * direction - new
            if float((direction * new).sum()) >= 0:
                direction = -new
            gradient = new
        yield Tick(n, steps)
        if stop.stopped:
            break
    result: NDArray[np.float32] = f[0, 0].cpu().numpy()
    return result


def _lengths(f: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    gradients = compute_gradient(f)
    return gradients, torch.sqrt(sum((g.square() for g in gradients), torch.full_like(f, _SMOOTH**2)))


def _gradient(f: torch.Tensor, residual: torch.Tensor, blur: Blur, weight: float) -> torch.Tensor:
    gradients, length = _lengths(f)
    return blur.adjoint(residual) + weight * apply_gradient_adjoint([g / length for g in gradients])


def _majorant(f: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Return the second derivative along ``direction`` of the quadratic that touches the total variation at f."""
    _, length = _lengths(f)
    return sum((d.square() / length for d in compute_gradient(direction)), torch.zeros_like(f)).sum()
