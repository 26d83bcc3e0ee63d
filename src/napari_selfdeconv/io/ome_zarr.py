"""Results on disk: a zarr folder that states axes, voxel size and origin (OME-Zarr 0.5).

The format: https://ngff.openmicroscopy.org/0.5/. The array "0" is the result; the others are smaller copies.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.out_of_core import block_size
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.io.atomic import whole_folder_or_not_at_all, write_remedy
from napari_selfdeconv.io.ome_zarr_attributes import axis_sizes, channel_attributes, checked, image_attributes
from napari_selfdeconv.io.record import ImageRecord

_AXES = "tczyx"
_CHUNK_VOXELS = 4_194_304
# Names in the folder of a result: arrays, their chunks, the state of a run, and what a kill left half-written.
_OWN = re.compile(r"\d+|c|zarr\.json|\.selfdeconv|state\.json|model\.safetensors|.+\.part(ial)?")
# Width and height of the smallest copy, at most.
_SMALLEST = 256


def create_zarr(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    attributes: Mapping[str, Any] | None = None,
    *,
    axes: str | None = None,
    voxel_um: Sequence[float] | None = None,
    record: ImageRecord | None = None,
    dtype: str = "float32",
    shard: Sequence[int] | None = None,
) -> Any:
    """Create a zarr array of zeros on disk, to write a result into.

    Parameters
    ----------
    path : path of the folder to create. It becomes an OME-Zarr image; the returned array is its array "0".
    shape : shape of the array.
    attributes : further attributes of the array, JSON-ready.
    axes : one letter of t, c, z, y, x for each axis; by default the last ones of these.
    voxel_um : voxel size in um along z, y, x, as many as there are of these; None if it is not known.
    record : record of the image that the result is made from. Names and colours of channels and the time step are
        stored.
    dtype : type of the numbers.
    shard : size of the pieces that are written as one file each; by default that of a chunk.

    Raises
    ------
    ConfigError
        If the folder exists or cannot be written, if the axes do not fit, or if zarr is not installed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     out = create_zarr(f"{folder}/result.zarr", (8, 64, 64), voxel_um=(0.3, 0.1, 0.1))
    >>> out.shape, out.metadata.dimension_names
    ((8, 64, 64), ('z', 'y', 'x'))
    """
    zarr = import_zarr()
    axes = _AXES[-len(shape) :] if axes is None else axes.lower()
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or not set(axes) <= set(_AXES):
        raise ConfigError(f"axes must name each axis of shape {tuple(shape)} by a letter of {_AXES}, got {axes!r}")
    if voxel_um is not None and len(voxel_um) != len(set(axes) & set("zyx")):
        raise ConfigError(f"voxel_um must have a size for each of z, y, x in {axes!r}, got {tuple(voxel_um)}")
    if Path(path).exists():
        raise _is_there(path)
    sizes = axis_sizes(axes, voxel_um, record)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(store=str(path), attributes={"ome": image_attributes(axes, sizes)})
        return _array(group, "0", shape, axes, dtype, shard, attributes)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {write_remedy(Path(path), error)}") from error


def import_zarr() -> Any:
    """Return the module zarr; ConfigError if it or what checks its attributes is not installed."""
    try:
        import yaozarrs as _  # noqa: F401
        import zarr
    except ImportError as error:
        raise ConfigError(
            "a result on disk needs the packages zarr and yaozarrs", "pip install 'napari-selfdeconv[formats]'"
        ) from error
    return zarr


def _is_there(path: str | os.PathLike[str]) -> ConfigError:
    return ConfigError(f"{path} exists already: give the name of a new folder")


def write_zarr(
    path: str | os.PathLike[str],
    data: NDArray[Any],
    *,
    axes: str | None = None,
    voxel_um: Sequence[float] | None = None,
    record: ImageRecord | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write an image as OME-Zarr 0.5 with a pyramid and its record; see `create_zarr`.

    The folder is written whole or not at all. With ``overwrite`` an existing folder is replaced.

    Raises
    ------
    ConfigError
        As `create_zarr`.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise _is_there(path)
    with whole_folder_or_not_at_all(path) as made:
        out = create_zarr(made, data.shape, axes=axes, voxel_um=voxel_um, record=record, dtype=str(data.dtype))
        for where in pieces(data.shape, block_size(data.shape, _CHUNK_VOXELS)):
            out[where] = data[where]
        record_provenance(out, provenance or {})
        finish_zarr(made, record)


def finish_zarr(path: str | os.PathLike[str], record: ImageRecord | None = None) -> None:
    """Complete an OME-Zarr image whose array "0" is filled: smaller copies, and names and colours of its channels.

    A copy holds means of 2 voxels along the finely sampled axes: those whose voxels are less than twice as large
    as the smallest ones. The last copy is at most 256 voxels wide and high.
    """
    import zarr

    group: Any = zarr.open_group(str(path), mode="r+")
    ome = dict(group.attrs["ome"])
    (multiscale,) = ome["multiscales"]
    axes = "".join(axis["name"] for axis in multiscale["axes"])
    base = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"]
    level, factors, datasets = group["0"], dict.fromkeys(axes, 1), [multiscale["datasets"][0]]
    while max(level.shape[-2:]) > _SMALLEST:
        sizes = {axis: size * factors[axis] for axis, size in zip(axes, base, strict=True) if axis in "zyx"}
        halved = {axis for axis, size in sizes.items() if size < 2 * min(sizes.values())} or {"y", "x"}
        step = tuple(2 if axis in halved else 1 for axis in axes)
        name = str(len(datasets))
        shape = tuple(-(-n // s) for n, s in zip(level.shape, step, strict=True))
        if name in group:
            del group[name]  # left by a run that was killed here
        smaller = _array(group, name, shape, axes, str(level.dtype), None, None)
        for where in pieces(shape, smaller.chunks):
            source = tuple(slice(w.start * s, w.stop * s) for w, s in zip(where, step, strict=True))
            smaller[where] = _means(np.asarray(level[source]), step).astype(level.dtype)
        factors = {axis: factor * (2 if axis in halved else 1) for axis, factor in factors.items()}
        # The centre of the first voxel moves, because a mean of two voxels lies between them.
        scale = [size * factors[axis] for axis, size in zip(axes, base, strict=True)]
        shift = [size * (factors[axis] - 1) / 2 for axis, size in zip(axes, base, strict=True)]
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": name, "coordinateTransformations": transformations})
        level = smaller
    if len(datasets) > 1:
        multiscale = {**multiscale, "datasets": datasets, "type": "mean"}
    found = {**ome, "multiscales": [multiscale]}
    if record is not None and (channels := channel_attributes(record, np.asarray(level[...]))):
        found["omero"] = {"channels": channels}
    group.attrs["ome"] = checked(found)


def unfinished_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder in which a run keeps the state that it needs to continue in an OME-Zarr folder."""
    return Path(path) / ".selfdeconv"


def is_unfinished(path: str | os.PathLike[str]) -> bool:
    """Whether a run was killed in this folder and can continue there.

    Parameters
    ----------
    path : folder of an OME-Zarr result.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     is_unfinished(folder)
    False
    """
    return (unfinished_folder(path) / "state.json").is_file()


def remove_unfinished(path: str | os.PathLike[str]) -> bool:
    """Remove an OME-Zarr result that a run has not completed.

    A complete result stays, and so does a folder with any file that no run writes.

    Parameters
    ----------
    path : path of the folder.

    Returns
    -------
    bool
        Whether there is no such folder now.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = create_zarr(f"{folder}/a.zarr", (8, 8))
    ...     Path(folder, "a.zarr", "notes.txt").touch()
    ...     print(remove_unfinished(f"{folder}/a.zarr"))
    ...     Path(folder, "a.zarr", "notes.txt").unlink()
    ...     print(remove_unfinished(f"{folder}/a.zarr"))
    False
    True
    """
    path = Path(path)
    try:
        if path.is_dir() and not path.is_symlink():
            files = [one.relative_to(path) for one in path.rglob("*")]
            own = all(_OWN.fullmatch(part) for one in files for part in one.parts)
            if own and (is_unfinished(path) or not _has_record(path)):
                shutil.rmtree(path, ignore_errors=True)
    except OSError:
        return False  # Its disk does not answer, or it may not be looked into.
    return not os.path.lexists(path)


def _has_record(path: Path) -> bool:
    """Whether the result in a folder has the record that is written when it is complete."""
    try:
        stored = json.loads((path / "0" / "zarr.json").read_text("utf-8"))
        return "provenance" in stored["attributes"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True  # A result that cannot be read is not one to remove.


def open_unfinished(path: str | os.PathLike[str]) -> Any:
    """Return the array of an unfinished result, to write further tiles into it."""
    import zarr

    return zarr.open_group(str(path), mode="r+")["0"]


def pieces(shape: Sequence[int], size: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield the slices of an array cut into pieces of ``size``, the last ones smaller.

    Examples
    --------
    >>> list(pieces((3, 2), (2, 2)))
    [(slice(0, 2, None), slice(0, 2, None)), (slice(2, 3, None), slice(0, 2, None))]
    """
    ranges = [range(0, n, s) for n, s in zip(shape, size, strict=True)]
    for starts in itertools.product(*ranges):
        yield tuple(slice(a, min(a + s, n)) for a, s, n in zip(starts, size, shape, strict=True))


def _means(data: NDArray[Any], step: Sequence[int]) -> NDArray[np.float64]:
    """Return the means of blocks; a last voxel without a partner is its own mean."""
    out = data.astype(np.float64)
    for axis, s in enumerate(step):
        if s == 1:
            continue
        pairs = out.shape[axis] // 2
        even, odd = (np.take(out, range(first, 2 * pairs, 2), axis) for first in (0, 1))
        rest = np.take(out, range(2 * pairs, out.shape[axis]), axis)
        out = np.concatenate([(even + odd) / 2, rest], axis)
    return out


def _array(
    group: Any,
    name: str,
    shape: Sequence[int],
    axes: str,
    dtype: str,
    shard: Sequence[int] | None,
    attributes: Mapping[str, Any] | None,
) -> Any:
    """Make an array of a group. With shards, their chunks are a quarter of them or less along each axis."""
    chunks = block_size(shape, _CHUNK_VOXELS)
    if shard is not None:
        chunks = tuple(next(s // k for k in (4, 2, 1) if s % k == 0) for s in shard)
    return group.create_array(
        name,
        shape=tuple(shape),
        chunks=chunks,
        shards=None if shard is None else tuple(shard),
        dtype=dtype,
        fill_value=0,
        dimension_names=tuple(axes),
        attributes=dict(attributes or {}),
        # A shard of zeros is written as well, because the file shows that its tile was computed.
        config={"write_empty_chunks": shard is not None},
    )


@contextmanager
def new_zarr(path: str | os.PathLike[str], shape: Sequence[int], **settings: Any) -> Iterator[Any]:
    """Create a zarr array as `create_zarr` does. The folder is removed if the run is cancelled.

    Only the folder at ``path`` is removed, because it was made here. If a run fails, written tiles stay.

    Parameters
    ----------
    path : path of a folder that does not exist.
    shape : shape of the array.
    **settings : as in `create_zarr`.

    Raises
    ------
    ConfigError
        As `create_zarr`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with new_zarr(f"{folder}/a.zarr", (8, 64, 64), voxel_um=(0.3, 0.1, 0.1)) as out:
    ...         out[0] = 1.0
    ...     float(out[0].mean())
    1.0
    """
    out = create_zarr(path, shape, **settings)
    try:
        yield out
    except (Cancelled, GeneratorExit):
        shutil.rmtree(path, ignore_errors=True)
        raise


def record_provenance(out: Any, provenance: Mapping[str, Any]) -> None:
    """Write the record of a run beside a zarr array. Other arrays have no place for a record."""
    zarr = sys.modules.get("zarr")
    if zarr is not None and isinstance(out, zarr.Array):
        out.attrs["provenance"] = dict(provenance)
