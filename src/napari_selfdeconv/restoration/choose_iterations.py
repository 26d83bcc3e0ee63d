"""The number of iterations, chosen by held-out pixels along one run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Event
from napari_selfdeconv.holdout.choose import HeldOutError
from napari_selfdeconv.holdout.held_out import first_not_worse
from napari_selfdeconv.stop_token import StopToken

#: An error that has not fallen for this many iterations will not fall again.
_PATIENCE = 6

Iterate = Callable[[Callable[[int, Tensor], bool]], Generator[Event, None, Any]]


def choose_iterations(
    measure: HeldOutError, iterate: Iterate, *, stop: StopToken, share: float = 0.0
) -> Generator[Event, None, int | None]:
    """Return the smallest number of iterations that predicts held-out pixels as well as the best; None if stopped.

    Parameters
    ----------
    iterate : runs the method without the held-out pixels, and after every iteration calls the function it is given
        with the count and the estimate. It ends when that returns True.
    share : as in `first_not_worse`.
    """
    errors: list[NDArray[np.float32]] = []
    means: list[float] = []

    def each(_count: int, estimate: Tensor) -> bool:
        errors.append(measure.of(estimate))
        means.append(float(errors[-1].mean()))
        return len(means) - 1 - int(np.argmin(means)) >= _PATIENCE

    yield from iterate(each)
    return None if stop.stopped else first_not_worse(errors, share) + 1
