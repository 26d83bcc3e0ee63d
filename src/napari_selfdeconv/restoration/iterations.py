"""The number of Richardson-Lucy iterations, chosen by held-out pixels."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Event
from napari_selfdeconv.holdout.choose import HeldOutError
from napari_selfdeconv.holdout.held_out import first_not_worse
from napari_selfdeconv.restoration.richardson_lucy import iterate_richardson_lucy
from napari_selfdeconv.stop_token import StopToken

#: An error that has not fallen for this many iterations will not fall again.
_PATIENCE = 6


def choose_iterations(
    image: NDArray[np.float32],
    psf: NDArray[Any],
    *,
    most: int,
    device: torch.device,
    stop: StopToken,
    tv: float = 0.0,
    seed: int = 0,
) -> Generator[Event, None, int | None]:
    """Return the count of Richardson-Lucy iterations, at most ``most``; None if stopped before it was found."""
    measure = HeldOutError(image, psf, seed, device)
    errors: list[NDArray[np.float32]] = []
    means: list[float] = []

    def each(_count: int, estimate: Tensor) -> bool:
        errors.append(measure.of(estimate))
        means.append(float(errors[-1].mean()))
        return len(means) - 1 - int(np.argmin(means)) >= _PATIENCE

    yield from iterate_richardson_lucy(measure.filled, psf, (most,), device=device, stop=stop, tv=tv, each=each)
    return None if stop.stopped else first_not_worse(errors) + 1
