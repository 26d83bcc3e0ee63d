"""Richardson-Lucy, with optional total variation. One run returns the estimates of several iteration counts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Tick
from napari_selfdeconv.physics.blur import bare
from napari_selfdeconv.restoration.forward_operator import BlurOperator
from napari_selfdeconv.restoration.gradient import compute_curvature
from napari_selfdeconv.stop_token import StopToken

# The image is divided by the blurred estimate; below this share of its maximum that is a division by zero.
_FLOOR = 1e-12
# The regularised update divides by 1 - lambda div(grad f / |grad f|), which must stay well above 0.
_LEAST_DIVISOR = 0.1
Each = Callable[[int, Tensor], bool]


def iterate_richardson_lucy(
    image: NDArray[Any],
    operator: BlurOperator,
    iterations: Sequence[int],
    *,
    device: torch.device,
    stop: StopToken,
    tv: float = 0.0,
    each: Each | None = None,
) -> Generator[Tick, None, dict[int, Tensor]]:
    """Run Richardson-Lucy up to the largest count and keep the estimate at each of ``iterations``.

    Parameters
    ----------
    image : 2D or 3D; negative values count as 0.
    operator : the blur, with its border.
    iterations : counts, each >= 1.
    stop : when set, the counts reached so far are returned, or the current one if none was reached.
    tv : weight of the total variation (Dey et al. 2006), 0 to 0.1; 0 is plain Richardson-Lucy.
    each : called with the count and the estimate, which it must not keep, after every iteration; the run ends
        when it returns True.

    Returns
    -------
    dict from count to float32 tensor, (1, 1, *estimate), in the image's own units and in the computer's memory.
    Sources: Richardson 1972, https://doi.org/10.1364/JOSA.62.000055; Lucy 1974, https://doi.org/10.1086/111605;
    total variation by Dey et al. 2006, https://doi.org/10.1002/jemt.20294.
    """
    positive = np.maximum(image, 0).astype(np.float32, copy=False)
    observed = torch.as_tensor(positive, device=device)[None, None]
    estimate = observed.new_full((1, 1, *operator.estimate_shape), float(observed.mean()))
    ratio = torch.empty_like(observed)
    floor = _FLOOR * float(observed.max())
    counts, last_count = set(iterations), max(iterations)
    results: dict[int, Tensor] = {}
    for n in range(1, last_count + 1):
        with torch.inference_mode():
            step_richardson_lucy(estimate, observed, operator, ratio, floor=floor, tv=tv)
        if n in counts:
            results[n] = estimate.to("cpu", copy=True)
        yield Tick(n, last_count)
        if stop.stopped or (each is not None and each(n, estimate)):
            break
    return results or {n: estimate.to("cpu", copy=True)}


def step_richardson_lucy(
    estimate: Tensor,
    observed: Tensor,
    operator: BlurOperator,
    ratio: Tensor,
    *,
    floor: float,
    tv: float = 0.0,
    tv_smooth: float = 0.0,
    unseen: Tensor | None = None,
    at_least: Tensor | None = None,
) -> None:
    """Do one iteration of Richardson-Lucy on ``estimate``, in place.

    Parameters
    ----------
    estimate : (1, 1, *estimate), changed in place; it stays at 0 or above.
    observed : (1, 1, *image). Noise may take it below 0.
    operator : the blur, with its border.
    ratio : as large as ``observed``, to work in.
    floor : the blurred estimate is taken to be at least that: it divides.
    tv : weight of the total variation, as in `iterate_richardson_lucy`.
    tv_smooth : gradients shorter than this share of the estimate are not divided by their length.
    unseen : boolean, True where ``observed`` is not to count. There the estimate is left to its neighbours, which
        is expectation maximisation with missing data.
    at_least : boolean, True at saturated pixels. They count where the estimate explains less than them.
    """
    with torch.inference_mode():
        # What is done to every voxel is done to a part of the volume while that is in the processor's cache.
        xp: Any = np if estimate.device.type == "cpu" else torch
        before, seen = bare(estimate), bare(observed)
        hidden, saturated = (None if mask is None else bare(mask) for mask in (unseen, at_least))
        divisor = bare((1 - tv * compute_curvature(estimate, tv_smooth)).clamp(min=_LEAST_DIVISOR)) if tv else None

        def divide(part: Any, where: slice) -> None:
            # An FFT leaves values of -1e-8 where the truth is 0; negative light would grow from them.
            xp.clip(part, floor, None, out=part)
            xp.divide(seen[where], part, out=part)
            if hidden is not None:
                part[hidden[where]] = 1.0
            if saturated is not None:
                part[saturated[where]] = xp.clip(part[saturated[where]], 1.0, None)

        def multiply(part: Any, where: slice) -> None:
            if divisor is not None:
                part /= divisor[where]
            xp.clip(part, 0.0, None, out=part)
            part *= before[where]

        operator.blur_into(estimate, ratio, then=divide)
        operator.backproject_into(ratio, estimate, then=multiply)
