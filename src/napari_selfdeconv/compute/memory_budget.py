"""What a run will take of the free memory, and what to change so that it fits. No torch here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from napari_selfdeconv.compute.memory_model import tile_bytes, training_bytes, whole_bytes
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError

# A tile larger than this gains little speed (its overlap is a quarter of it), and the user would wait for it when
# stopping: a second and a half on two cores.
_MOST_VOXELS = 4_000_000
_LEAST_PATCH = 16


def size_words(count: float) -> str:
    """Return bytes as people say them.

    Examples
    --------
    >>> size_words(14.2e9), size_words(1.23e9), size_words(8.4e7)
    ('14 GB', '1.2 GB', '84 MB')
    """
    if count >= 9.95e9:
        return f"{count / 1e9:.0f} GB"
    return f"{count / 1e9:.1f} GB" if count >= 0.95e9 else f"{count / 1e6:.0f} MB"


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a run is expected to take beyond what the process holds; ``free_bytes`` is None where not known."""

    training_bytes: int
    result_bytes: int
    free_bytes: int | None

    @property
    def sentence(self) -> str:
        """The outlook in words, for one line."""
        text = (
            f"about {size_words(self.training_bytes)} for training, {size_words(self.result_bytes)} for the result"
        )
        return text if self.free_bytes is None else f"{text} ({size_words(self.free_bytes)} free)"


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Settings that fit, and a sentence on what was changed ("" if nothing was)."""

    config: TrainConfig
    note: str = ""


def outlook(
    config: TrainConfig,
    shape: Sequence[int],
    psf_shape: Sequence[int],
    tiles: TileConfig,
    *,
    precision: str,
    free_bytes: int | None,
    frames: int = 1,
) -> Outlook:
    """Return what training on an image of ``shape`` and deconvolving it will take.

    Examples
    --------
    >>> from napari_selfdeconv.config.presets import preset
    >>> sizes = (512, 512), (31, 31)
    >>> found = outlook(preset("quick", 2), *sizes, TileConfig(), precision="float32", free_bytes=None)
    >>> 1e8 < found.training_bytes < 1e9
    True
    """
    budget = 1e15 if free_bytes is None else free_bytes
    tile = result_tile(config, shape, psf_shape, tiles, precision=precision, free_bytes=budget)
    return Outlook(
        training_bytes=training_bytes(config, shape, psf_shape, precision=precision, frames=frames),
        result_bytes=tile_bytes(config, tile, psf_shape, precision=precision) + whole_bytes(shape),
        free_bytes=free_bytes,
    )


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
        If not even the smallest fits into all that is free.
    """

    def needed(candidate: TrainConfig) -> int:
        dtype = precision if candidate.precision == config.precision else candidate.precision
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
    if config.batch_size > 1:
        return replace(config, batch_size=config.batch_size // 2)
    if may_use_bfloat16 and config.precision != "bfloat16":
        return replace(config, precision="bfloat16")
    if config.patch >= 2 * _LEAST_PATCH:
        return replace(config, patch=config.patch // 2)
    return None


def differences(before: TrainConfig, after: TrainConfig) -> str:
    """Say how ``after`` differs: 'batch size 2 (not 8)'; 'no change' if it does not."""
    names = {"batch_size": "batch size", "precision": "precision", "patch": "patch"}
    pairs = [(text, getattr(after, name), getattr(before, name)) for name, text in names.items()]
    return ", ".join(f"{text} {new} (not {old})" for text, new, old in pairs if new != old) or "no change"


def result_tile(
    config: TrainConfig,
    shape: Sequence[int],
    psf_shape: Sequence[int],
    tiles: TileConfig,
    *,
    precision: str,
    free_bytes: float,
) -> tuple[int, ...]:
    """Return the tile in which an image of ``shape`` is deconvolved: as asked for, or what fits the share."""
    if tiles.tile is not None:
        sides = (tiles.tile,) * len(shape) if isinstance(tiles.tile, int) else tiles.tile
        if len(sides) != len(shape):
            raise ConfigError(f"tile must have {len(shape)} sides for an image of shape {shape}, got {sides}")
        return tuple(min(side, n) for side, n in zip(sides, shape, strict=True))
    return choose_tile(
        shape,
        needed_bytes=lambda tile: tile_bytes(config, tile, psf_shape, precision=precision),
        budget_bytes=tiles.memory_share * free_bytes,
        overlap=tiles.overlap,
    )


def choose_tile(
    shape: Sequence[int], *, needed_bytes: Callable[[Sequence[int]], float], budget_bytes: float, overlap: int
) -> tuple[int, ...]:
    """Return a large tile that fits the budget, as near a cube as it goes; the whole image where it fits.

    The axes are cut evenly, so that tiles overlap no more than they must: what overlaps is predicted twice.

    Parameters
    ----------
    shape : of the image, voxels.
    needed_bytes : memory that predicting a tile of a given shape takes.
    budget_bytes : memory that may be used.
    overlap : of neighbouring tiles, voxels; a tile is never smaller than twice that.

    Examples
    --------
    >>> choose_tile((40, 500, 500), needed_bytes=lambda t: 1000 * t[0] * t[1] * t[2], budget_bytes=2e9, overlap=32)
    (40, 192, 192)
    """
    least = max(16, 2 * overlap)
    tile, counts = list(shape), [1] * len(shape)
    while max(tile) > least and (math.prod(tile) > _MOST_VOXELS or needed_bytes(tile) > budget_bytes):
        axis = max(range(len(tile)), key=lambda i: tile[i])
        counts[axis] += 1
        even = (shape[axis] + (counts[axis] - 1) * overlap) / counts[axis]
        tile[axis] = min(tile[axis], max(least, math.ceil(even / 8) * 8))
    return tuple(tile)


def halve_tile(tile: Sequence[int], overlap: int) -> tuple[int, ...] | None:
    """Return ``tile`` with its longest axis halved, None where that would be less than twice the overlap.

    Examples
    --------
    >>> halve_tile((40, 216, 200), 32), halve_tile((40, 100, 100), 32)
    ((40, 104, 200), None)
    """
    axis = max(range(len(tile)), key=lambda i: tile[i])
    half = tile[axis] // 16 * 8
    if half < max(16, 2 * overlap):
        return None
    return (*tile[:axis], half, *tile[axis + 1 :])
