"""What is recorded in the mean: its arithmetic, its slope, when it is found, and what it keeps out of the dark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.compute import device
from napari_selfdeconv.holdout.held_out import hold_out
from napari_selfdeconv.network.initial_weights import initial_weights
from napari_selfdeconv.network.model import build_network
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.physics.noise import clipping_bias, noise_of
from napari_selfdeconv.simulate import degrade, measure
from napari_selfdeconv.training.validation import Validator

Y, X = np.mgrid[-6:7, -6:7]
PSF = np.exp(-(X**2 + Y**2) / (2 * 1.8**2))
PSF /= PSF.sum()


def same(f: torch.Tensor) -> torch.Tensor:
    return f


def test_the_mean_of_many_records_is_what_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    light = torch.linspace(-0.3, 0.8, 12)
    noise = 0.2 * torch.randn(400_000, 1, generator=generator)
    records = (light + noise).clamp(min=-0.1)
    torch.testing.assert_close(ClippedBlur(same, black=-0.1, sigma=0.2)(light), records.mean(0), atol=2e-3, rtol=0)


def test_without_a_cut_it_is_the_blur() -> None:
    blur = Blur(PSF)
    f = torch.randn(1, 1, 20, 20)
    assert torch.equal(ClippedBlur(blur)(f), blur(f))


def test_its_slope_is_the_share_of_noise_that_is_not_cut_off() -> None:
    light = torch.tensor([-50.0, -1.0, 0.0, 1.0, 50.0], requires_grad=True)
    (light + clipping_bias(light, 0.0, 1.0)).sum().backward()
    torch.testing.assert_close(light.grad, torch.special.ndtr(light.detach()), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(3, 1, 64, 64), (2, 1, 16, 16, 16)])
def test_a_record_has_the_noise_of_the_one_before(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    light = torch.randn(shape, generator=generator)
    sigma = torch.tensor([0.1, 0.5, 2.0][: shape[0]]).view(-1, *[1] * (len(shape) - 1))
    x = light + sigma * torch.randn(shape, generator=generator)
    x.view(shape[0], -1)[:, ::100] = 50  # hot pixels do not count
    again = ClippedBlur(same).record(light, x, generator) - light
    for patch, wanted in zip(again, sigma.flatten(), strict=True):
        assert float(patch.std()) == pytest.approx(float(wanted), rel=0.1)
        assert float(patch.mean()) == pytest.approx(0, abs=0.1 * float(wanted))


def test_a_record_is_cut_off_where_the_one_before_was() -> None:
    generator = torch.Generator().manual_seed(0)
    light = torch.zeros(1, 1, 100, 100)
    camera = ClippedBlur(same, black=0.0, sigma=0.3)
    x = (light + 0.3 * torch.randn(light.shape, generator=generator)).clamp(min=0)
    again = camera.record(light, x, generator)
    assert float(again.min()) == 0
    assert float((again == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(again.mean()) == pytest.approx(float(camera(light).mean()), rel=0.05)


def bright_squares() -> np.ndarray:
    rng = np.random.default_rng(0)
    truth = np.zeros((96, 96), np.float32)
    for y, x in rng.integers(0, 90, (40, 2)):
        truth[y : y + 3, x : x + 3] = 1
    return truth


def found(noisy: np.ndarray) -> float:
    """Return the sigma that training would find, in the units of the image."""
    config, scale = preset("quick", 2, precision="float32"), Standardizer.of(noisy)
    x = scale.apply(noisy)
    filled, held = hold_out(x, 2.0, 0)
    tensors = [[torch.from_numpy(a)] for a in (filled[None], x, held)]
    validator = Validator(*tensors, config, device.choose_device("cpu", "float32"))
    network = build_network(config, PSF)
    network.load_state_dict(initial_weights(config, 2))
    clipped = validator.estimate_clipping(network, Blur(PSF))
    assert clipped.black == pytest.approx(float(x.min()))
    return clipped.sigma * float(scale.undo(np.ones(1, np.float32))[0] - scale.undo(np.zeros(1, np.float32))[0])


@pytest.mark.parametrize("salt", [False, True])
def test_clipping_is_found_with_hot_pixels_and_without(salt: bool) -> None:
    assert found(degrade(bright_squares(), PSF, salt=salt)) == pytest.approx(0.1, rel=0.15)


def test_no_clipping_is_found_where_there_is_none() -> None:
    assert found(measure(bright_squares(), PSF, sigma=0.1)) == 0
    assert found(measure(bright_squares(), PSF, photons=50)) == 0


def test_the_kinds_of_noise_are_distinguished() -> None:
    rng = np.random.default_rng(1)
    light = np.repeat(np.array([0.0, 0.05, 0.5], np.float32), 4000)
    plain = light + rng.normal(0, 0.1, light.size).astype(np.float32)
    assert noise_of(plain, light) == (-np.inf, np.inf, 0.0)
    cut = np.maximum(plain, 0)
    assert noise_of(cut, light).sigma == pytest.approx(0.1, rel=0.1)
    with_hot_pixels = np.where(rng.random(light.size) < 0.02, np.float32(3), cut)
    low, high, sigma = noise_of(with_hot_pixels, light)
    assert -1 < low < 0 < high < 1
    assert sigma == pytest.approx(0.1, rel=0.15)


def test_what_the_cut_adds_is_not_learned_as_light() -> None:
    truth = bright_squares()
    few: dict[str, Any] = {
        "steps": 20,
        "batch_size": 2,
        "patch": 64,
        "refine": False,
        "weight_interpolation": False,
    }
    config = preset("quick", 2, calibrate=False, **few)
    noisy = degrade(truth, PSF)
    dark = gaussian_filter(truth, 3) < 1e-3

    def ground(model_clipping: bool) -> float:
        result = api.deconvolve(noisy, PSF, config.replace(model_clipping=model_clipping)).image
        return float(result[dark].mean())

    assert abs(ground(True)) < 0.5 * abs(ground(False))
