"""Image files in and out, with what they state about the image and the microscope.

Model files are written elsewhere.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_selfdeconv.arrays.scaling import extremes
from napari_selfdeconv.errors import ConfigError, NotFinite
from napari_selfdeconv.io.checks import GREY_HINT, check_layout
from napari_selfdeconv.io.ome_tiff import write_ome_tiff
from napari_selfdeconv.io.open_file import open_source
from napari_selfdeconv.io.record import ImageRecord
from napari_selfdeconv.io.source import Source, squeezed
from napari_selfdeconv.io.tiff_records import json_dict
from napari_selfdeconv.io.units import number

__all__ = ["ImageFile", "read_image", "read_psf", "read_record", "write_ome_tiff", "write_psf"]

FilePath = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """What a file holds.

    Attributes
    ----------
    data : ndarray
        Intensities, without axes of length 1 (Y and X stay). They are as stored, unless the record says that whole
        numbers were scaled: then they are the values before that.
    axes : str
        One letter for each axis, such as "YX", "ZYX" or "TCYX"; a third axis without a name is taken for Z.
    voxel_um : tuple of float or None
        Voxel size in micrometres along those of Z, Y, X that are in ``axes``; None unless all are known.
    note : str
        The origin of the voxel size, or why it is missing; for the user.
    description : str
        The file's own text, if it has one that is not provenance.
    provenance : dict or None
        What `write_ome_tiff` was given, without a scale that ``data`` no longer has.
    record : ImageRecord or None
        All that the file states about the image and the microscope.

    Examples
    --------
    >>> file = ImageFile(data=np.zeros((5, 8, 8)), axes="ZYX", voxel_um=(0.3, 0.1, 0.1))
    >>> dict(zip(file.axes, file.data.shape))
    {'Z': 5, 'Y': 8, 'X': 8}
    """

    data: NDArray[Any]
    axes: str
    voxel_um: tuple[float, ...] | None = None
    note: str = ""
    description: str = ""
    provenance: dict[str, Any] | None = None
    record: ImageRecord | None = None


def read_record(path: FilePath, *, series: int | None = None, axes: str | None = None) -> ImageRecord:
    """Read what a file states about its image and its microscope, without reading pixels.

    Parameters
    ----------
    path : str or path-like
    series : number of the image, if the file holds several (positions, scenes); by default the first.
    axes : one letter for each axis longer than 1, such as "ZYX", where the file names them wrongly.

    Raises
    ------
    ConfigError
        If the file is missing, empty, unreadable or not an image. The message says what to do.

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


def read_provenance(path: FilePath) -> dict[str, Any] | None:
    """Read the record of a result without reading pixels; None if the file has no record.

    Parameters
    ----------
    path : path of a file that `write_ome_tiff` or `write_zarr` has written.

    Raises
    ------
    ConfigError
        As `read_image`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ome_tiff(f"{folder}/a.ome.tif", np.zeros((8, 8)), provenance={"seed": 1})
    ...     read_provenance(f"{folder}/a.ome.tif")
    {'seed': 1}
    """
    with open_source(Path(path), 0) as source:
        return json_dict(source.description)


def read_image(
    path: FilePath, *, series: int | None = None, axes: str | None = None, colour: bool = False
) -> ImageFile:
    """Read one grey image or stack.

    The full resolution of a pyramid is read. A colour image whose channels are all equal is read as a grey image.

    Parameters
    ----------
    path : str or path-like
    series : number of the image; needed if the file holds several (positions, scenes).
    axes : one letter for each axis longer than 1, such as "ZYX", where the file names them wrongly.
    colour : whether a colour image is accepted. Its colours are the last axis "S".

    Returns
    -------
    ImageFile

    Raises
    ------
    ConfigError
        If the file is missing, empty, unreadable or not an image, if it is in colour, or if it holds several
        images and ``series`` is not given. The message says what to do.

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
    data, provenance = _unscaled(data, json_dict(source.description))
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
    """Read a PSF as `read_image` does, and check that it can be used as one.

    Parameters
    ----------
    path : path of the file.

    Raises
    ------
    ConfigError
        As `read_image`; also if it is not 2D or 3D, not real, not finite, or nowhere positive.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_psf(f"{folder}/psf.tif", np.ones((3, 5, 5)) / 75, (0.3, 0.1, 0.1))
    ...     read_psf(f"{folder}/psf.tif").data.shape
    (3, 5, 5)
    """
    file = read_image(path)
    name = f"the PSF {Path(path).name}"
    check_layout(name, file.data, file.axes)
    try:
        highest = extremes(file.data, name)[1]
    except NotFinite as error:
        # Nothing leaves out pixels of a PSF, as weights do for an image.
        raise ConfigError(str(error)) from error
    if highest <= 0:
        raise ConfigError(f"{name} has no positive value: is it the right file?")
    return file


def write_psf(
    path: FilePath,
    psf: ArrayLike,
    voxel_um: tuple[float, ...] | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write a PSF as OME-TIFF, as `write_ome_tiff` does.

    Parameters
    ----------
    path : path of a TIFF file; replaced if it exists.
    psf : 2D or 3D array with any sum.
    voxel_um : voxel size in um, in the order of the axes.
    provenance : JSON-ready record; `read_image` returns it.

    Raises
    ------
    ConfigError
        As `write_ome_tiff`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_psf(f"{folder}/psf.tif", np.ones((5, 5)) / 25, (0.1, 0.1), {"optics": {"na": 1.2}})
    ...     read_psf(f"{folder}/psf.tif").provenance
    {'optics': {'na': 1.2}}
    """
    write_ome_tiff(path, psf, voxel_um=voxel_um, provenance=provenance)


def _unscaled(data: NDArray[Any], provenance: dict[str, Any] | None) -> tuple[NDArray[Any], dict[str, Any] | None]:
    """Return the values of numbers that `as_stored` has scaled, and the record without the scale."""
    stored = (provenance or {}).get("stored")
    # Another program may have stored the numbers as another type since.
    whole = (data.dtype.kind, data.dtype.itemsize) == ("u", 2)
    if provenance is None or not isinstance(stored, dict) or stored.get("dtype") != "uint16" or not whole:
        return data, provenance
    scale, offset = number(stored.get("scale")), number(stored.get("offset"))
    if (scale, offset) == (1.0, 0.0) or not (0 < scale < math.inf and math.isfinite(offset)):
        return data, provenance
    largest = max(abs(offset), abs(offset + scale * 65535))
    # float32 has 24 bits: at least 256 levels of the range are different numbers in it.
    fits = largest < min(scale * 2.0**31, float(np.finfo(np.float32).max))
    values = np.empty(data.shape, np.float32 if fits else np.float64)
    for plane in np.ndindex(data.shape[:-2]):
        values[plane] = data[plane] * scale + offset
    return values, {name: value for name, value in provenance.items() if name != "stored"}


def _in_order(record: ImageRecord) -> tuple[ImageRecord, tuple[int, ...]]:
    """Return the record with axes in the order T, C, Z, Y, X, and the place of each before. Others come first."""
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
    """Return the first five names with their numbers."""
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
