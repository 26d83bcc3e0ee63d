"""The one way in: what a Problem checks and measures, and that every entry passes through it once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import fftconvolve

from napari_selfdeconv import api, preset
from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError, ConstantImage
from napari_selfdeconv.events import Warned, drain
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.physics.even_border import even_border_of
from napari_selfdeconv.restoration.methods import Classical

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def image(shape: tuple[int, ...] = (24, 28), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 10.0, shape)


def dark_border() -> np.ndarray:
    return np.asarray(fftconvolve(np.ones((80, 80)), np.ones((9, 9)) / 81, mode="same")) + 1e-3 * image((80, 80))


def tiny(**changes: Any) -> TrainConfig:
    small = {"steps": 2, "patch": 16, "features": 4, "batch_size": 1, "pretrained": False}
    return preset("quick", 2, **{**small, "device": "cpu", "precision": "float32", **changes})


def test_a_problem_holds_what_a_run_needs() -> None:
    problem = Problem.of(image().astype(np.uint16), 7 * PSF)
    np.testing.assert_allclose(problem.psf, PSF, rtol=1e-6)
    assert problem.psf.dtype == problem.standard.dtype == np.float32
    np.testing.assert_allclose(problem.scale.undo(problem.standard), problem.image, atol=1e-4)
    assert not problem.border_evened
    assert problem.notes == ()


def test_pieces_are_those_of_the_whole_and_make_no_second_array() -> None:
    problem, where = Problem.of(image(), PSF), (slice(3, 9), slice(20, 28))
    lazy = problem.pieces[where]
    assert "standard" not in vars(problem)
    np.testing.assert_array_equal(lazy, problem.standard[where])
    assert problem.pieces is problem.standard


def test_a_dark_border_is_evened_where_the_settings_say_so() -> None:
    dark, psf = dark_border(), np.ones((9, 9))
    plain, left, evened = (
        Problem.of(dark, psf, c) for c in (None, tiny(even_border=False), tiny(even_border=True))
    )
    assert plain.image is dark
    assert left.image is dark
    np.testing.assert_array_equal(evened.image, even_border_of(dark, evened.psf))
    assert evened.scale == Standardizer.of(evened.image)
    assert any("gets dark towards its border" in note for note in evened.notes)


def test_frames_share_the_decision_about_the_border_and_have_their_own_scale() -> None:
    dark, flat = dark_border(), image((80, 80))
    first = Problem.of(dark, np.ones((9, 9)), tiny(even_border=True))
    second = first.like(flat)
    assert second.border_evened
    np.testing.assert_array_equal(second.image, even_border_of(flat, first.psf))
    assert second.scale == Standardizer.of(second.image)
    assert second.notes != ()
    assert not Problem.of(flat, np.ones((9, 9)), tiny(even_border=True)).like(dark).border_evened


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.full((9, 9), np.nan), "81 NaN and 0 infinite"),
        (np.ones((2, 9, 9, 9)), "2D or 3D"),
        (np.ones((9, 9), complex), "real numbers"),
        (np.zeros((9, 9, 3)), "colour"),
        (np.zeros((0, 9)), "empty"),
    ],
)
def test_an_image_that_cannot_be_used(bad: np.ndarray, words: str) -> None:
    for check in (lambda: Problem.of(bad, np.ones((3,) * bad.ndim)), lambda: Problem.of(image(), PSF).like(bad)):
        with pytest.raises(ConfigError, match=words):
            check()
    with pytest.raises(ConstantImage):
        Problem.of(np.ones((9, 9)), PSF)


def test_a_bad_setting_is_refused_before_the_first_event() -> None:
    """A note about the border came first, and the error after it."""
    dark, psf = dark_border(), np.ones((9, 9))
    for config in (
        tiny(even_border=True, device="cuda:99"),
        tiny(even_border=True, loss=api.LossWeights(anchor=1.0, bsp=1.0)),
    ):
        with pytest.raises(ConfigError):
            next(api.iter_deconvolve(dark, psf, config))


def test_the_image_is_scanned_and_standardised_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned, standardised = [], []
    measure, apply = Standardizer.of.__func__, Standardizer.apply  # type: ignore[attr-defined]

    def counted_of(cls: Any, array: np.ndarray) -> Standardizer:
        scanned.append(array.size)
        return measure(cls, array)  # type: ignore[no-any-return]

    def counted_apply(self: Standardizer, array: np.ndarray) -> np.ndarray:
        standardised.append(array.size)
        return apply(self, array)

    monkeypatch.setattr(Standardizer, "of", classmethod(counted_of))
    monkeypatch.setattr(Standardizer, "apply", counted_apply)
    x = image()
    config = tiny(calibrate=False)  # the calibration standardises the pixels that it samples
    model = api.deconvolve(x, PSF, config).model
    assert (scanned, standardised) == ([x.size], [x.size])
    for entry in (
        lambda: api.apply_model(model, x),
        lambda: api.residual(x, x, PSF),
        lambda: drain(api.iter_classical(x, PSF, [Classical(method="rl", iterations=1)])),
        lambda: api.richardson_lucy(x, PSF, 1),
    ):
        scanned.clear()
        standardised.clear()
        entry()
        assert scanned == [x.size]
        assert sum(standardised) <= x.size
    scanned.clear()
    api.uncertainty(model, x, samples=1)
    assert scanned == [x.size]
    scanned.clear()
    drain(api.iter_deconvolve_series(np.stack([x, 2 * x]), PSF, SeriesPlan(axes="tyx"), config))
    assert scanned == [x.size, x.size]


def test_a_mask_that_may_be_the_wrong_way_round_is_said() -> None:
    image = np.random.default_rng(0).random((20, 20))
    few, many = np.ones((20, 20)), np.zeros((20, 20))
    few[:5], many[:5] = 0, 1
    assert Problem.of(image, np.ones((3, 3)), weights=few).notes == ()
    (note,) = Problem.of(image, np.ones((3, 3)), weights=many).notes
    assert note == "The mask leaves out 75 % of the pixels. If it marks those to keep, invert it."


def test_hot_pixels_are_named_whether_they_count_or_not() -> None:
    """Without weights, as by default in Python, a hot pixel became a bright bar of the result without a word."""
    stack = np.random.default_rng(0).normal(100, 2, (8, 32, 32)).astype(np.float32)
    stack[:, 5, 7] += 500
    stack[:, :, 20] = 0
    psf = np.ones((3, 3, 3)) / 27
    counted, left_out = (
        next(note for note in Problem.of(stack, psf, weights=weights).notes if "no measurement" in note)
        for weights in (None, "auto")
    )
    words = "264 pixels are no measurement: 256 in dead rows or columns, 8 hot."
    assert counted.startswith(f"{words} They count as measurements")
    assert "weights='auto'" in counted
    assert left_out == f"{words} They were left out."
    good = np.random.default_rng(0).normal(100, 2, (8, 32, 32))
    assert not Problem.of(good, psf).notes
    assert not [note for note in Problem.of(stack, psf, weights=np.ones(stack.shape)).notes if "count as" in note]


@pytest.mark.parametrize("trains", [False, True])
def test_every_run_names_hot_pixels_that_count(trains: bool) -> None:
    stack = np.random.default_rng(0).normal(100, 2, (8, 32, 32)).astype(np.float32)
    stack[:, 5, 7] += 500
    psf = np.ones((3, 3, 3)) / 27
    work: Any = api.iter_classical(stack, psf, [Classical(method="rl", iterations=1)])
    if trains:
        small = {"steps": 1, "patch": 16, "features": 2, "batch_size": 1, "pretrained": False}
        work = api.iter_deconvolve(stack, psf, preset("quick", 3, **small))
    said: list[str] = []
    drain(work, lambda event: said.append(event.message) if isinstance(event, Warned) else None)
    assert sum("8 pixels are no measurement: 8 hot. They count as measurements" in one for one in said) == 1
