"""The number of iterations or the regularisation, chosen by held-out pixels without a truth.

The PSF suppresses fine noise of the estimate, so such noise hardly changes the reblurred image. The least held-out
error alone would therefore choose too many iterations and too little regularisation. The smoothest setting that is
not measurably worse than the best is chosen instead (`held_out.first_not_worse`).
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
from napari_selfdeconv.holdout.orientation import Orientation
from napari_selfdeconv.stop_token import StopToken

HELD_OUT_PERCENT = 4.0
#: Pixels measured at most; with many more, differences too small to matter become measurable.
_MOST_PIXELS = 10_000
_LEAST_PIXELS = 10
_RISES = 2
# Errors that differ by a smaller share are equal: after few iterations, the largest weights of the total variation
# give the same estimate.
_EQUAL = 1e-3
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
    filled : the image with held-out pixels replaced by their neighbours, for methods without weights.
    held : boolean, True at the pixels held out.
    pixels : how many pixels were held out and could be measured.
    square : the unit of the errors: the square of the three standard deviations, in the image's units.
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
        filled, self.held = hold_out(image, HELD_OUT_PERCENT, seed, measured)
        looked_at = self.held if measured is None else self.held & measured
        self.pixels = int(np.count_nonzero(looked_at))
        if self.pixels < _LEAST_PIXELS:
            raise ConfigError(
                f"an image of {looked_at.size} pixels is too small to choose by: give iterations or regularisation"
            )
        scatter = image[looked_at].astype(np.float64) - filled[looked_at]
        spread = 3 * 1.4826 * float(np.median(np.abs(scatter - np.median(scatter))))
        self._delta = spread or float(np.ptp(image))
        self.square = self._delta**2
        where = np.flatnonzero(_every(math.ceil(self.pixels / most), looked_at, Orientation.of(image, measured)))
        self._where = torch.from_numpy(where).to(device)
        self._truth = torch.from_numpy(image.ravel()[where] / np.float32(self._delta)).to(device)
        self._forward = forward
        self._device = device
        if fills:
            self.filled = filled

    def of(self, estimate: Tensor) -> NDArray[np.float32]:
        """Return the error of an estimate, (1, 1, *estimate), at each pixel measured.

        Its unit is ``square``.
        """
        with torch.inference_mode():
            predicted = self._forward(estimate.to(self._device)).flatten()[self._where] / self._delta
            error = torch.nn.functional.huber_loss(predicted, self._truth, reduction="none")
        errors: NDArray[np.float32] = error.cpu().numpy()
        return errors

    def of_array(self, estimate: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the error of an array at each pixel measured."""
        return self.of(torch.from_numpy(np.ascontiguousarray(estimate))[None, None])


def _every(step: int, chosen: NDArray[np.bool_], lies: Orientation) -> NDArray[np.bool_]:
    """Return every ``step``-th of the chosen pixels, the same ones for a mirror image."""
    if step == 1:
        return chosen
    turned = np.ascontiguousarray(lies.apply(chosen))
    left = np.zeros_like(turned)
    left.flat[np.flatnonzero(turned)[::step]] = True
    return lies.undo(left)


def choose_regularisation(
    measure: HeldOutError, solve: Solve, grid: Sequence[float], *, stop: StopToken, share: float = 0.0
) -> Generator[Event, None, float | None]:
    """Return the value of ``grid`` (rising) to take; None if stopped before it was found.

    ``solve(value)`` returns the estimate, (1, 1, *estimate), made without the held-out pixels. It is called from
    the largest value down, and no further once two errors after the least one are larger. ``share`` is as in
    `first_not_worse`.
    """
    errors: list[NDArray[np.float32]] = []
    means: list[float] = []
    for value in reversed(grid):
        estimate = yield from solve(value)
        if stop.stopped:
            return None
        errors.append(measure.of(estimate))
        means.append(float(errors[-1].mean()))
        least = int(np.argmin(means))
        if sum(mean > (1 + _EQUAL) * means[least] for mean in means[least:]) == _RISES:
            break
    return grid[len(grid) - 1 - first_not_worse(errors, share)]
