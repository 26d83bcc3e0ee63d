"""The forward operator "open": the estimate is larger than the image and holds light from outside the field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.physics.blur import bare
from napari_selfdeconv.physics.boundary import extend
from napari_selfdeconv.physics.fft import Then
from napari_selfdeconv.physics.open_blur import OpenBlur
from napari_selfdeconv.restoration.coarse_grid import Upsampling, coarse_psf, margins

# Side of a block of the coarse grid, laterally, and the margin around the image that stays fine, (z, y, x) voxels.
_BLOCK, _MARGIN = 4, (4, 8, 8)
# Images of more voxels than this have blocks twice as wide: the results are as good, and memory is short.
_LARGE, _LARGE_BLOCK = 2**22, 8
# Where a PSF reaches beyond this many voxels laterally, two grids are worth their interpolation.
_FAR = 32


class OpenOperator:
    """A with an estimate that extends beyond the image as far as the PSF reaches.

    Light from outside that arrives at the image is part of the estimate. It is as free as the light inside, and is
    cropped at the end (`crop`). Source: Bertero and Boccacci 2005,
    https://doi.org/10.1051/0004-6361:20052717.

    Parameters
    ----------
    psf : unit sum, 2D or 3D, of any size.
    image_shape : shape of what is recorded.
    two_grids : None decides by the PSF's size. True takes blocks of 4 x 4 voxels a plane (8 x 8 if the image is
        large) outside a margin around the image. Light from there arrives smooth, so the result is the same within
        0.2 % at a fraction of the memory. False takes voxels everywhere.
    dtype : float32, or float64 to test with.

    Notes
    -----
    An estimate is one flat tensor, (1, 1, voxels): the fine grid, which holds the image, then the coarse one.
    ``side`` is that of a block of the coarse grid, in voxels.
    """

    def __init__(
        self,
        psf: NDArray[Any],
        image_shape: Sequence[int],
        *,
        two_grids: bool | None = None,
        dtype: type[np.floating[Any]] = np.float32,
    ) -> None:
        self.psf = psf
        self.image_shape = tuple(image_shape)
        if two_grids is None:
            two_grids = wants_two_grids(psf.shape)
        self._coarse: OpenBlur | None = None
        self._dtype = dtype
        self.side = side = _LARGE_BLOCK if math.prod(self.image_shape) > _LARGE else _BLOCK
        if two_grids:
            fine, coarse = margins(psf.shape, self.image_shape, side, _MARGIN)
            self._fine = OpenBlur(psf, self.image_shape, fine, dtype=dtype)
            blocks = (
                self.image_shape[0],
                *((n + b + a) // side for n, (b, a) in zip(self.image_shape[1:], fine[1:], strict=True)),
            )
            self._coarse = OpenBlur(coarse_psf(psf, side), blocks, coarse, dtype=dtype)
            self._coarse.mask = _outside(self._coarse, fine[0])
            self._up = Upsampling(self.image_shape[1:], blocks[1:], [b for b, _ in fine[1:]], side, dtype)
        else:
            self._fine = OpenBlur(psf, self.image_shape, dtype=dtype)
        self._split = math.prod(self._fine.shape)
        self.estimate_shape: tuple[int, ...] = (
            self._split + (math.prod(self._coarse.shape) if self._coarse is not None else 0),
        )

    def forward(self, estimate: Tensor) -> Tensor:
        """Return A f, (1, 1, *image)."""
        return self.blur_into(estimate, estimate.new_empty((1, 1, *self.image_shape)))

    def adjoint(self, residual: Tensor) -> Tensor:
        """Return A^T y, (1, 1, voxels)."""
        return self.adjoint_into(residual, residual.new_empty((1, 1, *self.estimate_shape)))

    def crop(self, estimate: Tensor) -> Tensor:
        """Return the light inside the image, (1, 1, *image)."""
        inside: tuple[Any, ...] = (..., *self._fine.inside)
        return self.fine(estimate)[inside]

    def fine(self, estimate: Tensor) -> Tensor:
        """Return the fine grid, (1, 1, *space), in the memory of the estimate."""
        return estimate[..., : self._split].view(1, 1, *self._fine.shape)

    def grids(self, estimate: Tensor) -> list[Tensor]:
        """Return the fine grid and, if there is one, the coarse one, flat, in the memory of the estimate."""
        parts = [estimate[..., : self._split], estimate[..., self._split :]]
        return parts if self._coarse is not None else parts[:1]

    def mirrored(self, image: Tensor) -> Tensor:
        """Return the image inside and its mirror image outside: a start that explains the border. On one grid."""
        assert self._coarse is None
        for axis, (before, after) in enumerate(self._fine.reach, -len(self.image_shape)):
            image = extend(image, axis, before, after, "reflect")
        return image.reshape(1, 1, -1).contiguous()

    def mirror(self, estimate: Tensor, sides: Sequence[tuple[bool, bool]]) -> None:
        """Make the light outside that of the mirror image, in place, on some sides; on one grid only.

        Parameters
        ----------
        sides : for each axis, whether to do so before and after the image.
        """
        if not any(map(any, sides)):
            return
        light = self.fine(estimate)
        mirrored = self.fine(self.mirrored(self.crop(estimate)))
        for axis, (before, after) in enumerate(sides, -len(self.image_shape)):
            inside, n = self._fine.inside[axis], self._fine.shape[axis]
            for wanted, start, stop in ((before, 0, inside.start), (after, inside.stop, n)):
                if wanted:
                    light.narrow(axis, start, stop - start).copy_(mirrored.narrow(axis, start, stop - start))

    def extend(self, image: Tensor) -> Tensor:
        """Return the image inside and its mean outside: a start for the iterations."""
        estimate = image.new_full((1, 1, *self.estimate_shape), float(image.mean()))
        self.crop(estimate).copy_(image)
        return self.clear(estimate)

    @property
    def has_two_grids(self) -> bool:
        """Whether light that is far outside the image lies on a coarse grid."""
        return self._coarse is not None

    def of_blocks(self) -> OpenOperator:
        """Return the operator of an image of blocks, each the mean of ``side`` x ``side`` pixels a plane."""
        psf = coarse_psf(self.psf, self.side)
        # Beyond these the blocks are empty: no light comes from there.
        reach = [n // 2 // self.side + 1 for n in self.psf.shape[1:]]
        cut = [slice(n // 2 - r, n // 2 + r + 1) for n, r in zip(psf.shape[1:], reach, strict=True)]
        planes, *sides = self.image_shape
        shape = planes, *(-(-n // self.side) for n in sides)
        return OpenOperator(psf[:, cut[0], cut[1]], shape, two_grids=False, dtype=self._dtype)

    def from_blocks(self, blocks: OpenOperator, light: Tensor) -> Tensor:
        """Return an estimate with the light of an estimate of `of_blocks`, interpolated linearly in planes."""
        assert self._coarse is not None
        lit = blocks.fine(light)[0, 0]
        estimate = light.new_zeros((1, 1, *self.estimate_shape))
        (above, _), *first = blocks._fine.reach
        (higher, _), *before = self._fine.reach
        fine = self.fine(estimate)[0, 0]
        up = Upsampling(
            fine.shape[1:],
            lit.shape[1:],
            [f * self.side - b for f, (b, _) in zip([f for f, _ in first], before, strict=True)],
            self.side,
            self._dtype,
        )
        for plane in range(len(fine)):
            fine[plane] = up.apply(lit[plane - higher + above])
        coarse = self._blocks(estimate[0, 0])
        starts = [
            above - self._coarse.reach[0][0],
            *(
                f - b // self.side - r
                for (f, _), (b, _), (r, _) in zip(first, before, self._coarse.reach[1:], strict=True)
            ),
        ]
        coarse[...] = lit[tuple(slice(s, s + n) for s, n in zip(starts, coarse.shape, strict=True))]
        return self.clear(estimate)

    def clear(self, estimate: Tensor) -> Tensor:
        """Set to 0, in place, what no voxel of either grid stands for, and return the estimate."""
        if self._coarse is not None and self._coarse.mask is not None:
            mask = torch.from_numpy(self._coarse.mask).to(estimate.device)
            self._blocks(estimate[0, 0]).mul_(mask)
        return estimate

    def blur_into(self, estimate: Tensor, out: Tensor, *, then: Then | None = None) -> Tensor:
        """Write A f into ``out``; ``then`` as in `physics.blur.Blur.into`."""
        f, y = bare(estimate), bare(out)
        if self._coarse is None:
            self._fine.forward_into(f.reshape(self._fine.shape), y, then)
            return out
        haze = _empty(self._coarse.image_shape, f)
        self._coarse.forward_into(self._blocks(f), haze)

        def add(part: Any, where: slice) -> None:
            part += self._up.apply(haze[where])
            if then is not None:
                then(part, where)

        self._fine.forward_into(f[: self._split].reshape(self._fine.shape), y, add)
        return out

    def adjoint_into(self, residual: Tensor, out: Tensor, *, then: Then | None = None) -> Tensor:
        """Write A^T y into ``out``; ``then`` gets flat parts and where they lie in the estimate."""
        y, f = bare(residual), bare(out)
        self._into(self._fine, y, f[: self._split], 0, then)
        if self._coarse is not None:
            self._into(self._coarse, self._up.transpose(y), f[self._split :], self._split, then)
        return out

    def _into(self, blur: OpenBlur, y: Any, out: Any, start: int, then: Then | None) -> None:
        plane = math.prod(blur.shape[1:])

        def flat(part: Any, where: slice) -> None:
            if then is None:
                return
            first, last = where.start or 0, blur.shape[0] if where.stop is None else where.stop
            line = part.reshape(-1)
            then(line, slice(start + first * plane, start + last * plane))
            part[...] = line.reshape(part.shape)

        blur.adjoint_into(y, out.reshape(blur.shape), flat)

    def _blocks(self, f: Any) -> Any:
        assert self._coarse is not None
        return f[self._split :].reshape(self._coarse.shape)


def wants_two_grids(psf_shape: Sequence[int]) -> bool:
    """Return whether a PSF reaches so far that light far outside the image lies on a coarse grid.

    Examples
    --------
    >>> wants_two_grids((21, 41, 41)), wants_two_grids((79, 223, 223))
    (False, True)
    """
    return len(psf_shape) == 3 and max(psf_shape[1:]) // 2 > _FAR


def _outside(coarse: OpenBlur, margin: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where the coarse grid holds light: everywhere but where the fine grid lies."""
    mask = np.ones(coarse.shape, bool)
    before, planes = coarse.reach[0][0], coarse.image_shape[0]
    mask[(slice(before - margin[0], before + planes + margin[1]), *coarse.inside[1:])] = False
    return mask


def _empty(shape: Sequence[int], like: Any) -> Any:
    return np.empty(shape, like.dtype) if isinstance(like, np.ndarray) else like.new_empty(tuple(shape))
