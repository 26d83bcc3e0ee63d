"""The number of iterations or the regularisation, chosen by held-out pixels without a truth.

Noise in what the PSF suppresses costs next to nothing in the reblurred image, so the least held-out error alone
takes too many iterations and too little regularisation. So the smoothest setting is taken that is not measurably
worse than the best (`held_out.first_not_worse`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event
from napari_selfdeconv.holdout.held_out import first_not_worse, hold_out
from napari_selfdeconv.stop_token import StopToken

HELD_OUT_PERCENT = 4.0
#: Pixels measured at most; with many more, differences too small to matter become measurable.
_MOST_PIXELS = 10_000
_LEAST_PIXELS = 10
_RISES = 2
Solve = Callable[[float], Generator[Event, None, Tensor]]


class HeldOutError:
    """The error of a reblurred estimate at the held-out pixels.

    Errors count as squares up to three robust standard deviations of the pixels' own scatter, and linearly beyond.

    Parameters
    ----------
    image : 2D or 3D.
    forward : blurs an estimate, (1, 1, *estimate), to the image that it explains.
    seed, device : which pixels, and where to compute.
    measured : boolean, as large as the image; the error is that of pixels where it is True.
    most : pixels measured at most.
    fills : whether to keep ``filled``.

    Attributes
    ----------
    filled : the image with held-out pixels replaced by what lies around them, for methods that know no weights.
    held : boolean, True at the pixels held out.
    """

    def __init__(
        self,
        image: NDArray[np.float32],
        forward: Callable[[Tensor], Tensor],
        seed: int,
        device: torch.device,
        *,
        measured: NDArray[np.bool_] | None = None,
        most: int = _MOST_PIXELS,
        fills: bool = True,
    ) -> None:
        filled, self.held = hold_out(image, HELD_OUT_PERCENT, seed)
        looked_at = self.held if measured is None else self.held & measured
        where = np.flatnonzero(looked_at)
        if len(where) < _LEAST_PIXELS:
            raise ConfigError(
                f"an image of {looked_at.size} pixels is too small to choose by: give iterations or regularisation"
            )
        where = where[:: math.ceil(len(where) / most)]
        self._where = torch.from_numpy(where).to(device)
        self._truth = torch.from_numpy(image.ravel()[where]).to(device)
        self._forward = forward
        self._device = device
        scatter = image[looked_at] - filled[looked_at]
        self._delta = 3 * 1.4826 * float(np.median(np.abs(scatter - np.median(scatter)))) or 1.0
        if fills:
            self.filled = filled

    def of(self, estimate: Tensor) -> NDArray[np.float32]:
        """Return the error of an estimate, (1, 1, *estimate), at each pixel measured."""
        with torch.inference_mode():
            predicted = self._forward(estimate.to(self._device)).flatten()[self._where]
            error = torch.nn.functional.huber_loss(predicted, self._truth, delta=self._delta, reduction="none")
        errors: NDArray[np.float32] = error.cpu().numpy()
        return errors

    def of_array(self, estimate: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the error of an array at each pixel measured."""
        return self.of(torch.from_numpy(np.ascontiguousarray(estimate))[None, None])


def choose_regularisation(
    measure: HeldOutError, solve: Solve, grid: Sequence[float], *, stop: StopToken, share: float = 0.0
) -> Generator[Event, None, float | None]:
    """Return the value of ``grid`` (rising) to take; None if stopped before it was found.

    ``solve(value)`` returns the estimate, (1, 1, *estimate), made without the held-out pixels. It is called from
    the largest value down, and no further once the error has risen twice. ``share`` is as in `first_not_worse`.
    """
    errors: list[NDArray[np.float32]] = []
    means: list[float] = []
    for value in reversed(grid):
        estimate = yield from solve(value)
        if stop.stopped:
            return None
        errors.append(measure.of(estimate))
        means.append(float(errors[-1].mean()))
        if len(means) - 1 - int(np.argmin(means)) == _RISES:
            break
    return grid[len(grid) - 1 - first_not_worse(errors, share)]
