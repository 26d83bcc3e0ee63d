"""Weights to start from: the scenes and PSFs they are learned on, the file, and what starting from it gives."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_selfdeconv import api
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.loss_terms import LossWeights
from napari_selfdeconv.config.parts import Skip
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.metrics.full_reference import psnr
from napari_selfdeconv.network import initial_weights
from napari_selfdeconv.network.model import build_network
from napari_selfdeconv.network.unet import UNet
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.simulate import degrade
from selfdeconv_tools.pretraining import __main__ as pretraining
from selfdeconv_tools.pretraining import problems
from selfdeconv_tools.pretraining.deeper import deepened
from selfdeconv_tools.pretraining.hazy import HazyProblems
from selfdeconv_tools.pretraining.kernels import broad_kernel, kernel
from selfdeconv_tools.pretraining.recording import NoiseRange, recorded
from selfdeconv_tools.pretraining.scenes import scene
from selfdeconv_tools.pretraining.stacks import Group, make_group
from selfdeconv_tools.pretraining.training import Schedule, Source, train

FEW: dict[str, Any] = {
    "batch_size": 2,
    "patch": 64,
    "held_out_percent": 0.0,
    "auto_stop": False,
    "trial": 0.0,
    "weight_interpolation": False,
    "model_clipping": False,
}


def few_and_small(monkeypatch: pytest.MonkeyPatch, sizes: dict[int, tuple[int, int, int, int]]) -> None:
    monkeypatch.setattr(problems, "SIZES", sizes)
    monkeypatch.setattr(problems, "_VALIDATION_SCENES", 2)
    monkeypatch.setattr(problems, "_VALIDATION_KERNELS", 2)


@pytest.mark.parametrize("shape", [(40, 56), (20, 24, 28)])
def test_scenes_fill_their_range_and_depend_on_the_seed_alone(shape: tuple[int, ...]) -> None:
    for seed in range(12):
        image = scene(np.random.default_rng(seed), shape)
        assert image.shape == shape
        assert image.dtype == np.float32
        assert (image.min(), image.max()) == (0, 1)
        assert np.array_equal(image, scene(np.random.default_rng(seed), shape))
    assert not np.array_equal(image, scene(np.random.default_rng(0), shape))


@pytest.mark.parametrize("ndim", [2, 3])
def test_kernels_are_psfs(ndim: int) -> None:
    for seed in range(12):
        psf = kernel(np.random.default_rng(seed), ndim)
        assert psf.ndim == ndim
        assert all(n % 2 for n in psf.shape)
        assert psf.min() >= 0
        assert psf.sum() == pytest.approx(1, abs=1e-5)
        # Bright in the middle, not at the rim.
        assert psf[tuple(slice(n // 4, -(n // 4)) for n in psf.shape)].sum() > 0.4


def test_problems_are_solvable_and_look_like_a_users_image() -> None:
    config = preset("quick", 2)
    drawn = problems.Problems(config, 2, scenes=4, kernels=2, seed=0)
    inputs, truths, contrasts = drawn.batch(0)
    assert inputs.shape == (16, 1 + len(config.network.inverse_channels), 96, 96)
    assert truths.shape == (16, 1, 96, 96)
    assert torch.isfinite(inputs).all()
    # The noise has no mean and the hot pixels are few: image and truth share their level.
    level = ((inputs[:, :1] - truths) / contrasts).mean((1, 2, 3))
    assert level.abs().median() < 0.1


def test_a_patch_without_a_single_photon_is_an_ordinary_patch() -> None:
    """Divided by the deviation of an image of zeros, its dim truth was a thousand times as bright as others."""
    dark, truth = torch.zeros(1, 1, 16, 16), torch.full((1, 1, 16, 16), 0.3)
    _, standard, contrast = problems.standardised(dark, truth, np.random.default_rng(0))
    assert float((standard / contrast).abs().max()) < 30


def test_the_file_that_pretraining_writes_is_the_one_that_training_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_and_small(monkeypatch, {2: (64, 24, 1, 2)})
    out = tmp_path / "unet2d.safetensors"
    arguments = ["--steps", "3", "--scenes", "2", "--kernels", "1", "--device", "cpu", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["pretraining", *arguments])
    pretraining.main()
    monkeypatch.setattr(initial_weights, "_FOLDER", tmp_path)
    initial_weights._read.cache_clear()
    try:
        weights = initial_weights.initial_weights(preset("quick", 2), 2)
    finally:
        initial_weights._read.cache_clear()
    assert {t.dtype for t in weights.values() if t.is_floating_point()} == {torch.float32}
    assert all(torch.isfinite(t).all() for t in weights.values())


def test_a_network_that_learned_goes_on_with_a_level_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_and_small(monkeypatch, {2: (64, 24, 1, 2)})
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    few = ["--scenes", "2", "--kernels", "1", "--device", "cpu"]
    for arguments in (
        ["--levels", "2", "--steps", "2", "--out", str(first)],
        # A rate of 0: what comes out is what it began as.
        ["--levels", "3", "--steps", "1", "--learning-rate", "0", "--deepen", str(first), "--out", str(second)],
    ):
        monkeypatch.setattr(sys, "argv", ["pretraining", *few, *arguments])
        pretraining.main()
    small, large = (UNet(2, in_channels=4, features=24, levels=levels).eval() for levels in (2, 3))
    x = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    for network, path in ((small, first), (large, second)):
        state = {name.removeprefix("unet."): value.float() for name, value in load_file(path).items()}
        # The running statistics have moved by a step.
        kept = {k: v for k, v in state.items() if "running" not in k and "tracked" not in k}
        network.load_state_dict(kept, strict=False)
    assert torch.equal(small(x), large(x))


@pytest.mark.parametrize("skip", ["concat", "add"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_level_more_changes_nothing_at_first(ndim: int, skip: Skip) -> None:
    small, large = (UNet(ndim, features=4, levels=levels, skip=skip).eval() for levels in (2, 3))
    large.load_state_dict(deepened(large, small.state_dict()))
    x = torch.randn(1, 1, *(16,) * ndim, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(small(x), large(x), atol=1e-6)
    # And the new level can learn.
    large(x).square().sum().backward()
    new = [value for name, value in large.named_parameters() if name.startswith(("up.1.", "decoder.1.conv2."))]
    assert any(bool(value.grad.any()) for value in new if value.grad is not None)


@pytest.mark.parametrize("wrong", [{"levels": 4}, {"features": 8}, {"skip": "add"}])
def test_only_a_network_of_one_level_less_is_deepened(wrong: dict[str, Any]) -> None:
    large = UNet(2, features=4, levels=3, skip="concat")
    other = UNet(2, **{"features": 4, "levels": 2, **wrong})
    with pytest.raises(ConfigError, match="a level less, of the same width and skips"):
        deepened(large, other.state_dict())


def test_few_photons_are_counted_and_bright_values_saturate() -> None:
    flat = torch.full((4, 1, 32, 32), 0.8)
    plain = NoiseRange((1e-6, 2e-6), with_photons=0, with_hot_pixels=0, clipped=0, correlated=0, striped=0,
                       counted=0, saturated=0, with_background=0)  # fmt: skip
    draws = np.random.default_rng(0), torch.Generator().manual_seed(0)
    counted = recorded(flat, replace(plain, counted=1.0, few_photons=(5.0, 5.0)), *draws)
    assert torch.allclose(counted * 5, (counted * 5).round(), atol=1e-4)
    assert counted.mean() == pytest.approx(0.8, abs=0.02)
    lit = recorded(flat, replace(plain, counted=1.0, few_photons=(5.0, 5.0), with_background=1.0), *draws)
    # The mean of the background is subtracted, its noise stays.
    assert lit.mean() == pytest.approx(0.8, abs=0.04)
    assert lit.std() > counted.std()
    ramp = torch.linspace(0, 1, 32).expand(4, 1, 32, 32)
    full = recorded(ramp, replace(plain, saturated=1.0), *draws)
    assert (full.amax((1, 2, 3)) < 1).all()
    assert torch.allclose(full.amin((1, 2, 3)), torch.zeros(4), atol=1e-4)


def test_settings_that_do_not_fit_the_learned_weights_are_refused_when_those_are_read() -> None:
    wrong = preset("quick", 2).replace(features=8)
    with pytest.raises(ConfigError, match=r"with features=8: set features=24, or set pretrained=False"):
        initial_weights.initial_weights(wrong, 2)


def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_and_small(monkeypatch, {2: (64, 24, 1, 2)})
    config = preset("quick", 2, features=4, levels=2, pretrained=False)
    drawn = problems.Problems(config, 2, scenes=2, kernels=1, seed=0)
    choice = device.choose_device("cpu", "float32")

    class Interrupted(Exception):
        pass

    class Interrupting:
        validation = drawn.validation

        def batch(self, number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            if number == 3:
                raise Interrupted
            return drawn.batch(number)

    def run(source: Source, name: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        network = build_network(config, np.ones((1, 1), np.float32))
        train(network, source, choice, Schedule(5, 1e-3, tmp_path / f"{name}.checkpoint", validate_every_s=0))
        return network.state_dict()

    whole = run(drawn, "whole")
    with pytest.raises(Interrupted):
        run(Interrupting(), "parts")
    parts = run(drawn, "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    # A run that ended gets another cycle, and its validation curve goes on.
    again = run(drawn, "whole")
    assert any(not torch.equal(whole[name], again[name]) for name in whole)
    rows = list(csv.DictReader((tmp_path / "whole.csv").read_text().splitlines()))
    assert [int(row["steps"]) for row in rows] == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]
    assert all(float(row[f"{name} (dB)"]) for row in rows for name in drawn.validation())


@pytest.mark.parametrize("ndim", [2, 3])
def test_validation_images_lie_outside_what_training_draws(ndim: int) -> None:
    random = np.random.default_rng(0)
    width = [np.sqrt((broad_kernel(random, ndim) * _square_radius(ndim)).sum() / ndim) for _ in range(4)]
    assert min(width) > 3.2  # pixels: the broadest Gaussian of training


def _square_radius(ndim: int) -> Any:
    half = 16 if ndim == 2 else 10
    return ((np.indices((2 * half + 1,) * ndim) - half) ** 2).sum(0)


@pytest.mark.parametrize(("field", "lag_one"), [("correlated", 0.3), ("striped", 0.15)])
def test_a_share_of_the_images_has_noise_that_is_no_noise_of_single_pixels(field: str, lag_one: float) -> None:
    flat = torch.full((16, 1, 64, 64), 0.5)

    def correlation(share: float) -> float:
        noise = NoiseRange(with_photons=0, with_hot_pixels=0, clipped=0, counted=0, saturated=0,
                           **{"correlated": 0, "striped": 0, field: share})  # fmt: skip
        image = recorded(flat, noise, np.random.default_rng(0), torch.Generator().manual_seed(0)) - 0.5
        return float((image[..., 1:] * image[..., :-1]).mean((1, 2, 3)).div(image.square().mean((1, 2, 3))).mean())

    assert abs(correlation(0)) < 0.02
    assert correlation(1) > lag_one


def problem() -> tuple[Any, Any, Any]:
    """Return a scene that no training has seen, degraded, and its PSF."""
    truth = scene(np.random.default_rng(123_456), (96, 96))
    y, x = np.mgrid[-6:7, -6:7]
    psf = np.exp(-(x**2 + y**2) / (2 * 1.8**2))
    psf /= psf.sum()
    return truth, degrade(truth, psf), psf


def test_after_one_step_the_result_is_already_good() -> None:
    truth, noisy, psf = problem()
    # Not refined: what a network that knows nothing leaves in the residual, a filter would put back.
    few = {**FEW, "steps": 1, "refine": False}
    started, random = (
        psnr(api.deconvolve(noisy, psf, preset("quick", 2, pretrained=p, **few)).image, truth)
        for p in (True, False)
    )
    assert started > psnr(noisy, truth) + 3
    assert started > random + 3


def test_where_there_are_no_weights_it_is_an_error_not_a_random_start() -> None:
    with pytest.raises(ConfigError, match="no pre-trained weights for 4D"):
        initial_weights.initial_weights(preset("quick", 2), 4)


def test_the_anchor_holds_the_network_where_it_began() -> None:
    _, noisy, psf = problem()
    few = {**FEW, "steps": 40}
    start = api.deconvolve(noisy, psf, preset("quick", 2, **{**few, "steps": 1, "learning_rate": 1e-9})).image

    def moved(weight: float) -> float:
        config = preset("quick", 2, loss=LossWeights(bsp=1.0, anchor=weight), pretrained=True, **few)
        return float(np.abs(api.deconvolve(noisy, psf, config).image - start).mean())

    assert moved(1.0) < 0.7 * moved(0.0)


def test_the_bootstrap_holds_it_too_and_recovers_its_own_result(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every step is reported: how many are otherwise depends on how fast the machine is.
    monkeypatch.setattr("napari_selfdeconv.training.loop.REPORT_EVERY_S", 0.0)
    _, noisy, psf = problem()
    few = {**FEW, "steps": 40}
    run = api.deconvolve(noisy, psf, preset("standard", 2, **few))
    # One patch of two is recorded anew in a step, so a single loss says little.
    losses = np.array_split(run.losses["bootstrap"], 4)
    assert losses[-1].mean() < 0.95 * losses[0].mean()
    assert run.losses["anchor"][-1] < 0.2  # near the first result all the while


@pytest.mark.parametrize("name", ["anchor", "bootstrap"])
def test_what_holds_on_needs_something_to_hold_on_to(name: str) -> None:
    _, noisy, psf = problem()
    config = preset("quick", 2, loss=LossWeights(**{"bsp": 1.0, name: 1.0}), steps=1, pretrained=False)
    with pytest.raises(ConfigError, match=rf"{name} \(1\) needs weights to begin with"):
        api.deconvolve(noisy, psf, config)


def test_widefield_stacks_are_images_of_their_truth_through_the_compact_psf(tmp_path: Path) -> None:
    group = make_group(4, (8, 24, 24))
    group.save(tmp_path / "00003.npz")
    group.save(tmp_path / "00004.npz")
    again = Group.load(tmp_path / "00004.npz")
    assert len(again.stacks) == len(group.stacks) > 0
    for image, truth, first in again.stacks:
        assert image.std() == pytest.approx(1, rel=0.01)
        assert truth.min() >= 0
        expected = convolved(Blur(again.near), truth)
        assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.5
        # The first estimate is in the unit of the truth, and some of the haze is still in it.
        assert 0.5 * truth.mean() < first.mean() < 4 * truth.mean()
        assert np.corrcoef(first.ravel(), truth.ravel())[0, 1] > 0.3
    drawn = HazyProblems(preset("quick", 3), tmp_path, 0)
    inputs, truths, contrasts = drawn.batch(0)
    assert inputs.shape == (4, 5, 8, 24, 24)
    assert (truths.shape, contrasts.shape) == ((4, 1, 8, 24, 24), (4, 1, 1, 1, 1))
    (examples,) = drawn.validation().values()
    assert {inputs.shape for inputs, _ in examples} == {(1, 5, 8, 24, 24)}


def test_without_stacks_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make them"):
        HazyProblems(preset("quick", 3), tmp_path, 0)
