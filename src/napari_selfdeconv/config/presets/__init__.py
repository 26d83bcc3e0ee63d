"""The presets: one TOML file for each name and number of axes, beside this module."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from napari_selfdeconv.config.checks import check_choice, check_flag
from napari_selfdeconv.config.loss_terms import LossWeights
from napari_selfdeconv.config.training import ARCHITECTURE, TrainConfig
from napari_selfdeconv.errors import ConfigError

_FOLDER = Path(__file__).parent

#: The table of a preset's file with the settings that differ when training starts from random weights.
RANDOM_START = "random_start"
#: The key of a preset's file with its cost in words. It was measured on two cores (docs/benchmarks.md); that of
#: "paper" is estimated from the time of a step.
COST = "cost"
#: The preset whose network the learned initial weights are for.
LEARNED_LIKE = "quick"


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, the one with the fewest steps first.

    A preset is a pair of files ``NAME_2d.toml`` and ``NAME_3d.toml`` beside this module.

    Examples
    --------
    >>> preset_names()[:2]
    ('instant', 'quick')
    """
    names = {path.stem.removesuffix("_2d") for path in _FOLDER.glob("*_2d.toml")}
    return tuple(sorted(names, key=lambda name: (_read(name, 2, False).optimiser.steps, name)))


def preset_cost(name: str, ndim: int) -> str:
    """Return the cost of a preset in words; "" for one that the dock does not offer."""
    return str(_file(name, ndim).get(COST, ""))


def preset(name: str, ndim: int, *, loss: str | LossWeights | None = None, **overrides: Any) -> TrainConfig:
    """Return the settings of a preset for a 2D or 3D image.

    The preset "instant" uses the learned initial weights without training. "quick" and "standard" fine-tune them.
    With ``pretrained=False`` these two start from random weights, with steps, learning rate and loss for that.

    Parameters
    ----------
    name : "instant" (no training), "quick", "standard" (longer), "paper" (the paper's settings exactly; hours to
        days on a processor) or "ssi" (the recipe of Kobayashi et al. 2020, https://doi.org/10.48550/arXiv.2006.06156).
        Times: docs/benchmarks.md.
    ndim : 2 or 3.
    loss : the paper's "noise2self", "noise2same" or "noise2same_d", or weights; None means the preset's own.
    **overrides : settings by their flat names, such as ``steps``, ``features`` or ``device``.

    Raises
    ------
    ConfigError
        For an unknown preset, loss or setting, a value out of range, or a setting that does not fit the learned
        initial weights: another network, or another loss unless ``pretrained`` is given. "instant" accepts neither
        another loss nor random weights.

    Examples
    --------
    >>> preset("quick", 2).optimiser.steps, preset("quick", 2, pretrained=False).optimiser.steps
    (42, 350)
    >>> preset("paper", 3, loss="noise2self", seed=1).loss.weights.bsp
    1.0
    """
    check_choice("preset", name, preset_names())
    if ndim not in (2, 3):
        raise ConfigError(f"ndim must be 2 or 3, the number of axes of the image, got {ndim}")
    if loss is not None:
        overrides["loss"] = loss
    pretrained = check_flag("pretrained", overrides["pretrained"]) if "pretrained" in overrides else None
    base = _read(name, ndim, pretrained is False)
    config = base.replace(**overrides)
    if not base.optimiser.steps and (pretrained is False or config.loss.weights != base.loss.weights):
        what = "random initial weights" if pretrained is False else "another loss"
        raise ConfigError(f"the preset {name} does not train: for {what} use the preset {LEARNED_LIKE}")
    if pretrained and not base.start.pretrained:
        _check_learned(name, ndim, config)
    if base.start.pretrained:
        _check_fit(name, base, config, pretrained)
    return config


def _check_learned(name: str, ndim: int, config: TrainConfig) -> None:
    """Raise ConfigError if the learned weights are requested for a preset that they do not fit."""
    made_for = _read(LEARNED_LIKE, ndim, False).network
    if any(getattr(config.network, key) != getattr(made_for, key) for key in ARCHITECTURE):
        fits = ", ".join(f"{key}={getattr(made_for, key)!r}" for key in ARCHITECTURE)
        learned = [other for other in preset_names() if _read(other, ndim, False).start.pretrained]
        raise ConfigError(
            f"the preset {name} starts from random weights: the learned initial weights are for {fits}. Leave "
            f"pretrained out, or use the preset {', '.join(learned[:-1])} or {learned[-1]}"
        )


def _check_fit(name: str, base: TrainConfig, config: TrainConfig, pretrained: bool | None) -> None:
    """Raise ConfigError if settings do not fit the learned initial weights of a preset."""
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


def _file(name: str, ndim: int) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}_{ndim}d.toml").read_text("utf-8"))


@cache
def _read(name: str, ndim: int, random_start: bool) -> TrainConfig:
    """Return a preset from its file, for learned or random initial weights."""
    values = _file(name, ndim)
    values.pop(COST, None)
    changes: Mapping[str, Mapping[str, Any]] = values.pop(RANDOM_START, {})
    if random_start:
        values |= {part: {**values[part], **inner} for part, inner in changes.items()}
    return TrainConfig.from_dict({"name": name, **values})
