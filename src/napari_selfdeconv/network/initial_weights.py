"""The initial weights of training, which were learned on generated scenes (`selfdeconv_tools.pretraining`)."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from napari_selfdeconv.config.training import ARCHITECTURE, TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.tensor_files import write_tensors

_FOLDER = Path(__file__).parent / "weights"


def initial_weights(config: TrainConfig, ndim: int, *, hazy: bool = False) -> dict[str, Tensor]:
    """Return the weights shipped with the package for this architecture, float32.

    Parameters
    ----------
    config : settings of the run.
    ndim : 2 or 3.
    hazy : whether far light was subtracted from the volume (`restoration.far_light`). The weights for this were
        learned on generated widefield stacks that were treated in the same way.

    Raises
    ------
    ConfigError
        If there are none for this number of axes or this architecture.
    """
    name = f"unet{ndim}d{'_widefield' if hazy else ''}.safetensors"
    if not (_FOLDER / name).is_file():
        raise ConfigError(f"there are no pre-trained weights for {ndim}D images: set pretrained=False")
    header, state = _read(name)
    made_for, wanted = json.loads(header["architecture"]), architecture(config)
    differ = [key for key in wanted if wanted[key] != made_for[key]]
    if differ:
        has, takes = (", ".join(f"{key}={one[key]!r}" for key in differ) for one in (wanted, made_for))
        raise ConfigError(
            f"the pre-trained weights of this version do not fit settings with {has}: "
            f"set {takes}, or set pretrained=False"
        )
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def fit_learned(config: TrainConfig, ndim: int) -> bool:
    """Return whether the weights shipped with the package fit the architecture of ``config``."""
    made_for: dict[str, Any] = json.loads(_read(f"unet{ndim}d.safetensors")[0]["architecture"])
    return made_for == architecture(config)


def write_weights(path: Path, state: dict[str, Tensor], config: TrainConfig, about: dict[str, str]) -> None:
    """Write weights with the architecture they are for; half precision: one step of training changes far more."""
    tensors = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    header = {**about, "architecture": json.dumps(architecture(config))}
    write_tensors(path, tensors, header)


def architecture(config: TrainConfig) -> dict[str, Any]:
    """Return the settings of the shape and the input of the network, JSON-ready."""
    values = config.network.to_dict()
    return {key: values[key] for key in ARCHITECTURE}


@lru_cache(maxsize=3)
def _read(name: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    with safetensors.safe_open(_FOLDER / name, framework="pt", device="cpu") as file:
        return file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
