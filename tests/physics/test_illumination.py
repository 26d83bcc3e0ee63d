"""Bleaching and flicker: what was put in is measured, and taken back; an even series stays what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_selfdeconv.cli import main
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import read_image, write_ome_tiff
from napari_selfdeconv.physics.illumination import Correction, correct_light, measure_light, uncorrected_light


def scene(seed: int = 0, shape: tuple[int, ...] = (24, 28)) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(shape) > 0.8, 500.0, 0.0)


def movie(rate: float, jumps: np.ndarray, shape: tuple[int, ...] = (24, 28)) -> np.ndarray:
    light = np.exp(-rate * np.arange(len(jumps))) * (1 + jumps)
    return 100 + light.reshape(-1, *[1] * len(shape)) * scene(shape=shape)


@settings(max_examples=20, deadline=None)
@given(rate=st.floats(-0.02, 0.1), size=st.floats(0, 0.05), seed=st.integers(0, 100))
def test_what_was_put_in_is_measured_and_taken_back(rate: float, size: float, seed: int) -> None:
    jumps = size * np.random.default_rng(seed).standard_normal(16)
    image = movie(rate, jumps)
    (course,) = measure_light(image, "tyx")
    assert course.background == 100
    assert course.remaining == pytest.approx(np.exp(-15 * rate), rel=0.15)
    # Jumps that happen to form a trend are taken for bleaching in part: at most .302 of their size over all seeds.
    assert course.flicker == pytest.approx(np.std(jumps), abs=0.32 * size + 1e-6)
    even = correct_light(image, "tyx", [course], "both")
    np.testing.assert_allclose(even, np.broadcast_to(even[0], even.shape), rtol=1e-4)
    # The background stays.
    assert even.min() == pytest.approx(100)
    without_jumps = correct_light(image, "tyx", [course], "flicker")
    (again,) = measure_light(without_jumps, "tyx")
    assert again.flicker < 1e-3
    assert again.remaining == pytest.approx(course.remaining, rel=1e-3)


def test_channels_have_their_own_course_and_an_even_one_stays() -> None:
    still = np.zeros(8)
    image = np.stack([movie(0.0, still), movie(0.1, still)], 1)
    first, second = measure_light(image, "tcyx")
    assert (first.matters, second.matters) == (False, True)
    assert second.half_after == pytest.approx(np.log(2) / 0.1)
    even = correct_light(image, "tcyx", [first, second], "bleaching")
    np.testing.assert_allclose(even[:, 0], image[:, 0], rtol=1e-5)
    np.testing.assert_allclose(even[:, 1], np.broadcast_to(image[0, 1], even[:, 1].shape), rtol=1e-4)


def test_planes_that_jump_are_made_even_and_the_object_stays() -> None:
    z = np.arange(15)
    object_ = np.exp(-((z - 7) ** 2) / 60)
    jumps = np.where(z == 6, 0.3, 0.0)
    stack = 50 + (object_ * (1 + jumps))[:, None, None] * scene(1)
    (course,) = measure_light(stack, "zyx")
    assert (course.axis, course.matters) == ("z", True)
    even = correct_light(stack, "zyx", [course], "flicker")
    true = 50 + object_[:, None, None] * scene(1)
    assert np.abs(even - true).max() < 0.6 * np.abs(stack - true).max()
    with pytest.raises(ConfigError, match="7 time points"):
        correct_light(stack, "zyx", [course], "bleaching")


def test_few_frames_and_darkness_have_no_course() -> None:
    assert measure_light(movie(0.1, np.zeros(4)), "tyx") == []
    assert measure_light(np.zeros((9, 8, 8)), "tyx") == []
    broken = movie(0.1, np.zeros(9))
    broken[2] = np.nan
    assert measure_light(broken, "tyx") == []


def test_channels_without_a_course_are_named() -> None:
    still = np.zeros(8)
    image = np.stack([movie(0.1, still), movie(0.1, still), np.zeros((8, 24, 28)), movie(0.0, still)], 1)
    image[3, 1, 0, 0] = np.nan
    courses = measure_light(image, "tcyx")
    (said,) = uncorrected_light(image.shape, "tcyx", courses, "both")
    assert "channels 1 and 2 along time could not be measured: a time point is dark, or has" in said
    with pytest.warns(UserWarning, match="channels 1 and 2"):
        even = correct_light(image, "tcyx", courses, "bleaching")
    np.testing.assert_array_equal(even[:, 1:3], image[:, 1:3].astype(np.float32))
    assert uncorrected_light(image[:, :1].shape, "tcyx", courses, "both") == []


@pytest.mark.parametrize(("what", "said"), [("both", True), ("flicker", True), ("bleaching", False)])
def test_too_few_planes_are_said_where_flicker_is_corrected(what: Correction, said: bool) -> None:
    image = movie(0.1, np.zeros(8), (3, 12, 14))
    found = uncorrected_light(image.shape, "tzyx", measure_light(image, "tzyx"), what)
    assert [("7 planes are needed, and there are 3" in one) for one in found] == [True] * said


def test_the_command_shows_it_and_corrects_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_ome_tiff("movie.ome.tif", movie(0.1, np.zeros(8)), (0.1, 0.1), axes="TYX")
    assert main(["light", "movie.ome.tif", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["remaining"] == pytest.approx(np.exp(-0.7), rel=1e-3)
    words = [
        "series",
        "movie.ome.tif",
        "--na",
        "0.8",
        "--wavelength-um",
        "0.6",
        "--refractive-index",
        "1",
        "--method",
        "wiener",
    ]
    words += ["--regularisation", "0.1", "--out"]
    assert main([*words, "plain.ome.tif"]) == 0
    assert "the light falls to 50 %" in capsys.readouterr().err
    assert main([*words, "even.ome.tif", "--correct-light", "bleaching"]) == 0
    plain, even = read_image("plain.ome.tif"), read_image("even.ome.tif")
    means = [one.data.mean((1, 2)) for one in (plain, even)]
    assert means[0][-1] < 0.8 * means[0][0]
    np.testing.assert_allclose(means[1], means[1][0], rtol=1e-3)
    assert even.provenance is not None
    assert even.provenance["corrected_light"]["what"] == "bleaching"
    assert plain.provenance is not None
    assert "corrected_light" not in plain.provenance
