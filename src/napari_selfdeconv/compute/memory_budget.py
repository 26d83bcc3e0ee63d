"""The memory of a run, and changes of settings that make it fit. This file does not import torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_selfdeconv.arrays.tiling import read_shape
from napari_selfdeconv.compute.allocation import size_words
from napari_selfdeconv.compute.memory_model import tile_bytes, training_bytes
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError

# Voxels read for a tile. More would gain little speed, and the user would wait for a tile when stopping: for three
# seconds on two cores.
_MOST_VOXELS = 8_000_000
_LEAST_TILE = 16
_LEAST_PATCH = 16


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Settings that fit, and a sentence about the changes ("" without changes)."""

    config: TrainConfig
    note: str = ""


def fit_training(
    config: TrainConfig,
    shape: Sequence[int],
    psf_shape: Sequence[int],
    *,
    precision: str,
    free_bytes: float,
    memory_share: float,
    fast_bfloat16: bool,
    frames: int = 1,
) -> Fitted:
    """Return ``config`` if training with it fits, else the same with a smaller batch, bfloat16, a smaller patch.

    The batch is halved first; then bfloat16 is taken where the device has it fast; then the patch is halved.

    Raises
    ------
    ConfigError
        If even the smallest settings do not fit into the free memory.
    """

    def needed(candidate: TrainConfig) -> int:
        own = candidate.compute.precision
        dtype = precision if own == config.compute.precision else own
        return training_bytes(candidate, shape, psf_shape, precision=dtype, frames=frames)

    budget = memory_share * free_bytes
    candidate = config
    while needed(candidate) > budget:
        smaller = _smaller(candidate, precision == "float32" and fast_bfloat16)
        if smaller is None:
            break
        candidate = smaller
    least = needed(candidate)
    if least > free_bytes:
        raise ConfigError(
            f"training needs about {size_words(least)} even with {differences(config, candidate)}, and "
            f"{size_words(free_bytes)} are free: use another preset, a smaller image, or close other programs"
        )
    if candidate == config:
        return Fitted(config=config)
    note = (
        f"Training with these settings needs about {size_words(needed(config))}; of the {size_words(free_bytes)} "
        f"that are free it may take {memory_share:.0%}. It runs with {differences(config, candidate)} (about "
        f"{size_words(least)}), and the result differs from that of the settings as given."
    )
    return Fitted(config=candidate, note=note)


def halve_training(config: TrainConfig) -> TrainConfig | None:
    """Return the settings with half the batch, or half the patch of a batch of one; None at the least."""
    return _smaller(config, False)


def _smaller(config: TrainConfig, may_use_bfloat16: bool) -> TrainConfig | None:
    if config.optimiser.batch_size > 1:
        return config.replace(batch_size=config.optimiser.batch_size // 2)
    if may_use_bfloat16 and config.compute.precision != "bfloat16":
        return config.replace(precision="bfloat16")
    if config.optimiser.patch >= 2 * _LEAST_PATCH:
        return config.replace(patch=config.optimiser.patch // 2)
    return None


def differences(before: TrainConfig, after: TrainConfig) -> str:
    """Return the differences in words, such as 'batch size 2 (not 8)', or 'no change'."""
    pairs = [
        ("batch size", after.optimiser.batch_size, before.optimiser.batch_size),
        ("precision", after.compute.precision, before.compute.precision),
        ("patch", after.optimiser.patch, before.optimiser.patch),
    ]
    return ", ".join(f"{text} {new} (not {old})" for text, new, old in pairs if new != old) or "no change"


def result_tile(
    config: TrainConfig,
    shape: Sequence[int],
    psf_shape: Sequence[int],
    tiles: TileConfig,
    context: Sequence[int],
    *,
    precision: str,
    free_bytes: float,
) -> tuple[int, ...]:
    """Return the tile for an image of ``shape``: the requested one, or the one that fits the share of memory."""
    if tiles.tile is not None:
        sides = (tiles.tile,) * len(shape) if isinstance(tiles.tile, int) else tiles.tile
        if len(sides) != len(shape):
            raise ConfigError(f"tile must have {len(shape)} sides for an image of shape {shape}, got {sides}")
        return tuple(min(side, n) for side, n in zip(sides, shape, strict=True))
    return choose_tile(
        shape,
        needed_bytes=lambda read: tile_bytes(config, read, psf_shape, precision=precision),
        budget_bytes=tiles.memory_share * free_bytes,
        context=context,
    )


def choose_tile(
    shape: Sequence[int],
    *,
    needed_bytes: Callable[[Sequence[int]], float],
    budget_bytes: float,
    context: Sequence[int],
) -> tuple[int, ...]:
    """Return a large tile that fits the budget, as near a cube as it goes; the whole image where it fits.

    Parameters
    ----------
    shape : shape of the image, voxels.
    needed_bytes : memory that predicting takes, given how many voxels are read on each axis.
    budget_bytes : memory that may be used.
    context : read around a tile on each axis, voxels. A tile is not smaller than that: it would cost 9 times as
        much as its own voxels in 2D and 27 times in 3D.

    Examples
    --------
    >>> each = dict(needed_bytes=lambda read: 1000 * read[0] * read[1] * read[2], context=(24, 24, 24))
    >>> choose_tile((40, 500, 500), budget_bytes=2e9, **each)
    (40, 168, 168)
    """
    tile, counts = list(shape), [1] * len(shape)
    least = [max(_LEAST_TILE, c) for c in context]
    while True:
        read = read_shape(shape, tile, context)
        cuttable = [i for i in range(len(tile)) if tile[i] > least[i]]
        if not cuttable or (math.prod(read) <= _MOST_VOXELS and needed_bytes(read) <= budget_bytes):
            return tuple(tile)
        axis = max(cuttable, key=lambda i: tile[i])
        counts[axis] += 1
        # The axes are cut evenly.
        tile[axis] = min(tile[axis], max(least[axis], math.ceil(shape[axis] / counts[axis] / 8) * 8))


def halve_tile(shape: Sequence[int], tile: Sequence[int], context: Sequence[int]) -> tuple[int, ...] | None:
    """Return ``tile`` with one axis halved so that least is read; None where that would be less than 16 voxels.

    Examples
    --------
    >>> halve_tile((40, 500, 500), (40, 216, 200), (8, 24, 24)), halve_tile((20, 20), (20, 20), (24, 24))
    ((40, 104, 200), None)
    """
    smaller = [
        (*tile[:axis], max(_LEAST_TILE, side // 16 * 8), *tile[axis + 1 :])
        for axis, side in enumerate(tile)
        if side > _LEAST_TILE
    ]
    read = {cut: math.prod(read_shape(shape, cut, context)) for cut in smaller}
    best = min(read, key=read.__getitem__, default=None)
    return best if best and read[best] < math.prod(read_shape(shape, tile, context)) else None
