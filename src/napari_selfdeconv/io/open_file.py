"""The choice of a reader for a file, by its first bytes and not by its name."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_selfdeconv.compute.allocation import check_allocation
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.bioio_files import has_bioio, open_bioio
from napari_selfdeconv.io.checks import looks_like_colour
from napari_selfdeconv.io.czi_files import open_czi
from napari_selfdeconv.io.lif_files import open_lif
from napari_selfdeconv.io.nd2_files import open_nd2
from napari_selfdeconv.io.source import Source, check_series
from napari_selfdeconv.io.tiff_files import open_tiff
from napari_selfdeconv.io.zarr_files import is_zarr, open_zarr

Reader = Callable[[Path, int], contextlib.AbstractContextManager[Source]]


@contextlib.contextmanager
def open_source(path: Path, series: int) -> Iterator[Source]:
    """Open one image of a file, whatever its format.

    Raises
    ------
    ConfigError
        If that is not possible. The message says what to do.
    """
    reader = open_zarr if path.is_dir() and is_zarr(path) else _reader(path, _magic(path))
    with _explained(path), reader(path, series) as source:
        yield source


def _reader(path: Path, magic: bytes) -> Reader:
    """Return the reader of a file that begins with these bytes."""
    # Old ND2 files are JPEG 2000 and begin like all other JPEG 2000 files.
    if path.suffix.lower() == ".nd2":
        return open_nd2
    readers = {start: reader for starts, reader in _READERS for start in starts}
    found = next((reader for start, reader in readers.items() if magic.startswith(start)), None)
    if found is None and has_bioio() and not _is_picture(path):
        return open_bioio
    return found or _open_picture


def _is_picture(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path):
                return True
    except Image.DecompressionBombError:
        return True
    except UnidentifiedImageError:
        return False


@contextlib.contextmanager
def _open_npy(path: Path, series: int) -> Iterator[Source]:
    check_series(path.name, series, 1)
    shape, dtype = _npy_header(path)
    if math.prod(shape) * dtype.itemsize > path.stat().st_size:
        raise ConfigError(f"{path.name} is cut off: it holds less than its {' x '.join(map(str, shape))} numbers")
    yield Source(
        path=path,
        format="NumPy",
        axes=_guess_axes(shape),
        shape=shape,
        dtype=dtype,
        load=lambda: np.load(path, allow_pickle=False),
    )


def _npy_header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.kind not in "biufc" or any(n < 0 for n in shape):
        raise ConfigError(f"{path.name} holds no array of numbers")
    return shape, dtype


@contextlib.contextmanager
def _open_picture(path: Path, series: int) -> Iterator[Source]:
    check_series(path.name, series, 1)
    with warnings.catch_warnings():
        # Pillow warns of large pictures; whether one fits into memory is asked here.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        _check_picture(path)
        data = np.asarray(iio.imread(path, plugin="pillow"))
    yield Source(
        path=path,
        format=path.suffix.removeprefix(".").upper() or "picture",
        axes=_guess_axes(data.shape),
        shape=data.shape,
        dtype=data.dtype,
        load=lambda: data,
    )


def _check_picture(path: Path) -> None:
    """Refuse a picture with several frames, and one that is too large, before its pixels are decoded."""
    try:
        with Image.open(path) as picture:
            frames = int(getattr(picture, "n_frames", 1))
            (width, height), bands = picture.size, len(picture.getbands())
    except Image.DecompressionBombError:
        raise ConfigError(f"{path.name} is too large for a picture of this kind", "save it as TIFF") from None
    if frames > 1:
        raise ConfigError(
            f"{path.name} is an animation of {frames} pictures",
            "save one of them, or save all as a stack (Fiji: File > Save As > Tiff)",
        )
    check_allocation(f"{path.name} ({width} x {height} pixels)", 4.0 * width * height * bands, "crop it")


# The first bytes of files. All others are read by Pillow, or by bioio if it is installed and Pillow cannot.
_READERS: tuple[tuple[tuple[bytes, ...], Reader], ...] = (
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), open_tiff),
    ((b"\x93NUMPY",), _open_npy),
    ((b"\xda\xce\xbe\x0a",), open_nd2),
    ((b"\x70\0\0\0",), open_lif),
    ((b"ZISRAWFILE",), open_czi),
)


def _guess_axes(shape: tuple[int, ...]) -> str:
    """Return the axes of an array without names: the last two are y and x, or y, x and colour."""
    if len(shape) > 2 and looks_like_colour(shape):
        return "Q" * (len(shape) - 3) + "YXS"
    return ("Q" * len(shape) + "YX")[-len(shape) :] if shape else ""


def _magic(path: Path) -> bytes:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: give the path of an image file")
    if not path.exists():
        raise ConfigError(f"there is no file {path}: check the path")
    with _explained(path), path.open("rb") as file:
        magic = file.read(16)
    if not magic:
        raise ConfigError(f"{path.name} is empty (0 bytes): export it again")
    return magic


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn any exception of a decoder into one line with a remedy. Damaged files raise nearly any exception."""
    try:
        yield
    except ConfigError:
        raise
    except PermissionError as error:
        raise ConfigError(f"no permission to read {path}: change its rights or copy it") from error
    except MemoryError as error:
        raise ConfigError(f"{path.name} does not fit into memory: crop it") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "imagecodecs" in reason:
            remedy = (
                "its compression needs the package imagecodecs (pip install imagecodecs), or save it uncompressed"
            )
            raise ConfigError(f"{path.name} cannot be read: {remedy}") from error
        raise ConfigError(
            f"{path.name} is damaged, or not an image that this program reads ({reason[:200]}): save it as TIFF, "
            "OME-TIFF, .npy or PNG"
        ) from error
