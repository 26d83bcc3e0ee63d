"""Results on disk: a zarr folder that says what its axes, its voxels and its origin are (OME-Zarr 0.5).

The format: https://ngff.openmicroscopy.org/0.5/. One resolution is written, the array "0".
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_selfdeconv.arrays.out_of_core import block_size
from napari_selfdeconv.errors import Cancelled, ConfigError

_AXES = "tczyx"
_TYPES = {"t": "time", "c": "channel"}
_CHUNK_VOXELS = 4_194_304


def create_zarr(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    attributes: Mapping[str, Any] | None = None,
    *,
    axes: str | None = None,
    voxel_um: Sequence[float] | None = None,
) -> Any:
    """Create a float32 zarr array of zeros on disk, to write a result into.

    Parameters
    ----------
    path : folder to make. It is an OME-Zarr image, and the array is its "0".
    shape : of the array.
    attributes : further ones of the array, JSON-ready.
    axes : one letter of t, c, z, y, x for each axis; by default the last ones of these.
    voxel_um : voxel size in um along z, y, x, as many as there are of these; None if it is not known.

    Raises
    ------
    ConfigError
        If the folder exists already, cannot be written, the axes do not fit, or zarr is not installed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     out = create_zarr(f"{folder}/result.zarr", (8, 64, 64), voxel_um=(0.3, 0.1, 0.1))
    >>> out.shape, out.metadata.dimension_names
    ((8, 64, 64), ('z', 'y', 'x'))
    """
    try:
        import zarr
    except ImportError as error:
        raise ConfigError("a result on disk needs the package zarr: pip install 'zarr>=3'") from error
    axes = _AXES[-len(shape) :] if axes is None else axes
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or not set(axes) <= set(_AXES):
        raise ConfigError(f"axes must name each axis of shape {tuple(shape)} by a letter of {_AXES}, got {axes!r}")
    if voxel_um is not None and len(voxel_um) != len(set(axes) & set("zyx")):
        raise ConfigError(f"voxel_um must have a size for each of z, y, x in {axes!r}, got {tuple(voxel_um)}")
    if Path(path).exists():
        raise ConfigError(f"{path} is there already: name a folder that is not")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(store=str(path), attributes={"ome": _ome(axes, voxel_um)})
        return group.create_array(
            "0",
            shape=tuple(shape),
            chunks=block_size(shape, _CHUNK_VOXELS),
            dtype="float32",
            fill_value=0.0,
            dimension_names=tuple(axes),
            attributes=dict(attributes or {}),
        )
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def new_zarr(path: str | os.PathLike[str], shape: Sequence[int], **settings: Any) -> Iterator[Any]:
    """Create a zarr array as `create_zarr` does; a run that is cancelled takes its folder along.

    Only the folder at ``path`` is removed: it was made here. Where a run fails, what was written stays.
    """
    out = create_zarr(path, shape, **settings)
    try:
        yield out
    except (Cancelled, GeneratorExit):
        shutil.rmtree(path, ignore_errors=True)
        raise


def record_provenance(out: Any, provenance: Mapping[str, Any]) -> None:
    """Write the record of a run beside a zarr array; other arrays have no place for it."""
    zarr = sys.modules.get("zarr")
    if zarr is not None and isinstance(out, zarr.Array):
        out.attrs["provenance"] = dict(provenance)


def _ome(axes: str, voxel_um: Sequence[float] | None) -> dict[str, Any]:
    """Return the OME-Zarr attributes of an image of one resolution."""
    sizes = dict(zip((a for a in axes if a in "zyx"), voxel_um or (), strict=voxel_um is not None))
    named = []
    for letter in axes:
        axis = {"name": letter, "type": _TYPES.get(letter, "space")}
        named.append({**axis, "unit": "micrometer"} if letter in sizes else axis)
    scale = {"type": "scale", "scale": [float(sizes.get(letter, 1.0)) for letter in axes]}
    dataset = {"path": "0", "coordinateTransformations": [scale]}
    return {"version": "0.5", "multiscales": [{"name": "deconvolved", "axes": named, "datasets": [dataset]}]}
