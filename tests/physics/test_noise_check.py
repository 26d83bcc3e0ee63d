"""Noise that is not independent from pixel to pixel is named before a run; clean noise is not."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, shift, zoom

from napari_selfdeconv.api import Classical, iter_classical
from napari_selfdeconv.events import Warned, drain
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.physics.noise_check import check_noise
from napari_selfdeconv.simulate.phantoms import cells_2d

SIZE = 128
Y, X = np.mgrid[-16:17, -16:17]
PSF = np.exp(-(Y**2 + X**2) / (2 * 1.7**2))
PSF /= PSF.sum()


def scene(seed: int, height: float, size: int = SIZE) -> np.ndarray:
    """Cells, blurred, on an offset; ``height`` is their brightest light."""
    blurred = gaussian_filter(cells_2d((size, size), seed).astype(float), 1.7)
    light: np.ndarray = 100 + height * blurred / blurred.max()
    return light


def white(seed: int, size: int = SIZE) -> np.ndarray:
    noise: np.ndarray = np.random.default_rng(seed).normal(0, 10, (size, size))
    return noise


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(np.clip(image - 60, 0, 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).astype(float)


def kinds(image: np.ndarray) -> set[str]:
    return {found.kind for found in check_noise(image, PSF)}


def test_an_image_without_noise_raises_no_alarm() -> None:
    """Its fine waves are the rest of its structure, which falls as filtered noise does."""
    for seed in range(8):
        assert kinds(scene(seed, 1000.0)) == set()


@pytest.mark.parametrize("height", [0.0, 30.0, 1000.0])
def test_photon_and_read_noise_raise_no_alarm(height: float) -> None:
    for seed in range(12):
        light = scene(seed, height)
        assert kinds(light + white(seed)) == set()
        assert kinds(100.0 + np.random.default_rng(seed).poisson(light - 99)) == set()


OFFSETS = np.random.default_rng(9).normal(0, 5, SIZE)
FAULTS = {
    "a filter": ({"correlated"}, lambda light, noise: light + 3 * gaussian_filter(noise, 0.7)),
    "half a pixel": (
        {"correlated"},
        lambda light, noise: shift(light + noise, 0.5, order=1, mode="reflect"),
    ),
    "another grid": ({"resampled", "correlated"}, lambda light, noise: zoom(light + noise, 1.5, order=1)),
    "rows": (
        {"stripes"},
        lambda light, noise: light + noise + OFFSETS[:, None],
    ),
    "columns": (
        {"stripes"},
        lambda light, noise: light + noise + OFFSETS,
    ),
    "JPEG": ({"JPEG"}, lambda light, noise: jpeg(light + noise, 75)),
    "saturation": ({"saturated"}, lambda light, noise: np.minimum(light + noise, 100 + 0.6 * (light.max() - 100))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(fault: str) -> None:
    named, make = FAULTS[fault]
    for seed in range(3):
        found = kinds(make(scene(seed, 100.0), white(seed)))
        assert found
        assert found <= named


def test_a_stack_is_checked_plane_by_plane() -> None:
    stack = np.stack([scene(0, 100) + white(seed) for seed in range(4)])
    psf = PSF[None] * np.array([0.2, 0.6, 0.2])[:, None, None]
    assert check_noise(stack, psf) == []
    (found,) = check_noise(100 + 3 * gaussian_filter(stack, (0, 0.7, 0.7)), psf)
    assert found.kind == "correlated"


def test_pixels_as_large_as_the_psf_tell_nothing_about_correlation() -> None:
    """There structure of the sample looks the same."""
    image = 100 + 3 * gaussian_filter(white(0), 0.7)
    assert check_noise(image, np.ones((1, 1))) == []


@pytest.mark.parametrize(
    "image", [np.zeros((64, 64)), np.eye(64), np.pad([[1.0]], 40), np.zeros((3, 64, 64)), np.ones((1, 1))]
)
def test_odd_images_are_not_refused(image: np.ndarray) -> None:
    assert check_noise(image, np.ones((1,) * image.ndim)) == []


def test_the_run_says_it() -> None:
    image = scene(0, 100) + 3 * gaussian_filter(white(0), 0.7)
    said: list[str] = []
    work = iter_classical(image, PSF, [Classical(method="rl", iterations=1)], device_name="cpu")
    drain(work, lambda event: said.append(event.message) if isinstance(event, Warned) else None)
    assert any("not independent" in message for message in said)
    clipped = FAULTS["saturation"][1](scene(0, 100), white(0))
    assert any("saturated" in note for note in Problem.of(clipped, PSF).notes)
    # With weights the saturated pixels are counted once, where they are left out.
    assert sum("saturated" in note for note in Problem.of(clipped, PSF, weights="auto").notes) == 1
