"""Bright points are taken out of an image whole, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.events import Tick
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.bright_points import BrightPoints, find_bright, separate_bright_points
from napari_selfdeconv.stop_token import StopToken

CPU = torch.device("cpu")


def gaussian(ndim: int, sigma: float = 1.5) -> NDArray[np.float32]:
    delta = np.zeros((13,) * ndim)
    delta[(6,) * ndim] = 1
    spread = gaussian_filter(delta, sigma)
    return (spread / spread.sum()).astype(np.float32)


def recorded(truth: NDArray[Any], sigma: float = 1.5) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).normal(0, 1, truth.shape)
    return (gaussian_filter(truth.astype(float), sigma, mode="reflect") + noise).astype(np.float32)


def separated(
    image: NDArray[Any], psf: NDArray[np.float32], weights: PixelWeights | None = None
) -> tuple[BrightPoints | None, list[Tick]]:
    work = separate_bright_points(image, psf, Standardizer.of(image), CPU, StopToken(), weights=weights)
    ticks = []
    while True:
        try:
            ticks.append(next(work))
        except StopIteration as end:
            return end.value, ticks


@pytest.mark.parametrize("unit", [1.0, 1e-25, 1e25])
@pytest.mark.parametrize("shape", [(48, 50), (20, 24, 26)])
def test_the_light_of_a_point_is_found_and_leaves_the_image(shape: tuple[int, ...], unit: float) -> None:
    truth = np.full(shape, 10.0)
    truth[tuple(n // 2 for n in shape)] += 20_000
    image = recorded(truth)
    found, ticks = separated(image * np.float32(unit), gaussian(len(shape)))
    assert found is not None
    assert found.count == 1
    assert ticks[-1] == Tick(100, 100)
    assert found.light.min() >= 0
    assert found.light.sum(dtype=np.float64) / unit == pytest.approx(20_000, rel=0.02)
    left = image - found.blurred / np.float32(unit)
    assert np.abs(left - 10).max() < 20
    assert np.argmax(found.light) == np.argmax(truth)


def test_points_that_are_apart_are_counted_and_one_at_the_corner_is_whole() -> None:
    truth = np.full((64, 64), 10.0)
    truth[1, 1] += 20_000
    truth[40, 30] += 30_000
    psf = gaussian(2)
    beyond = np.pad(truth, 8, constant_values=10.0)
    image = recorded(beyond)[8:-8, 8:-8]
    found, ticks = separated(image, psf)
    assert found is not None
    assert found.count == 2
    assert [tick.done for tick in ticks] == list(range(1, 201))
    assert found.light[:5, :5].sum() == pytest.approx(20_000, rel=0.02)
    assert np.abs(image - found.blurred - 10).max() < 20


def test_a_saturated_point_is_at_least_as_bright_as_its_pixels() -> None:
    truth = np.full((96, 96), 10.0)
    truth[44, 48] += 20_000
    image = recorded(truth)
    full = 0.5 * float(image.max())
    saturated = image >= full
    weights = PixelWeights(np.ones(image.shape, np.float32), saturated)
    found, _ = separated(np.minimum(image, np.float32(full)), gaussian(2), weights)
    assert found is not None
    assert found.light.sum() == pytest.approx(20_000, rel=0.1)


def body() -> NDArray[np.float32]:
    truth = np.full((96, 96), 10.0)
    truth[40:52, 40:52] += 2_000
    return recorded(truth)


def hot_pixel() -> NDArray[np.float32]:
    image = recorded(np.full((48, 48), 10.0))
    image[20, 20] += 2_000
    return image


def many() -> NDArray[np.float32]:
    truth = np.full((48, 48), 10.0)
    truth[4::8, 4::8] += 2_000
    return recorded(truth)


@pytest.mark.parametrize("image", [body(), hot_pixel(), many(), recorded(np.full((48, 48), 10.0))])
def test_what_is_no_point_stays(image: NDArray[np.float32]) -> None:
    assert separated(image, gaussian(2))[0] is None


def test_a_pixel_without_weight_is_not_looked_at() -> None:
    image = recorded(np.full((48, 48), 10.0))
    image[20, 20] = 5_000
    counts = np.ones(image.shape, bool)
    assert find_bright(image, counts).sum() == 1
    counts[20, 20] = False
    assert not find_bright(image, counts).any()
