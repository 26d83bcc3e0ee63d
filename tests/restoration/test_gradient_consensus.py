"""Richardson-Lucy with gradient consensus: it ends by itself, earlier where there is less light."""

from __future__ import annotations

import numpy as np
import pytest

from napari_selfdeconv.api import Classical, classical_method
from napari_selfdeconv.benchmark.trust_scenes import make_scene
from napari_selfdeconv.restoration.method_inputs import Border

BORDERS: tuple[Border, ...] = ("open", "reflect", "zero")


def run(image: np.ndarray, psf: np.ndarray, **settings: object) -> tuple[np.ndarray, int]:
    result = classical_method(image, psf, Classical(method="rlgc", **settings), device_name="cpu")  # type: ignore[arg-type]
    return result.image, result.provenance["iterations"]


def test_without_noise_it_is_plain_richardson_lucy() -> None:
    """Both halves are the image itself, so they agree everywhere."""
    scene = make_scene("points", size=64)
    image = scene.image * 0 + np.float32(5)
    image[30:34, 30:34] = 50
    known = {"gain": 1e-9, "read_noise": 0.0, "offset": 0.0, "background": 0.0, "boundary": "zero"}
    found, count = run(image, scene.psf, iterations=4, **known)
    assert count == 4
    plain = Classical(method="rl", iterations=4, **known)  # type: ignore[arg-type]
    expected = classical_method(image, scene.psf, plain, device_name="cpu").image
    assert np.abs(found - expected).max() < 2e-3 * expected.max()


@pytest.mark.parametrize("border", BORDERS)
def test_it_ends_by_itself_and_later_where_there_is_something(border: Border) -> None:
    noise, points = make_scene("Gaussian noise 10", size=64), make_scene("points", size=64)
    flat, few = run(noise.image, noise.psf, boundary=border)
    sharp, many = run(points.image, points.psf, boundary=border)
    assert few < many < 200
    # Beyond a border without light the background is brighter, so the middle is looked at.
    assert flat[16:-16, 16:-16].std() < 0.5 * noise.noise
    assert sharp.max() > 2 * (points.image - points.empty).max()


def test_a_count_that_is_not_reached_has_the_last_estimate() -> None:
    noise = make_scene("Gaussian noise 10", size=64)
    ended, count = run(noise.image, noise.psf)
    asked, reached = run(noise.image, noise.psf, iterations=150)
    assert count == reached < 150
    assert np.array_equal(ended, asked)


def test_pixels_without_weight_do_not_count() -> None:
    scene = make_scene("bead", size=64)
    spoiled, weights = scene.image.copy(), np.ones(scene.image.shape)
    spoiled[5:9, 5:9], weights[5:9, 5:9] = 1e6, 0
    method = Classical(method="rlgc", iterations=5)
    found = classical_method(spoiled, scene.psf, method, weights=weights, device_name="cpu").image
    sound = classical_method(scene.image, scene.psf, method, weights=weights, device_name="cpu").image
    assert np.abs(found - sound).max() < 0.05 * sound.max()
