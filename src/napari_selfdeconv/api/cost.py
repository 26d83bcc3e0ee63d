"""The share of a stack's light that a PSF of some size holds, and the cost of training with it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from napari_selfdeconv.api.expected_memory import is_only_refined, outlook
from napari_selfdeconv.compute.allocation import size_words
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.inference.refine_stack import STACK_COUNTS
from napari_selfdeconv.psf.generate import suggest_psf_shape
from napari_selfdeconv.psf.near import has_far_light
from napari_selfdeconv.psf.stack import share_in_stack
from napari_selfdeconv.restoration.far_light import ITERATIONS
from napari_selfdeconv.restoration.open_operator import wants_two_grids

# Number of blurs of a patch in a training step, and of the whole image in prediction and refinement.
_OF_PATCH, _OF_IMAGE = 2, 40
# Number of full iterations that take as long as the iterations of blocks and the few after them.
_WITH_BLOCKS = 20
# Larger volumes are not timed: their time is proportional to their size, border included.
_TIMED = 2**18
# Less memory than this, in bytes, is shown as 0 MB.
_NOTICED = 2**20


@dataclass(frozen=True, kw_only=True)
class PsfCost:
    """The light that a PSF of one size holds, and its cost.

    Attributes
    ----------
    shape : its size in voxels.
    share : share of the light that goes from one voxel of the stack to another, 0 to 1.
    seconds : for all blurs of a training and its result, on the processor of this computer.
    memory_bytes : for training in float32, or for the result if that takes more.

    Examples
    --------
    >>> small = PsfCost(shape=(5, 11, 11), share=0.6, seconds=2.0, memory_bytes=100_000_000)
    >>> large = PsfCost(shape=(9, 31, 31), share=0.9, seconds=32.0, memory_bytes=300_000_000)
    >>> large.more_than(small)
    'about 30 s and 200 MB more'
    """

    shape: tuple[int, ...]
    share: float
    seconds: float
    memory_bytes: int

    def more_than(self, other: PsfCost) -> str:
        """Return in words how much more this size costs than another one."""
        seconds, more = self.seconds - other.seconds, self.memory_bytes - other.memory_bytes
        time = f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
        if more < _NOTICED:
            return f"about {time} more, and no more memory than training takes"
        return f"about {time} and {size_words(more)} more"


def psf_cost(
    psf_shape: Sequence[int],
    optics: Optics,
    voxel_um: Sequence[float],
    image_shape: Sequence[int],
    config: TrainConfig,
) -> PsfCost:
    """Measure the light that a PSF of some size holds, and its cost.

    Parameters
    ----------
    psf_shape : size of the PSF, three axes.
    optics, voxel_um, image_shape : as `psf_for_stack`.
    config : settings of the training.

    Raises
    ------
    ConfigError
        As `share_in_stack`.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> optics = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
    >>> stack = (0.3, 0.12, 0.12), (9, 32, 32)
    >>> compact, whole = (psf_cost(k, optics, *stack, preset("quick", 3)) for k in ((5, 11, 11), (9, 31, 31)))
    >>> 0 < compact.share < whole.share < 1
    True
    """
    share = share_in_stack(psf_shape, optics, voxel_um, image_shape)
    inner = tuple(psf_shape)
    optimiser = config.optimiser
    seconds, steps = 0.0, 0 if is_only_refined(config, psf_shape, image_shape) else optimiser.steps
    if has_far_light(psf_shape, image_shape):
        inner = suggest_psf_shape(optics, voxel_um, image_shape)
        count = _WITH_BLOCKS if wants_two_grids(psf_shape) else ITERATIONS
        refined = STACK_COUNTS[-1] if config.result.refine else 0
        # Training has a first estimate of its own.
        estimates = 2 if steps else 1
        seconds = (estimates * count + refined) * _far_seconds(image_shape, psf_shape)
    patch = [min(optimiser.patch, n) for n in image_shape]
    seconds += _OF_PATCH * steps * optimiser.batch_size * _seconds(patch, inner)
    memory = outlook(
        config, image_shape, psf_shape, TileConfig(), precision="float32", free_bytes=None, compact=inner
    )
    return PsfCost(
        shape=tuple(psf_shape),
        share=share,
        seconds=seconds + _OF_IMAGE * _seconds(image_shape, inner),
        memory_bytes=max(memory.training_bytes, memory.result_bytes),
    )


def _seconds(shape: Sequence[int], psf_shape: Sequence[int]) -> float:
    """Return how long one blur and its gradient take."""
    import numpy as np
    import torch

    from napari_selfdeconv.physics.blur import Blur

    timed = list(shape)
    while math.prod(timed) > _TIMED:
        timed[timed.index(max(timed))] //= 2
    larger = math.prod(n + k for n, k in zip(shape, psf_shape, strict=True)) / math.prod(
        n + k for n, k in zip(timed, psf_shape, strict=True)
    )
    blur = Blur(np.full(tuple(psf_shape), 1 / math.prod(psf_shape)))
    image = torch.ones((1, 1, *timed), requires_grad=True)
    taken = []
    # The first one computes the transfer function, which is used again.
    for _ in range(2):
        started = time.perf_counter()
        torch.autograd.backward(blur(image).sum())
        taken.append(time.perf_counter() - started)
    return larger * taken[-1]


def _far_seconds(shape: Sequence[int], psf_shape: Sequence[int]) -> float:
    """Return how long one iteration of the estimate of far light takes."""
    import numpy as np
    import torch

    from napari_selfdeconv.restoration.open_operator import OpenOperator

    timed = list(shape)
    while math.prod(timed) > _TIMED:
        timed[timed.index(max(timed))] //= 2
    sizes = tuple(min(k, 2 * n - 1) for k, n in zip(psf_shape, timed, strict=True))
    operator = OpenOperator(np.full(sizes, 1 / math.prod(sizes), np.float32), timed)
    light = torch.ones((1, 1, *operator.estimate_shape))
    started = time.perf_counter()
    operator.adjoint(operator.forward(light))
    return (time.perf_counter() - started) * math.prod(shape) / math.prod(timed)
