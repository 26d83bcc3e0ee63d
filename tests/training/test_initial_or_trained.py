"""The initial weights or the trained ones: the choice, and that a run is one with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_selfdeconv import api, preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, Interim, Noted, drain
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.clipping import ClippedBlur
from napari_selfdeconv.simulate import degrade, measure
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.initial_or_trained import copy_weights, load_better
from napari_selfdeconv.training.trial import Trial
from napari_selfdeconv.training.validation import Validator
from selfdeconv_tools.pretraining.scenes import scene

Y, X = np.mgrid[-6:7, -6:7]
PSF = np.exp(-(X**2 + Y**2) / (2 * 1.8**2))
FEW: dict[str, Any] = {"batch_size": 2, "patch": 32, "refine": False, "average_symmetries": False}


def noisy() -> np.ndarray:
    return degrade(scene(np.random.default_rng(7), (64, 64)), PSF / PSF.sum())


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


@pytest.mark.parametrize(("after", "share"), [(0.5, 1.0), (1.5, 0.0)])
def test_the_weights_with_the_lower_error_are_loaded(after: float, share: float) -> None:
    initial, trained = copy_weights(network(0)), network(1)
    want = copy_weights(trained) if share else initial
    before, now = np.ones(100, np.float32), np.full(100, after, np.float32)
    assert load_better(trained, initial, before, now) == share
    assert all(torch.equal(value, want[name]) for name, value in trained.state_dict().items())


def test_a_small_gain_counts_and_no_gain_keeps_the_initial_weights() -> None:
    scatter = np.random.default_rng(0).normal(size=100).astype(np.float32)
    assert load_better(network(1), copy_weights(network(0)), scatter[::-1] + 0.01, scatter) == 1
    assert load_better(network(1), copy_weights(network(0)), scatter, scatter) == 0


def test_the_snapshot_does_not_follow_the_network() -> None:
    one = network(0)
    kept = copy_weights(one)
    with torch.no_grad():
        one[0].weight.add_(1)
    assert not torch.equal(kept["0.weight"], one[0].weight)


def test_training_that_harms_gives_the_start_back() -> None:
    image = noisy()
    start = api.deconvolve(image, PSF, preset("quick", 2, steps=1, learning_rate=1e-12, **FEW))
    # A hundred times the rate: what the start knew is lost within a few steps.
    config = preset("quick", 2, steps=12, learning_rate=0.1, trial=0.0, **FEW)
    events: list[Event] = []
    run = drain(api.iter_deconvolve(image, PSF, config), events.append)
    assert run.provenance["kept_share"] == 0
    np.testing.assert_allclose(run.image, start.image, atol=2e-3 * np.ptp(start.image))
    (finished,) = [event for event in events if isinstance(event, Finished)]
    assert finished.kept_share == 0
    lost = api.deconvolve(image, PSF, config.replace(weight_interpolation=False))
    assert lost.provenance["kept_share"] == 1
    assert np.abs(lost.image - start.image).mean() > 10 * np.abs(run.image - start.image).mean()


def test_a_result_asked_for_while_training_goes_on_is_what_stopping_there_gives() -> None:
    image, config = noisy(), preset("quick", 2, steps=12, learning_rate=0.1, trial=0.0, **FEW)
    asked, stopped = StopToken(), StopToken()
    asked.request_result()
    stopped.stop()
    events: list[Event] = []
    run = drain(api.iter_deconvolve(image, PSF, config, stop=asked), events.append)
    at_once = drain(api.iter_deconvolve(image, PSF, config, stop=stopped))
    (given,) = [event for event in events if isinstance(event, Interim)]
    assert given.step == at_once.steps_done == 1
    assert given.provenance["kept_share"] == at_once.provenance["kept_share"] < 1
    np.testing.assert_array_equal(given.image, at_once.image)
    np.testing.assert_array_equal(run.image, api.deconvolve(image, PSF, config).image)


def test_training_that_helps_is_kept() -> None:
    y, x = np.mgrid[:96, :96]
    # With little noise there is much to learn.
    grating = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * (x + 0.5 * y) / 9))
    run = api.deconvolve(measure(grating, PSF, sigma=0.02), PSF, preset("quick", 2, steps=40, **FEW))
    assert (run.provenance["kept_share"], run.steps_done) == (1, 40)


def test_training_that_gains_nothing_ends_after_its_trial() -> None:
    image, config = noisy(), preset("quick", 2, steps=20, learning_rate=0.3, **FEW)
    events: list[Event] = []
    run = drain(api.iter_deconvolve(image, PSF, config), events.append)
    assert (run.steps_done, run.converged, run.stopped) == (3, True, False)
    assert run.provenance["kept_share"] == 0
    np.testing.assert_array_equal(run.image, api.deconvolve(image, PSF, preset("instant", 2, **FEW)).image)
    (said,) = [event.message for event in events if isinstance(event, Noted)]
    assert said.startswith("Training ended after step 3 of 20: held-out pixels were not predicted better")


class Measured(Validator):
    """Held-out errors as they are given; remembers the weights that they are of."""

    def __init__(self, error: float) -> None:
        self.error, self.weights = error, list[float]()

    def measure_errors(self, network: Any, _blur: Any) -> np.ndarray:
        self.weights.append(network.weight.item())
        return np.full(4, self.error, np.float32)


@pytest.mark.parametrize(("error", "failed"), [(0.9, False), (1.0, False), (1.1, True)])
def test_a_trial_compares_the_mean_weights_of_its_steps_once(error: float, failed: bool) -> None:
    one, validator = nn.Linear(1, 1, bias=False), Measured(error)
    trial = Trial(one, validator, ClippedBlur(Blur(PSF)), np.ones(4, np.float32), 3)  # type: ignore[arg-type]
    found = []
    for step in range(1, 6):
        nn.init.constant_(one.weight, float(step))
        found.append(trial.fails(step))
    assert found == [False, False, failed, False, False]
    assert validator.weights == [pytest.approx(0.8 * (0.8 * 1 + 0.2 * 2) + 0.2 * 3)]
    assert one.weight.item() == 5


def test_it_needs_held_out_pixels_and_weights_to_go_back_to() -> None:
    with pytest.raises(ConfigError, match=r"weight_interpolation needs held-out pixels: .* above 0, got 0"):
        TrainConfig().replace(weight_interpolation=True)
    config = TrainConfig().replace(weight_interpolation=True, held_out_percent=2.0)
    with pytest.raises(
        ConfigError, match="weight_interpolation needs weights to begin with: pretrained=True, or a model"
    ):
        api.deconvolve(noisy(), PSF, config)


def test_images_that_start_from_weights_blend_and_nothing_else_does() -> None:
    # In volumes the start is a decibel and a half behind, and held-out pixels do not see it.
    blending = {
        (name, ndim, pretrained)
        for name in ("quick", "standard", "paper", "ssi")
        for ndim in (2, 3)
        for pretrained in (None, False)
        if preset(
            name, ndim, **({} if pretrained is None else {"pretrained": pretrained})
        ).start.weight_interpolation
    }
    assert blending == {("quick", 2, None), ("standard", 2, None)}
