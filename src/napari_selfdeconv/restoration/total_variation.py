"""Total variation: min 1/2 |A f - x|^2 + lambda TV(f), by the primal-dual method of Chambolle and Pock."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.events import Event, Progress
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.restoration.gradient import adjoint_differences, differences
from napari_selfdeconv.stop_token import StopToken

_REPORT_EVERY_S = 0.1


def iter_tv(
    image: NDArray[Any],
    psf: NDArray[Any],
    regularisation: float,
    iterations: int,
    *,
    device: torch.device,
    boundary: Boundary = "reflect",
    stop: StopToken,
) -> Generator[Event, None, tuple[NDArray[np.float32], int]]:
    """Deconvolve with isotropic total variation.

    Parameters
    ----------
    image : 2D or 3D.
    psf : same number of axes, unit sum.
    regularisation : lambda > 0 for an image whose range is 1; the image is scaled to that, so the same number
        works for any camera.
    iterations : of the primal-dual method; 100 to 300 are usual.
    stop : when set, the estimate reached is returned.

    Returns
    -------
    float32 in the image's own units, and the iterations done. Source: Chambolle and Pock 2011, step sizes of
    Pock and Chambolle 2011.
    """
    data = np.asarray(image, np.float32)
    low, span = float(data.min()), float(np.ptp(data)) or 1.0
    blur = Blur(psf, boundary=boundary)
    x = torch.as_tensor((data - low) / span, device=device)[None, None]
    f, ahead, p = x.clone(), x.clone(), torch.zeros_like(x)
    q = [torch.zeros_like(f) for _ in range(data.ndim)]
    tau = 1.0 / (1.0 + 2.0 * data.ndim)
    began = time.perf_counter()
    last = -_REPORT_EVERY_S
    for n in range(1, iterations + 1):
        with torch.inference_mode():
            p = (p + blur(ahead) - x) / 2.0
            q = [old + 0.5 * d for old, d in zip(q, differences(ahead), strict=True)]
            length = torch.sqrt(sum((v.square() for v in q), torch.zeros_like(f)))
            shrink = (length / regularisation).clamp(min=1.0)
            q = [v / shrink for v in q]
            new = f - tau * (blur.adjoint(p) + adjoint_differences(q))
            ahead, f = 2.0 * new - f, new
        stop.raise_if_cancelled()
        seconds = time.perf_counter() - began
        if seconds - last >= _REPORT_EVERY_S or n == iterations:
            last = seconds
            yield Progress(
                stage="tv", step=n, steps=iterations, seconds=seconds, eta_s=seconds / n * (iterations - n)
            )
        stop.raise_if_cancelled()  # again: the one who was yielded to may have cancelled
        if stop.stopped:
            break
    result: NDArray[np.float32] = (f[0, 0] * span + low).cpu().numpy()
    return result, n
