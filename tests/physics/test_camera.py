"""Background, gain and read noise of a camera: estimated, given, and what a method does with them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api
from napari_selfdeconv.api import Classical
from napari_selfdeconv.cli import main
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.physics.camera import CameraReport, Known, estimate_background, estimate_field

SIDE = 128


def psf() -> np.ndarray:
    line = np.exp(-((np.arange(13) - 6) ** 2) / (2 * 1.5**2))
    return np.outer(line, line) / line.sum() ** 2


def light(photons: float = 300.0) -> np.ndarray:
    """Return blurred light in bodies, with darkness between them."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.asarray(photons * np.maximum(0, np.sin(x / 9) * np.cos(y / 10)) ** 2)


def recorded(gain: float = 3.0, offset: float = 100.0, read: float = 4.5, field: Any = 0.0) -> np.ndarray:
    random = np.random.default_rng(0)
    image: np.ndarray = gain * random.poisson(light()) + offset + field + random.normal(0, read, (SIDE, SIDE))
    return image


def test_the_report_counts_photons() -> None:
    report = api.report_camera(recorded())
    assert report.gain == pytest.approx(3.0, rel=0.2)
    assert report.offset == pytest.approx(100.0, abs=20)
    assert report.photons_mean == pytest.approx(light().mean(), rel=0.5)
    assert report.photons_brightest == pytest.approx(320, rel=0.35)
    assert "photons a pixel in the mean" in report.describe()
    flat = api.report_camera(np.random.default_rng(0).normal(100, 3, (SIDE, SIDE)))
    assert flat.gain == flat.photons_mean == 0
    assert "photons cannot be counted" in flat.describe()


def test_large_numbers_of_a_report_have_no_exponent() -> None:
    bright = CameraReport(
        offset=12345.6, gain=0.05, read_noise=2.0, photons_mean=1234.5, photons_brightest=98765.4
    )
    assert bright.describe() == (
        "background 12346, noise of the darkest pixels 2, 0.05 a photon; 1234 photons a pixel in the mean and "
        "98765 in the brightest thousandth"
    )


def test_what_is_known_of_the_camera_is_used() -> None:
    image = recorded()
    found = estimate_background(image, known=Known(offset=100.0, gain=3.0, read_noise=4.5))
    assert found.constant == pytest.approx(100.0)
    assert found.subtracted == pytest.approx(100 - 4.5**2 / 3)
    assert found.gain == 3.0
    assert estimate_background(image, given=90.0).constant == pytest.approx(90.0)
    only_noise = estimate_background(image, known=Known(read_noise=4.5))
    assert only_noise.constant == pytest.approx(100.0, abs=20)
    result = api.classical_method(image, psf(), Classical(method="rl", iterations=5, offset=98.0, gain=3.0))
    assert result.provenance["background"]["constant"] == pytest.approx(98.0)
    words = api.as_command(result.provenance, "i.tif", "p.tif")
    assert "--offset 98.0" in words
    assert "--gain 3.0" in words


def ramp() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    return 400 * (0.5 * x + 0.5 * y**2)


def test_a_field_that_varies_is_found_and_taken_off() -> None:
    image = recorded(field=ramp())
    field = estimate_field(image)
    assert field.min() == 0
    assert np.corrcoef(field.ravel(), ramp().ravel())[0, 1] > 0.97
    errors = {}
    for background in (None, "varying"):
        method = Classical(method="rl", iterations=10, background=background)  # type: ignore[arg-type]
        result = api.classical_method(image, psf(), method).image
        errors[background] = float(np.abs(gaussian_filter(result, 1.5) - 3 * light()).mean())
    assert errors["varying"] < 0.6 * errors[None]


@pytest.mark.parametrize("method", ["rl", "tv"])
def test_a_varying_background_works_in_volumes_and_is_a_layer(method: str) -> None:
    volume = np.stack([recorded(field=ramp())[:48, :40]] * 3)
    layer = api.estimate_background(volume, varying=True)
    assert layer.shape == volume.shape
    np.testing.assert_array_equal(layer[0], layer[2])
    assert np.ptp(layer) > 20
    settings = {"regularisation": 0.01} if method == "tv" else {}
    result = api.classical_method(
        volume, psf()[None], Classical(method=method, iterations=3, background="varying", **settings)
    )
    assert np.isfinite(result.image).all()
    record = result.provenance["background"]
    assert record["mean"] == pytest.approx(float(layer.mean()), rel=1e-4)
    assert record["constant"] == pytest.approx(float(layer.min()), rel=1e-4)


def test_unmeasured_pixels_do_not_move_the_field() -> None:
    image, measured = recorded(field=ramp()), np.ones((SIDE, SIDE), bool)
    measured[50:, 50:] = False
    spoiled = np.where(measured, image, 0)
    assert np.abs(estimate_field(spoiled, measured) - estimate_field(image, measured)).max() < 1e-3


@pytest.mark.parametrize("value", [0.0, np.nan, 4095.0])
def test_what_unmeasured_pixels_hold_does_not_move_the_background(value: float) -> None:
    """Their values once bled into the light beside them, and the darkest place of the image was their rim."""
    image, measured = recorded(offset=1000.0), np.ones((SIDE, SIDE), bool)
    measured[50:, 50:] = measured[20:23, 20:23] = False
    spoiled = np.where(measured, image, value)
    assert asdict(estimate_background(spoiled, measured)) == asdict(estimate_background(image, measured))
    whole = estimate_background(image)
    assert estimate_background(spoiled, measured).constant == pytest.approx(whole.constant, abs=10)


@pytest.mark.parametrize("boundary", ["open", "reflect", "zero"])
def test_negative_values_are_not_clipped(boundary: str) -> None:
    """The mean of noise about -2 became 5.8 when its negative half counted as 0."""
    noise = np.random.default_rng(0).normal(-2, 20, (64, 64))
    noise[30:34, 30:34] += 400
    method = Classical(method="rl", iterations=5, boundary=boundary)  # type: ignore[arg-type]
    result = api.classical_method(noise, psf(), method)
    light_found = result.image.mean() + (result.provenance["background"]["mean"] if boundary == "open" else 0.0)
    assert light_found == pytest.approx(noise.mean(), abs=2.0)
    assert np.maximum(noise, 0).mean() > noise.mean() + 6


def test_the_command_tells_photons_and_takes_camera_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.write_ome_tiff(tmp_path / "i.tif", recorded(field=ramp()).astype(np.float32))
    np.save(tmp_path / "p.npy", psf())
    words = ["classical", str(tmp_path / "i.tif"), "--psf", str(tmp_path / "p.npy"), "--method", "rl"]
    words += ["--iterations", "2", "--device", "cpu", "--json", "--out", str(tmp_path / "o.tif")]
    assert main([*words, "--background", "varying", "--read-noise", "4.5"]) == 0
    told = capsys.readouterr()
    assert "photons a pixel in the mean" in told.err
    assert json.loads(told.out)["camera"]["read_noise"] == 4.5
    settings = api.read_image(tmp_path / "o.tif").provenance["settings"]
    assert (settings["background"], settings["read_noise"]) == ("varying", 4.5)
    assert main([*words, "--overwrite", "--background", "sloping"]) == 2
    assert "background must be a number or 'varying'" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [{"gain": 0.0}, {"background": "sloping"}, {"read_noise": -1.0}])
def test_settings_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Classical(method="rl", **bad)
    if "background" not in bad:
        with pytest.raises(ConfigError):
            api.report_camera(np.eye(32), **bad)
