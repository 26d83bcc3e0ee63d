"""How often a setting is chosen, and which of the choices is taken."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api
from napari_selfdeconv.api import Classical
from napari_selfdeconv.events import Event, Warned, drain
from napari_selfdeconv.holdout.choose import HeldOutError, choose_regularisation
from napari_selfdeconv.restoration import run_methods
from napari_selfdeconv.restoration.method_inputs import Border
from napari_selfdeconv.stop_token import StopToken


@pytest.mark.parametrize("boundary", ["open", "reflect"])
@pytest.mark.parametrize(
    ("counts", "few", "chosen", "times"),
    [
        ((3, 8, 5), 10_000, 5, 3),
        ((8, 3, 8), 10_000, 8, 3),
        ((8, 8, 1), 10_000, 8, 2),
        # Of many held-out pixels one choice is enough.
        ((8, 3, 5), 20, 8, 1),
    ],
)
def test_with_few_held_out_pixels_the_median_of_three_choices_is_taken(
    monkeypatch: pytest.MonkeyPatch, boundary: Border, counts: tuple[int, ...], few: int, chosen: int, times: int
) -> None:
    held: list[np.ndarray] = []

    def choose(measure: HeldOutError, *_: object, **__: object) -> Generator[Event, None, int]:
        held.append(measure.held)
        assert 20 < measure.pixels == np.count_nonzero(measure.held) < 100
        yield from ()
        return counts[len(held) - 1]

    monkeypatch.setattr(run_methods, "choose_iterations", choose)
    monkeypatch.setattr(run_methods, "_FEW_PIXELS", few)
    image = np.random.default_rng(0).poisson(20, (32, 32)).astype(np.float32)
    method = Classical(method="rl", boundary=boundary)
    result = drain(api.iter_classical(image, np.ones((3, 3)) / 9, [method]))[0]
    assert result.settings.iterations == chosen
    assert len(held) == times
    # Each choice has other pixels, or it would be the same choice.
    assert all((one != other).any() for n, one in enumerate(held) for other in held[:n])


@pytest.mark.parametrize("method", ["wiener", "tv"])
def test_the_weight_of_a_small_image_is_the_median_of_three_choices(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    held: list[np.ndarray] = []

    def choose(measure: HeldOutError, *_: object, **__: object) -> Generator[Event, None, float]:
        held.append(measure.held)
        yield from ()
        return (0.01, 1.0, 0.1)[len(held) - 1]

    monkeypatch.setattr(run_methods, "choose_regularisation", choose)
    image = np.random.default_rng(0).poisson(20, (32, 32)).astype(np.float32)
    asked = Classical(method=method, iterations=2 if method == "tv" else None)
    result = drain(api.iter_classical(image, np.ones((3, 3)) / 9, [asked]))[0]
    assert result.settings.regularisation == 0.1
    assert len(held) == 3
    assert all((one != other).any() for n, one in enumerate(held) for other in held[:n])


def test_equal_errors_do_not_end_the_search_for_a_weight() -> None:
    """After few iterations the largest weights of TV give one estimate, so the largest was always taken."""
    errors = {0.16: 9.0, 0.08: 9.0001, 0.04: 9.0, 0.02: 8.0, 0.01: 3.0, 0.005: 4.0, 0.0025: 5.0, 0.001: 1.0}
    tried: list[float] = []

    class Measure(HeldOutError):
        def __init__(self) -> None: ...

        def of(self, estimate: torch.Tensor) -> NDArray[np.float32]:
            return np.full(10, float(estimate), np.float32)

    def solve(value: float) -> Generator[Event, None, torch.Tensor]:
        tried.append(value)
        yield from ()
        return torch.tensor(errors[value])

    search = choose_regularisation(Measure(), solve, sorted(errors), stop=StopToken())
    assert drain(search) == 0.01
    assert tried[-1] == 0.0025


def test_an_image_with_little_noise_does_not_take_the_largest_weight_of_tv() -> None:
    random = np.random.default_rng(0)
    truth = (gaussian_filter(random.random((64, 64)), 1.5) > 0.52).astype(float)
    psf = gaussian_filter(np.pad([[1.0]], 7), 1.5)
    image = random.poisson(1000 * gaussian_filter(truth, 1.5) + 10).astype(np.float32)
    chosen = drain(api.iter_classical(image, psf, [Classical(method="tv")]))[0]
    assert chosen.settings.regularisation == 0.0025
    largest = api.classical_method(image, psf, Classical(method="tv", regularisation=0.16))
    scores = [np.corrcoef(truth.ravel(), one.image.ravel())[0, 1] for one in (chosen, largest)]
    assert scores[0] > scores[1] + 0.01, scores


def test_of_two_weights_the_larger_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = iter((0.1, 1.0))

    def choose(*_: object, **__: object) -> Generator[Event, None, float]:
        yield from ()
        return next(weights)

    monkeypatch.setattr(run_methods, "choose_regularisation", choose)
    # The second of the three choices would hold out 9 pixels, and 10 are needed.
    image = np.random.default_rng(0).poisson(20, (16, 16)).astype(np.float32)
    result = drain(api.iter_classical(image, np.ones((3, 3)) / 9, [Classical(method="wiener")]))[0]
    assert result.settings.regularisation == 1.0


@pytest.mark.parametrize("boundary", ["open", "reflect"])
def test_a_choice_that_would_hold_out_too_few_pixels_is_left_out(boundary: Border) -> None:
    # Of 16 x 16 pixels the three choices hold out 11, 9 and 11, and 10 are enough.
    image = np.random.default_rng(0).poisson(20, (16, 16)).astype(np.float32)
    result = drain(api.iter_classical(image, np.ones((3, 3)) / 9, [Classical(method="rl", boundary=boundary)]))[0]
    assert result.settings.iterations is not None


@pytest.mark.parametrize("boundary", ["open", "reflect"])
def test_a_run_says_that_one_iteration_is_all_it_takes(boundary: Border) -> None:
    """Of a bright point two or three pixels are held out: fifteen times less error is not measurably less."""
    psf = gaussian_filter(np.pad([[1.0]], 7), 1.6)
    point = np.zeros((64, 64))
    point[32, 35] = 1e5
    image = np.random.default_rng(0).poisson(100 + gaussian_filter(point, 1.6)).astype(np.float32)

    def said(iterations: int | None) -> list[str]:
        events: list[Event] = []
        method = Classical(method="rl", boundary=boundary, background=100.0, iterations=iterations)
        result = drain(api.iter_classical(image, psf, [method]), events.append)[0]
        assert result.settings.iterations == 1
        return [event.message for event in events if isinstance(event, Warned)]

    assert any("takes 1 iteration" in one and "give the number of iterations" in one for one in said(None))
    assert not any("takes 1 iteration" in one for one in said(1))
