"""Total variation: min 1/2 |A f - x|^2 + lambda TV(f), by the primal-dual method of Chambolle and Pock."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Tick
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.forward_operator import ForwardOperator
from napari_selfdeconv.restoration.gradient import apply_gradient_adjoint, compute_gradient
from napari_selfdeconv.stop_token import StopToken

# A voxel that the image hardly sees changes no faster than one that it sees this share as well as the best.
_LEAST_SEEN = 1e-3
# Estimates of light are as large as the image, the dual variables as small as its noise, and those of the gradient
# smaller still: steps in proportion converge in a fraction of the iterations.
_BALANCE, _SHARE_OF_GRADIENT = 30.0, 0.1
# Root of the sum of squares of a PSF of two axes, as of the paper's benchmark, for which the weights are meant.
_USUAL_NORM = 0.1


def minimise_total_variation(
    image: NDArray[Any],
    operator: ForwardOperator,
    regularisation: float,
    iterations: Sequence[int],
    *,
    device: torch.device,
    stop: StopToken,
    weights: PixelWeights | None = None,
    background: float | NDArray[np.float32] | None = None,
) -> Generator[Tick, None, dict[int, Tensor]]:
    """Deconvolve with isotropic total variation and keep the estimate at each of ``iterations``.

    Parameters
    ----------
    image : 2D or 3D.
    operator : the blur, with its border.
    regularisation : lambda > 0 for an image whose range is 1; the image is scaled to that, so the same number
        works for any camera. With a background it is meant for a compact PSF, and less is taken for a wider one.
    iterations : counts of the primal-dual method, each >= 1; 100 to 300 are usual.
    stop : when set, the counts reached so far are returned, or the current one if none was reached.
    weights : how much each pixel counts; None is 1 everywhere.
    background : light that reaches every pixel of the image, a number or (y, x). If it is given, the estimate is
        light above it and stays at 0 or above. None leaves the estimate free.

    Returns
    -------
    dict from count to float32 tensor, (1, 1, *estimate), in the image's own units and in the computer's memory.
    Sources: Chambolle and Pock 2011, https://doi.org/10.1007/s10851-010-0251-1; step sizes of Pock and Chambolle
    2011, https://doi.org/10.1109/ICCV.2011.6126441.

    Notes
    -----
    The step size of a voxel is 1 over the sum of its column in A and in the gradient. A column of A sums to 1
    inside the image. At the border, where voxels are repeated, it sums to more unless the PSF is symmetric. Voxels
    that lie on no fine grid have no gradient.
    """
    data = np.asarray(image, np.float32)
    low, span = float(data.min()), float(np.ptp(data)) or 1.0
    above = (data - (low if background is None else background)) / span
    x = torch.as_tensor(above.astype(np.float32, copy=False), device=device)[None, None]
    f = operator.extend(x).clone()
    if background is not None:
        f.clamp_(min=0.0)
    ahead, p = f.clone(), torch.zeros_like(x)
    q = [torch.zeros_like(operator.fine(f)) for _ in range(data.ndim)]
    balance = share_of_gradient = 1.0
    if background is not None:
        balance, share_of_gradient = _BALANCE, _SHARE_OF_GRADIENT
        # A wide PSF averages the noise of many pixels: that much less of it reaches a voxel of the estimate.
        regularisation *= min(1.0, float(np.sqrt(np.square(operator.psf, dtype=np.float64).sum())) / _USUAL_NORM)
    columns = operator.adjoint(torch.ones_like(x))
    least = _LEAST_SEEN * float(columns.max())
    operator.fine(columns).add_(share_of_gradient * 2.0 * data.ndim)
    tau = balance / columns.clamp_(min=least)
    # The step of the data term is a mean of old and new; without a weight there is no data term.
    w = torch.as_tensor(1.0 if weights is None else weights.values, dtype=x.dtype, device=device)
    # A saturated pixel only pulls upwards: the dual of a residual that counts where it is negative is negative.
    most = None
    if weights is not None and weights.at_least is not None:
        most = torch.zeros_like(x)
        most[0, 0][torch.as_tensor(~weights.at_least, device=device)] = torch.inf
    share = w / (1.0 / balance + w)
    counts, last_count = set(iterations), max(iterations)
    results: dict[int, Tensor] = {}

    def in_units(f: Tensor) -> Tensor:
        return (f * span if background is not None else f * span + low).cpu()

    for n in range(1, last_count + 1):
        with torch.inference_mode():
            p = (p + operator.forward(ahead) / balance - x / balance) * share
            if most is not None:
                p = torch.minimum(p, most)
            q = [
                old + 0.5 * share_of_gradient / balance * d
                for old, d in zip(q, compute_gradient(operator.fine(ahead)), strict=True)
            ]
            length = torch.sqrt(sum((v.square() for v in q), torch.zeros_like(q[0])))
            shrink = (length / regularisation).clamp(min=1.0)
            q = [v / shrink for v in q]
            uphill = operator.adjoint(p)
            operator.fine(uphill).add_(apply_gradient_adjoint(q))
            new = f - tau * uphill
            if background is not None:
                new.clamp_(min=0.0)
            ahead, f = 2.0 * new - f, new
        if n in counts:
            results[n] = in_units(f)
        yield Tick(n, last_count)
        if stop.stopped:
            break
    return results or {n: in_units(f)}
