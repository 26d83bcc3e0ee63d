"""Metrics without a truth: what they must say in cases where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.metrics.fourier_ring import fourier_correlation, fourier_resolution
from napari_selfdeconv.metrics.no_reference import i_divergence, whiteness


def noise(shape: tuple[int, ...] = (96, 96), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(96, 96), (24, 40, 40), (128, 60)])
def test_white_noise_is_white_and_structure_is_not(shape: tuple[int, ...]) -> None:
    white = noise(shape)
    assert whiteness(white) > 0.97
    assert whiteness(7 * white + 100) == pytest.approx(whiteness(white))
    structure = gaussian_filter(noise(shape, 1), 2)
    levels = [whiteness(white + weight * structure / structure.std()) for weight in (0.3, 0.6, 2.0)]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] < 0.3


def test_i_divergence_is_least_at_equality_and_no_metric_of_units() -> None:
    x = np.random.default_rng(0).random((20, 20)) + 0.5
    assert i_divergence(x, x) == 0
    assert i_divergence(1e-25 * x, 1.1e-25 * x) == pytest.approx(1e-25 * i_divergence(x, 1.1 * x))
    assert i_divergence(x, 1.1 * x) > i_divergence(x, 1.05 * x) > 0
    assert i_divergence(x - 5, x - 5 + 0.1) > 0  # negative values are lifted, not ignored


@pytest.mark.parametrize("sigma", [4.0, 8.0])
def test_a_blurred_image_has_a_coarser_resolution(sigma: float) -> None:
    image = gaussian_filter(noise((256, 256)), sigma)
    noisy = image / image.std() * 3 + noise((256, 256), 2)
    found = fourier_resolution(noisy, (0.1, 0.1))
    assert found == pytest.approx(0.1 * fourier_resolution(noisy))
    sharper = gaussian_filter(noise((256, 256)), sigma / 2)
    assert fourier_resolution(sharper / sharper.std() * 3 + noise((256, 256), 2), (0.1, 0.1)) < 0.7 * found
    frequency, correlation = fourier_correlation(noisy, (0.1, 0.1))
    assert correlation[0] > 0.9
    assert abs(correlation[-10:].mean()) < 0.1
    assert frequency[-1] == pytest.approx(0.5 / 0.2, rel=0.05)


def test_shells_count_in_um() -> None:
    stack = gaussian_filter(noise((24, 128, 128)), (1.0, 3.0, 3.0))
    noisy = stack / stack.std() * 4 + noise((24, 128, 128), 3)
    assert fourier_resolution(noisy, (0.6, 0.2, 0.2)) == pytest.approx(
        2 * fourier_resolution(noisy, (0.3, 0.1, 0.1))
    )


def test_all_in_one_call() -> None:
    psf = np.ones((3, 3)) / 9
    truth = gaussian_filter(noise((64, 64)), 2) + 1
    image = api.richardson_lucy(truth, np.ones((1, 1)), 1)
    scores = api.evaluate_without_truth(image, image, psf)
    assert set(scores) == {"whiteness", "i_divergence", "residual_rms", "frc_resolution"}
    perfect = api.evaluate_without_truth(image, image, np.ones((1, 1)))
    assert perfect["residual_rms"] == pytest.approx(0, abs=1e-6)
    assert perfect["i_divergence"] <= scores["i_divergence"]
    with pytest.raises(ConfigError, match="must be the same"):
        api.evaluate_without_truth(image[1:], image, psf)
