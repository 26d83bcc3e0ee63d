"""Laws that every method obeys: what is done to the image is done to its result. Table: docs/trust.md."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api
from napari_selfdeconv.api import METHODS, Classical, StopToken, choose_device, preset
from napari_selfdeconv.api.large_light import LightCount
from napari_selfdeconv.api.large_tiles import TileWork
from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.errors import ComputeError, ConfigError
from napari_selfdeconv.events import Warned, drain
from napari_selfdeconv.inference import predict
from napari_selfdeconv.inference.calibrate import Line
from napari_selfdeconv.physics.blur import Blur, convolved

NETWORK = "network"
EVERY = [*METHODS, NETWORK]
# Of the result's range. FFTs and sums in another order give this much.
ROUNDING = 1e-4
Array = np.ndarray


def spots(shape: tuple[int, ...] = (20, 24)) -> Array:
    """Spots of up to 200 photons on an offset of 100, in whole numbers."""
    random = np.random.default_rng(0)
    light = gaussian_filter((random.random(shape) > 0.97) * 1.0, 1.2)
    image = random.poisson(200 * light / light.max()) + random.normal(0, 2, shape) + 100
    return image.round().astype(np.float32)


def lopsided_psf() -> Array:
    y, x = np.mgrid[-2:3, -2:3]
    psf = np.exp(-((y / 1.2) ** 2 + ((x - 0.3) / 1.4) ** 2) / 2)
    return (psf / psf.sum()).astype(np.float32)


IMAGE, PSF = spots(), lopsided_psf()


def deconvolve(name: str, image: Array, psf: Array = PSF, boundary: str | None = None) -> Array:
    if name == NETWORK:
        config = preset("quick", 2, steps=2, patch=16, batch_size=2, device="cpu", precision="float32")
        return api.deconvolve(image, psf, config).image
    method = Classical(method=name, boundary=boundary)  # type: ignore[arg-type]
    return api.classical_method(image, psf, method, device_name="cpu").image


@functools.cache
def plain(name: str, boundary: str | None = None) -> Array:
    return deconvolve(name, IMAGE, boundary=boundary)


def off(name: str, other: Array, expected: Array | None = None) -> float:
    """How far another result is from the plain one, as a share of its range."""
    expected = plain(name) if expected is None else expected
    assert other.dtype == np.float32
    return float(np.abs(other.astype(np.float64) - expected).max() / np.ptp(expected))


class Law(NamedTuple):
    image: Callable[[Array], Array]
    psf: Callable[[Array], Array]
    result: Callable[[Array], Array]


def same(array: Array) -> Array:
    return array


def times(factor: float, dtype: Any = np.float32) -> Law:
    return Law(lambda x: (x * np.float64(factor)).astype(dtype), same, lambda r: r.astype(np.float64) * factor)


LAWS = {
    "times 2": times(2),
    "times 1e27": times(1e27),
    "times 1e-30, float64": times(1e-30, np.float64),
    "in whole numbers": Law(lambda x: x.astype(np.uint16), same, same),
    "PSF times 1e-30": Law(same, lambda p: p.astype(np.float64) * 1e-30, same),
    "the same again, in another byte order": Law(lambda x: x.astype(">f4"), lambda p: p.astype(">f8"), same),
}
TURNED = {
    "transposed": Law(np.transpose, np.transpose, np.transpose),
    "upside down": Law(np.flipud, np.flipud, np.flipud),
    "left to right": Law(np.fliplr, np.fliplr, np.fliplr),
}


def broken_by(name: str, law: Law, boundary: str | None = None) -> float:
    result = deconvolve(name, law.image(IMAGE), law.psf(PSF), boundary)
    return off(name, result, law.result(plain(name, boundary)))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("law", LAWS)
def test_every_method_obeys(name: str, law: str) -> None:
    assert broken_by(name, LAWS[law]) < ROUNDING


# Differences of total variation look one way, so the result differs. This is how much of it the blur may show.
ONE_SIDED = {"tv": 0.2}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("law", TURNED)
def test_a_turned_image_has_a_turned_result(name: str, law: str) -> None:
    turn = TURNED[law]
    result, expected = deconvolve(name, turn.image(IMAGE), turn.psf(PSF)), turn.result(plain(name))
    if law == "transposed" or name not in ONE_SIDED:
        assert off(name, result, expected) < ROUNDING
        return
    seen = [convolved(Blur(turn.psf(PSF).copy()), array.copy()) for array in (result, expected)]
    assert off(name, *seen) < ONE_SIDED[name]


@pytest.mark.parametrize("name", EVERY)
def test_an_offset_is_background_or_stays_in_the_result(name: str) -> None:
    stays = 1000 if name == NETWORK else 0
    assert off(name, deconvolve(name, IMAGE + 1000), plain(name) + np.float32(stays)) < ROUNDING


@pytest.mark.parametrize("name", ["rl", "rl-tv"])
def test_an_offset_that_is_given_does_not_change_the_light(name: str) -> None:
    """Without a background plain Richardson-Lucy is another method for an image with an offset."""
    results = [
        api.classical_method(
            IMAGE + np.float32(offset),
            PSF,
            Classical(method=name, iterations=10, boundary="reflect", background=100.0 + offset),
            device_name="cpu",
        ).image
        for offset in (0, 1000)
    ]
    assert off(name, *results) < ROUNDING
    without = Classical(method=name, iterations=10, boundary="reflect")
    plain_results = [
        api.classical_method(IMAGE + np.float32(offset), PSF, without, device_name="cpu").image
        - np.float32(offset)
        for offset in (0, 1000)
    ]
    assert off(name, *plain_results) > 0.1


@pytest.mark.parametrize(
    "method",
    [
        Classical(method="rl", iterations=5, boundary="reflect"),
        Classical(method="rl-tv", iterations=5, boundary="zero"),
        Classical(method="tv", iterations=20, regularisation=0.01, boundary="reflect"),
        Classical(method="wiener", regularisation=0.1, boundary="reflect"),
    ],
    ids=lambda method: method.method,
)
def test_a_spot_moves_with_its_image(method: Classical) -> None:
    spot = np.zeros((40, 44), np.float32)
    spot[18:22, 20:23] = gaussian_filter(np.ones((4, 3)), 1)
    moved = np.roll(spot, (3, -2), (0, 1))
    results = [api.classical_method(one, PSF, method, device_name="cpu").image for one in (spot, moved)]
    assert off(method.method, results[1], np.roll(results[0], (3, -2), (0, 1))) < 1e-3


VALUES = {
    "1e31": (IMAGE.astype(np.float64) * 1e31, "the most is 1e.30: divide it first"),
    "1e300": (IMAGE.astype(np.float64) * 1e300, "divide it first"),
    "-1e37": (-IMAGE * np.float32(1e37 / 300), "divide it first"),
    "1e-33": (IMAGE.astype(np.float64) * 1e-33, "the least is 1e-30: multiply the image first"),
    "1e-300": (IMAGE.astype(np.float64) * 1e-300, "multiply the image first"),
    "smallest": (np.eye(20) * 5e-324, "multiply the image first"),
    "on a large offset": (IMAGE.astype(np.float64) + 1e9, "float32 cannot hold: subtract 1e.09 first"),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("case", VALUES)
def test_values_that_float32_cannot_hold_are_refused(name: str, case: str) -> None:
    image, words = VALUES[case]
    with pytest.raises(ConfigError, match=words):
        deconvolve(name, image)
    with pytest.raises(ConfigError, match=words):
        api.check_image(image)


def said(image: Array, method: Classical) -> list[str]:
    found: list[str] = []
    work = api.iter_classical(image, PSF, [method], device_name="cpu")
    drain(work, lambda event: found.append(event.message) if isinstance(event, Warned) else None)
    return found


def test_light_that_the_median_guard_takes_is_said() -> None:
    few = np.random.default_rng(1).poisson(0.3, (40, 40)).astype(np.uint8)
    for name in ("rl", "wiener"):
        # Of noise alone RL also says that it takes one iteration.
        warning, *_ = said(few, Classical(method=name, median_guard=True))
        assert "% of the light above the darkest pixel is missing" in warning
        assert "leave it off where the image counts few photons" in warning
        if name != "wiener":
            assert 20 < float(warning.split(": ")[1].split(" %")[0]) < 60
        assert not said(IMAGE, Classical(method=name))


def test_a_median_guard_that_leaves_nothing_is_refused() -> None:
    lone = np.zeros((20, 20), np.uint8)
    lone[::7, ::7] = 1
    for name in METHODS:
        with pytest.raises(ConfigError, match="would replace every pixel that has light: leave it off"):
            said(lone, Classical(method=name, median_guard=True))


def trained() -> api.Model:
    config = preset("quick", 2, steps=1, patch=16, batch_size=2, device="cpu", precision="float32")
    return api.deconvolve(IMAGE, PSF, config).model


def test_no_way_out_of_the_network_lets_nan_through() -> None:
    model = trained()
    last = list(model.network.parameters())[-1]
    with torch.no_grad():
        last.fill_(float("nan"))
    for call in (api.apply_model, api.uncertainty):
        with pytest.raises(ComputeError, match="not finite"):
            call(model, IMAGE, device_name="cpu")
    finish = TileWork(scale=Standardizer.of(IMAGE)).finish
    light = LightCount(0.0)
    choice = choose_device("cpu", "float32")
    work = finish(model, choice, StopToken(), lambda _where: None, light, IMAGE.shape)
    with pytest.raises(ComputeError, match="the network gave 1 of 4 values that are not finite: train again"):
        work(
            np.array([[1, 2], [np.nan, 3]], np.float32), IMAGE[:2, :2], (slice(2), slice(2)), (slice(2), slice(2))
        )


def test_light_that_the_network_lost_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    monkeypatch.setattr(predict, "calibrate", lambda *_args: Line(1.0, -0.5, False))
    found: list[str] = []
    work = api.iter_apply_model(model, IMAGE, device_name="cpu")
    drain(work, lambda event: found.append(event.message) if isinstance(event, Warned) else None)
    assert any("of the light above the darkest pixel is missing" in message for message in found)
