"""Richardson-Lucy on top of the shared forward model; a generator, several iteration counts from one run."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.config import Boundary
from napari_selfdeconv.events import Event, Progress, StopToken
from napari_selfdeconv.forward import Blur

# The image is divided by the blurred estimate; below this share of its maximum that is a division by zero.
_FLOOR = 1e-12
_REPORT_EVERY_S = 0.1


def iter_lucy(
    image: NDArray[Any],
    psf: NDArray[Any],
    iterations: Sequence[int],
    *,
    device: torch.device,
    boundary: Boundary = "reflect",
    stop: StopToken,
) -> Generator[Event, None, dict[int, NDArray[np.float32]]]:
    """Run Richardson-Lucy up to the largest count and keep the estimate at each of ``iterations``.

    Parameters
    ----------
    image : 2D or 3D; negative values count as 0.
    psf : same number of axes, unit sum.
    iterations : counts, each >= 1.
    stop : when set, the counts reached so far are returned (the current one if there is none).

    Returns
    -------
    dict from count to float32 array in the image's own units. Source: Richardson 1972, Lucy 1974.
    """
    observed = torch.as_tensor(np.maximum(image, 0).astype(np.float32), device=device)[None, None]
    forward, backward = Blur(psf, boundary=boundary), Blur(psf, boundary=boundary).flipped()
    estimate = torch.full_like(observed, float(observed.mean()))
    floor = _FLOOR * float(observed.max())
    counts, last_count = set(iterations), max(iterations)
    results: dict[int, NDArray[np.float32]] = {}
    start = time.perf_counter()
    last = -_REPORT_EVERY_S
    for n in range(1, last_count + 1):
        with torch.inference_mode():
            # An FFT leaves values of -1e-8 where the truth is 0; negative light would grow from them.
            estimate = (estimate * backward(observed / forward(estimate).clamp(min=floor))).clamp(min=0)
        stop.raise_if_cancelled()
        if n in counts or (stop.stopped and not results):
            results[n] = estimate[0, 0].cpu().numpy().copy()
        seconds = time.perf_counter() - start
        if seconds - last >= _REPORT_EVERY_S or n == last_count:
            last = seconds
            yield Progress(
                stage="richardson-lucy",
                step=n,
                steps=last_count,
                seconds=seconds,
                eta_s=seconds / n * (last_count - n),
            )
        if stop.stopped:
            break
    return results
