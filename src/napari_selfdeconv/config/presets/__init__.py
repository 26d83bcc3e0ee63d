"""The presets: one TOML file for each name and number of axes, beside this module."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from napari_selfdeconv.config.checks import check_choice, check_flag
from napari_selfdeconv.config.loss_terms import LossWeights
from napari_selfdeconv.config.training import ARCHITECTURE, TrainConfig
from napari_selfdeconv.errors import ConfigError

PresetName = Literal["quick", "standard", "paper", "ssi"]

#: The table of a preset's file with what is different when training starts from random weights.
RANDOM_START = "random_start"


def preset(name: str, ndim: int, *, loss: str | LossWeights | None = None, **overrides: Any) -> TrainConfig:
    """Return the settings of a preset for a 2D or 3D image.

    The presets "quick" and "standard" start from learned initial weights. With ``pretrained=False`` they start
    from random weights, with the steps, learning rate and loss that suit that.

    Parameters
    ----------
    name : "quick", "standard" (longer), "paper" (the paper's settings exactly; hours to days on a processor) or
        "ssi" (the recipe of Kobayashi et al. 2020). Times: docs/benchmarks.md.
    ndim : 2 or 3.
    loss : the paper's "noise2self", "noise2same" or "noise2same_d", or weights; None means the preset's own.
    **overrides : settings by their flat names, such as ``steps``, ``features`` or ``device``.

    Raises
    ------
    ConfigError
        For an unknown preset, loss or setting, a value out of range, or a setting that does not fit the learned
        initial weights: another network, or another loss unless ``pretrained`` is given.

    Examples
    --------
    >>> preset("quick", 2).optimiser.steps, preset("quick", 2, pretrained=False).optimiser.steps
    (100, 350)
    >>> preset("paper", 3, loss="noise2self", seed=1).loss.weights.bsp
    1.0
    """
    check_choice("preset", name, get_args(PresetName))
    if ndim not in (2, 3):
        raise ConfigError(f"an image has 2 or 3 axes here, got {ndim}")
    if loss is not None:
        overrides["loss"] = loss
    pretrained = check_flag("pretrained", overrides["pretrained"]) if "pretrained" in overrides else None
    base = _read(name, ndim, pretrained is False)
    config = base.replace(**overrides)
    if base.start.pretrained:
        _check_fit(name, base, config, pretrained)
    return config


def _check_fit(name: str, base: TrainConfig, config: TrainConfig, pretrained: bool | None) -> None:
    """Raise ConfigError where settings do not fit the learned initial weights of a preset."""
    differ = [key for key in ARCHITECTURE if getattr(config.network, key) != getattr(base.network, key)]
    if differ:
        asked = ", ".join(f"{key}={getattr(config.network, key)!r}" for key in differ)
        fits = ", ".join(f"{key}={getattr(base.network, key)!r}" for key in differ)
        raise ConfigError(
            f"{asked} does not fit the learned initial weights of the preset {name}, which are for {fits}: "
            "add pretrained=False to start from random weights"
        )
    if pretrained is None and config.loss.weights != base.loss.weights:
        raise ConfigError(
            f"the preset {name} starts from learned initial weights and has a loss that suits them: with another "
            "loss add pretrained=False to start from random weights, or pretrained=True to start from the learned "
            "ones nevertheless"
        )


@cache
def _read(name: str, ndim: int, random_start: bool) -> TrainConfig:
    """Return a preset as its file has it, for the learned or the random start."""
    path = Path(__file__).with_name(f"{name}_{ndim}d.toml")
    values: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    changes: Mapping[str, Mapping[str, Any]] = values.pop(RANDOM_START, {})
    if random_start:
        values |= {part: {**values[part], **inner} for part, inner in changes.items()}
    return TrainConfig.from_dict({"name": name, **values})
