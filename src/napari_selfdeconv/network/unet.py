"""The paper's residual U-Net, 2D and 3D, any width, depth, input size and number of input channels."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_selfdeconv.config.parts import Skip
from napari_selfdeconv.network import planewise

# Channels x planes x rows of one volume in float32 up to which PyTorch takes a kernel of its own.
_OWN_KERNEL_UP_TO = 20480


class _Conv3d(nn.Conv3d):
    """A convolution that avoids two faults on the processor.

    For exactly two planes oneDNN's bfloat16 gradient of 3^3 weights holds memory that it never wrote (3.12.0, the
    kernel for AVX512-BF16): wrong without any sign, or NaN. Stacks of 3 to 8 planes come down to two. They are
    computed in float32.

    PyTorch's own kernel for small float32 volumes writes out every neighbourhood: 27 times the memory of its
    input, and up to 18 times the time of oneDNN's.
    """

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.device.type != "cpu" or (x.shape[2] != 2 and torch.is_autocast_enabled("cpu")):
            return super()._conv_forward(x, weight, bias)  # type: ignore[no-any-return]
        with torch.autocast("cpu", enabled=False):
            wide = x.float() if x.dtype == torch.bfloat16 else x
            return self._on_processor(wide, weight, bias).to(x.dtype)

    def _on_processor(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.dtype == torch.float32 and planewise.pays(x, weight):
            return planewise.convolve(x, weight, bias)
        small = x.dtype == torch.float32 and math.prod(x.shape[:4]) <= _OWN_KERNEL_UP_TO
        if not (small and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
            return super()._conv_forward(x, weight, bias)  # type: ignore[no-any-return]
        where = self.padding, self.stride, self.dilation, self.groups
        return torch.mkldnn_convolution(x, weight, bias, *where)  # type: ignore[arg-type]


_CONV = {2: nn.Conv2d, 3: _Conv3d}
_CONV_UP = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def _normed(conv: Any, norm: Any, x: Tensor) -> Tensor:
    """Return norm(conv(x)). Fixed statistics are merged into the weights of the convolution."""
    if norm.training:
        return norm(conv(x))  # type: ignore[no-any-return]
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = conv.weight * scale.view(-1, *[1] * (conv.weight.ndim - 1))
    return conv._conv_forward(x, weight, norm.bias - norm.running_mean * scale)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """BN-ReLU-Conv-BN-ReLU-Conv plus the input through a 1x1 convolution.

    The 1x1 convolution is also there at equal widths: the parameter counts of the paper need it.
    """

    def __init__(self, ndim: int, width_in: int, width: int, momentum: float) -> None:
        super().__init__()
        conv, norm = _CONV[ndim], _NORM[ndim]
        self.norm1 = norm(width_in, momentum=momentum)
        self.conv1 = conv(width_in, width, 3, padding=1, bias=False)
        self.norm2 = norm(width, momentum=momentum)
        self.conv2 = conv(width, width, 3, padding=1, bias=False)
        self.shortcut = conv(width_in, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = _normed(self.conv1, self.norm2, F.relu(self.norm1(x), inplace=True))
        y = self.conv2(F.relu(y, inplace=True))
        # In place: no backward pass needs what a convolution gave, and at full resolution it is large.
        y += self.shortcut(x)
        return y  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Residual U-Net in pre-activation order (Papkov, Palo and Parts 2023, after Noise2Same).

    Parameters
    ----------
    ndim : 2 or 3.
    in_channels : channels of the input; one channel comes out.
    features : width at full resolution, doubled at every level.
    levels : number of resolutions (3 in the paper: two down-samplings).
    skip : "concat" or "add".
    bn_momentum : momentum of the batch-norm statistics; with 0 they do not change, and training uses them as well.
    """

    def __init__(
        self,
        ndim: int,
        *,
        in_channels: int = 1,
        features: int = 96,
        levels: int = 3,
        skip: Skip = "concat",
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        conv, up = _CONV[ndim], _CONV_UP[ndim]
        widths = [features * 2**level for level in range(levels)]
        self.ndim = ndim
        self.levels = levels
        self.skip = skip
        self.bn_momentum = bn_momentum
        self.multiple = 2 ** (levels - 1)
        self.stem = conv(in_channels, features, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(ResidualBlock(ndim, w, w, bn_momentum) for w in widths)
        pairs = list(zip(widths, widths[1:], strict=False))
        self.down = nn.ModuleList(conv(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(up(b, a, 2, stride=2) for a, b in pairs)
        joined = 2 if skip == "concat" else 1
        self.decoder = nn.ModuleList(ResidualBlock(ndim, joined * a, a, bn_momentum) for a, _ in pairs)
        self.head = nn.Sequential(
            _NORM[ndim](features, momentum=bn_momentum), nn.ReLU(inplace=True), conv(features, 1, 1, bias=False)
        )

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.bn_momentum == 0:
            for part in self.modules():
                if isinstance(part, _NORM[self.ndim]):
                    part.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, *space) to (batch, 1, *space); any size, padded inside and cropped back."""
        size = x.shape[2:]
        # Padding at the far end only keeps the down-sampling grid at the origin, so that a tile that
        # starts on the grid sees what the whole image sees.
        padding = [p for n in reversed(size) for p in (0, -n % self.multiple)]
        y = self.stem(F.pad(x, padding, mode="replicate") if any(padding) else x)
        skips = []
        for block, down in zip(self.encoder, self.down, strict=False):
            y = block(y)
            skips.append(y)
            y = down(y)
        y = self.encoder[-1](y)
        for block, up, old in zip(
            reversed(list(self.decoder)), reversed(list(self.up)), reversed(skips), strict=True
        ):
            y = up(y)
            y = block(torch.cat([y, old], 1) if self.skip == "concat" else y.add_(old))
        inside: tuple[Any, ...] = (..., *(slice(0, n) for n in size))
        return self._finish(y)[inside]

    def _finish(self, y: Tensor) -> Tensor:
        """Return the output channel, in float32 unless a gradient is needed.

        In bfloat16 it would have steps of 0.4 %, which are visible as flat patches in smooth places.
        """
        norm, activate, conv = self.head
        y = activate(norm(y))
        if torch.is_grad_enabled() or y.dtype != torch.bfloat16:
            return conv(y)  # type: ignore[no-any-return]
        with torch.autocast(y.device.type, enabled=False):
            return conv(y.float())  # type: ignore[no-any-return]
