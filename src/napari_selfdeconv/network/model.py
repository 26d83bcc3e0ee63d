"""The trained model: the network with its PSF, and all that is needed to apply it to another image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdeconv.arrays.tiling import tile_context
from napari_selfdeconv.compute.device import Choice, onednn_without_avx512
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.unet import UNet
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.wiener import wiener_kernel


class Deconvolver(nn.Module):
    """f: from the image and its Wiener-filtered copies to the deconvolved image, in standardised units.

    The copies are made inside f, from the (masked) input, so that f stays blind to the masked pixels.

    Parameters
    ----------
    takes_estimate : whether the input has a second channel: the first estimate of a stack whose far light was
        subtracted (`restoration.far_light`).
    """

    def __init__(self, config: TrainConfig, psf: NDArray[Any], takes_estimate: bool = False) -> None:
        super().__init__()
        self.takes_estimate = takes_estimate
        self.inverses = [
            Blur(wiener_kernel(psf, value), boundary=config.boundary) for value in config.network.inverse_channels
        ]
        self.unet = unet_of(config, psf.ndim, takes_estimate)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Moved to another device: the filters leave no memory behind on the old one.
        for inverse in self.inverses:
            inverse.forget()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @property
    def context(self) -> tuple[int, ...]:
        """Number of voxels to read around a tile on each axis, so that tiles do not change the result."""
        radii = [[n // 2 for n in inverse.psf.shape] for inverse in self.inverses] or [[0] * self.unet.ndim]
        return tile_context(self.unet.levels, [max(axis) for axis in zip(*radii, strict=True)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, *space), or two channels with the first estimate, to (batch, 1, *space)."""
        image, estimate = x[:, :1], x[:, 1:]
        channels = [image, *(inverse(image) for inverse in self.inverses), estimate]
        return self.unet(torch.cat(channels, 1))  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained network.

    Attributes
    ----------
    config : the settings it was trained with.
    psf : PSF of the network, float32, with sum 1.
    whole_psf : the given PSF with sum 1, if it is too large for a training patch. ``psf`` is then its compact
        part. Otherwise None.
    network : in evaluation mode, float32 weights.
    voxel_um : voxel size of image and PSF, um, in axis order; None where unknown.
    provenance : JSON-ready record of the training run.

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> model = deconvolve(np.random.default_rng(0).random((32, 32)), np.ones((3, 3)) / 9, config).model
    >>> model.psf.shape, round(float(model.psf.sum()), 6), model.whole_psf is None
    ((3, 3), 1.0, True)
    """

    config: TrainConfig
    psf: NDArray[np.float32]
    network: Deconvolver
    voxel_um: tuple[float, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    whole_psf: NDArray[np.float32] | None = None

    @property
    def given_psf(self) -> NDArray[np.float32]:
        """The PSF that the model was trained for."""
        return self.psf if self.whole_psf is None else self.whole_psf


def unet_of(config: TrainConfig, ndim: int, takes_estimate: bool = False) -> UNet:
    """Return the U-Net of the settings."""
    return UNet(
        ndim,
        in_channels=1 + len(config.network.inverse_channels) + takes_estimate,
        features=config.network.features,
        levels=config.network.levels,
        skip=config.network.skip,
        bn_momentum=config.network.bn_momentum,
    )


def takes_estimate(state: Mapping[str, Tensor], config: TrainConfig) -> bool:
    """Return whether weights are those of a network that takes the first estimate as well."""
    return state["unet.stem.weight"].shape[1] > 1 + len(config.network.inverse_channels)


def build_network(config: TrainConfig, psf: NDArray[Any], takes_estimate: bool = False) -> Deconvolver:
    """Return the untrained network, with weights drawn from ``config.seed``.

    The caller's own random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Deconvolver(config, psf, takes_estimate)


# With AVX2 alone oneDNN computes the gradient of 2D weights as wide as this faster in the usual layout: a step of
# the paper's network takes 1.3 to 1.4 times as long with channels_last. Narrower ones and volumes do not.
_WIDE = 64


def place(network: Deconvolver, choice: Choice, ndim: int) -> None:
    """Move the network to its device and into the memory layout that is fast there."""
    network.to(choice.device)
    if _channels_last_is_faster(network, choice, ndim):
        layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
        network.to(memory_format=layout)  # type: ignore[call-overload]


def _channels_last_is_faster(network: Deconvolver, choice: Choice, ndim: int) -> bool:
    """With bfloat16 1.5 to 2 times, with oneDNN in float32 up to 1.3 times (docs/benchmarks.md)."""
    if choice.dtype == torch.bfloat16:
        return True
    if choice.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return not (onednn_without_avx512() and ndim == 2 and network.unet.stem.out_channels >= _WIDE)


def autocast(choice: Choice) -> torch.autocast:
    """Return the autocast context of ``choice``; it does nothing for float32."""
    return torch.autocast(choice.device.type, dtype=torch.bfloat16, enabled=choice.dtype == torch.bfloat16)
