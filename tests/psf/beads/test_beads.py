"""Beads to PSF: what went in comes out, and bad beads are told for the right reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdeconv.api import BeadPsf, BeadSettings, beads_psf, iter_beads_psf
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Event, Finished, Progress, Warned, drain
from napari_selfdeconv.psf.beads.register import round_about_z
from napari_selfdeconv.psf.measure import core_centre, psf_hash
from napari_selfdeconv.simulate.beads import sample_beads
from napari_selfdeconv.stop_token import StopToken

SHAPE = (48, 120, 120)
VOXEL = (0.2, 0.1, 0.1)
HALF = (8, 9, 9)
WINDOW = BeadSettings(window_um=(3.4, 1.9, 1.9))
#: As far apart as the windows need, inside by more than half a window.
PLACES = [(20.0 + 2 * (a - b), 20.0 + 26 * a, 20.0 + 26 * b) for a in range(4) for b in range(4)]


def lopsided(z: Any, y: Any, x: Any) -> Any:
    """An anisotropic PSF without any symmetry; peak 1."""
    core = np.exp(-((z / 2.2) ** 2 + (y / 1.6) ** 2 + (x / 1.3) ** 2) / 2)
    return core + 0.3 * np.exp(-(((z - 3) / 2) ** 2 + ((y - 2) / 1.5) ** 2 + ((x + 2.5) / 1.5) ** 2) / 2)


def draw(
    places: Sequence[Sequence[float]],
    heights: Sequence[float] | float = 1000.0,
    noise: float = 2.0,
    psf: Callable[..., Any] = lopsided,
) -> np.ndarray:
    grid = np.meshgrid(*map(np.arange, SHAPE), indexing="ij", sparse=True)
    image = 100 + noise * np.random.default_rng(1).normal(size=SHAPE)
    for place, height in zip(places, np.broadcast_to(heights, len(places)), strict=True):
        image += height * psf(*(g - p for g, p in zip(grid, place, strict=True)))
    return image


def scattered(count: int, seed: int = 0) -> list[tuple[float, ...]]:
    random = np.random.default_rng(seed)
    return [tuple(np.array(place) + random.uniform(-0.5, 0.5, 3)) for place in PLACES[:count]]


def centre_of(psf: np.ndarray) -> np.ndarray:
    return np.array(core_centre(gaussian_filter(psf.astype(float), 1.0))[0])


def truth(half: tuple[int, ...] = HALF) -> np.ndarray:
    """The PSF on the grid on which its bright core is centred, as that of a result is."""
    grid = np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij")
    off = centre_of(lopsided(*grid)) - half
    psf = lopsided(*(g + o for g, o in zip(grid, off, strict=True)))
    return psf / psf.sum()


def error(result: BeadPsf) -> float:
    expected = truth()
    return float(np.linalg.norm(result.psf - expected) / np.linalg.norm(expected))


def reason_at(result: BeadPsf, place: Sequence[float]) -> str:
    nearest = min(result.beads, key=lambda bead: float(np.linalg.norm(np.subtract(bead.position, place))))
    assert np.linalg.norm(np.subtract(nearest.position, place)) < 4
    return nearest.reason


@pytest.mark.parametrize("average", ["mean", "median"])
def test_the_psf_comes_back(average: str) -> None:
    settings = BeadSettings(window_um=WINDOW.window_um, average=average)
    result = beads_psf(draw(scattered(16)), VOXEL, settings=settings)
    assert (result.used, result.rejected) == (16, {})
    assert result.psf.shape == (17, 19, 19)
    assert result.psf.dtype == np.float32
    assert result.psf.min() >= 0
    assert result.psf.sum(dtype=float) == pytest.approx(1, abs=1e-5)
    assert error(result) < 0.03
    assert np.abs(centre_of(result.psf) - HALF).max() < 0.05
    for axis in range(3):
        mirrored = np.linalg.norm(np.flip(result.psf, axis) - truth()) / np.linalg.norm(truth())
        assert mirrored > 5 * error(result)
    assert result.provenance["beads_used"] == 16
    assert result.provenance["psf_sha256"] == psf_hash(result.psf)
    assert result.provenance["psf_shape"] == list(result.psf.shape)


def test_beads_are_registered_to_a_twentieth_of_a_voxel() -> None:
    places = scattered(16)
    result = beads_psf(draw(places), VOXEL, settings=WINDOW)
    found = np.array(sorted(bead.position for bead in result.beads))
    off = found - np.array(sorted(places))
    assert np.abs(off - off.mean(axis=0)).max() < 0.05


def test_more_beads_less_noise() -> None:
    errors = [error(beads_psf(draw(scattered(n), noise=30), VOXEL, settings=WINDOW)) for n in (1, 4, 16)]
    assert errors[0] > 1.2 * errors[1] > 1.2**2 * errors[2]


def test_same_in_same_out_and_the_input_is_left_alone() -> None:
    image = draw(scattered(6))
    before = image.copy()
    first, second = (beads_psf(image, VOXEL, settings=WINDOW) for _ in range(2))
    assert np.array_equal(first.psf, second.psf)
    assert first.beads == second.beads
    assert np.array_equal(image, before)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.9, -0.9, 0.6), (-0.7, 0.3, -0.9)])
def test_points_need_not_be_exact(shift: tuple[float, ...]) -> None:
    places = scattered(6)
    image = draw(places)
    found = beads_psf(image, VOXEL, settings=WINDOW)
    pointed = beads_psf(image, VOXEL, np.array(places) + shift, WINDOW)
    assert np.array_equal(pointed.psf, found.psf)


def test_points_choose_beads_and_points_without_z_find_the_plane() -> None:
    places = scattered(8)
    image = draw(places)
    three = beads_psf(image, VOXEL, np.array(places[:3]), WINDOW)
    flat, told = collect(image, np.array(places[:3])[:, 1:])
    assert three.used == 3
    assert np.array_equal(flat.psf, three.psf)
    assert any("no z" in text for text in told)


def collect(image: np.ndarray, points: np.ndarray | None = None) -> tuple[BeadPsf, list[str]]:
    events: list[Event] = []
    result = drain(iter_beads_psf(image, VOXEL, points, WINDOW), events.append)
    assert any(isinstance(event, Progress) and event.step == event.steps for event in events)
    assert isinstance(events[-1], Finished)
    return result, [event.message for event in events if isinstance(event, Warned)]


def test_bad_beads_are_rejected_for_the_right_reason() -> None:
    good = scattered(9)
    heights = [1000.0] * 9
    bad = {
        "saturated": [PLACES[12]],
        "clipped": [(22.0, 4.0, 110.0), (3.0, 70.0, 112.0)],
        "overlapping": [(20.0, 70.3, 98.0), (20.0, 79.0, 98.0)],
        "dim": [PLACES[13]],
    }
    places = [*good, *(place for group in bad.values() for place in group)]
    heights += [8000.0, 1000.0, 1000.0, 1000.0, 900.0, 220.0]
    image = np.minimum(draw(places, heights), 4095).astype(np.uint16)
    result = beads_psf(image, VOXEL, settings=WINDOW)
    for reason, group in bad.items():
        assert [reason_at(result, place) for place in group] == [reason] * len(group)
    assert all(reason_at(result, place) == "" for place in good)
    assert error(result) < 0.04


def test_saturation_at_the_top_of_the_type_and_at_a_given_level() -> None:
    places = scattered(4)
    image = np.minimum(draw(places, [150, 120, 120, 400]), 255).astype(np.uint8)
    assert reason_at(beads_psf(image, VOXEL, settings=WINDOW), places[3]) == "saturated"
    limited = BeadSettings(window_um=WINDOW.window_um, saturation=230)
    result = beads_psf(image, VOXEL, settings=limited)
    assert [reason_at(result, place) for place in places] == ["saturated", "", "", "saturated"]


def test_two_beads_stuck_together_are_an_outlier() -> None:
    places = scattered(10)
    z, y, x = places[4]
    stuck = [*places, (z, y + 2.0, x - 2.0)]
    result = beads_psf(draw(stuck), VOXEL, settings=WINDOW)
    assert reason_at(result, places[4]) == "outlier"
    assert (result.used, result.rejected) == (9, {"outlier": 1})


def test_a_flat_image_of_beads() -> None:
    y, x = np.mgrid[:100, :100]
    centres = [(20.3 + 28 * a, 21.7 + 27 * b) for a in range(3) for b in range(3)]
    image = sum(500 * np.exp(-(((y - a) / 2) ** 2 + ((x - b) / 1.4) ** 2) / 2) for a, b in centres)
    image = image + np.random.default_rng(0).normal(0, 1, image.shape)
    result = beads_psf(image, (0.1, 0.1))
    assert result.used == 9
    assert result.fwhm_um == pytest.approx((0.471, 0.330), rel=0.05)


def test_the_suggested_window_holds_most_beads() -> None:
    result = beads_psf(draw(scattered(16)), VOXEL)
    assert result.used >= 12
    assert all(n > 3 * w / v for n, w, v in zip(result.psf.shape[1:], result.fwhm_um[1:], VOXEL[1:], strict=True))


def test_rotational_average_is_round_and_keeps_a_round_psf() -> None:
    y, x = np.mgrid[-9:10, -9:10]
    round_one = np.exp(-(y**2 + x**2) / 8.0)[None] * np.array([0.5, 1.0, 0.2])[:, None, None]
    assert np.abs(round_about_z(round_one, (1.0, 1.0)) - round_one).max() < 2e-3
    settings = BeadSettings(window_um=WINDOW.window_um, rotational=True)
    psf = beads_psf(draw(scattered(8)), VOXEL, settings=settings).psf
    assert np.allclose(psf, np.rot90(psf, axes=(1, 2)), atol=1e-4 * psf.max())
    assert not np.allclose(psf, psf[::-1], atol=0.02 * psf.max())


def test_few_beads_are_warned_of() -> None:
    assert any("Only one bead" in text for text in collect(draw(scattered(1)))[1])
    assert any("Only 3 beads" in text for text in collect(draw(scattered(3)))[1])


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(500.0, 500.0, 500.0)], "outside the image"),
        ([(1.0, 2.0, 3.0, 4.0)], "4 coordinates"),
        ([], "No points"),
        ([(20.0, 60.0, 60.0)], "rejected .1 empty.*place the point on a bead"),
    ],
)
def test_points_that_cannot_be_used(points: list[Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        beads_psf(draw([PLACES[0]]), VOXEL, np.array(points), WINDOW)


def test_points_outside_and_points_beside_beads_are_left_out() -> None:
    places = scattered(3)
    result, told = collect(draw(places), np.array([*places, (20.0, 60.0, 100.0), (20.0, 300.0, 20.0)]))
    assert (result.used, result.rejected) == (3, {"empty": 1})
    assert any("1 of 5 points lie outside" in text for text in told)


def test_no_beads_and_no_good_beads() -> None:
    noise = np.random.default_rng(0).normal(100, 5, SHAPE)
    with pytest.raises(ConfigError, match="No beads found"):
        beads_psf(noise, VOXEL)
    with pytest.raises(ConfigError, match=r"1 clipped.*smaller window"):
        beads_psf(draw([(3.0, 60.0, 60.0)]), VOXEL, settings=WINDOW)
    with pytest.raises(ConfigError, match="Lower the threshold"):
        beads_psf(draw(scattered(2)), VOXEL, settings=BeadSettings(threshold=50_000))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"window_um": (1.0, 0.0)}, "window_um"),
        ({"window_um": (1.0,)}, "2 or 3 entries"),
        ({"threshold": -1}, "threshold"),
        ({"min_brightness": 2}, "min_brightness"),
        ({"outlier_sigmas": 0}, "outlier_sigmas"),
        ({"average": "mode"}, "mean, median"),
    ],
)
def test_settings_are_judged_where_they_are_made(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        BeadSettings(**setting)


@pytest.mark.parametrize(
    ("voxel", "window", "words"),
    [
        ((0.1, 0.1), None, "3 entries"),
        ((0.2, 0.0, 0.1), None, "voxel_um .dy. must be"),
        (VOXEL, (3.0, 3.0), "3 entries"),
        (VOXEL, (90.0, 3.0, 3.0), "along z is larger"),
        (VOXEL, (3.0, 0.3, 0.3), "at least 7 voxels"),
    ],
)
def test_sizes_that_do_not_suit(voxel: tuple[float, ...], window: tuple[float, ...] | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        beads_psf(draw(scattered(1)), voxel, settings=BeadSettings(window_um=window))


def test_cancel() -> None:
    token = StopToken()
    work = iter_beads_psf(draw(scattered(2)), VOXEL, None, WINDOW, stop=token)
    next(work)
    token.cancel()
    with pytest.raises(Cancelled):
        drain(work)


def test_the_sample_gives_its_true_psf_back() -> None:
    sample = sample_beads()
    window = tuple(n * v for n, v in zip((21, 31, 31), sample.voxel_um, strict=True))
    result = beads_psf(sample.image, sample.voxel_um, settings=BeadSettings(window_um=window))
    assert (result.used, result.rejected) == (14, {"saturated": 1, "clipped": 3, "overlapping": 2})
    expected = sample.psf[2:-2, 30:-30, 30:-30].astype(float)
    expected /= expected.sum()
    assert np.linalg.norm(result.psf - expected) < 0.08 * np.linalg.norm(expected)
