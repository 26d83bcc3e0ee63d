"""The memory of a run before it starts, for forms and commands. This file does not import torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from napari_selfdeconv.arrays.tiling import read_shape, tile_context
from napari_selfdeconv.compute.allocation import size_words
from napari_selfdeconv.compute.memory_budget import result_tile
from napari_selfdeconv.compute.memory_model import tile_bytes, training_bytes, whole_bytes
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.psf.near import has_far_light

# Side of the compact part of a PSF where it is not known yet, in voxels; it matters little.
_COMPACT = 31
# What a stack with far light holds while the network computes, in float32 volumes of the image and of the PSF. In
# three runs on two stacks it was 1 to 10.
_FAR_VOLUMES = 8


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The memory that a run is expected to take, beyond what the process holds.

    Attributes
    ----------
    training_bytes, result_bytes : at the peak of training, and of the prediction.
    free_bytes : on the device; None if not known.

    Examples
    --------
    >>> Outlook(training_bytes=300_000_000, result_bytes=500_000_000, free_bytes=None).sentence
    'about 300 MB for training, 500 MB for the result'
    """

    training_bytes: int
    result_bytes: int
    free_bytes: int | None

    @property
    def sentence(self) -> str:
        """The outlook in words, for one line."""
        training = f"{size_words(self.training_bytes)} for training, " if self.training_bytes else ""
        text = f"about {training}{size_words(self.result_bytes)} for the result"
        return text if self.free_bytes is None else f"{text} ({size_words(self.free_bytes)} free)"


def outlook(
    config: TrainConfig,
    shape: Sequence[int],
    psf_shape: Sequence[int],
    tiles: TileConfig,
    *,
    precision: str,
    free_bytes: int | None,
    frames: int = 1,
    compact: Sequence[int] | None = None,
) -> Outlook:
    """Estimate the memory of training on an image of ``shape`` and of deconvolving it.

    Parameters
    ----------
    config : settings of the run.
    shape, psf_shape : shapes of an image and of the PSF, voxels.
    tiles : size of the tiles, or the share of the memory they may take.
    precision : "float32" or "bfloat16".
    free_bytes : on the device; None if not known.
    frames : how many frames training holds.
    compact : shape of the compact part of the PSF of a widefield stack; None takes a usual one.

    Examples
    --------
    >>> from napari_selfdeconv.config.presets import preset
    >>> sizes = (512, 512), (31, 31)
    >>> found = outlook(preset("quick", 2), *sizes, TileConfig(), precision="float32", free_bytes=None)
    >>> 1e8 < found.training_bytes < 1e9
    True
    """
    far, near = 0, tuple(psf_shape)
    if has_far_light(psf_shape, shape):
        far = 4 * _FAR_VOLUMES * (math.prod(shape) + math.prod(psf_shape))
        near = tuple(compact or (min(_COMPACT, n) for n in shape))
    if is_only_refined(config, psf_shape, shape):
        config = config.replace(steps=0)
    budget = 1e15 if free_bytes is None else free_bytes
    # The filters are not known yet; they seldom reach further than the PSF is wide.
    context = tile_context(config.network.levels, near if config.network.inverse_channels else [0] * len(shape))
    tile = result_tile(config, shape, near, tiles, context, precision=precision, free_bytes=budget)
    read = read_shape(shape, tile, context)
    result = tile_bytes(config, read, near, precision=precision) + whole_bytes(shape)
    return Outlook(
        training_bytes=training_bytes(config, shape, near, precision=precision, frames=frames),
        result_bytes=result + far,
        free_bytes=free_bytes,
    )


def is_only_refined(config: TrainConfig, psf_shape: Sequence[int], shape: Sequence[int]) -> bool:
    """Return whether a run refines a widefield stack with its whole PSF and makes no training step.

    Parameters
    ----------
    config : settings of the run.
    psf_shape, shape : shapes of the PSF and of the image, voxels.

    Examples
    --------
    >>> from napari_selfdeconv.config.presets import preset
    >>> whole, compact, stack = (79, 223, 223), (21, 19, 19), (40, 112, 112)
    >>> [is_only_refined(preset("quick", 3), psf, stack) for psf in (whole, compact)]
    [True, False]
    """
    return config.result.refine and has_far_light(psf_shape, shape) and not config.trains_refined_stacks
