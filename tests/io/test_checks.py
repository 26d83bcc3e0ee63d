"""What NumPy changes without a word is refused or said: masks, values and differences that a type cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_selfdeconv import api
from napari_selfdeconv.cli.outputs import say_stored
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import drain
from napari_selfdeconv.io.images import read_image
from napari_selfdeconv.io.ome_tiff import as_stored, write_ome_tiff

IMAGE = (100 + np.random.default_rng(0).normal(0, 9, (12, 14))).astype(np.float32)
PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
MASKED = np.ma.masked_greater(IMAGE, 100)
SERIES = api.SeriesPlan(axes="tyx")
ENTRIES: dict[str, Callable[[Any], Any]] = {
    "deconvolve": lambda image: api.deconvolve(image, PSF, api.preset("instant", 2)),
    "classical": lambda image: api.richardson_lucy(image, PSF, 2),
    "a PSF": lambda image: api.richardson_lucy(IMAGE, image, 2),
    "series": lambda image: next(api.iter_deconvolve_series(np.ma.stack([image] * 2), PSF, SERIES)),
    "large": lambda image: next(api.iter_deconvolve_large(image, PSF, out=np.zeros(IMAGE.shape))),
    "preview": lambda image: api.preview_region(image, PSF),
    "scores": lambda image: api.evaluate_without_truth(image, IMAGE, PSF),
    "truth": lambda image: api.evaluate(IMAGE, image),
    "unmeasured": api.find_unmeasured,
    "hot pixels": lambda image: api.find_hot_pixels(np.ma.stack([image] * 5)),
    "camera": api.report_camera,
    "light": lambda image: api.measure_light(np.ma.stack([image] * 7), "tyx"),
    "width": lambda image: api.fwhm(image, 0),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_mask_that_numpy_would_drop_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"came as a masked array, whose mask does not count.*weights"):
        ENTRIES[entry](MASKED)


def test_masked_weights_are_refused_and_a_mask_of_nothing_is_none() -> None:
    whole = np.ma.masked_array(IMAGE)
    assert np.isfinite(api.richardson_lucy(whole, PSF, 2)).all()
    with pytest.raises(ConfigError, match="the weights came as a masked array"):
        drain(api.iter_classical(IMAGE, PSF, [api.Classical(method="rl", iterations=1)], weights=MASKED / 200))


@pytest.mark.parametrize("method", ["rl", "rl-tv", "tv", "wiener", "rlgc"])
@pytest.mark.parametrize("boundary", ["open", "reflect"])
def test_a_read_only_image_is_an_image(method: str, boundary: Any) -> None:
    """As a file that is mapped into memory is; torch would warn."""
    frozen = IMAGE.copy()
    frozen.flags.writeable = False
    setting = {"regularisation": 0.01} if method in ("tv", "wiener") else {"iterations": 2}
    one = api.Classical(method=method, boundary=boundary, **setting)
    found = api.classical_method(frozen, PSF, one)
    np.testing.assert_array_equal(found.image, api.classical_method(IMAGE, PSF, one).image)


def test_a_read_only_image_has_an_uncertainty() -> None:
    frozen = np.random.default_rng(0).normal(100, 9, (24, 24)).astype(np.float32)
    frozen.flags.writeable = False
    model = api.deconvolve(frozen, PSF, api.preset("instant", 2)).model
    assert np.isfinite(api.uncertainty(model, frozen, samples=1).half_width).all()


def test_a_list_of_lists_is_an_image() -> None:
    part = api.preview_region(IMAGE.tolist(), PSF)
    np.testing.assert_allclose(part.image, api.preview_region(IMAGE, PSF).image, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: api.find_unmeasured(np.zeros((0, 4))), "is empty"),
        (lambda: api.find_hot_pixels(IMAGE), r"the axes \(n, y, x\)"),
        (lambda: api.fwhm(-IMAGE, 0), "some above 0"),
        (lambda: api.fwhm(IMAGE * np.inf, 0), "must be finite"),
        (lambda: api.fwhm(IMAGE, 2), "axis 2"),
        (lambda: api.fwhm(np.zeros((0, 3)), 0), "no width"),
        (lambda: api.report_camera(IMAGE.astype(np.float64) * 1e37), "the most is 1e\\+30"),
        (lambda: api.measure_light(IMAGE, "tyx"), "the image has shape"),
        (lambda: api.measure_light(np.zeros((0, 4, 4)), "tyx"), "is empty"),
        (lambda: next(api.iter_deconvolve_series([[[1, 2]]], PSF, SERIES)), "can be sliced, got a list"),
        (lambda: next(api.iter_deconvolve_large([[1, 2]], PSF, out=IMAGE)), "can be sliced, got a list"),
        (lambda: api.measure_light([[[1, 2]]], "tyx"), "can be sliced, got a list"),
        (lambda: next(api.iter_deconvolve_large(IMAGE, PSF, out=np.zeros((12, 14), int))), "out holds int64"),
        (
            lambda: next(api.iter_deconvolve_series(IMAGE[None], PSF, SERIES, out=IMAGE[None] > 0)),
            "out holds bool",
        ),
        (lambda: api.check_image(torch.ones(4, 4, requires_grad=True)), "cannot be turned into an array"),
    ],
)
def test_what_has_no_answer_is_refused_in_one_line(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_course_of_another_series_corrects_nothing() -> None:
    light = np.zeros((12, 14), np.float32)
    light[3:9, 3:9] = 50
    movie = np.stack([100 + light * (1 - 0.05 * n) for n in range(9)])
    (course,) = api.measure_light(movie, "tyx")
    with pytest.raises(ConfigError, match="measured at 9 places along t and the image has 8"):
        api.correct_light(movie[1:], "tyx", [course], "bleaching")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.array([[0.0, 1e39]]), "values of 1e.39, which float32 cannot hold"),
        (np.array([[0, 100]], np.uint64) + np.uint64(2**50), "the pixels differ by 100"),
        (np.array([[0.0, 100.0]]) + 1e12, "the pixels differ by 100"),
    ],
)
def test_values_that_a_file_cannot_hold_are_not_written(data: np.ndarray, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        write_ome_tiff(tmp_path / "a.tif", data)
    assert not list(tmp_path.iterdir())
    stored, told = as_stored(data, "uint16")
    np.testing.assert_allclose(stored * told["scale"] + told["offset"], data.astype(float), rtol=1e-4)
    assert len(set(stored.ravel())) == 2


def test_what_whole_numbers_cannot_say_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.array([[np.nan, 300.0], [500.0, -np.inf]])
    write_ome_tiff(tmp_path / "a.tif", image, dtype="uint16")
    file = read_image(tmp_path / "a.tif")
    assert file.data.tolist() == [[0, 300], [500, 0]]
    assert file.provenance is not None
    assert file.provenance["stored"]["not_finite"] == 2
    say_stored(file.provenance)
    assert "2 values are NaN or infinite" in capsys.readouterr().err
    write_ome_tiff(tmp_path / "b.tif", image)  # float32 holds them
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").data, image.astype(np.float32))
