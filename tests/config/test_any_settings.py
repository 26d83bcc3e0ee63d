"""Whatever values are given as settings: settings that are written and read again, or one sentence."""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_selfdeconv.cli.parser import make_parser
from napari_selfdeconv.config.checks import (
    check_choice,
    check_flag,
    check_number,
    check_voxel,
    check_whole,
    cut,
    shown,
)
from napari_selfdeconv.config.chromatic import ChromaticShift
from napari_selfdeconv.config.microscope import Microscope
from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.config.rules import Number, Whole
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.settings import rules
from napari_selfdeconv.config.template import ImageChoice, MethodChoice, Template
from napari_selfdeconv.config.template_rules import span
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.toml_files import toml_text
from napari_selfdeconv.psf.beads.settings import BeadSettings
from napari_selfdeconv.restoration.methods import METHODS, Classical
from selfdeconv_tools.cases import cases

ODD = st.sampled_from(
    [None, True, math.nan, math.inf, -math.inf, -1, 0, 10**400, 1e308, 5e-324, "", "auto", "a" * 5000, [], {}, (),
     b"x", 1j, np.float32(2), np.int64(3), np.array([1, 2]), object(), [[[]]], {"a": {"b": {}}}, "varying", "tzyx"]
)  # fmt: skip
JSON = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KINDS = (
    BeadSettings, ChromaticShift, Classical, CoverslipLayers, ImageChoice, MethodChoice, Microscope, Optics,
    SeriesPlan, TileConfig,
)  # fmt: skip
LIKELY = {
    "method": st.sampled_from([*METHODS, "none"]),
    "axes": st.text("tczyx", max_size=5),
    "boundary": st.sampled_from(["open", "reflect", "zero"]),
    "name": st.just("a microscope"),
    "optics": st.fixed_dictionaries(
        {"na": st.floats(0, 2), "wavelength_um": st.just(0.5), "refractive_index": JSON}
    ),
}


def line(message: str) -> bool:
    """Whether a message is one line that a window can show."""
    return "\n" not in message and 0 < len(message) < 700


def near(rule: object) -> st.SearchStrategy[object]:
    """Values near the limits of a rule."""
    if isinstance(rule, (Number, Whole)):
        limits = [value for value in (rule.low, rule.high) if math.isfinite(value)]
        return st.sampled_from(
            [*limits, *(value + 1 for value in limits), *(value - 1 for value in limits), 0.5, 2]
        )
    return st.integers(0, 9) | st.floats(0, 9)


@cases(900)
@given(data=st.data())
def test_any_values_are_settings_or_one_sentence(data):
    kind = data.draw(st.sampled_from(KINDS))
    own = rules(kind)
    names = data.draw(st.lists(st.sampled_from([*own, "unknown"]), max_size=4, unique=True))
    wanted = [
        name
        for name in ("method", "axes", "name", "optics", "na", "wavelength_um", "refractive_index")
        if name in own
    ]
    values = {
        name: data.draw(LIKELY.get(name, near(own.get(name))) | near(own.get(name)) | JSON)
        for name in {*names, *wanted}
    }
    try:
        made = kind.from_dict(values)
    except ConfigError as error:
        message = str(error)
        assert line(message)
        return
    assert kind.from_dict(made.to_dict()) == made


PARTS = st.sampled_from(["image", "optics", "psf", "method", "training", "output"])
INNER = st.sampled_from(["na", "steps", "preset", "iterations", "z", "file", "tiles", "q"])


@cases(250)
@given(JSON | st.dictionaries(PARTS, st.dictionaries(INNER, JSON)))
def test_any_template_can_be_written_or_is_one_sentence(values):
    try:
        text = toml_text(Template.from_dict(values).to_dict())
    except ConfigError as error:
        message = str(error)
        assert line(message)
        return
    assert toml_text(Template.from_dict(tomllib.loads(text)).to_dict()) == text


@cases(300)
@given(value=JSON, low=st.floats(-10, 0), high=st.floats(0, 10), open_low=st.booleans())
def test_any_value_is_checked_in_one_line(value, low, high, open_low):
    calls = (
        lambda: check_number("a", value, low, high, open_low=open_low),
        lambda: check_whole("a", value, -3, 3),
        lambda: check_flag("a", value),
        lambda: check_choice("a", value, ("b", "auto")),
        lambda: check_voxel("a", value, 2),
    )
    for call in calls:
        try:
            found = call()
        except ConfigError as error:
            message = str(error)
            assert line(message)
        else:
            assert isinstance(found, (bool, int, float, str, tuple))
    for text in (shown(value), cut(str(type(value)))):
        assert "\n" not in text
        assert len(text) < 100


@cases(250)
@given(text=st.text("0123456789:-+_ a", max_size=12), length=st.integers(1, 30))
def test_any_text_is_a_part_of_an_axis_or_one_sentence(text, length):
    try:
        part = span(text, length, "z")
    except ConfigError as error:
        message = str(error)
        assert line(message)
        return
    assert 0 <= part.start < part.stop <= length


PARSER = make_parser()
WORDS = st.sampled_from(
    ["info", "deconvolve", "classical", "series", "psf", "beads", "apply", "rl", "a.tif", "--out", "--psf", "--na",
     "--voxel-um", "--iterations", "--method", "--steps", "--crop", "--tile", "--mask", "--overwrite", "--json"]
) | st.sampled_from(["1", "-1", "nan", "1e999", "9" * 5000, "", "3:5", "--", "-x", "µ"])  # fmt: skip


@cases(120)
@given(st.lists(WORDS, max_size=8))
def test_any_words_are_a_command_or_end_with_status_2(words):
    try:
        args = PARSER.parse_args(words)
    except SystemExit as end:
        status = end.code
        assert status == 2
    except ConfigError as error:
        message = str(error)
        assert line(message)
    else:
        assert callable(args.run)


def test_line_sees_two_lines() -> None:
    assert not line("a\nb")
    with pytest.raises(ConfigError):
        span("5:3", 9, "z")
