"""What is recorded of f(x) in the mean: g(f(x)), and what noise that is cut off at black adds in the dark.

Where a camera, or whoever took the background off, has made everything below black black, a dark pixel is brighter
in the mean than its light. Compared with g(f(x)) alone, a network would learn that light.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_selfdeconv.physics.noise import clipping_bias


@dataclass(frozen=True)
class ClippedBlur:
    """From f(x), (batch, 1, *space), to what is recorded of it, standardised units.

    Attributes
    ----------
    blur : g.
    black : lowest value that is recorded.
    sigma : standard deviation of the noise that is cut off there, 0 where it is not.
    """

    blur: Callable[[Tensor], Tensor]
    black: float = 0.0
    sigma: float = 0.0

    def __call__(self, f: Tensor) -> Tensor:
        """Return the mean of many records."""
        g = self.blur(f)
        return g + clipping_bias(g, self.black, self.sigma) if self.sigma else g

    def record(self, f: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return one record, with Gaussian noise as strong as that of ``x`` about ``f``, patch by patch.

        Parameters
        ----------
        f : what is recorded.
        x : an earlier record of it.
        generator : source of randomness, on their device.
        """
        residual = (x - self(f)).flatten(1)
        middle = residual.median(1, keepdim=True).values
        sigma = (1.4826 * (residual - middle).abs().median(1).values).clamp(min=self.sigma)
        noise = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype)
        recorded = self.blur(f) + sigma.view(-1, *[1] * (x.ndim - 1)) * noise
        return recorded.clamp(min=self.black) if self.sigma else recorded
