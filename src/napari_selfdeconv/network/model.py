"""The trained object: the network with its PSF, and what is needed to apply it to another image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_selfdeconv.arrays.symmetry import IDENTITY, Symmetry, psf_symmetries
from napari_selfdeconv.compute.device import Choice, repeatable
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.unet import UNet
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.boundary import extend
from napari_selfdeconv.physics.wiener import wiener_kernel


class Deconvolver(nn.Module):
    """f: the image and its Wiener-filtered copies in, the deconvolved image out (standardised units).

    The copies are made inside f, from the (masked) input, so that f stays blind to the masked pixels.
    """

    def __init__(self, config: TrainConfig, psf: NDArray[Any]) -> None:
        super().__init__()
        self.inverses = [
            Blur(wiener_kernel(psf, value), boundary=config.boundary) for value in config.inverse_channels
        ]
        self.unet = UNet(
            psf.ndim,
            in_channels=1 + len(self.inverses),
            features=config.features,
            levels=config.levels,
            skip=config.skip,
            bn_momentum=config.bn_momentum,
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Moved to another device: the filters leave no memory behind on the old one.
        for inverse in self.inverses:
            inverse.forget()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, *space) to the same shape."""
        channels = [x, *(inverse(x) for inverse in self.inverses)]
        return self.unet(torch.cat(channels, 1))  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained network.

    Attributes
    ----------
    config : the settings it was trained with.
    psf : float32, unit sum.
    network : in evaluation mode, float32 weights.
    voxel_um : voxel size of image and PSF, um, in axis order; None where unknown.
    provenance : JSON-ready record of the training run.
    """

    config: TrainConfig
    psf: NDArray[np.float32]
    network: Deconvolver
    voxel_um: tuple[float, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def build_network(config: TrainConfig, psf: NDArray[Any]) -> Deconvolver:
    """Return the untrained network, its weights drawn from ``config.seed`` alone.

    The caller's own random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Deconvolver(config, psf)


def psf_hash(psf: NDArray[Any]) -> str:
    """Return the SHA-256 of the PSF as float32 with its shape: two PSFs are the same if it is."""
    data = np.ascontiguousarray(psf, np.float32)
    return hashlib.sha256(repr(data.shape).encode() + data.tobytes()).hexdigest()


def place(network: nn.Module, choice: Choice, ndim: int) -> None:
    """Move the network to its device and into the memory layout that is fast there."""
    network.to(choice.device)
    # channels_last: with bfloat16 1.5 to 2 times as fast, with oneDNN in float32 up to 1.3 (docs/benchmarks.md).
    if choice.dtype == torch.bfloat16 or (choice.device.type == "cpu" and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
        network.to(memory_format=layout)  # type: ignore[call-overload]


def autocast(choice: Choice) -> torch.autocast:
    """Return the autocast context of ``choice``; it does nothing for float32."""
    return torch.autocast(choice.device.type, dtype=torch.bfloat16, enabled=choice.dtype == torch.bfloat16)


def predictors(
    model: Model, choice: Choice, *, average: bool
) -> list[Callable[[NDArray[np.float32]], NDArray[np.float32]]]:
    """Return functions from a standardised tile to its prediction, to be averaged.

    With ``average`` there is one for each symmetry of the PSF, and at least one for each phase of the network's
    down-sampling grid: its strided convolutions can leave a pattern of that period, which g does not see and
    no loss removes, but a mean over the phases does. Without, it is one function. The network must lie on
    the device already.
    """
    ndim = model.psf.ndim
    if not average:
        return [_view(model, choice, IDENTITY, (0,) * ndim)]
    symmetries = psf_symmetries(model.psf)
    count = max(len(symmetries), 2**ndim if model.config.levels > 1 else 1)
    views = [symmetries[i % len(symmetries)] for i in range(count)]
    return [_view(model, choice, view, _phase(i, view, ndim)) for i, view in enumerate(views)]


def _phase(i: int, symmetry: Symmetry, ndim: int) -> tuple[int, ...]:
    """Return the offset of the grid for view i: over all views each cell of 2 voxels a side is met evenly.

    A flip exchanges the two voxels of a cell as an offset by 1 does, so the offset makes up for it. Views beyond
    the first 2^ndim are moved by 2 as well, which evens out a period of 4.
    """
    flipped = {axis % ndim for axis in symmetry.flips}
    if symmetry.swap:  # the flips act after the swap
        other = {ndim - 1: ndim - 2, ndim - 2: ndim - 1}
        flipped = {other.get(axis, axis) for axis in flipped}
    return tuple(((i >> axis & 1) ^ (axis in flipped)) + (i >> ndim & 1) * 2 for axis in range(ndim))


def _view(
    model: Model, choice: Choice, symmetry: Symmetry, phase: tuple[int, ...]
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    multiple = model.network.unet.multiple

    def predict(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        x = torch.from_numpy(tile)[None, None].to(choice.device)
        starts = []
        for axis, (n, offset) in enumerate(zip(tile.shape, phase, strict=True), -tile.ndim):
            # Mirrored voxels put the grid at its phase. No more of them: the network's own padding is zeros, but
            # that is how it learned, at every border of every patch.
            start = offset % multiple
            # A whole number of grid cells: then a flip leaves the phase of the grid as it is. And the same for
            # every view, or memory comes to pieces of which none fits the next.
            size = n + multiple - 1
            x = extend(x, axis, start, size - size % -multiple - n - start, "reflect")
            starts.append(start)
        with torch.inference_mode(), repeatable(choice.device), autocast(choice):
            y = symmetry.undo(model.network(symmetry.apply(x).contiguous()).float())
        for axis, (n, start) in enumerate(zip(tile.shape, starts, strict=True), -tile.ndim):
            y = y.narrow(axis, start, n)
        result: NDArray[np.float32] = y[0, 0].cpu().numpy()
        return result

    return predict
