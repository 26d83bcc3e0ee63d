"""Richardson-Lucy with gradient consensus: a voxel changes where two halves of the light agree on it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Tick
from napari_selfdeconv.physics.camera import NO_BACKGROUND, Background, NoiseLine
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.forward_operator import ForwardOperator
from napari_selfdeconv.stop_token import StopToken

# The run ends where fewer voxels than this share still change, or none by more than this share of the brightest.
_FEW, _LITTLE = 0.01, 0.01
# As in `weighted_richardson_lucy`: voxels that the image hardly sees change more slowly.
_LEAST_SEEN, _TINY = 1e-3, 1e-4
# The blurred estimate divides; below this share of the mean that is a division by zero.
_FLOOR = 1e-6
_SEED = 0
Each = Callable[[int, Tensor], bool]


def iterate_gradient_consensus(
    image: NDArray[Any],
    operator: ForwardOperator,
    iterations: Sequence[int],
    *,
    noise: NoiseLine,
    device: torch.device,
    stop: StopToken,
    weights: PixelWeights | None = None,
    background: Background = NO_BACKGROUND,
    each: Each | None = None,
) -> Generator[Tick, None, dict[int, Tensor]]:
    """Run Richardson-Lucy with gradient consensus and keep the estimate at each of ``iterations``.

    In each iteration the image is split into two halves with independent noise. A voxel gets the usual update only
    where the updates of both halves agree in sign, in the mean over its surroundings (A^T A). So the iterations
    end automatically, first where there is little light.

    Parameters
    ----------
    image : 2D or 3D; noise may take it below the background.
    operator : the blur, with its border.
    iterations : counts, each >= 1. The run may end before them.
    noise : variance of the noise at an intensity, in the image's units.
    stop : when set, the counts reached so far are returned (the current one if none was reached).
    weights, background, each : as in `iterate_weighted_richardson_lucy`.

    Returns
    -------
    dict from count to float32 tensor, (1, 1, *estimate), in the image's own units and in the computer's memory.
    A run that ended automatically has its last estimate under the count that it reached.

    Notes
    -----
    The authors split photons by binomial thinning, which needs whole numbers. Here noise of the expected variance
    is added to one half and subtracted from the other. This leaves the halves uncorrelated for any noise, and
    consensus uses no more than the correlation. Source: Manton and York 2023, doi:10.5281/zenodo.10278919.
    """
    with torch.inference_mode():
        observed = torch.as_tensor(np.asarray(image, np.float32), device=device)[None, None]
        counted = torch.ones_like(observed)
        if weights is not None:
            counted = torch.as_tensor(weights.values, device=device).to(observed)[None, None]
        level = torch.as_tensor(background.whole, dtype=observed.dtype, device=device) - background.subtracted
        light = observed - background.subtracted
        sight = operator.adjoint(counted)
        best = float(sight.max())
        for part in operator.grids(sight):
            part.clamp_(min=max(_LEAST_SEEN * float(part.max()), _TINY * best))
        mean = float((light * counted).sum() / counted.sum()) - float(level.mean())
        start = max(mean, _FLOOR * float(observed.abs().max()))
        f = operator.clear(torch.full_like(sight, start))
    saturated = None
    if weights is not None and weights.at_least is not None:
        saturated = torch.as_tensor(weights.at_least, device=device)[None, None]
    generator = torch.Generator(device).manual_seed(_SEED)
    counts, last_count = set(iterations), max(iterations)
    results: dict[int, Tensor] = {}
    for n in range(1, last_count + 1):
        with torch.inference_mode():
            expected = operator.forward(f).clamp_(min=0.0).add_(level).clamp_(min=_FLOOR * start)
            seen = counted
            if saturated is not None:
                # A saturated pixel counts as long as the model has less light than it recorded.
                seen = counted * ~(saturated & (light < expected))
            variance = noise.gain * (expected + (background.subtracted - noise.dark)).clamp_(min=0.0) + noise.read
            random = torch.randn(observed.shape, generator=generator, device=device, dtype=observed.dtype)
            split = random * variance.sqrt_()
            change = operator.adjoint(seen * (light / expected - 1)) / sight
            swing = operator.adjoint(seen * (split / expected)) / sight
            # The updates of the halves are change + swing and change - swing; this is their product.
            product = operator.clear(change.square() - swing.square())
            agreed = operator.adjoint(operator.forward(product)) > 0
            change = torch.where(agreed, change, 0.0).clamp_(min=-1.0)
            step = f * change
            f = f + step
            changing = float(operator.crop(agreed.to(f)).mean())
            ended = changing < _FEW or float(step.abs().max()) < _LITTLE * float(f.max())
        if n in counts or ended:
            results[n] = f.to("cpu", copy=True)
        yield Tick(last_count if ended else n, last_count)
        if ended or stop.stopped or (each is not None and each(n, f)):
            break
    return results or {n: f.to("cpu", copy=True)}
