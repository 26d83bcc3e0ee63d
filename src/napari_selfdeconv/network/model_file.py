"""Model files: safetensors with a JSON header. Loading one executes nothing that comes from the file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv._version import __version__
from napari_selfdeconv.compute.allocation import check_allocation
from napari_selfdeconv.config.checks import cut
from napari_selfdeconv.config.rules import Each, Maybe, Number
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.json_files import parse_json, parse_value
from napari_selfdeconv.io.tensor_files import open_tensors, write_tensors
from napari_selfdeconv.network.model import Deconvolver, Model, unet_of
from napari_selfdeconv.psf.validate import check_psf

FORMAT = "napari-selfdeconv model 1"
# Tensor of a PSF whose compact part is that of the network.
_WHOLE = "whole_psf"
# The first weights of a network: their shape says whether it takes the first estimate as well.
_STEM = "unet.stem.weight"
# How far the sum of a stored PSF may be from 1: float32 rounds.
_SUM_TOLERANCE = 1e-3


def save_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write weights, settings, PSF and versions to one file.

    Parameters
    ----------
    path : path of the file, usually ending in ".safetensors". It is written whole or not at all.
    model : model of a result of `deconvolve`.

    Raises
    ------
    ConfigError
        If it cannot be written (no such folder, no permission, disk full).

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import deconvolve, preset
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> model = deconvolve(np.random.default_rng(0).random((32, 32)), np.ones((3, 3)) / 9, config).model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(f"{folder}/model.safetensors", model)
    ...     load_model(f"{folder}/model.safetensors").psf.shape
    (3, 3)
    """
    path = Path(path)
    tensors = {f"network.{name}": value for name, value in model.network.state_dict().items()}
    tensors["psf"] = torch.from_numpy(np.ascontiguousarray(model.psf, np.float32).copy())
    if model.whole_psf is not None:
        tensors[_WHOLE] = torch.from_numpy(np.ascontiguousarray(model.whole_psf, np.float32).copy())
    header = {
        "format": FORMAT,
        "version": __version__,
        "torch": str(torch.__version__),
        "config": json.dumps(model.config.to_dict()),
        "voxel_um": json.dumps(model.voxel_um),
        "provenance": json.dumps(dict(model.provenance)),
    }
    write_tensors(path, tensors, header)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a file written by `save_model`. No code from the file is run.

    The settings, the voxel size and the sizes of all tensors are checked before a network is built, so a small
    file cannot ask for a large one.

    Parameters
    ----------
    path : path of the file.

    Raises
    ------
    ConfigError
        If the file is missing, is not a model file, holds values that no training gives, or does not fit this
        version.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import preset
    >>> from napari_selfdeconv.network.model import build_network
    >>> config, psf = preset("quick", 2, features=2, pretrained=False), np.full((3, 3), 1 / 9, np.float32)
    >>> model = Model(config=config, psf=psf, network=build_network(config, psf).eval())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(f"{folder}/model.safetensors", model)
    ...     load_model(f"{folder}/model.safetensors").psf.shape
    (3, 3)
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no such model file: {path}")
    try:
        with open_tensors(path, FORMAT, "a model file", "give another file") as (file, header):
            return _read(file, header)
    except _Damaged as error:
        raise ConfigError(f"{path} is damaged or from another version: {error}") from error


class _Damaged(Exception):
    """An error inside a model file."""


def _read(file: Any, header: Mapping[str, str]) -> Model:
    try:
        config = TrainConfig.from_dict(_json(header, "config"))
    except ConfigError as error:
        raise _Damaged(str(error)) from error
    provenance = _json(header, "provenance")
    psf = _read_psf(file, "psf")
    whole = _read_psf(file, _WHOLE) if _WHOLE in file.keys() else None  # noqa: SIM118
    if whole is not None and not (
        whole.ndim == psf.ndim and all(n <= k for n, k in zip(psf.shape, whole.shape, strict=True))
    ):
        raise _Damaged(f"its PSF has shape {psf.shape} and cannot be part of one of shape {whole.shape}")
    voxel = _voxel(header, psf.ndim)
    found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    plain = _sizes(config, psf.ndim)
    estimate = whole is not None and found.get(f"network.{_STEM}") != plain[_STEM]
    wanted = _sizes(config, psf.ndim, estimate) if estimate else plain
    _check_sizes(found, wanted)
    check_allocation("the filters of the model", 64.0 * math.prod(4 * n for n in psf.shape), "use a smaller PSF")
    network = Deconvolver(config, psf, estimate)
    network.load_state_dict({name: _read_weights(file, name) for name in wanted})
    network.eval()
    return Model(config=config, psf=psf, network=network, voxel_um=voxel, provenance=provenance, whole_psf=whole)


def _json(header: Mapping[str, str], name: str) -> dict[str, Any]:
    if name not in header:
        raise _Damaged(f"it has no {name}")
    try:
        return parse_json(header[name], f"its {name} cannot be read")
    except ConfigError as error:
        raise _Damaged(str(error)) from error


def _voxel(header: Mapping[str, str], ndim: int) -> tuple[float, ...] | None:
    """Return the voxel size, or None if it is not known."""
    try:
        value = parse_value(header.get("voxel_um", ""), "its voxel size cannot be read")
        checked = Maybe(Each(Number(0.0, 1000.0, open_low=True), (ndim,))).checked("voxel_um", value)
    except ConfigError as error:
        raise _Damaged(str(error)) from error
    return checked  # type: ignore[no-any-return]


def _read_psf(file: Any, name: str) -> NDArray[np.float32]:
    if name not in file.keys():  # noqa: SIM118
        raise _Damaged("it has no PSF")
    stored = file.get_slice(name)
    shape = tuple(stored.get_shape())
    if stored.get_dtype() != "F32" or len(shape) not in (2, 3):
        raise _Damaged(f"its PSF must be 2D or 3D and float32, got shape {shape} and {stored.get_dtype()}")
    # A copy: the tensor is the file itself, and reading it after the file was cut would end the process.
    psf: NDArray[np.float32] = file.get_tensor(name).numpy().copy()
    try:
        check_psf(psf, psf.shape)
    except ConfigError as error:
        raise _Damaged(str(error)) from error
    total = float(psf.sum(dtype=np.float64))
    if abs(total - 1) > _SUM_TOLERANCE:
        raise _Damaged(f"the sum of its PSF is {total:.4g}, not 1")
    return psf


def _sizes(config: TrainConfig, ndim: int, takes_estimate: bool = False) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of a network, by their names; no memory is taken for them."""
    with torch.device("meta"):
        unet = unet_of(config, ndim, takes_estimate)
    return {f"unet.{name}": tuple(value.shape) for name, value in unet.state_dict().items()}


def _check_sizes(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    names = {f"network.{name}": shape for name, shape in wanted.items()} | {
        name: found[name] for name in ("psf", _WHOLE) if name in found
    }
    if missing := sorted(set(names) - set(found)):
        raise _Damaged(f"its settings ask for weights that it does not hold ({cut(', '.join(missing))})")
    if unknown := sorted(set(found) - set(names)):
        raise _Damaged(f"it holds weights that its settings do not ask for ({cut(', '.join(unknown))})")
    for name, shape in names.items():
        if found[name] != shape:
            raise _Damaged(f"its settings ask for {name} of shape {shape}, it holds {cut(str(found[name]))}")


def _read_weights(file: Any, name: str) -> torch.Tensor:
    tensor: torch.Tensor = file.get_tensor(f"network.{name}")
    counts = name.endswith("num_batches_tracked")
    if tensor.dtype != (torch.int64 if counts else torch.float32):
        raise _Damaged(f"its weights {name} are {tensor.dtype}")
    if not counts and not bool(torch.isfinite(tensor).all()):
        raise _Damaged(f"its weights {name} hold NaN or infinite values")
    if name.endswith("running_var") and bool((tensor < 0).any()):
        raise _Damaged(f"its weights {name} hold negative variances")
    return tensor
