"""The presets: which settings go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal, get_args

from napari_selfdeconv.config.checks import check_choice
from napari_selfdeconv.config.training import ARCHITECTURE, LOSSES, LossName, LossWeights, TrainConfig
from napari_selfdeconv.errors import ConfigError

PresetName = Literal["quick", "standard", "paper", "ssi"]

_PAPER: Mapping[int, dict[str, Any]] = {
    2: dict(
        loss=LOSSES["noise2same_d"], steps=3000, batch_size=16, patch=128, learning_rate=4e-4,
        schedule="halving", halve_every=500, features=96, skip="concat", bn_momentum=0.003,
    ),
    3: dict(
        loss=LOSSES["noise2same"], steps=15_000, batch_size=4, patch=64, learning_rate=4e-4,
        schedule="halving", halve_every=2000, features=48, skip="add", bn_momentum=0.003,
    ),
}  # fmt: skip
_OURS: Mapping[int, dict[str, Any]] = {
    2: dict(
        loss=LossWeights(bsp=1.0, tv=0.06), steps=350, batch_size=8, patch=128, learning_rate=3e-3,
        mask_percent=5.0, data_term="huber", features=24, skip="concat",
        inverse_channels=(0.1, 1.0), average_symmetries=True, calibrate=True, refine=True, held_out_percent=2.0,
        auto_stop=True, even_border=True,
    ),
    3: dict(
        loss=LossWeights(bsp=1.0, tv=0.03), steps=150, batch_size=2, patch=48, learning_rate=4e-3,
        mask_percent=5.0, data_term="huber", features=16, skip="add",
        inverse_channels=(0.1, 1.0), average_symmetries=True, calibrate=True, refine=True, held_out_percent=2.0,
        auto_stop=True, even_border=True,
    ),
}  # fmt: skip
# Kobayashi, Solak, Batson and Royer 2020, on patches in place of whole images; their mask begins at 50 %.
_SSI: Mapping[str, Any] = dict(
    loss=LossWeights(bsp=1.0, bound_d=0.05), steps=3000, learning_rate=1e-2, schedule="halving", halve_every=500,
    mask_percent=5.0, mask_percent_start=25.0, features=8, levels=5, skip="concat", bn_momentum=0.1,
)  # fmt: skip
_SSI_SIZE: Mapping[int, dict[str, Any]] = {2: dict(batch_size=8, patch=128), 3: dict(batch_size=2, patch=64)}
_STANDARD: Mapping[int, dict[str, Any]] = {2: dict(steps=1000), 3: dict(steps=400)}
# What learns from many scenes has use for a level more than what learns from one image.
_LEVELS = {2: 4, 3: 3}
# From weights that know what images look like: few steps and not far from where they began, with the statistics
# that came with them, which serve an image better than those of a few of its patches. Volumes have more to teach
# than an image: no anchor, a weak bootstrap, a high rate.
_PRETRAINED: Mapping[tuple[str, int], dict[str, Any]] = {
    (name, ndim): dict(
        loss=loss, steps=steps, learning_rate=rate, levels=_LEVELS[ndim], inverse_channels=(0.01, 0.1, 1.0),
        pretrained=True, blend_start=ndim == 2, bn_momentum=0.0, model_cut_off=ndim == 2,
    )
    for name, ndim, loss, steps, rate in (
        ("quick", 2, LossWeights(bsp=1.0, anchor=0.1), 100, 1e-3),
        ("standard", 2, LossWeights(bsp=1.0, anchor=0.1, bootstrap=1.0), 300, 1e-3),
        ("quick", 3, LossWeights(bsp=1.0, bootstrap=0.3, tv=0.03), 120, 4e-3),
        ("standard", 3, LossWeights(bsp=1.0, bootstrap=0.3, tv=0.03), 300, 4e-3),
    )
}  # fmt: skip


def preset(name: str, ndim: int, *, loss: str | LossWeights | None = None, **overrides: Any) -> TrainConfig:
    """Return the settings of a preset for a 2D or 3D image.

    Parameters
    ----------
    name : "quick", "standard" (longer), "paper" (the paper's settings exactly; hours to days on a processor) or
        "ssi" (the recipe of Kobayashi et al. 2020). Times: docs/benchmarks.md.
    ndim : 2 or 3.
    loss : in place of the preset's own: the paper's "noise2self", "noise2same" or "noise2same_d", or weights.
    **overrides : any field of `TrainConfig`. With ``pretrained=False``, another loss or another architecture
        (features, levels, skip, inverse_channels) training starts at random, and takes more steps.

    Raises
    ------
    ConfigError
        For an unknown preset, loss or field, or a value out of range.

    Examples
    --------
    >>> preset("quick", 2).steps, preset("quick", 2, pretrained=False).steps
    (100, 350)
    >>> preset("paper", 3, loss="noise2self", seed=1).loss.bsp
    1.0
    """
    check_choice("preset", name, get_args(PresetName))
    if ndim not in (2, 3):
        raise ConfigError(f"an image has 2 or 3 axes here, got {ndim}")
    values = {
        "quick": _OURS[ndim],
        "standard": {**_OURS[ndim], **_STANDARD[ndim]},
        "paper": _PAPER[ndim],
        "ssi": {**_SSI, **_SSI_SIZE[ndim]},
    }[name].copy()
    own = loss is None and not set(ARCHITECTURE) & set(overrides)
    if overrides.get("pretrained", own):
        values |= _PRETRAINED.get((name, ndim), {})
    if isinstance(loss, LossWeights):
        values["loss"] = loss
    elif loss is not None:
        check_choice("loss", loss, get_args(LossName))
        values["loss"] = LOSSES[loss]
    return replace(TrainConfig.from_dict({"name": name, **values}), **_known(overrides))


def _known(overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = sorted(set(overrides) - {f.name for f in fields(TrainConfig)})
    if unknown:
        raise ConfigError(f"unknown setting for TrainConfig: {', '.join(unknown)}")
    return overrides
