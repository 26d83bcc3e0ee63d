"""How much memory a run will take, from its settings alone: counts of the network's layers, fitted to measurement.

What is counted are the bytes of what a run holds; the coefficients say how many times each is there at the peak.
They are fitted by ``python -m selfdeconv_tools.memory.fit``, which measures runs in processes of their own.
No torch here: the forms show the figure before torch is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from napari_selfdeconv.config.training import LossWeights, TrainConfig

#: Coefficients of `training_counts` and of `tile_counts` for each precision.
TRAINING: Mapping[str, tuple[float, ...]] = {
    "float32": (1.17, 5.99, 0.00, 2.17, 6.29, 0.07, 20.20),
    "bfloat16": (1.23, 5.44, 2.57, 2.19, 3.03, 0.20, 16.26),
}
TILE: Mapping[str, tuple[float, ...]] = {
    "float32": (3.29, 2.65, 0.91, 2.01, 0.00, 2.43, 32.35),
    "bfloat16": (3.95, 1.43, 2.76, 1.18, 4.29, 0.40, 14.29),
}
# What a run takes however small it is is counted in these.
_MEGABYTE = 1e6


def training_bytes(
    config: TrainConfig, shape: Sequence[int], psf_shape: Sequence[int], *, precision: str, frames: int = 1
) -> int:
    """Return the memory that training takes at its peak beyond what the process holds before, in bytes.

    Parameters
    ----------
    config : settings of the run.
    shape, psf_shape : of a frame and of the PSF, voxels.
    precision : "float32" or "bfloat16", what the device computes in.
    frames : how many frames it is trained on.

    Examples
    --------
    >>> from napari_selfdeconv.config.presets import preset
    >>> small, large = (preset("paper", 2, batch_size=n) for n in (1, 16))
    >>> sizes = [training_bytes(c, (512, 512), (31, 31), precision="float32") for c in (small, large)]
    >>> sizes[1] > 4 * sizes[0]
    True
    """
    steps = _total(TRAINING[precision], training_counts(config, shape, psf_shape, precision, frames))
    # With a small batch a cell of the first result takes more than a step.
    return max(steps, first_result_bytes(config, shape, psf_shape, precision=precision))


def first_result_bytes(
    config: TrainConfig, shape: Sequence[int], psf_shape: Sequence[int], *, precision: str
) -> int:
    """Return the memory that a cell of the first result takes, in bytes; 0 where none is needed."""
    if not config.loss.holds_on:
        return 0
    side, margin = config.first_cell
    return tile_bytes(config, [min(n, side + 2 * margin) for n in shape], psf_shape, precision=precision)


def tile_bytes(config: TrainConfig, tile: Sequence[int], psf_shape: Sequence[int], *, precision: str) -> int:
    """Return the memory that deconvolving one tile takes at its peak, in bytes; the image and the result aside."""
    return _total(TILE[precision], tile_counts(config, tile, psf_shape, precision))


def whole_bytes(shape: Sequence[int]) -> int:
    """Return the memory of the result itself, in bytes: float32."""
    return 4 * int(math.prod(shape))


def training_counts(
    config: TrainConfig, shape: Sequence[int], psf_shape: Sequence[int], precision: str, frames: int = 1
) -> list[float]:
    """Return the bytes of what training holds.

    All layers, one at full resolution, Fourier transforms, image and PSF, weights, all layers again where an
    anchor or a bootstrap runs a second network, and a constant.
    """
    ndim = len(shape)
    patch = [min(n, config.patch) for n in shape]
    value = 2.0 if precision == "bfloat16" else 4.0
    batch = config.batch_size * passes(config.loss) + config.recorded_anew
    voxels = batch * math.prod(patch)
    kept = value * voxels * kept_channels(config, ndim)
    return [
        kept,
        value * voxels * config.features,
        4.0 * batch * (1 + len(config.inverse_channels)) * _padded(patch, psf_shape),
        # The frame, the same without its held-out pixels, where those are; and its first result.
        (13.0 if config.loss.holds_on else 9.0) * frames * math.prod(shape) + _kernel_bytes(config, psf_shape),
        4.0 * parameters(config, ndim),
        kept if config.loss.holds_on else 0.0,
        _MEGABYTE,
    ]


def tile_counts(config: TrainConfig, tile: Sequence[int], psf_shape: Sequence[int], precision: str) -> list[float]:
    """Return the bytes of predicting a tile.

    Its widest layer, another, one more if there are three levels, transforms, tile, weights, and a constant.
    """
    value = 2.0 if precision == "bfloat16" else 4.0
    # What puts the network's grid at its phase is added to each axis: less than a cell, then up to a whole one.
    cell = 2 ** (config.levels - 1)
    sizes = [-(-(n + cell - 1) // cell) * cell for n in tile]
    voxels = math.prod(sizes)
    return [
        value * voxels * config.features * _joined(config),
        value * voxels * config.features,
        value * voxels * config.features * (config.levels > 2),
        4.0 * (1 + len(config.inverse_channels)) * _padded(sizes, psf_shape),
        4.0 * math.prod(tile),
        4.0 * parameters(config, len(tile)),
        _MEGABYTE,
    ]


def passes(loss: LossWeights) -> int:
    """Return how many times each patch goes through the network in a training step: once or twice."""
    between = loss.inv > 0 or loss.inv_d > 0
    return (loss.rec > 0 or between) + (loss.bsp > 0 or between)


def parameters(config: TrainConfig, ndim: int) -> int:
    """Return the number of weights of the network."""
    kernel: int = 3**ndim
    corner: int = 2**ndim

    def block(width_in: int, width: int) -> int:
        return 2 * width_in + (kernel + 1) * width_in * width + 2 * width + kernel * width**2

    widths = [config.features * 2**level for level in range(config.levels)]
    count = (kernel * (1 + len(config.inverse_channels)) + 3) * config.features
    count += sum(block(width, width) for width in widths)
    for a, b in zip(widths, widths[1:], strict=False):
        count += 2 * corner * a * b + a + b + block(_joined(config) * a, a)
    return count


def kept_channels(config: TrainConfig, ndim: int) -> float:
    """Return how many values per voxel of a patch the network keeps for its backward pass."""
    kept = 1.0 + len(config.inverse_channels) + 2 * config.features
    for level in range(config.levels):
        width = config.features * 2**level
        # Of a block: both ReLUs, the value between its convolutions, its sum; below, what the way down made.
        layers = 4 if level == 0 else 5
        if level < config.levels - 1:
            layers += 2 * _joined(config) + 3
        kept += layers * width / 2 ** (ndim * level)
    return kept


def _joined(config: TrainConfig) -> int:
    return 2 if config.skip == "concat" else 1


def _padded(size: Sequence[int], psf_shape: Sequence[int]) -> int:
    return int(math.prod(n + k - 1 for n, k in zip(size, psf_shape, strict=True)))


def _kernel_bytes(config: TrainConfig, psf_shape: Sequence[int]) -> float:
    # The Wiener kernels of the inverse channels are made in float64, on four times the PSF.
    return 8.0 * math.prod(4 * k + 1 for k in psf_shape) if config.inverse_channels else 0.0


def _total(coefficients: Sequence[float], counts: Sequence[float]) -> int:
    return round(sum(a * n for a, n in zip(coefficients, counts, strict=True)))
