"""Image files in and out, with what they state about the image and the microscope.

Model files are written elsewhere.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray

from napari_selfdeconv.arrays.scaling import extremes
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.io.checks import GREY_HINT, check_layout, to_array
from napari_selfdeconv.io.open_file import open_source
from napari_selfdeconv.io.record import ImageRecord
from napari_selfdeconv.io.source import Source, squeezed
from napari_selfdeconv.io.tiff_records import json_dict

__all__ = ["ImageFile", "read_image", "read_psf", "read_record", "write_ome_tiff", "write_psf"]

FilePath = str | os.PathLike[str]


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
    record : ImageRecord or None
        All that the file states about the image and the microscope.
    """

    data: NDArray[Any]
    axes: str
    voxel_um: tuple[float, ...] | None = None
    note: str = ""
    description: str = ""
    provenance: dict[str, Any] | None = None
    record: ImageRecord | None = None


def read_record(path: FilePath, *, series: int | None = None, axes: str | None = None) -> ImageRecord:
    """Read what a file states about its image and its microscope. No pixel is read.

    Parameters
    ----------
    path : str or path-like
    series : number of the image, if the file holds several (positions, scenes); by default the first.
    axes : one letter for each axis longer than 1, such as "ZYX", where the file names them wrongly.

    Raises
    ------
    ConfigError
        For a missing, unreadable or empty file, or one that is no image; the message says what to do.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stack.ome.tif"
    ...     write_ome_tiff(path, np.zeros((5, 8, 8)), voxel_um=(0.3, 0.1, 0.1))
    ...     record = read_record(path)
    >>> record.voxel_um, record.sources["voxel_z_um"], record.na
    ((0.3, 0.1, 0.1), 'the OME-XML', None)
    >>> record.missing[0].problem
    'the numerical aperture is not known'
    """
    with open_source(Path(path), series or 0) as source:
        return source.record(_checked_axes(axes, source))


def read_image(path: FilePath, *, series: int | None = None, axes: str | None = None) -> ImageFile:
    """Read one grey image or stack.

    Of a pyramid, the full resolution is read. A colour image whose channels are all the same is taken for the
    grey image that it is.

    Parameters
    ----------
    path : str or path-like
    series : number of the image; needed if the file holds several (positions, scenes).
    axes : one letter for each axis longer than 1, such as "ZYX", where the file names them wrongly.

    Returns
    -------
    ImageFile

    Raises
    ------
    ConfigError
        For a missing, unreadable, empty or colour file, one that is no image, and one with several images if
        ``series`` is not given; the message says what to do.

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
    with open_source(path, series or 0) as source:
        if series is None and len(source.series_names) > 1:
            raise ConfigError(
                f"{path.name} holds {len(source.series_names)} images ({_listed(source.series_names)})",
                "choose one by its number, from 0: --series N, or series=N in Python",
            )
        axes = _checked_axes(axes, source)
        source.check_size()
        data = source.load()
        record = source.record(axes)
    if data.size == 0 or data.ndim < 2:
        raise ConfigError(f"{path.name} holds no image: its shape is {data.shape}")
    data, letters = _grey(data.reshape(record.shape), record.axes, path.name)
    record = dataclasses.replace(record, axes=letters, shape=data.shape, dtype=str(data.dtype))
    provenance = json_dict(source.description)
    return ImageFile(
        data=data,
        axes=letters,
        voxel_um=record.voxel_um,
        note=record.voxel_note,
        description="" if provenance is not None else source.description,
        provenance=provenance,
        record=record,
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
    given = to_array("the image", data)
    if given.dtype.kind not in "biuf":
        raise ConfigError(f"the image must hold real numbers, got {given.dtype}")
    image = np.ascontiguousarray(given, dtype=np.float32)
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


def _checked_axes(axes: str | None, source: Source) -> str | None:
    shape, stored = squeezed(source.shape, source.axes)
    if axes is None:
        return None
    axes = axes.upper()
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or set(axes) - set("TCZYX") or axes[-2:] != "YX":
        raise ConfigError(
            f"axes must name the {len(shape)} axes of the image (shape {shape}, in the file {stored}) by letters "
            f"of TCZYX and end with YX, got {axes}"
        )
    return axes


def _listed(names: tuple[str, ...]) -> str:
    """Return the first names with their numbers."""
    shown = ", ".join(f"{number}: {name or 'no name'}" for number, name in enumerate(names[:5]))
    return shown + (", ..." if len(names) > 5 else "")


def _grey(data: NDArray[Any], axes: str, name: str) -> tuple[NDArray[Any], str]:
    """Drop a colour axis that says nothing: channels all the same, and transparency."""
    if "S" not in axes:
        return data, axes
    channels = np.moveaxis(data, axes.index("S"), -1)
    colours = channels[..., :1] if channels.shape[-1] == 2 else channels[..., :3]
    if np.any(colours != colours[..., :1]):
        raise ConfigError(f"{name} is a colour image, shape {data.shape}: {GREY_HINT}")
    grey = np.ascontiguousarray(colours[..., 0])
    shape, letters = squeezed(grey.shape, axes.replace("S", ""))
    return grey.reshape(shape), letters


def _check_voxel(voxel_um: tuple[float, ...], ndim: int) -> tuple[float, ...]:
    voxel = tuple(float(size) for size in voxel_um)
    if len(voxel) != ndim or not all(math.isfinite(size) and size > 0 for size in voxel):
        raise ConfigError(f"voxel_um must be {ndim} positive numbers, got {voxel_um!r}")
    return voxel
