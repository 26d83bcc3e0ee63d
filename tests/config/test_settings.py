"""Every class of settings, over all its fields: what is allowed survives a round trip, what is not is refused."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_selfdeconv.config.loss import LossSettings
from napari_selfdeconv.config.loss_terms import LossWeights
from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.config.parts import (
    BlindSpotSettings,
    ComputeSettings,
    NetworkSettings,
    OptimiserSettings,
    ResultSettings,
    StartSettings,
)
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.rules import (
    Choice,
    Each,
    Flag,
    Maybe,
    Number,
    NumberOr,
    Part,
    Rule,
    Text,
    Whole,
    rule_of,
)
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.settings import Settings, rules
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.beads.settings import BeadSettings
from napari_selfdeconv.psf.parameters import PsfParameters
from napari_selfdeconv.restoration.methods import Classical

OPTICS = Optics(na=1.2, wavelength_um=0.5, refractive_index=1.33)
#: One valid example of each class, from which a test changes one field.
EXAMPLES: dict[type[Settings], Settings] = {
    TrainConfig: preset("quick", 2),
    LossWeights: LossWeights(bsp=1.0, rec=1.0),
    LossSettings: LossSettings(),
    NetworkSettings: NetworkSettings(),
    BlindSpotSettings: BlindSpotSettings(),
    OptimiserSettings: OptimiserSettings(),
    StartSettings: StartSettings(),
    ResultSettings: ResultSettings(),
    ComputeSettings: ComputeSettings(),
    Optics: OPTICS,
    CoverslipLayers: CoverslipLayers(sample_index=1.4),
    TileConfig: TileConfig(),
    Classical: Classical(method="tv"),
    SeriesPlan: SeriesPlan(axes="tczyx"),
    BeadSettings: BeadSettings(),
    PsfParameters: PsfParameters(optics=OPTICS, voxel_um=(0.3, 0.1, 0.1), shape=(9, 17, 17)),
}
FIELDS = [(kind, name) for kind in EXAMPLES for name in rules(kind)]
SCALARS = [(k, n) for k, n in FIELDS if isinstance(getattr(EXAMPLES[k], n), (int, float))]


def allowed(rule: Rule) -> st.SearchStrategy[Any]:
    """Values that a rule allows; what belongs together is not looked at."""
    match rule:
        case Number(low, high, open_low):
            low, high = max(low, -1e6), min(high, 1e6)
            return st.floats(low, high, exclude_min=open_low)
        case NumberOr(word, number):
            return st.just(word) | allowed(number)
        case Whole(low, high):
            return st.integers(low, high)
        case Choice(choices):
            return st.sampled_from(choices)
        case Flag():
            return st.booleans()
        case Text():
            return st.text(min_size=1)
        case Each(inner, counts):
            sizes = {"min_size": min(counts), "max_size": max(counts)} if counts else {"max_size": 4}
            return st.lists(allowed(inner), **sizes).map(tuple)
        case Part(kind):
            return settings_of(kind)
        case Maybe(inner):
            return st.none() | allowed(inner)
        case _:
            return st.integers(64, 4096) | st.tuples(st.integers(16, 4096), st.integers(16, 4096))


def wrong(rule: Rule) -> list[Any]:
    """Values of the wrong type or out of range."""
    match rule:
        case Number(low, high, open_low):
            outside = [low - 1.0, *([low] if open_low else []), high + 1.0]
            finite = [value for value in outside if math.isfinite(value)]
            return [*finite, math.nan, math.inf, 10**400, np.float64("nan"), "1", None, True, np.True_, (1.0,)]
        case NumberOr(_, number):
            return [*wrong(number), "another word"]
        case Whole(low, high):
            return [low - 1, high + 1, np.int64(low - 1), float(low), "1", None, True, np.True_, [low]]
        case Choice():
            return ["nothing of this name", "", 0, None, True, ["auto"], np.array(["auto", "cpu"])]
        case Flag():
            return [0, 1, 1.0, "yes", "", None, np.int64(1)]
        case Text():
            return ["", 3, None, True, ["a"]]
        case Each(inner, counts):
            return [3, "abc", None, {}, *((one,) * max(counts, default=1) for one in wrong(inner))]
        case Part():
            return [3, "x", None, {}, TileConfig(), True]
        case Maybe(inner):
            return [value for value in wrong(inner) if value is not None]
        case _:
            return [15, "x", 64.0, True, (0, 64), (64, "x")]


@st.composite
def settings_of(draw: st.DrawFn, kind: type[Any]) -> Any:
    """Draw settings of a class: some fields of its example changed, if the fields go together."""
    example = EXAMPLES[kind]
    changed = draw(st.sets(st.sampled_from(sorted(rules(kind))), max_size=4))
    values = {f.name: getattr(example, f.name) for f in fields(kind)}
    for name in sorted(changed - {"axes"}):
        new = {**values, name: draw(allowed(rules(kind)[name]))}
        try:
            kind(**new)
        except ConfigError:  # It does not go with another field.
            continue
        values = new
    return kind(**values)


@pytest.mark.parametrize("kind", EXAMPLES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_settings_survive_json(kind: type[Settings], data: st.DataObject) -> None:
    made = data.draw(settings_of(kind))
    told = json.loads(json.dumps(made.to_dict()))
    assert kind.from_dict(told) == made
    assert kind.from_dict(made.to_dict()) == made


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_value_of_the_wrong_type_or_range_is_an_error_that_names_the_field(kind: type[Any], name: str) -> None:
    values = {f.name: getattr(EXAMPLES[kind], f.name) for f in fields(kind)}
    for value in wrong(rules(kind)[name]):
        with pytest.raises(ConfigError, match=name):
            kind(**{**values, name: value})


@pytest.mark.parametrize(("kind", "name"), SCALARS)
def test_numpy_scalars_are_numbers_and_are_stored_as_plain_ones(kind: type[Any], name: str) -> None:
    values = {f.name: getattr(EXAMPLES[kind], f.name) for f in fields(kind)}
    plain = values[name]
    scalar = {bool: np.bool_, int: np.int64, float: np.float64}[type(plain)](plain)
    stored = getattr(kind(**{**values, name: scalar}), name)
    assert type(stored) is type(plain)
    assert stored == plain
    json.dumps(stored)


def test_numbers_of_half_the_width_and_tuples_of_scalars_are_plain_numbers() -> None:
    network = NetworkSettings(features=np.int16(8), inverse_channels=(np.float32(0.5), np.int8(1)))  # type: ignore[arg-type]
    assert network.to_dict()["inverse_channels"] == [0.5, 1.0]
    assert type(network.features) is int
    assert [type(value) for value in network.inverse_channels] == [float, int]
    assert TileConfig(tile=(np.int64(64), np.uint16(32))).to_dict()["tile"] == [64, 32]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_names_that_are_unknown_or_missing_are_errors(kind: type[Settings]) -> None:
    told = EXAMPLES[kind].to_dict()
    with pytest.raises(ConfigError, match=f"unknown setting for {kind.__name__}: colour"):
        kind.from_dict({**told, "colour": 1})
    for f in fields(kind):  # type: ignore[arg-type]
        if f.default is MISSING and f.default_factory is MISSING:
            with pytest.raises(ConfigError, match=f"missing setting for {kind.__name__}: {f.name}"):
                kind.from_dict({name: value for name, value in told.items() if name != f.name})
    for nonsense in (None, 3, "text", [1]):
        with pytest.raises(ConfigError, match="must be built from names and values"):
            kind.from_dict(nonsense)  # type: ignore[arg-type]


def test_a_field_whose_type_says_too_little_needs_a_rule() -> None:
    with pytest.raises(TypeError, match="needs a rule"):
        rule_of(float, Settings)
