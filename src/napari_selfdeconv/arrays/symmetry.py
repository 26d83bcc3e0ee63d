"""Flips and rotations that leave the PSF unchanged: the only ones training and averaging may use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Symmetry:
    """Swap y and x (the last two axes) if ``swap``, then flip the given spatial axes (negative numbers)."""

    swap: bool
    flips: tuple[int, ...]

    def apply(self, x: Tensor) -> Tensor:
        """Transform a tensor whose last axes are space."""
        if self.swap:
            x = x.transpose(-1, -2)
        return x.flip(self.flips) if self.flips else x

    def undo(self, x: Tensor) -> Tensor:
        """Transform back."""
        x = x.flip(self.flips) if self.flips else x
        return x.transpose(-1, -2) if self.swap else x


IDENTITY = Symmetry(False, ())


def _candidates(ndim: int) -> Iterator[Symmetry]:
    axes = range(-ndim, 0)
    for swap, *flips in product((False, True), *[(False, True)] * ndim):
        yield Symmetry(bool(swap), tuple(a for a, flip in zip(axes, flips, strict=True) if flip))


def psf_symmetries(psf: NDArray[Any], *, tolerance: float = 0.02) -> tuple[Symmetry, ...]:
    """Return the flips and yx rotations that leave ``psf`` unchanged, the identity first.

    Parameters
    ----------
    psf : 2D or 3D array, centre at ``n // 2`` on every axis.
    tolerance : relative L2 difference allowed. A z flip of a PSF half a plane off its centre differs by
        far more; the noise of a well averaged measured PSF by less.

    Examples
    --------
    >>> import numpy as np
    >>> len(psf_symmetries(np.ones((3, 3)))), len(psf_symmetries(np.array([[0.0, 1, 2]])))
    (8, 2)
    """
    # Centre every axis in an odd box first, so that a flip keeps the centre where it is.
    centred = np.pad(np.asarray(psf, np.float64), [(0, 1 - n % 2) for n in psf.shape])
    side = max(centred.shape[-2:])
    grow = [(0, 0)] * (psf.ndim - 2) + [((side - n) // 2,) * 2 for n in centred.shape[-2:]]
    centred = np.pad(centred, grow)
    norm = float(np.linalg.norm(centred))
    found = []
    for symmetry in _candidates(psf.ndim):
        moved = np.swapaxes(centred, -1, -2) if symmetry.swap else centred
        moved = np.flip(moved, symmetry.flips) if symmetry.flips else moved
        if float(np.linalg.norm(moved - centred)) <= tolerance * norm:
            found.append(symmetry)
    return tuple(found)
