"""The orientation of an image, found from its pixels, so that random pixels are the same in mirror images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """The transformation that gives all mirror images and transposes of an image the same orientation.

    Attributes
    ----------
    order : order of the axes: rising length, axes of the same length with rising roughness.
    mirrored : axes, of the image as it lies, whose second half is the brighter one.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((8, 8))
    >>> turned = np.flip(image.T, 0)
    >>> mask = np.arange(64).reshape(8, 8) == 9
    >>> chosen = Orientation.of(image).undo(mask), Orientation.of(turned).undo(mask)
    >>> bool(np.array_equal(np.flip(chosen[0].T, 0), chosen[1]))
    True
    """

    order: tuple[int, ...]
    mirrored: tuple[int, ...]

    @classmethod
    def of(cls, image: NDArray[Any], measured: NDArray[np.bool_] | None = None) -> Self:
        """Measure an image. The orientation of a symmetric image is arbitrary.

        Pixels where ``measured`` is False do not count.
        """
        if measured is not None:
            image = np.where(measured, image - image[measured].mean(dtype=np.float64), 0.0)
        mirrored, roughness = [], []
        for axis, n in enumerate(image.shape):
            sums = image.sum(axis=tuple(a for a in range(image.ndim) if a != axis), dtype=np.float64)
            if sums[: n // 2].sum() < sums[n - n // 2 :].sum():
                mirrored.append(axis)
            roughness.append(float(np.square(np.diff(sums)).sum()))
        order = sorted(range(image.ndim), key=lambda axis: (image.shape[axis], roughness[axis]))
        return cls(tuple(order), tuple(mirrored))

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of an array as large as the image, turned."""
        return np.flip(array, self.mirrored).transpose(self.order)

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a turned array as the image lies."""
        return np.flip(array.transpose(np.argsort(self.order)), self.mirrored)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the turned image."""
        return tuple(shape[axis] for axis in self.order)
