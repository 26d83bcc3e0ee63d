"""A widefield stack's result is refined with the whole PSF, while held-out pixels are surely predicted better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from napari_selfdeconv.events import Tick, drain
from napari_selfdeconv.holdout.held_out import surely_less
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.inference.refine_stack import STACK_COUNTS, refine_stack
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.psf.near import near_shape
from napari_selfdeconv.restoration.far_light import FarLight, estimate_far_light
from napari_selfdeconv.simulate.widefield import make_scene
from napari_selfdeconv.stop_token import StopToken

FIELD = (8, 24, 24)
OFFSET = 100
CPU = torch.device("cpu")
Array = NDArray[np.float32]


def widening_psf() -> Array:
    """A PSF of twice the field that is wider in planes further away."""
    z, y, x = np.mgrid[-7:8, -20:21, -20:21]
    width = 1.2 + 1.2 * abs(z)
    psf = np.exp(-(y**2 + x**2) / (2 * width**2)) / width**2
    return (psf / psf.sum()).astype(np.float32)


@pytest.fixture(scope="module")
def stack() -> tuple[Array, Array, Array, FarLight]:
    """Truth in photons, the image of a scene twice as large, the PSF, and the far light of the image."""
    psf = widening_psf()
    scene = 40_000 * make_scene(tuple(2 * n for n in FIELD), 3)
    middle = tuple(slice(n // 2, n // 2 + n) for n in FIELD)
    blurred = np.maximum(fftconvolve(scene, psf, mode="same"), 0)[middle]
    image = (np.random.default_rng(0).poisson(blurred) + OFFSET).astype(np.float32)
    return scene[middle].astype(np.float32), image, psf, far_light(image, psf)


def far_light(image: Array, psf: Array, weights: PixelWeights | None = None) -> FarLight:
    shape = near_shape(psf, FIELD)
    work = estimate_far_light(image, psf, shape, "reflect", CPU, StopToken(), weights=weights, keep_scene=True)
    return drain(work)


def refined(
    result: Array, image: Array, psf: Array, far: FarLight, **settings: object
) -> tuple[Array, int, Array]:
    made = result.copy()
    count, expected = drain(refine_stack(made, image, psf, far, CPU, **settings))  # type: ignore[arg-type]
    return made, count, image if expected is None else expected


def error(result: Array, truth: Array) -> float:
    """Root mean square error after the best gain, in the truth's standard deviations."""
    gain = float((result * truth).sum() / (result**2).sum())
    return float(np.sqrt(((gain * result - truth) ** 2).mean()) / truth.std())


def test_a_blurred_result_becomes_sharper_and_explains_the_image(
    stack: tuple[Array, Array, Array, FarLight],
) -> None:
    truth, image, psf, far = stack
    blurred = gaussian_filter(truth, 1.0)
    made, count, expected = refined(blurred, image, psf, far)
    assert count in STACK_COUNTS
    assert error(made, truth) < 0.85 * error(blurred, truth)
    assert made.min() >= 0
    # What is left is little more than the noise of the photons.
    assert np.mean((image - expected) ** 2 / (expected - OFFSET).clip(1)) < 2.2


def test_the_light_of_a_result_does_not_matter(stack: tuple[Array, Array, Array, FarLight]) -> None:
    truth, image, psf, far = stack
    blurred = gaussian_filter(truth, 1.0)
    made, count, _ = refined(blurred, image, psf, far)
    other, again, _ = refined(3 * blurred, image, psf, far)
    assert count == again
    np.testing.assert_allclose(other, made, rtol=1e-3, atol=1e-3 * made.max())
    assert made.sum() == pytest.approx(truth.sum(), rel=0.1)


def test_a_result_that_leaves_only_noise_is_unchanged(stack: tuple[Array, Array, Array, FarLight]) -> None:
    _, image, psf, far = stack
    made, count, expected = refined(gaussian_filter(stack[0], 1.0), image, psf, far)
    assert count
    again, more, _ = refined(made, expected.copy(), psf, replace(far, scene=far.scene))
    # Without noise there is always something to gain; with the noise of other photons there is not.
    assert more
    noisy = (np.random.default_rng(1).poisson((expected - OFFSET).clip(0)) + OFFSET).astype(np.float32)
    few, fewer, _ = refined(again, noisy, psf, far)
    assert fewer < more
    if fewer == 0:
        np.testing.assert_array_equal(few, again)


def test_noise_alone_is_not_refined() -> None:
    psf = widening_psf()
    image = np.random.default_rng(0).normal(OFFSET, 10, FIELD).astype(np.float32)
    far = far_light(image, psf)
    flat = np.full(FIELD, 1.0, np.float32)
    made, count, expected = refined(flat, image, psf, far)
    assert count == 0
    np.testing.assert_array_equal(made, flat)
    assert expected is image


def test_pixels_that_are_no_measurement_have_no_influence(stack: tuple[Array, Array, Array, FarLight]) -> None:
    truth, image, psf, _ = stack
    values = np.ones(FIELD, np.float32)
    values[3, 5:9, 5:9] = 0
    weights = PixelWeights(values)
    broken = np.where(values > 0, image, np.float32(60_000))
    blurred = gaussian_filter(truth, 1.0)
    one, first, _ = refined(blurred, image, psf, far_light(image, psf, weights), weights=weights)
    two, second, _ = refined(blurred, broken, psf, far_light(broken, psf, weights), weights=weights)
    assert first == second > 0
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-4 * one.max())


def test_frames_of_a_series_have_the_iterations_of_the_first(stack: tuple[Array, Array, Array, FarLight]) -> None:
    truth, image, psf, far = stack
    refiner, blurred = Refiner(CPU), gaussian_filter(truth, 1.0)
    first, second = blurred.copy(), blurred.copy()
    ticks = list(refiner.refine_stack(first, image, psf, far))
    chosen = refiner.iterations
    assert chosen
    assert all(isinstance(tick, Tick) for tick in ticks)
    assert len(list(refiner.refine_stack(second, image, psf, far))) == chosen
    assert refiner.iterations == chosen
    np.testing.assert_array_equal(first, second)
    assert refiner.expected is not None


def test_the_first_scene_stays_as_it_was(stack: tuple[Array, Array, Array, FarLight]) -> None:
    truth, image, psf, far = stack
    assert far.scene is not None
    before = far.scene.clone()
    refined(gaussian_filter(truth, 1.0), image, psf, far)
    assert torch.equal(before, far.scene)


def test_a_part_of_an_image_has_no_scene(stack: tuple[Array, Array, Array, FarLight]) -> None:
    assert stack[3].cut((slice(0, 4), slice(0, 8), slice(0, 8))).scene is None


def test_a_gain_within_three_standard_errors_is_not_sure() -> None:
    errors = np.random.default_rng(0).exponential(1, 10_000)
    noise = np.random.default_rng(1).normal(0, 1, errors.size)
    noise -= noise.mean()
    step = noise.std() / np.sqrt(errors.size)
    assert surely_less(errors + noise - 3.2 * step, errors)
    assert not surely_less(errors + noise - 2.8 * step, errors)
