"""Blocks of voxels for the light outside the field, and their interpolation onto the image's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Reach = list[tuple[int, int]]


def margins(
    psf_shape: Sequence[int], image_shape: Sequence[int], block: int, margin: Sequence[int]
) -> tuple[Reach, Reach]:
    """Return how far the fine grid reaches beyond the image, in voxels, and the coarse one beyond it, in its own.

    The fine grid ends with whole blocks. Along z, where the coarse grid has the planes of the image, its reach is
    counted from the image.

    Examples
    --------
    >>> margins((9, 41, 41), (5, 20, 22), 4, (2, 4, 4))
    ([(2, 2), (4, 4), (4, 6)], [(4, 4), (4, 4), (4, 4)])
    """
    reach = [max(k - 1 - k // 2, k // 2) for k in psf_shape]
    steps = (1, block, block)
    before = [min(m + -m % s, r + -r % s) for m, s, r in zip(margin, steps, reach, strict=True)]
    fine = [(b, b + -(n + 2 * b) % s) for b, n, s in zip(before, image_shape, steps, strict=True)]
    lateral = [
        (max(0, -(-(r - b) // block)), max(0, -(-(r - a) // block)))
        for r, (b, a) in zip(reach[1:], fine[1:], strict=True)
    ]
    return fine, [(reach[0], reach[0]), *lateral]


def coarse_psf(psf: NDArray[Any], block: int) -> NDArray[np.float32]:
    """Return what a block of light, 1 a voxel, brings to the mean pixel of every block, laterally.

    Examples
    --------
    >>> point = np.zeros((1, 9, 9))
    >>> point[0, 4, 4] = 1
    >>> coarse_psf(point, 4)[0, 2:5, 3].tolist()
    [0.0, 1.0, 0.0]
    """
    triangle = np.convolve(np.ones(block), np.ones(block)) / block
    out = np.asarray(psf, np.float32)
    for axis in (1, 2):
        size = psf.shape[axis]
        far = (size + block - 1) // block
        matrix = np.zeros((2 * far + 1, size), np.float32)
        for row in range(-far, far + 1):
            for shift in range(-(block - 1), block):
                column = size // 2 + block * row + shift
                if 0 <= column < size:
                    matrix[row + far, column] += triangle[shift + block - 1]
        out = np.moveaxis(np.tensordot(matrix, out, (1, axis)), 0, axis)
    return np.ascontiguousarray(out)


class Upsampling:
    """Linear interpolation of planes from the middles of blocks onto pixels, and its transpose.

    Parameters
    ----------
    pixels, blocks : lengths of a plane's two axes.
    before : voxels between the edge of the first block and the first pixel.
    block : side of a block.
    dtype : type of the weights.
    """

    def __init__(
        self, pixels: Sequence[int], blocks: Sequence[int], before: Sequence[int], block: int, dtype: Any
    ) -> None:
        self._weights = []
        for n, m, b in zip(pixels, blocks, before, strict=True):
            at = (np.arange(n) + b - (block - 1) / 2) / block
            low = np.clip(np.floor(at).astype(int), 0, max(m - 2, 0))
            weights = np.zeros((n, m), dtype)
            weights[np.arange(n), low] = 1 - (at - low)
            weights[np.arange(n), low + 1] += at - low
            self._weights.append(weights)

    def apply(self, planes: Any) -> Any:
        """Return the planes, (..., *blocks), on the pixels."""
        rows, columns = self._like(planes)
        return rows @ (planes @ columns.T)

    def transpose(self, planes: Any) -> Any:
        """Return the transpose of `apply`: from (..., *pixels) to blocks."""
        rows, columns = self._like(planes)
        return rows.T @ (planes @ columns)

    def _like(self, planes: Any) -> list[Any]:
        if isinstance(planes, np.ndarray):
            return list(self._weights)
        return [torch.from_numpy(weights).to(planes.device) for weights in self._weights]
