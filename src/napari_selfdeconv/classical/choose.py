"""How many iterations, how much regularisation: what predicts held-out pixels best, no truth needed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.classical.lucy import iter_lucy
from napari_selfdeconv.events import Event, StopToken
from napari_selfdeconv.forward import Blur
from napari_selfdeconv.held_out import hold_out

HELD_OUT_PERCENT = 4.0
#: An error that has not fallen for this many iterations will not fall again.
_PATIENCE = 6
Solve = Callable[[NDArray[np.float32], float], Generator[Event, None, NDArray[np.float32]]]


class HeldOutError:
    """The error of a reblurred estimate at the held-out pixels.

    Squares up to three robust standard deviations of the pixels' own scatter, linear beyond: specks do not lead.
    """

    def __init__(self, image: NDArray[np.float32], psf: NDArray[Any], seed: int, device: torch.device) -> None:
        self.filled, held = hold_out(image, HELD_OUT_PERCENT, seed)
        self._where = torch.from_numpy(held).to(device)[None, None]
        self._truth = torch.from_numpy(image[held]).to(device)
        self._blur = Blur(psf)
        self._device = device
        scatter = image[held] - self.filled[held]
        self._delta = 3 * 1.4826 * float(np.median(np.abs(scatter - np.median(scatter)))) or 1.0

    def of(self, estimate: Tensor) -> float:
        """Return the mean error of an estimate, (1, 1, *space)."""
        with torch.inference_mode():
            residual = self._blur(estimate)[self._where] - self._truth
            return float(torch.nn.functional.huber_loss(residual, torch.zeros_like(residual), delta=self._delta))

    def of_array(self, estimate: NDArray[np.float32]) -> float:
        """Return the mean error of an array."""
        return self.of(torch.from_numpy(np.ascontiguousarray(estimate)).to(self._device)[None, None])


def choose_lucy(
    image: NDArray[np.float32],
    psf: NDArray[Any],
    *,
    most: int,
    device: torch.device,
    stop: StopToken,
    tv: float = 0.0,
    seed: int = 0,
) -> Generator[Event, None, int]:
    """Return the count of Richardson-Lucy iterations, at most ``most``, that predicts held-out pixels best."""
    measure = HeldOutError(image, psf, seed, device)
    errors: list[float] = []

    def each(_count: int, estimate: Tensor) -> bool:
        errors.append(measure.of(estimate))
        return len(errors) - 1 - int(np.argmin(errors)) >= _PATIENCE

    yield from iter_lucy(measure.filled, psf, (most,), device=device, stop=stop, tv=tv, each=each)
    return int(np.argmin(errors)) + 1


def choose_regularisation(
    image: NDArray[np.float32],
    psf: NDArray[Any],
    solve: Solve,
    grid: Sequence[float],
    *,
    device: torch.device,
    stop: StopToken,
    seed: int = 0,
) -> Generator[Event, None, float]:
    """Return the value of ``grid`` (rising) whose solution predicts held-out pixels best.

    ``solve(image, value)`` is called from the largest value down, and no further once the error has risen twice.
    """
    measure = HeldOutError(image, psf, seed, device)
    best, chosen, risen = float("inf"), grid[-1], 0
    for value in reversed(grid):
        estimate = yield from solve(measure.filled, value)
        error = measure.of_array(estimate)
        if error < best:
            best, chosen, risen = error, value, 0
        else:
            risen += 1
        if risen == 2 or stop.stopped:
            break
    return chosen
