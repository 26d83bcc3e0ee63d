"""Pixels that are no measurement: the network is not trained on them, nor judged and refined by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from napari_selfdeconv import api, preset
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.loss_terms import Passes, blind_spot, reconstruction
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Event, Warned, drain
from napari_selfdeconv.inference.calibrate import calibrate
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.training.run import TrainingRun

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def tiny(**changes: Any) -> TrainConfig:
    small = {"steps": 3, "patch": 16, "features": 4, "batch_size": 2, "pretrained": False}
    return preset("quick", 2, **{**small, "device": "cpu", "precision": "float32", **changes})


def image() -> np.ndarray:
    y, x = np.mgrid[:40, :44]
    return np.random.default_rng(0).poisson(60 + 40 * np.sin(x / 6) * np.cos(y / 5)).astype(float)


def passes(g: torch.Tensor, x: torch.Tensor, **more: torch.Tensor) -> Passes:
    mask = torch.ones(x.shape, dtype=torch.bool)
    return Passes(x=x, mask=mask, f_x=g, g_x=g, f_masked=g, g_masked=g, low=0.0, high=1.0, **more)


def test_a_pixel_without_weight_is_in_no_data_term() -> None:
    x, weights = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    x[..., 0, 0], weights[..., 0, 0] = 100.0, 0.0
    for term in (blind_spot, reconstruction):
        assert float(term(passes(torch.full_like(x, 2.0), x, weights=weights))) == pytest.approx(4.0)


def test_a_saturated_pixel_asks_for_no_less_light_than_it_recorded() -> None:
    x = torch.ones(1, 1, 4, 4)
    saturated = torch.ones(x.shape, dtype=torch.bool)
    for term in (blind_spot, reconstruction):
        more, less = (term(passes(torch.full_like(x, g), x, at_least=saturated)) for g in (3.0, 0.5))
        assert float(more) == 0.0
        assert float(less) == pytest.approx(0.25)


def test_training_sees_nothing_under_the_mask() -> None:
    """What the dead pixels hold changes no digit of the result, and no held-out pixel lies there."""
    spoiled, weights = image(), np.ones((40, 44))
    weights[:, 20] = weights[30:, 30:] = 0
    results = [
        api.deconvolve(np.where(weights > 0, spoiled, value), PSF, tiny(), weights=weights)
        for value in (0, np.nan)
    ]
    np.testing.assert_array_equal(results[0].image, results[1].image)
    assert np.isfinite(results[0].image).all()
    assert results[0].provenance["mask"] == {"from": "given", "pixels": 180, "saturated": 0}
    applied = api.apply_model(results[0].model, np.where(weights > 0, spoiled, 1e6), weights=weights)
    np.testing.assert_array_equal(applied, results[0].image)


def test_held_out_pixels_are_measurements() -> None:
    pixels = PixelWeights(np.ones((40, 44), bool), np.zeros((40, 44), bool))
    pixels.values[:, :20] = False
    assert pixels.at_least is not None
    pixels.at_least[:, 20:30] = True
    frame = image().astype(np.float32)
    run = TrainingRun(
        [frame], PSF, tiny(), choose_device("cpu", "float32"), (0.0, 1.0), None, pixels=[pixels]
    )  # fmt: skip
    batch = run.sampler.draw()
    assert batch.weights is not None
    assert batch.at_least is not None
    assert bool(batch.held.any())
    assert not bool((batch.held & ((batch.weights == 0) | batch.at_least)).any())


def test_saturated_pixels_are_found_and_named() -> None:
    spoiled = image()
    spoiled[10:16, 10:16] = 4095.0
    events: list[Event] = []
    result = drain(api.iter_deconvolve(spoiled, PSF, tiny(steps=1), weights="auto"), events.append)
    told = [event.message for event in events if isinstance(event, Warned)]
    assert told[0].startswith("36 pixels are no measurement: 36 saturated")
    assert result.provenance["mask"] == {"from": "auto", "pixels": 0, "saturated": 36}


def test_scale_and_gain_are_those_of_the_measured_pixels() -> None:
    clean, weights = image(), np.ones((40, 44))
    weights[:, :20] = 0
    spoiled = np.where(weights > 0, clean, 1e5)
    problem = Problem.of(spoiled, PSF, weights=weights)
    assert problem.scale.mean == pytest.approx(clean[:, 20:].mean())
    assert problem.scale.high == clean[:, 20:].max()
    result = 0.7 * problem.standard
    result[:, :18] = 1e3
    assert calibrate(result, problem.image, PSF, "reflect", problem.scale.apply)[0] == 1.0
    line = calibrate(result, problem.image, PSF, "reflect", problem.scale.apply, problem.weights)
    assert line.gain > 1.2


def test_scores_without_a_truth_leave_the_pixels_out() -> None:
    clean, weights = image(), np.ones((40, 44))
    weights[:, 20] = 0
    spoiled = np.where(weights > 0, clean, 4000.0)
    result = np.full(clean.shape, clean.mean())
    told = [api.evaluate_without_truth(result, one, PSF, weights=weights) for one in (clean, spoiled)]
    assert all(told[0][key] == told[1][key] for key in ("whiteness", "i_divergence", "residual_rms"))
    assert told[0]["residual_rms"] < 0.2 * api.evaluate_without_truth(result, spoiled, PSF)["residual_rms"]
    assert not api.residual(spoiled, result, PSF, weights=weights)[:, 20].any()


def test_hot_pixels_of_a_series_are_in_no_frame() -> None:
    frames = np.stack([image() + 0.1 * t for t in range(6)])
    spoiled = frames.copy()
    spoiled[:, 12, 17] += 3000
    plan = api.SeriesPlan(axes="tyx", frames=2)
    runs = [api.iter_deconvolve_series(one, PSF, plan, tiny(steps=1), weights="auto") for one in (frames, spoiled)]
    events: list[Event] = []
    plain, masked = drain(runs[0]).image, drain(runs[1], events.append).image
    assert any("1 hot" in event.message for event in events if isinstance(event, Warned))
    assert np.abs(masked - plain).max() < 0.2 * np.ptp(plain)


def test_refinement_sees_nothing_under_the_mask() -> None:
    y, x = np.mgrid[:64, :64]
    truth = (20 + 15 * np.sin(x / 2) * np.sin(y / 2.5)).astype(np.float32)
    kernel = np.ones((5, 5), np.float32) / 25
    recorded = convolve(truth, kernel, mode="reflect") + np.random.default_rng(0).normal(0, 0.1, truth.shape)
    weights = np.ones(truth.shape, bool)
    weights[:, 30] = False
    results = []
    for value in (0.0, 900.0):
        refiner, result = Refiner(torch.device("cpu")), np.array(recorded, np.float32)
        spoiled = np.where(weights, recorded, value).astype(np.float32)
        for _ in refiner(result, spoiled, kernel, "reflect", weights=PixelWeights(weights)):
            pass
        results.append(result)
        assert refiner.iterations
    np.testing.assert_array_equal(results[0], results[1])
