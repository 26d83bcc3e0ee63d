"""Image files in and out, with their voxel size, their axes and where they came from.

TIFF (OME, ImageJ, plain), NumPy's .npy, and what Pillow reads, told apart by content and not by name.
Model files are written elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray

from napari_selfdeconv.arrays.scaling import extremes
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.checks import GREY_HINT, check_layout, looks_like_colour
from napari_selfdeconv.io.tiff_metadata import Metadata, read_metadata

__all__ = ["ImageFile", "read_image", "read_psf", "write_ome_tiff", "write_psf"]

FilePath = str | os.PathLike[str]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY_MAGIC = b"\x93NUMPY"


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """What a file holds.

    Attributes
    ----------
    data : ndarray
        As stored, without its axes of length 1 (Y and X stay).
    axes : str
        One letter an axis, such as "YX", "ZYX" or "TCYX"; a third axis without a name is taken for Z.
    voxel_um : tuple of float or None
        Voxel size in micrometres along the Z, Y, X among ``axes``, in that order; None unless all are known.
    note : str
        Where the voxel size comes from, or why there is none; for the user.
    description : str
        The file's own text, if it has one that is not provenance.
    provenance : dict or None
        What `write_ome_tiff` was given.
    """

    data: NDArray[Any]
    axes: str
    voxel_um: tuple[float, ...] | None = None
    note: str = ""
    description: str = ""
    provenance: dict[str, Any] | None = None


def read_image(path: FilePath) -> ImageFile:
    """Read one grey image or stack.

    Of a file with several images, the first; of a pyramid, the full resolution. A colour image whose channels
    are all the same is taken for the grey image that it is.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    ImageFile

    Raises
    ------
    ConfigError
        For a missing, unreadable, empty or colour file, or one that is no image; the message says what to do.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stack.ome.tif"
    ...     write_ome_tiff(path, np.zeros((5, 8, 8)), voxel_um=(0.3, 0.1, 0.1), provenance={"seed": 1})
    ...     file = read_image(path)
    >>> file.axes, file.voxel_um, file.provenance
    ('ZYX', (0.3, 0.1, 0.1), {'seed': 1})
    """
    path = Path(path)
    magic = _magic(path)
    with _told_plainly(path):
        if magic.startswith(_TIFF_MAGIC):
            data, axes, metadata = _read_tiff(path)
        elif magic.startswith(_NPY_MAGIC):
            data = np.load(path, allow_pickle=False)
            axes, metadata = _guess_axes(data), Metadata(note="a .npy file has no voxel size")
        else:
            data = np.asarray(iio.imread(path, plugin="pillow"))
            axes, metadata = _guess_axes(data), Metadata(note="the file has no voxel size")
    if data.size == 0 or data.ndim < 2:
        raise ConfigError(f"{path.name} holds no image: its shape is {data.shape}")
    data, axes = _grey(*_squeeze(data, axes), path.name)
    voxel, note = metadata.voxel_along(axes)
    return ImageFile(
        data=data,
        axes=axes,
        voxel_um=voxel,
        note=note,
        description=metadata.description,
        provenance=metadata.provenance,
    )


def read_psf(path: FilePath) -> ImageFile:
    """Read a PSF: as `read_image`, and check that it could be one.

    Raises
    ------
    ConfigError
        As `read_image`; also unless it is 2D or 3D, real, finite and somewhere positive.
    """
    file = read_image(path)
    name = f"the PSF {Path(path).name}"
    check_layout(name, file.data, file.axes)
    if extremes(file.data, name)[1] <= 0:
        raise ConfigError(f"{name} has no positive value: is it the right file?")
    return file


def write_ome_tiff(
    path: FilePath,
    data: ArrayLike,
    voxel_um: tuple[float, ...] | None = None,
    provenance: dict[str, Any] | None = None,
    axes: str | None = None,
) -> None:
    """Write an image as float32 OME-TIFF, whole or not at all.

    The file appears under its name only when it is complete; until then it is a temporary one beside it.
    Values are not rescaled or clipped.

    Parameters
    ----------
    path : str or path-like
        Replaced if it exists.
    data : array_like, shape ([t, c, z,] y, x)
        float32 is kept to the last bit, other types are converted to it.
    voxel_um : tuple of float, optional
        Voxel size in micrometres, ([z,] y, x).
    provenance : dict, optional
        JSON-ready; stored as the image's description, given back by `read_image`.
    axes : str, optional
        "YX" or "ZYX", with "T" and "C" before them for a series; by default from the number of axes.

    Raises
    ------
    ConfigError
        For data or a voxel size that do not fit, and when the file cannot be written (no such folder, no
        permission, disk full).
    """
    path = Path(path)
    image = np.ascontiguousarray(data, dtype=np.float32)
    axes = axes or {2: "YX", 3: "ZYX"}.get(image.ndim, "")
    fits = re.fullmatch("T?C?Z?YX", axes) and len(axes) == image.ndim and image.size
    if not fits:
        raise ConfigError(
            f"can write axes YX or ZYX, with T and C before them, got axes {axes!r} and shape {image.shape}"
        )
    spatial = axes.lstrip("TC")
    metadata: dict[str, Any] = {"axes": axes}
    resolution: dict[str, Any] = {}
    if voxel_um is not None:
        sizes = dict(zip(spatial, _check_voxel(voxel_um, len(spatial)), strict=True))
        for axis, size in sizes.items():
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
        # For readers that look at the TIFF tags alone.
        resolution = {"resolution": (1e4 / sizes["X"], 1e4 / sizes["Y"]), "resolutionunit": "CENTIMETER"}
    if provenance is not None:
        metadata["Description"] = json.dumps(provenance)
    with whole_or_not_at_all(path) as temporary:
        tifffile.imwrite(temporary, image, ome=True, photometric="minisblack", metadata=metadata, **resolution)


def write_psf(
    path: FilePath,
    psf: ArrayLike,
    voxel_um: tuple[float, ...] | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write a PSF; the same file as `write_ome_tiff` makes."""
    write_ome_tiff(path, psf, voxel_um=voxel_um, provenance=provenance)


def _magic(path: Path) -> bytes:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: give the path of an image file")
    if not path.exists():
        raise ConfigError(f"there is no file {path}: check the path")
    with _told_plainly(path), path.open("rb") as file:
        magic = file.read(8)
    if not magic:
        raise ConfigError(f"{path.name} is empty (0 bytes): export it again")
    return magic


@contextlib.contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises (nearly anything, on a damaged file) into one line with a remedy."""
    try:
        yield
    except PermissionError as error:
        raise ConfigError(f"no permission to read {path}: change its rights or copy it") from error
    except MemoryError as error:
        raise ConfigError(f"{path.name} does not fit into memory: crop it") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "imagecodecs" in reason:
            remedy = "its compression needs one more package: pip install imagecodecs (or save it uncompressed)"
            raise ConfigError(f"{path.name} cannot be read yet, {remedy}") from error
        raise ConfigError(
            f"{path.name} is damaged, or no image this program reads ({reason[:200]}): save it as TIFF, "
            "OME-TIFF, .npy or PNG"
        ) from error


def _read_tiff(path: Path) -> tuple[NDArray[Any], str, Metadata]:
    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        data = np.asarray(series.asarray())
        axes = series.axes
        metadata = read_metadata(tif)
    for complaint in complaints:
        # tifffile logs this and returns the planes it has: a half-copied stack would pass for a thinner one.
        if "invalid page offset" in complaint:
            raise ValueError("the file is cut off: copy it again")
    if complaints:
        metadata = replace(metadata, note=f"{metadata.note} (damaged metadata: {complaints[0]})")
    return data, axes, metadata


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs, in place of its going to standard error."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)


def _guess_axes(data: NDArray[Any]) -> str:
    if data.ndim > 2 and looks_like_colour(data.shape):
        return "Q" * (data.ndim - 3) + "YXS"
    return ("Q" * data.ndim + "YX")[-data.ndim :] if data.ndim else ""


def _squeeze(data: NDArray[Any], axes: str) -> tuple[NDArray[Any], str]:
    drop = tuple(i for i, axis in enumerate(axes) if data.shape[i] == 1 and axis not in "YX")
    axes = "".join(axis for i, axis in enumerate(axes) if i not in drop)
    # A stack whose writer did not say of what ("I" and "Q" in tifffile) is one of planes.
    if len(axes) == 3 and axes[0] in "IQ":
        axes = "Z" + axes[1:]
    return data.squeeze(drop), axes


def _grey(data: NDArray[Any], axes: str, name: str) -> tuple[NDArray[Any], str]:
    """Drop a colour axis that says nothing: channels all the same, and transparency."""
    if "S" not in axes:
        return data, axes
    channels = np.moveaxis(data, axes.index("S"), -1)
    colours = channels[..., :1] if channels.shape[-1] == 2 else channels[..., :3]
    if np.any(colours != colours[..., :1]):
        raise ConfigError(f"{name} is a colour image, shape {data.shape}: {GREY_HINT}")
    return _squeeze(np.ascontiguousarray(colours[..., 0]), axes.replace("S", ""))


def _check_voxel(voxel_um: tuple[float, ...], ndim: int) -> tuple[float, ...]:
    voxel = tuple(float(size) for size in voxel_um)
    if len(voxel) != ndim or not all(math.isfinite(size) and size > 0 for size in voxel):
        raise ConfigError(f"voxel_um must be {ndim} positive numbers, got {voxel_um!r}")
    return voxel
