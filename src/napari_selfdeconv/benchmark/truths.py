"""The truth images of a benchmark, and their degraded copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import check_image
from napari_selfdeconv.io.images import read_image, read_psf
from napari_selfdeconv.simulate import degrade, measure, microtubules_3d, paper_psf, rescale_to_unit

_ENDINGS = (".png", ".tif", ".tiff", ".npy")
_UNIT = 1e-3

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


def files(folder: Path | None, psf_path: Path | None) -> Iterator[Truth]:
    """Yield the images of a folder, without PSFs: the one that is given, and real numbers that sum to 1.

    Raises
    ------
    ConfigError
        If there are none in it.
    """
    if folder is None:
        return
    found = sorted(folder.glob("*")) if folder.is_dir() else []
    own = None if psf_path is None else psf_path.resolve()
    paths = [p for p in found if p.suffix.lower() in _ENDINGS and p.resolve() != own and not _is_psf(p)]
    if not paths:
        raise ConfigError(f"no truth images (PNG, TIFF or NPY) in {folder}")
    for path in paths:
        yield path.name, lambda path=path: read_truth(path)  # type: ignore[misc]


@dataclass(frozen=True)
class Noise:
    """The noise of the blurred truths: that of the protocol, or a plain kind of noise that is not clipped.

    Attributes
    ----------
    name : "protocol", "gaussian:SIGMA" with sigma in units of the range, or "poisson:PHOTONS" at the peak.

    Raises
    ------
    ConfigError
        For another name.

    Examples
    --------
    >>> Noise("gaussian:0.02").of(np.eye(16), np.ones((1, 1))).shape
    (16, 16)
    """

    name: str = "protocol"

    def __post_init__(self) -> None:
        kind, _, amount = self.name.partition(":")
        try:
            known = self.name == "protocol" or (kind in ("gaussian", "poisson") and float(amount) > 0)
        except ValueError:
            known = False
        if not known:
            raise ConfigError(f"noise must be protocol, gaussian:SIGMA or poisson:PHOTONS, got {self.name!r}")

    def of(self, data: NDArray[Any], psf: NDArray[Any]) -> Array:
        """Return the degraded image; of the protocol salt and pepper in 2D only."""
        kind, _, amount = self.name.partition(":")
        if kind == "protocol":
            return degrade(data, psf, seed=0, salt=data.ndim == 2)
        if kind == "gaussian":
            return measure(data, psf, sigma=float(amount))
        return measure(data, psf, photons=float(amount))

    def names(self, image: str) -> str:
        """Return how a table names an image with this noise."""
        return image if self.name == "protocol" else f"{image} {self.name}"


PROTOCOL = Noise()


def degraded(
    data: NDArray[Any], psf: NDArray[Any], crop: int | None, noise: Noise = PROTOCOL
) -> tuple[Array, Array]:
    """Return truth and degraded image, whole or their middle."""
    noisy = noise.of(data, psf)
    truth = rescale_to_unit(data)
    where = middle(truth.shape, crop)
    return truth[where], noisy[where]


def blurring(path: Path | None) -> Callable[[int], NDArray[np.float32]]:
    """Return a function from the number of axes to the PSF: the file's, or without a file the paper's kernel."""
    if path is None:
        return paper_psf
    psf = read_psf(path).data
    return lambda _ndim: psf


def _is_psf(path: Path) -> bool:
    if path.suffix.lower() == ".png":
        return False
    data = read_image(path).data
    return data.dtype.kind == "f" and abs(float(data.sum(dtype=np.float64)) - 1) < _UNIT and data.min() >= 0


def read_truth(path: Path) -> NDArray[Any]:
    """Return the image of a file; ConfigError if it is not one image or volume of one channel."""
    file = read_image(path)
    return check_image(file.data, file.axes)


def middle(shape: Sequence[int], crop: int | None) -> tuple[slice, ...]:
    """Return where the centre crop of side ``crop`` lies, everything for None."""
    return tuple(_centre(n, crop) for n in shape)


def _centre(n: int, crop: int | None) -> slice:
    size = n if crop is None else min(n, crop)
    return slice((n - size) // 2, (n - size) // 2 + size)
