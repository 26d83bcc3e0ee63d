"""Total variation: min 1/2 |A f - x|^2 + lambda TV(f), by the primal-dual method of Chambolle and Pock."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Tick
from napari_selfdeconv.restoration.forward_operator import ForwardOperator
from napari_selfdeconv.restoration.gradient import apply_gradient_adjoint, compute_gradient
from napari_selfdeconv.stop_token import StopToken


def minimise_total_variation(
    image: NDArray[Any],
    operator: ForwardOperator,
    regularisation: float,
    iterations: Sequence[int],
    *,
    device: torch.device,
    stop: StopToken,
) -> Generator[Tick, None, dict[int, Tensor]]:
    """Deconvolve with isotropic total variation and keep the estimate at each of ``iterations``.

    Parameters
    ----------
    image : 2D or 3D.
    operator : the blur, with its border.
    regularisation : lambda > 0 for an image whose range is 1; the image is scaled to that, so the same number
        works for any camera.
    iterations : counts of the primal-dual method, each >= 1; 100 to 300 are usual.
    stop : when set, the counts reached so far are returned (the current one if there is none).

    Returns
    -------
    dict from count to float32 tensor, (1, 1, *estimate), in the image's own units and in the computer's memory.
    Source: Chambolle and Pock 2011, step sizes of Pock and Chambolle 2011.

    Notes
    -----
    The step size of a voxel is 1 over the sum of its column in A and in the gradient. A column of A sums to 1
    inside the image. At the border, where voxels are repeated, it sums to more unless the PSF is symmetric.
    """
    data = np.asarray(image, np.float32)
    low, span = float(data.min()), float(np.ptp(data)) or 1.0
    x = torch.as_tensor((data - low) / span, device=device)[None, None]
    f = operator.extend(x).clone()
    ahead, p = f.clone(), torch.zeros_like(x)
    q = [torch.zeros_like(f) for _ in range(data.ndim)]
    tau = 1.0 / (operator.adjoint(torch.ones_like(x)) + 2.0 * data.ndim)
    counts, last_count = set(iterations), max(iterations)
    results: dict[int, Tensor] = {}
    for n in range(1, last_count + 1):
        with torch.inference_mode():
            p = (p + operator.forward(ahead) - x) / 2.0
            q = [old + 0.5 * d for old, d in zip(q, compute_gradient(ahead), strict=True)]
            length = torch.sqrt(sum((v.square() for v in q), torch.zeros_like(f)))
            shrink = (length / regularisation).clamp(min=1.0)
            q = [v / shrink for v in q]
            new = f - tau * (operator.adjoint(p) + apply_gradient_adjoint(q))
            ahead, f = 2.0 * new - f, new
        if n in counts:
            results[n] = (f * span + low).cpu()
        yield Tick(n, last_count)
        if stop.stopped:
            break
    return results or {n: (f * span + low).cpu()}
