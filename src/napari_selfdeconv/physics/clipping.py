"""The expected image of f(x): g(f(x)), plus the bias of noise that is clipped at the lowest value.

If the image is clipped at its lowest value, by the camera or by a subtraction, the mean of a dark pixel is above
its light. If the data were compared with g(f(x)) alone, the network would learn this bias as background.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_selfdeconv.physics.noise import clipping_bias


@dataclass(frozen=True)
class ClippedBlur:
    """The function from f(x), (batch, 1, *space), to the expected image, in standardised units.

    Attributes
    ----------
    blur : g.
    black : lowest value that is recorded.
    sigma : standard deviation of the noise that is clipped there, 0 if it is not clipped.
    """

    blur: Callable[[Tensor], Tensor]
    black: float = 0.0
    sigma: float = 0.0

    def __call__(self, f: Tensor) -> Tensor:
        """Return the mean of many records."""
        g = self.blur(f)
        return g + clipping_bias(g, self.black, self.sigma) if self.sigma else g

    def record(self, f: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return one simulated image, with Gaussian noise as strong as in ``x``, patch by patch.

        Parameters
        ----------
        f : the object.
        x : a recorded image of it.
        generator : source of randomness, on their device.
        """
        residual = (x - self(f)).flatten(1)
        middle = residual.median(1, keepdim=True).values
        sigma = (1.4826 * (residual - middle).abs().median(1).values).clamp(min=self.sigma)
        noise = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype)
        recorded = self.blur(f) + sigma.view(-1, *[1] * (x.ndim - 1)) * noise
        return recorded.clamp(min=self.black) if self.sigma else recorded
