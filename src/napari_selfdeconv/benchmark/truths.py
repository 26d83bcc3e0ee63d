"""The truth images of a benchmark, and their degraded copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io import check_image, read_image
from napari_selfdeconv.simulate import degrade, microtubules_3d, rescale_to_unit

_ENDINGS = (".png", ".tif", ".tiff", ".npy")

Array = NDArray[np.float32]
#: Its name, and what loads it.
Truth = tuple[str, Callable[[], NDArray[Any]]]


def generated(shape: Sequence[int] | None) -> Iterator[Truth]:
    """Yield a volume of microtubules of ``shape``, or nothing for None."""
    if shape is None:
        return
    if len(shape) != 3:
        raise ConfigError(f"--volume needs 3 numbers, Z Y X, got {' '.join(map(str, shape))}")
    size = (shape[0], shape[1], shape[2])
    yield f"microtubules-{'x'.join(map(str, size))}", lambda: microtubules_3d(size)


def files(folder: Path | None, psf_path: Path) -> Iterator[Truth]:
    """Yield the images of a folder; a PSF that lies among them is none.

    Raises
    ------
    ConfigError
        If there are none in it.
    """
    if folder is None:
        return
    found = sorted(folder.glob("*")) if folder.is_dir() else []
    paths = [p for p in found if p.suffix.lower() in _ENDINGS and p.resolve() != psf_path.resolve()]
    if not paths:
        raise ConfigError(f"no truth images (PNG, TIFF or NPY) in {folder}")
    for path in paths:
        yield path.name, lambda path=path: _read(path)  # type: ignore[misc]


def degraded(data: NDArray[Any], psf: NDArray[Any], crop: int | None) -> tuple[Array, Array]:
    """Return truth and degraded image, whole or their middle; salt and pepper in 2D only."""
    noisy = degrade(data, psf, seed=0, salt=data.ndim == 2)
    truth = rescale_to_unit(data)
    where = tuple(_centre(n, crop) for n in truth.shape)
    return truth[where], noisy[where]


def _read(path: Path) -> NDArray[Any]:
    file = read_image(path)
    return check_image(file.data, file.axes)


def _centre(n: int, crop: int | None) -> slice:
    size = n if crop is None else min(n, crop)
    return slice((n - size) // 2, (n - size) // 2 + size)
