"""The blur A that the classical methods invert, together with what lies beyond the border of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.physics.blur import Blur, bare
from napari_selfdeconv.physics.fft import Then


class ForwardOperator(Protocol):
    """From an estimate to the image that it explains.

    The estimate may be larger than the image. A method sees shapes only, never the rule at the border.

    Attributes
    ----------
    psf : unit sum.
    image_shape, estimate_shape : without batch and channel. Tensors are (1, 1, *shape).
    """

    psf: NDArray[Any]
    image_shape: tuple[int, ...]
    estimate_shape: tuple[int, ...]

    def forward(self, estimate: Tensor) -> Tensor:
        """Return A f, as large as the image."""

    def adjoint(self, residual: Tensor) -> Tensor:
        """Return A^T y, as large as the estimate: the exact transpose of `forward`."""

    def crop(self, estimate: Tensor) -> Tensor:
        """Return the part of an estimate that lies inside the image."""

    def extend(self, image: Tensor) -> Tensor:
        """Return the image continued to the size of the estimate: a start for the iterations."""

    def fine(self, estimate: Tensor) -> Tensor:
        """Return the voxels of an estimate that lie on a grid, (1, 1, *space), in the same memory."""

    def grids(self, estimate: Tensor) -> list[Tensor]:
        """Return the parts of an estimate that lie on one grid each, in their order."""

    def clear(self, estimate: Tensor) -> Tensor:
        """Set to 0, in place, what stands for no voxel, and return the estimate."""

    def blur_into(self, estimate: Tensor, out: Tensor, *, then: Then | None = None) -> Tensor:
        """Write A f into ``out``, without a gradient; ``then`` as in `Blur.into`."""

    def adjoint_into(self, residual: Tensor, out: Tensor, *, then: Then | None = None) -> Tensor:
        """Write A^T y into ``out``, without a gradient; ``then`` as in `Blur.into`."""


class BlurOperator:
    """The blur of an image that continues at its border by a rule: the estimate is as large as the image.

    Parameters
    ----------
    blur : the PSF and the rule at the border.
    shape : shape of image and estimate.

    Notes
    -----
    `backproject_into` correlates with the PSF and continues the ratio as the image continues. Inside the image
    this is the adjoint. For a symmetric PSF and reflection it is the adjoint at the border as well.
    """

    def __init__(self, blur: Blur, shape: Sequence[int]) -> None:
        self.blur = blur
        self.psf: NDArray[Any] = blur.psf
        self.image_shape = self.estimate_shape = tuple(shape)

    def forward(self, estimate: Tensor) -> Tensor:
        return self.blur(estimate)

    def adjoint(self, residual: Tensor) -> Tensor:
        return self.blur.adjoint(residual)

    def crop(self, estimate: Tensor) -> Tensor:
        return estimate

    def extend(self, image: Tensor) -> Tensor:
        return image

    def blur_into(self, estimate: Tensor, out: Tensor, *, then: Then | None = None) -> Tensor:
        return self.blur.into(estimate, out, then=then)

    def fine(self, estimate: Tensor) -> Tensor:
        return estimate

    def grids(self, estimate: Tensor) -> list[Tensor]:
        return [estimate]

    def clear(self, estimate: Tensor) -> Tensor:
        return estimate

    def adjoint_into(self, residual: Tensor, out: Tensor, *, then: Then | None = None) -> Tensor:
        with torch.no_grad():
            result = self.blur.adjoint(residual)
            if then is not None:
                then(bare(result), slice(None))
            return out.copy_(result)

    def backproject_into(self, ratio: Tensor, out: Tensor, *, then: Then | None = None) -> Tensor:
        """Write the back-projection of plain Richardson-Lucy into ``out``, which a constant 1 leaves at 1."""
        return self.blur.into(ratio, out, mirrored=True, then=then)
