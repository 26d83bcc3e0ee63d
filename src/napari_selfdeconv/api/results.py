"""Results in files, by the ending of the name: OME-TIFF, or an OME-Zarr folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_selfdeconv.api.outcome import Outcome, completed_record
from napari_selfdeconv.config.template import OutputChoice
from napari_selfdeconv.io.images import ImageFile
from napari_selfdeconv.io.ome_tiff import as_stored, write_ome_tiff
from napari_selfdeconv.io.ome_zarr import write_zarr


def save_outcome(
    path: str | os.PathLike[str], outcome: Outcome, file: ImageFile, output: OutputChoice | None = None
) -> dict[str, Any]:
    """Write the result of a run with its record; return how its numbers were stored.

    Parameters
    ----------
    path : its ending chooses the format: ".zarr" for OME-Zarr, otherwise OME-TIFF. An existing file or zarr folder
        is replaced.
    outcome : result of `iter_run`.
    file : the image that the result was made from.
    output : number type and compression.

    Returns
    -------
    Dictionary with ``scale`` and ``offset`` of whole numbers (value = number * scale + offset); empty for float32.

    Raises
    ------
    ConfigError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import read_image
    >>> from napari_selfdeconv.api import ImageFile, Outcome
    >>> image = np.ones((8, 8), np.float32)
    >>> outcome = Outcome(image=image, axes="YX", voxel_um=(0.1, 0.1), provenance={"seed": 1})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_outcome(f"{folder}/r.ome.tif", outcome, ImageFile(data=image, axes="YX"))
    ...     read_image(f"{folder}/r.ome.tif").voxel_um
    (0.1, 0.1)
    """
    output = output or OutputChoice()
    if outcome.written:
        return {}
    record = completed_record(file, outcome.psfs)
    data, stored = as_stored(np.asarray(outcome.image), output.dtype or "float32")
    provenance = {**outcome.provenance, "stored": stored} if stored else outcome.provenance
    if Path(path).suffix.lower() == ".zarr":
        write_zarr(
            path, data, axes=outcome.axes, voxel_um=outcome.voxel_um, record=record, provenance=provenance,
            overwrite=True,
        )  # fmt: skip
        return stored
    write_ome_tiff(
        path,
        data,
        outcome.voxel_um,
        provenance,
        outcome.axes,
        record=record,
        dtype=output.dtype or "float32",
        compression=output.compression or "none",
    )
    return stored


def stem(path: str | os.PathLike[str]) -> str:
    """Return the name of an image without its endings.

    Parameters
    ----------
    path : path of the image.

    Examples
    --------
    >>> stem("day1/cells.ome.tif"), stem("cells.v2.czi")
    ('cells', 'cells.v2')
    """
    name = Path(path).name
    for ending in (".ome.tiff", ".ome.tif", ".ome.zarr", Path(path).suffix):
        name = name.removesuffix(ending)
    return name
