"""The base of all results: they can be written to a file, and their repr is one line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_selfdeconv.io.ome_tiff import as_stored, write_ome_tiff
from napari_selfdeconv.io.ome_zarr import write_zarr
from napari_selfdeconv.io.outputs import Output, check_outputs


class Savable:
    """A result with an array, its voxel size and its record."""

    provenance: Mapping[str, Any]

    @property
    def _array(self) -> Any:
        return self.image  # type: ignore[attr-defined]

    @property
    def _axes(self) -> str | None:
        """Its axes as letters; None for those of a single image."""
        axes = (self.provenance.get("series") or {}).get("axes")
        return str(axes).upper() if axes else None

    @property
    def _voxel_um(self) -> Sequence[float] | None:
        found: Sequence[float] | None = self.provenance.get("voxel_um")
        return found

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: Literal["float32", "uint16"] = "float32",
        compression: Literal["none", "zlib", "zstd", "lzw"] = "none",
        overwrite: bool = False,
    ) -> None:
        """Write the result with its voxel size and its record, whole or not at all.

        Parameters
        ----------
        path : its ending chooses the format: .tif or .tiff for OME-TIFF, .zarr for OME-Zarr.
        dtype, compression : as `write_ome_tiff`.
        overwrite : whether an existing file is replaced.

        Raises
        ------
        ConfigError
            If the path has another ending, exists already, or cannot be written.
        """
        check_outputs([Output("the result", Path(path))], {}, overwrite=overwrite)
        data, stored = as_stored(np.asarray(self._array), dtype)
        provenance = {**self.provenance, "stored": stored} if stored else dict(self.provenance)
        axes, voxel = self._axes, self._voxel_um
        if Path(path).suffix.lower() == ".zarr":
            write_zarr(path, data, axes=axes, voxel_um=voxel, provenance=provenance, overwrite=overwrite)
        else:
            write_ome_tiff(path, data, voxel, provenance, axes, dtype=dtype, compression=compression)

    def __repr__(self) -> str:
        """Return one line: kind of result, size, and how it was made."""
        array, told = self._array, self.provenance
        size = " x ".join(map(str, array.shape))
        kind = told.get("label") or (told.get("config") or {}).get("name")
        seconds = getattr(self, "seconds", None)
        parts = [
            f"{size} {array.dtype}",
            kind and str(kind),
            f"{told['steps_done']} steps" if "steps_done" in told else None,
            f"{seconds:.1f} s" if seconds is not None else None,
        ]
        return f"<{type(self).__name__}: {', '.join(part for part in parts if part)}>"
