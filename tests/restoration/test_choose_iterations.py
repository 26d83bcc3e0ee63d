"""How often a setting is chosen, and which of the choices is taken."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from napari_selfdeconv import api
from napari_selfdeconv.api import Classical
from napari_selfdeconv.events import Event, drain
from napari_selfdeconv.holdout.choose import HeldOutError
from napari_selfdeconv.restoration import run_methods
from napari_selfdeconv.restoration.method_inputs import Border


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


@pytest.mark.parametrize(("method", "chosen", "times"), [("wiener", 0.1, 3), ("tv", 0.01, 1)])
def test_a_weight_is_chosen_as_often_as_its_choices_scatter(
    monkeypatch: pytest.MonkeyPatch, method: str, chosen: float, times: int
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
    assert result.settings.regularisation == chosen
    assert len(held) == times
    assert all((one != other).any() for n, one in enumerate(held) for other in held[:n])


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
