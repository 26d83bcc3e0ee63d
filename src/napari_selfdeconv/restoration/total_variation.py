"""Total variation: min 1/2 |A f - x|^2 + lambda TV(f), by the primal-dual method of Chambolle and Pock."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Event, Progress
from napari_selfdeconv.restoration.forward_operator import ForwardOperator
from napari_selfdeconv.restoration.gradient import adjoint_differences, differences
from napari_selfdeconv.stop_token import StopToken

_REPORT_EVERY_S = 0.1


def minimise_total_variation(
    image: NDArray[Any],
    operator: ForwardOperator,
    regularisation: float,
    iterations: Sequence[int],
    *,
    device: torch.device,
    stop: StopToken,
    stage: str = "Total variation",
) -> Generator[Event, None, dict[int, Tensor]]:
    """Deconvolve with isotropic total variation and keep the estimate at each of ``iterations``.

    Parameters
    ----------
    image : 2D or 3D.
    operator : the blur, with its border.
    regularisation : lambda > 0 for an image whose range is 1; the image is scaled to that, so the same number
        works for any camera.
    iterations : counts of the primal-dual method, each >= 1; 100 to 300 are usual.
    stop : when set, the counts reached so far are returned (the current one if there is none).
    stage : name of the computation in its `Progress` events.

    Returns
    -------
    dict from count to float32 tensor, (1, 1, *estimate), in the image's own units and in the computer's memory.
    Source: Chambolle and Pock 2011, step sizes of Pock and Chambolle 2011.
    """
    data = np.asarray(image, np.float32)
    low, span = float(data.min()), float(np.ptp(data)) or 1.0
    x = torch.as_tensor((data - low) / span, device=device)[None, None]
    f = operator.extend(x).clone()
    ahead, p = f.clone(), torch.zeros_like(x)
    q = [torch.zeros_like(f) for _ in range(data.ndim)]
    tau = 1.0 / (1.0 + 2.0 * data.ndim)
    counts, last_count = set(iterations), max(iterations)
    results: dict[int, Tensor] = {}
    began = time.perf_counter()
    last = -_REPORT_EVERY_S
    for n in range(1, last_count + 1):
        with torch.inference_mode():
            p = (p + operator.forward(ahead) - x) / 2.0
            q = [old + 0.5 * d for old, d in zip(q, differences(ahead), strict=True)]
            length = torch.sqrt(sum((v.square() for v in q), torch.zeros_like(f)))
            shrink = (length / regularisation).clamp(min=1.0)
            q = [v / shrink for v in q]
            new = f - tau * (operator.adjoint(p) + adjoint_differences(q))
            ahead, f = 2.0 * new - f, new
        stop.raise_if_cancelled()
        if n in counts:
            results[n] = (f * span + low).cpu()
        seconds = time.perf_counter() - began
        if seconds - last >= _REPORT_EVERY_S or n == last_count:
            last = seconds
            yield Progress(
                stage=stage, step=n, steps=last_count, seconds=seconds, eta_s=seconds / n * (last_count - n)
            )
        stop.raise_if_cancelled()  # again: the one who was yielded to may have cancelled
        if stop.stopped:
            break
    return results or {n: (f * span + low).cpu()}
