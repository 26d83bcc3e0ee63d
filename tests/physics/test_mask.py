"""Pixels that are no measurement: found, counted, and without any influence on the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from scipy.signal import fftconvolve

from napari_selfdeconv import api
from napari_selfdeconv.api import METHODS, Classical
from napari_selfdeconv.cli import main
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Warned, drain
from napari_selfdeconv.physics.mask import find_unmeasured
from napari_selfdeconv.physics.pixel_weights import PixelWeights

SIDE = 96


def psf() -> np.ndarray:
    line = np.exp(-((np.arange(21) - 10) ** 2) / (2 * 2.0**2))
    return np.outer(line, line) / line.sum() ** 2


def scene() -> np.ndarray:
    """Smooth light on which two pixels beside a defect say whether it was left out."""
    y, x = np.mgrid[: SIDE + 40, : SIDE + 40]
    return 24 + 8 * np.sin(x / 9) * np.cos(y / 11)


def blurred(truth: np.ndarray) -> np.ndarray:
    image: np.ndarray = fftconvolve(truth, psf(), mode="same")[20:-20, 20:-20]
    return image


def defect(kind: str, noise: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, image and where it is spoiled."""
    truth = scene()
    if kind == "star":
        y, x = np.mgrid[: SIDE + 40, : SIDE + 40] - 68
        truth = truth + 8000 * np.exp(-(y**2 + x**2) / (2 * 5.0**2))
    image = blurred(truth)
    if noise:
        image = np.random.default_rng(0).poisson(image).astype(float)
    bad = np.zeros(image.shape, bool)
    if kind == "star":
        bad = image >= 4095
        image = np.minimum(image, 4095)
    if kind == "column":
        bad[:, 60] = True
    if kind == "row":
        bad[33] = True
    if kind == "quadrant":
        bad[48:, 48:] = True
    if kind == "nan":
        bad[10:20, 30:33] = True
    if kind != "star":
        image[bad] = np.nan if kind == "nan" else 0
    return truth[20:-20, 20:-20], image, bad


KINDS = ["star", "column", "row", "quadrant", "nan"]


def stack() -> np.ndarray:
    """Return six planes of noise about smooth light, with an offset of a camera."""
    planes: np.ndarray = 100 + np.random.default_rng(1).poisson(np.stack([scene()] * 6)).astype(float)
    return planes


@pytest.mark.parametrize("kind", KINDS)
def test_defects_are_found_and_nothing_else(kind: str) -> None:
    _, image, bad = defect(kind)
    np.testing.assert_array_equal(find_unmeasured(image).any, bad)


def test_a_sound_image_has_none() -> None:
    random = np.random.default_rng(0)
    few_photons = random.poisson(0.02 * scene()).astype(float)
    cut_off = np.maximum(random.normal(0, 1, (64, 64)), 0)
    for image in (
        scene(),
        random.poisson(scene()),
        few_photons,
        cut_off,
        random.poisson(scene()).astype(np.uint8),
    ):
        assert find_unmeasured(np.asarray(image)).describe() == ""


def test_hot_pixels_of_a_stack_are_found() -> None:
    planes, bad = stack(), np.zeros((SIDE + 40, SIDE + 40), bool)
    bad[20, 30] = bad[50, 51] = bad[77, 3] = True
    planes[:, bad] += 150
    bad[90, 90] = True
    planes[:, 90, 90] = 2
    # A bead has neighbours, so it is no hot pixel.
    planes[:, 60:63, 80:83] += 80
    planes[:, 61, 81] += 100
    found = find_unmeasured(planes)
    np.testing.assert_array_equal(found.hot, np.broadcast_to(bad, planes.shape))
    assert found.counts == {"hot": 24}
    assert set(np.unique(found.labels)) == {0, 5}


def test_salt_is_not_saturated_and_subtracted_darkness_is_a_measurement() -> None:
    salty = np.random.default_rng(0).poisson(scene()).astype(float)
    salty[::9, ::7] = 255
    assert find_unmeasured(salty).describe() == ""
    y, x = np.mgrid[:128, :128] - 64
    light = 300 * np.exp(-(y**2 + x**2) / 800)
    subtracted = np.maximum(np.random.default_rng(0).normal(light - 60, 3), 0)
    assert (subtracted == 0).mean() > 0.5
    assert find_unmeasured(subtracted).describe() == ""
    with_edge = subtracted + 40
    with_edge[80:, 80:] = 0
    assert find_unmeasured(with_edge).counts == {"in black areas": 48 * 48}


def ring(bad: np.ndarray) -> np.ndarray:
    """The pixels two away from a defect."""
    two: np.ndarray = binary_dilation(bad, iterations=2) & ~binary_dilation(bad)
    return two


@pytest.mark.parametrize("kind", KINDS)
def test_two_pixels_away_the_result_is_the_truth(kind: str) -> None:
    """Richardson-Lucy on an image without noise, which used to dig rings and light up rims."""
    truth, image, bad = defect(kind, noise=False)
    method = Classical(method="rl", iterations=60, background=0.0)
    beside = ring(bad)
    for weights in ((~bad).astype(np.float32), "auto+nan"):
        result = api.classical_method(image, psf(), method, weights=weights).image
        assert np.abs(result[beside] / truth[beside] - 1).max() < 0.05
    if kind in ("column", "quadrant"):
        spoiled = api.classical_method(image, psf(), method).image
        assert np.abs(spoiled[beside] / truth[beside] - 1).max() > 0.3


@pytest.mark.parametrize("method", METHODS)
def test_no_method_sees_what_lies_under_the_mask(method: str) -> None:
    _, image, bad = defect("column")
    settings = {} if METHODS[method].iterations is None else {"iterations": 4}
    if METHODS[method].regularisation is not None:
        settings["regularisation"] = 0.02
    results = [
        api.classical_method(
            np.where(bad, value, image), psf(), Classical(method=method, **settings), weights=~bad  # type: ignore[arg-type]
        ).image
        for value in (0, 900, np.nan)
    ]  # fmt: skip
    assert np.isfinite(results[0]).all()
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("boundary", ["open", "reflect", "zero"])
def test_every_boundary_knows_weights(boundary: str) -> None:
    truth, image, bad = defect("quadrant", noise=False)
    method = Classical(method="rl", iterations=30, boundary=boundary, background=0.0)  # type: ignore[arg-type]
    result = api.classical_method(image, psf(), method, weights=~bad).image
    inner = ring(bad) & (np.arange(SIDE) < 80) & (np.arange(SIDE)[:, None] < 80)
    assert np.abs(result[inner] / truth[inner] - 1).max() < 0.05


def test_found_pixels_are_counted_in_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, image, bad = defect("column")
    told: list[str] = []
    work = api.iter_classical(image, psf(), [Classical(method="rl")], weights="auto")
    result = drain(work, lambda event: told.append(event.message) if isinstance(event, Warned) else None)[0]
    assert told == ["96 pixels are no measurement: 96 in dead rows or columns. They were left out."]
    assert result.provenance["mask"] == {"from": "auto", "pixels": 96, "saturated": 0}
    assert "--mask auto" in api.as_command(result.provenance, "i.tif", "p.tif")
    assert "weights='auto'" in api.as_python(result.provenance, "i.tif", "p.tif")

    api.write_ome_tiff(tmp_path / "image.tif", image.astype(np.float32))
    api.write_ome_tiff(tmp_path / "mask.tif", bad.astype(np.float32))
    np.save(tmp_path / "psf.npy", psf())
    words = ["classical", str(tmp_path / "image.tif"), "--psf", str(tmp_path / "psf.npy"), "--method", "rl"]
    words += ["--iterations", "3", "--device", "cpu"]
    for mask in ("auto", str(tmp_path / "mask.tif")):
        out = tmp_path / f"{len(mask)}.tif"
        assert main([*words, "--mask", mask, "--out", str(out)]) == 0
        assert ("96 pixels" in capsys.readouterr().err) == (mask == "auto")
        assert api.read_image(out).provenance["mask"]["pixels"] == 96
    with pytest.raises(ConfigError, match="a mask of 96 pixels that its metadata does not hold"):
        api.as_command(api.read_image(out).provenance, "i.tif", "p.tif")


def test_weights_that_cannot_be_used() -> None:
    _, image, _ = defect("column")
    method = Classical(method="rl", iterations=1)
    for weights, words in (
        (np.ones((3, 3)), "weights have shape"),
        (np.full(image.shape, 2.0), "from 0 to 1"),
        (np.full(image.shape, np.nan), "from 0 to 1"),
        (np.zeros(image.shape), "no pixel"),
        ("automatic", "weights must be an array"),
    ):
        with pytest.raises(ConfigError, match=words):
            api.classical_method(image, psf(), method, weights=weights)  # type: ignore[arg-type]


def test_pixels_are_filled_from_the_nearest() -> None:
    image = np.arange(25.0).reshape(5, 5)
    weights = np.ones((5, 5))
    weights[:, :2] = 0
    np.testing.assert_array_equal(PixelWeights.of(weights, (5, 5)).fill(image)[:, 0], image[:, 2])
