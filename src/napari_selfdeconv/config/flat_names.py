"""The flat names of the settings of a run, and the part of `TrainConfig` that each is in.

``preset("quick", 2, steps=200)`` and the files of version 0.1 use flat names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from napari_selfdeconv.config.checks import cut
from napari_selfdeconv.config.loss import LossSettings, loss_weights
from napari_selfdeconv.config.parts import (
    BlindSpotSettings,
    ComputeSettings,
    NetworkSettings,
    OptimiserSettings,
    ResultSettings,
    StartSettings,
)
from napari_selfdeconv.errors import ConfigError

_KINDS = {
    "network": NetworkSettings,
    "blind_spot": BlindSpotSettings,
    "loss": LossSettings,
    "optimiser": OptimiserSettings,
    "start": StartSettings,
    "result": ResultSettings,
    "compute": ComputeSettings,
}
#: The parts of `TrainConfig`.
PARTS = frozenset(_KINDS)
#: Settings that are in no part.
_TOP = ("name", "boundary", "seed")
#: Names of version 0.1 that have changed since.
OLD_NAMES = {"blend_start": "weight_interpolation", "model_cut_off": "model_clipping"}
#: Flat name -> (part, name in the part). The flat name ``loss`` means the weights.
PLACES: Mapping[str, tuple[str, str]] = {
    "loss" if f.name == "weights" else f.name: (part, f.name)
    for part, kind in _KINDS.items()
    for f in fields(kind)
}


def placed(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat settings in their parts; ConfigError for a name that does not exist or occurs twice.

    Examples
    --------
    >>> placed({"steps": 5, "seed": 1, "blend_start": False})
    {'optimiser': {'steps': 5}, 'seed': 1, 'start': {'weight_interpolation': False}}
    """
    unknown = [str(name) for name in flat if OLD_NAMES.get(name, name) not in (*PLACES, *_TOP)]
    if unknown:
        near = get_close_matches(unknown[0], [*PLACES, *_TOP], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"unknown setting for TrainConfig: {cut(', '.join(sorted(unknown)))}{hint}")
    found: dict[str, Any] = {}
    for name, value in flat.items():
        new = OLD_NAMES.get(name, name)
        if new != name and new in flat:
            raise ConfigError(f"{name} is the old name of {new}: give one of the two")
        if new in _TOP:
            found[new] = value
            continue
        part, own = PLACES[new]
        found.setdefault(part, {})[own] = loss_weights(value) if new == "loss" else value
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dictionary of nested or flat settings as nested ones; ConfigError if one occurs twice."""
    parts = {name: dict(value) for name, value in values.items() if _is_part(name, value)}
    found = placed({name: value for name, value in values.items() if name not in parts})
    for part, inner in parts.items():
        if twice := sorted(set(inner) & set(found.get(part, ()))):
            raise ConfigError(f"{', '.join(twice)} is given twice, as a flat name and in {part}: give it once")
        found[part] = {**found.get(part, {}), **inner}
    return found


def _is_part(name: str, value: object) -> bool:
    """Whether an entry is a part. A dictionary of loss weights is not: ``loss`` was one in version 0.1."""
    if name not in PARTS or not isinstance(value, Mapping):
        return False
    return name != "loss" or bool(set(value) & {f.name for f in fields(LossSettings)})
