"""Make a result again: run it, or take it along as a Python script or a command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_selfdeconv._gui.layers.exchange import about
from napari_selfdeconv._gui.plugin.files import SESSION_KEYS
from napari_selfdeconv._gui.runs.series import image_snapshot
from napari_selfdeconv.api import reproduce
from napari_selfdeconv.errors import ConfigError

if TYPE_CHECKING:
    from napari_selfdeconv.api import Model


@dataclass(frozen=True)
class Ingredients:
    """What a result was made of: provenance, source layer, PSF as it was used, and the model if applied."""

    provenance: dict[str, Any]
    source: Image
    psf: np.ndarray
    model: Model | None = None


def ingredients(viewer: Any, result: Image | None) -> Ingredients:
    """Return what ``result`` was made of; ConfigError if it is no result, or its source is gone."""
    told = {} if result is None else about(result)
    if told.get("role") != "result" or "psf" not in told:
        raise ConfigError("Select a result of this plugin in the layer list, made in this session.")
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    source = next((layer for layer in images if str(layer.unique_id) == told["source_id"]), None)
    if source is None:
        raise ConfigError(f"The image '{told['source']}' that it was made from is not in the viewer any more.")
    provenance = {key: value for key, value in told.items() if key not in SESSION_KEYS}
    return Ingredients(provenance, source, np.asarray(told["psf"]), told.get("model"))


def write_files(made: Ingredients, folder: str) -> tuple[str, str]:
    """Write image, PSF and settings into ``folder``; return the paths of image and PSF, or of image and model.

    The data of the layer are written, whatever the file holds that the layer was opened from.
    """
    from napari_selfdeconv.api import write_ome_tiff

    place = Path(folder)
    image, psf = place / "image.ome.tif", place / "psf.ome.tif"
    source = image_snapshot(made.source)
    voxel = made.provenance.get("voxel_um")
    write_ome_tiff(image, np.asarray(source.data), voxel_um=tuple(voxel) if voxel else source.voxel_um)
    if made.model is not None:
        from napari_selfdeconv.api import save_model

        model = place / "model.safetensors"
        save_model(model, made.model)
        return str(image), str(model)
    write_ome_tiff(psf, made.psf)
    if "config" in made.provenance:
        (place / "run.json").write_text(reproduce.settings_json(made.provenance), "utf-8")
    return str(image), str(psf)


def python_text(made: Ingredients, folder: str) -> str:
    """Write the files and return the script that makes the result again from them."""
    reproduce.as_python(made.provenance, "", "")  # raises an error before anything is written
    image, psf = write_files(made, folder)
    return reproduce.as_python(made.provenance, image, psf, str(Path(folder) / "result.ome.tif"))


def command_text(made: Ingredients, folder: str) -> str:
    """Write the files and return the command that makes the result again from them."""
    reproduce.as_command(made.provenance, "", "")
    image, psf = write_files(made, folder)
    place = Path(folder)
    return reproduce.as_command(
        made.provenance, image, psf, str(place / "run.json"), str(place / "result.ome.tif")
    )
