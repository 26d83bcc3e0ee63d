"""An estimate of the memory of a run from its settings.

One formula for training and for tiles: the channels that are in memory at the peak, the Fourier transforms, the
weights, the image, and a constant for the libraries. It is an estimate with a safety factor, because a run that
needs more restarts with half the batch or half the tile. No torch here: the forms show the figure before torch is
loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_selfdeconv.config.loss_terms import LossWeights, Needs
from napari_selfdeconv.config.training import TrainConfig

# Measured runs of the presets take 0.6 to 1.1 times the estimate.
_SAFETY = 1.25
_CONSTANT = 2e7
# Layers at full resolution beyond those that are retained for the backward pass: gradients and scratch memory.
_WORKING_LAYERS = 6


def training_bytes(
    config: TrainConfig, shape: Sequence[int], psf_shape: Sequence[int], *, precision: str, frames: int = 1
) -> int:
    """Return the memory that training takes at its peak beyond what the process holds before, in bytes.

    It is 0 without a training step.

    Parameters
    ----------
    config : settings of the run.
    shape, psf_shape : shapes of a frame and of the PSF, voxels.
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
    if not config.optimiser.steps:
        return 0
    ndim = len(shape)
    patch = [min(n, config.optimiser.patch) for n in shape]
    batch = config.optimiser.batch_size * passes(config.loss.weights) + config.simulated_patches
    steps = _needed(
        config,
        voxels=batch * math.prod(patch),
        channels=retained_channels(config, ndim) + _WORKING_LAYERS * config.network.features,
        transforms=batch * _padded(patch, psf_shape),
        # The frame and its standardised copies, and the Wiener kernels' float64 on four times the PSF.
        extra=24.0 * frames * math.prod(shape) + _kernel_bytes(config, psf_shape),
        ndim=ndim,
        precision=precision,
    )
    # With a small batch a cell of the reference result takes more than a step.
    return max(steps, reference_result_bytes(config, shape, psf_shape, precision=precision))


def reference_result_bytes(
    config: TrainConfig, shape: Sequence[int], psf_shape: Sequence[int], *, precision: str
) -> int:
    """Return the memory that a cell of the reference result takes, in bytes; 0 where none is needed."""
    if Needs.REFERENCE not in config.loss.weights.needs:
        return 0
    side, margin = config.reference_cell
    return tile_bytes(config, [min(n, side + 2 * margin) for n in shape], psf_shape, precision=precision)


def tile_bytes(config: TrainConfig, tile: Sequence[int], psf_shape: Sequence[int], *, precision: str) -> int:
    """Return the memory that deconvolving one tile takes at its peak, in bytes; the image and the result aside."""
    # Each axis is padded to put the network's grid at its phase: by less than a cell, then up to a whole one.
    cell = 2 ** (config.network.levels - 1)
    sizes = [-(-(n + cell - 1) // cell) * cell for n in tile]
    # A block at full resolution: its input, twice as wide with the skip, both ReLUs and both convolutions.
    return _needed(
        config,
        voxels=math.prod(sizes),
        channels=(4 + 3 * _joined(config)) * config.network.features,
        transforms=_padded(sizes, psf_shape),
        extra=8.0 * math.prod(tile),
        ndim=len(tile),
        precision=precision,
    )


def whole_bytes(shape: Sequence[int]) -> int:
    """Return the memory of the result itself, in bytes: float32."""
    return 4 * int(math.prod(shape))


def passes(loss: LossWeights) -> int:
    """Return how many times each patch goes through the network in a training step: once or twice."""
    return (Needs.UNMASKED in loss.needs) + (Needs.MASKED in loss.needs)


def parameters(config: TrainConfig, ndim: int) -> int:
    """Return the number of weights of the network."""
    kernel: int = 3**ndim
    corner: int = 2**ndim

    def block(width_in: int, width: int) -> int:
        return 2 * width_in + (kernel + 1) * width_in * width + 2 * width + kernel * width**2

    widths = [config.network.features * 2**level for level in range(config.network.levels)]
    count = (kernel * (1 + len(config.network.inverse_channels)) + 3) * config.network.features
    count += sum(block(width, width) for width in widths)
    for a, b in zip(widths, widths[1:], strict=False):
        count += 2 * corner * a * b + a + b + block(_joined(config) * a, a)
    return count


def retained_channels(config: TrainConfig, ndim: int) -> float:
    """Return how many values per voxel of a patch the network keeps for its backward pass."""
    retained = 1.0 + len(config.network.inverse_channels) + 2 * config.network.features
    for level in range(config.network.levels):
        width = config.network.features * 2**level
        # Of a block: both ReLUs, the value between its convolutions, its sum; below, what the way down made.
        layers = 4 if level == 0 else 5
        if level < config.network.levels - 1:
            layers += 2 * _joined(config) + 3
        retained += layers * width / 2 ** (ndim * level)
    return retained


def _joined(config: TrainConfig) -> int:
    return 2 if config.network.skip == "concat" else 1


def _padded(size: Sequence[int], psf_shape: Sequence[int]) -> int:
    return int(math.prod(n + k - 1 for n, k in zip(size, psf_shape, strict=True)))


def _kernel_bytes(config: TrainConfig, psf_shape: Sequence[int]) -> float:
    # The Wiener kernels of the inverse channels are made in float64, on four times the PSF.
    return 8.0 * math.prod(4 * k + 1 for k in psf_shape) if config.network.inverse_channels else 0.0


def _needed(
    config: TrainConfig,
    *,
    voxels: int,
    channels: float,
    transforms: int,
    extra: float,
    ndim: int,
    precision: str,
) -> int:
    value = 2.0 if precision == "bfloat16" else 4.0
    needed = value * voxels * channels + extra
    # The transforms of the image and of its filtered copies are float32, the input and its spectrum.
    needed += 8.0 * (1 + len(config.network.inverse_channels)) * transforms
    # Weights, gradients, and the two moments of Adam.
    needed += 16.0 * parameters(config, ndim)
    return round(_SAFETY * needed + _CONSTANT)
