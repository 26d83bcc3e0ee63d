"""Image files in and out, with what they state about the image and the microscope.

Model files are written elsewhere.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_selfdeconv.arrays.scaling import extremes
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import GREY_HINT, check_layout
from napari_selfdeconv.io.ome_tiff import write_ome_tiff
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
        Where the voxel size comes from, or why it is missing; for the user.
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
        return _in_order(source.record(_checked_axes(axes, source)))[0]


def read_image(
    path: FilePath, *, series: int | None = None, axes: str | None = None, colour: bool = False
) -> ImageFile:
    """Read one grey image or stack.

    Of a pyramid, the full resolution is read. A colour image whose channels are all the same is taken for the
    grey image that it is.

    Parameters
    ----------
    path : str or path-like
    series : number of the image; needed if the file holds several (positions, scenes).
    axes : one letter for each axis longer than 1, such as "ZYX", where the file names them wrongly.
    colour : whether a colour image is returned, with its colours as the last axis "S", and not refused.

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
    data, letters = _grey(data.reshape(record.shape), record.axes, path.name, colour)
    record, order = _in_order(dataclasses.replace(record, axes=letters, shape=data.shape, dtype=str(data.dtype)))
    data, letters = data.transpose(order), record.axes
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

    Parameters
    ----------
    path : of the file.

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


def write_psf(
    path: FilePath,
    psf: ArrayLike,
    voxel_um: tuple[float, ...] | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write a PSF; the same file as `write_ome_tiff` makes.

    Parameters
    ----------
    path : of a TIFF file; replaced if it exists.
    psf : 2D or 3D, any sum.
    voxel_um : voxel size in um, in axis order.
    provenance : JSON-ready; `read_image` gives it back.
    """
    write_ome_tiff(path, psf, voxel_um=voxel_um, provenance=provenance)


def _in_order(record: ImageRecord) -> tuple[ImageRecord, tuple[int, ...]]:
    """Return the record with its axes as T, C, Z, Y, X, and where each of them was; other axes stay in front."""
    order = tuple(sorted(range(len(record.axes)), key=lambda axis: "TCZYXS".find(record.axes[axis])))
    axes, shape = "".join(record.axes[axis] for axis in order), tuple(record.shape[axis] for axis in order)
    return dataclasses.replace(record, axes=axes, shape=shape), order


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


def _grey(data: NDArray[Any], axes: str, name: str, colour: bool) -> tuple[NDArray[Any], str]:
    """Drop a colour axis without information: channels that are all the same, and transparency."""
    if "S" not in axes:
        return data, axes
    channels = np.moveaxis(data, axes.index("S"), -1)
    colours = channels[..., :1] if channels.shape[-1] == 2 else channels[..., :3]
    if np.any(colours != colours[..., :1]):
        if colour:
            return data, axes
        raise ConfigError(f"{name} is a colour image, shape {data.shape}: {GREY_HINT}")
    grey = np.ascontiguousarray(colours[..., 0])
    shape, letters = squeezed(grey.shape, axes.replace("S", ""))
    return grey.reshape(shape), letters
