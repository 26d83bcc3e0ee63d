"""Model files: safetensors with a JSON header. Loading one executes nothing that comes from the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from napari_selfdeconv._version import __version__
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import whole_or_not_at_all
from napari_selfdeconv.network.model import Deconvolver, Model

FORMAT = "napari-selfdeconv model 1"


def save_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write weights, settings, PSF and versions to one file.

    The file appears whole or not at all.

    Raises
    ------
    ConfigError
        If it cannot be written (no such folder, no permission, disk full).
    """
    path = Path(path)
    # clone: safetensors refuses memory that is not contiguous or is shared.
    state = model.network.state_dict()
    tensors = {f"network.{k}": v.detach().cpu().contiguous().clone() for k, v in state.items()}
    tensors["psf"] = torch.from_numpy(np.ascontiguousarray(model.psf, np.float32).copy())
    header = {
        "format": FORMAT,
        "version": __version__,
        "torch": str(torch.__version__),
        "config": json.dumps(model.config.to_dict()),
        "voxel_um": json.dumps(model.voxel_um),
        "provenance": json.dumps(dict(model.provenance)),
    }
    with whole_or_not_at_all(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors, header))


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a file written by `save_model`.

    Raises
    ------
    ConfigError
        If the file is missing, is not a model file, or does not fit this version.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no such model file: {path}")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise ConfigError(f"{path} is not a model file of napari-selfdeconv: {error}") from error
    if header.get("format") != FORMAT:
        raise ConfigError(
            f"{path} is not a model file this version reads: its format is {header.get('format')!r}, "
            f"not {FORMAT!r}"
        )
    return _rebuild(path, header, tensors)


def _rebuild(path: Path, header: dict[str, str], tensors: dict[str, Any]) -> Model:
    try:
        config = TrainConfig.from_dict(json.loads(header["config"]))
        psf = tensors.pop("psf").numpy()
        network = Deconvolver(config, psf)
        network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items()})
        voxel = json.loads(header["voxel_um"])
        provenance = json.loads(header["provenance"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path} is damaged or from another version: {reason}") from error
    network.eval()
    return Model(
        config=config,
        psf=psf,
        network=network,
        voxel_um=None if voxel is None else tuple(voxel),
        provenance=provenance,
    )
