"""Wiener, total variation, regularised Richardson-Lucy, and what they choose by themselves."""

from __future__ import annotations

from collections.abc import Generator
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve, gaussian_filter

from napari_selfdeconv import api
from napari_selfdeconv.api import Classical
from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Finished, Progress, Tick, drain, report_progress
from napari_selfdeconv.holdout.held_out import first_not_worse, hold_out
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.restoration.forward_operator import BlurOperator
from napari_selfdeconv.restoration.gradient import apply_gradient_adjoint, compute_curvature, compute_gradient
from napari_selfdeconv.restoration.replace_outliers import replace_outliers
from napari_selfdeconv.restoration.richardson_lucy import iterate_richardson_lucy
from napari_selfdeconv.restoration.total_variation import minimise_total_variation
from napari_selfdeconv.restoration.wiener import apply_wiener_filter
from napari_selfdeconv.stop_token import StopToken

CPU = torch.device("cpu")
ALL = [
    Classical(method="rl", boundary="reflect"),
    Classical(method="rl-tv", iterations=4, boundary="reflect"),
    Classical(method="tv", iterations=20, boundary="reflect"),
    Classical(method="wiener", boundary="reflect"),
]


def psf_of(ndim: int) -> np.ndarray:
    line = np.array([1.0, 3.0, 5.0, 3.0, 1.0])
    out = line
    for _ in range(ndim - 1):
        out = np.multiply.outer(out, line)
    return out / out.sum()


def scene(shape: tuple[int, ...] = (48, 40), noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = gaussian_filter((random.random(shape) > 0.985).astype(float), 1.0)
    truth /= truth.max()
    return truth, convolve(truth, psf_of(len(shape))) + noise * random.normal(size=shape)


@pytest.mark.parametrize("shape", [(9, 14), (5, 6, 7), (1, 8)])
def test_the_gradient_and_its_adjoint(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    f = torch.randn(1, 1, *shape, generator=generator, dtype=torch.float64)
    q = [torch.randn(1, 1, *shape, generator=generator, dtype=torch.float64) for _ in shape]
    left = sum(float((a * b).sum()) for a, b in zip(compute_gradient(f), q, strict=True))
    assert left == pytest.approx(float((f * apply_gradient_adjoint(q)).sum()), abs=1e-10)


@pytest.mark.parametrize("shape", [(48, 40), (9, 24, 20)])
def test_every_method_comes_nearer_to_the_truth_and_keeps_the_light(shape: tuple[int, ...]) -> None:
    truth, image = scene(shape)
    results = drain(api.iter_classical(1000 * image + 500, psf_of(len(shape)), ALL))
    assert [r.settings.method for r in results] == ["rl", "rl-tv", "tv", "wiener"]
    for result in results:
        assert result.image.dtype == np.float32
        assert result.image.shape == shape
        error = np.sqrt(np.mean((result.image - (1000 * truth + 500)) ** 2))
        assert error < 0.9 * 1000 * np.sqrt(np.mean((image - truth) ** 2)), result.label
        assert result.image.mean() == pytest.approx(1000 * image.mean() + 500, rel=0.05), result.label
        assert "auto" not in f"{result.settings.label}"


def test_scale_and_offset_change_nothing_but_the_units() -> None:
    _, image = scene()
    for method in (
        Classical(method="tv", regularisation=0.02, iterations=20, boundary="reflect"),
        Classical(method="wiener", boundary="reflect"),
    ):
        one, other = (
            drain(api.iter_classical(x, psf_of(2), [method]))[0].image for x in (image, 500 * image + 100)
        )
        np.testing.assert_allclose(500 * one + 100, other, atol=0.05)


def test_total_variation_solves_its_problem() -> None:
    """At the minimum no small step in any direction helps."""
    _, image = scene((20, 22))
    image = (image - image.min()) / np.ptp(image)
    psf, weight = psf_of(2), 0.05
    operator = BlurOperator(Blur(psf), image.shape)
    work = minimise_total_variation(image, operator, weight, (2000,), device=CPU, stop=StopToken())
    f = drain(report_progress(work, "TV", StopToken()))[2000][0, 0].numpy().astype(np.float64)

    def energy(f: np.ndarray) -> float:
        gradients = compute_gradient(torch.from_numpy(f)[None, None])
        length = torch.sqrt(sum(g.square() for g in gradients)).sum()
        misfit = convolve(f, psf, mode="reflect") - image
        return 0.5 * float((misfit**2).sum()) + weight * float(length)

    random, least = np.random.default_rng(0), energy(f)
    steps = [random.normal(0, 1e-3, f.shape) for _ in range(20)] + [np.full(f.shape, 1e-3), image - f]
    assert all(energy(f + 0.05 * step) > least - 1e-6 for step in steps)


@pytest.mark.parametrize("boundary", get_args(Boundary))
@pytest.mark.parametrize("shape", [(24, 26), (12, 13, 14)])
@pytest.mark.parametrize("weight", [0.01, 1.0])
def test_total_variation_goes_down_for_a_lopsided_psf(
    shape: tuple[int, ...], boundary: Boundary, weight: float
) -> None:
    """A PSF with its light in a corner moves the image, so the border of the image counts many times over."""
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    image = (image - image.min()) / np.ptp(image)
    psf = np.zeros((9,) * len(shape))
    psf[(0,) * len(shape)], psf[(4,) * len(shape)] = 0.9, 0.1
    operator = BlurOperator(Blur(psf, boundary=boundary), shape)
    counts = (1, 5, 20, 80, 200, 400)
    work = minimise_total_variation(image, operator, weight, counts, device=CPU, stop=StopToken())
    found = drain(report_progress(work, "TV", StopToken()))

    def energy(f: torch.Tensor) -> float:
        length = torch.sqrt(sum(g.square() for g in compute_gradient(f))).sum()
        misfit = operator.forward(f) - torch.from_numpy(image).double()[None, None]
        return float(0.5 * misfit.square().sum() + weight * length)

    energies = [energy(found[count].double()) for count in counts]
    assert energies == sorted(energies, reverse=True), energies


def test_richardson_lucy_with_total_variation_is_smoother() -> None:
    _, image = scene()
    operator = BlurOperator(Blur(psf_of(2)), image.shape)

    def iterate(tv: float) -> Generator[Tick, None, dict[int, torch.Tensor]]:
        return iterate_richardson_lucy(image, operator, (20,), device=CPU, stop=StopToken(), tv=tv)

    plain, smooth = (drain(report_progress(iterate(tv), "RL", StopToken()))[20][0, 0] for tv in (0.0, 0.05))
    assert np.abs(np.diff(smooth)).sum() < 0.9 * np.abs(np.diff(plain)).sum()


def test_the_choice_follows_the_noise() -> None:
    chosen = []
    for noise in (0.02, 0.3):
        _, image = scene((64, 64), noise)
        results = drain(
            api.iter_classical(image, psf_of(2), [ALL[0], Classical(method="tv", boundary="reflect"), ALL[3]])
        )
        chosen.append([results[0].settings.iterations, *[r.settings.regularisation for r in results[1:]]])
    (count, tv, wiener), (noisy_count, noisy_tv, noisy_wiener) = chosen
    assert count > noisy_count
    assert tv < noisy_tv
    assert wiener < noisy_wiener


def test_of_settings_that_predict_equally_well_the_smoothest_is_taken() -> None:
    random = np.random.default_rng(0)
    error = random.random(2000).astype(np.float32)
    scatter = random.normal(0, 0.1, 2000).astype(np.float32)
    alike = error + 1e-4 + scatter - scatter.mean()
    assert first_not_worse([error + 0.1, alike, error]) == 1
    assert first_not_worse([error + 0.1 + scatter, error + 0.1, error]) == 2
    assert first_not_worse([error, alike, error + 0.1]) == 0


def test_the_chosen_count_is_near_the_best() -> None:
    """Of five images, since the choice for one depends on which pixels are held out."""
    lost = []
    for seed in range(5):
        truth, image = scene((96, 96), 0.15, seed)
        chosen = drain(api.iter_classical(image, psf_of(2), ALL[:1]))[0].image
        estimates = drain(api.iter_richardson_lucy(image, psf_of(2), [*range(1, 15)], boundary="reflect"))
        errors = [float(np.mean((estimate - truth) ** 2)) for estimate in estimates.values()]
        lost.append((float(np.mean((chosen - truth) ** 2)) - min(errors)) / (max(errors) - min(errors)))
    assert np.median(lost) < 0.25
    assert max(lost) < 0.5


def test_labels_say_what_was_chosen() -> None:
    _, image = scene()
    methods = [Classical(method="rl"), Classical(method="rl", iterations=3), Classical(method="wiener")]
    methods.append(Classical(method="tv"))
    results = drain(api.iter_classical(image, psf_of(2), methods))
    count = results[0].settings.iterations
    wiener, tv = (result.settings.regularisation for result in results[2:])
    # Not Wiener auto (0.0562341): that does not fit into a list of layers.
    labels = [f"RL auto ({count})", "RL 3", f"Wiener auto ({wiener:.2g})", f"TV auto ({tv:.2g})"]
    assert [r.label for r in results] == labels
    assert tv < 1 < results[3].settings.iterations  # its count is a record, not what was chosen
    assert results[0].provenance["iterations"] == count


def test_outliers_are_replaced_and_nothing_else() -> None:
    _, image = scene(noise=0.01)
    spoiled = image.copy()
    spoiled[10, 10], spoiled[20, 30] = 1.8, -1.5
    clean = replace_outliers(spoiled)
    assert abs(clean[10, 10] - image[10, 10]) < 0.2
    assert np.count_nonzero(clean != spoiled.astype(np.float32)) == 2


def test_held_out_pixels_are_replaced_by_what_lies_around_them() -> None:
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    filled, held = hold_out(image, 3.0, seed=1)
    assert 0.02 < held.mean() < 0.045
    assert np.array_equal(filled[~held], image[~held])
    changed = image.copy()
    changed[held] = 99.0
    assert np.array_equal(hold_out(changed, 3.0, seed=1)[0], filled)
    y, x = (int(i) for i in np.argwhere(held)[5])
    around = image[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
    assert around.min() <= filled[y, x] <= around.max()
    assert not np.array_equal(hold_out(image, 3.0, seed=2)[1], held)


def test_stop_keeps_what_is_done_and_cancel_does_not() -> None:
    _, image = scene()
    token = StopToken()
    methods = [Classical(method="rl", iterations=3), Classical(method="tv")]
    seen = []

    def stop_in_the_second(event: object) -> None:
        if isinstance(event, Progress):
            seen.append(event.stage)
            if event.stage == "Total variation":
                token.stop()

    results = drain(api.iter_classical(image, psf_of(2), methods, stop=token), stop_in_the_second)
    assert [r.settings.method for r in results] == ["rl"]
    assert results[0].label == "RL 3"
    token = StopToken()
    work = api.iter_classical(image, psf_of(2), methods, stop=token)
    next(work)
    token.cancel()
    with pytest.raises(Cancelled):
        drain(work)


@pytest.mark.parametrize(
    "method", [Classical(method="tv", regularisation=0.02), Classical(method="rl", iterations=9)]
)
def test_a_result_stopped_early_states_the_iterations_it_reached(method: Classical) -> None:
    _, image = scene()
    token = StopToken()
    results = drain(
        api.iter_classical(image, psf_of(2), [method, method], stop=token),
        lambda event: token.stop() if isinstance(event, Progress) else None,
    )
    assert [r.provenance["iterations"] for r in results] == [1]


def test_a_choice_on_a_few_pixels_is_refused() -> None:
    with pytest.raises(ConfigError, match="36 pixels is too small to choose by"):
        drain(api.iter_classical(np.eye(6), np.ones((3, 3)) / 9, [Classical(method="wiener")]))


@pytest.mark.parametrize("shape", [(33, 40), (8, 20, 22)])
def test_wiener_is_the_whole_filter_on_the_reflected_image(shape: tuple[int, ...]) -> None:
    _, image = scene(shape)
    psf, weight = psf_of(len(shape)), 0.05
    whole = image
    for axis in range(image.ndim):
        whole = np.concatenate([whole, np.flip(whole, axis)], axis)
    kernel = np.zeros(whole.shape)
    kernel[tuple(slice(0, n) for n in psf.shape)] = psf
    otf = np.fft.fftn(np.roll(kernel, [-(n // 2) for n in psf.shape], range(image.ndim)))
    answer = np.fft.ifftn(np.fft.fftn(whole) * (1 + weight) * otf.conj() / (np.abs(otf) ** 2 + weight)).real
    result = apply_wiener_filter(image, psf, weight, CPU)[0, 0].numpy()
    expected = answer[tuple(slice(0, n) for n in shape)]
    assert np.sqrt(np.mean((result - expected) ** 2)) < 0.01 * expected.std()


def test_events_end_with_finished() -> None:
    events: list[object] = []
    drain(api.iter_classical(scene()[1], psf_of(2), [ALL[3]]), events.append)
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method": "magic"}, "method must be one of rl, rl-tv, rlgc, tv, wiener, got 'magic'"),
        ({"method": "wiener", "iterations": 3}, "no iterations, got 3"),
        ({"method": "rl", "regularisation": 0.1}, "no regularisation, got 0.1"),
        ({"method": "rl", "iterations": 0}, "iterations must be a whole number from 1 to 100000, got 0"),
        (
            {"method": "tv", "regularisation": -1.0},
            r"regularisation must be a number above 0 and at most 1000, got -1.0",
        ),
    ],
)
def test_bad_settings(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Classical(**values)  # type: ignore[arg-type]


def test_what_cannot_be_run() -> None:
    with pytest.raises(ConfigError, match="no method was chosen"):
        drain(api.iter_classical(scene()[1], psf_of(2), []))
    with pytest.raises(ConfigError, match="positive intensities"):
        drain(api.iter_classical(-np.ones((16, 16)) - np.eye(16), psf_of(2), ALL[:1]))


@pytest.mark.parametrize("most", [0.0, 1e-45, 1e-40, 1e-38, 3e38])
def test_the_curvature_of_any_brightness_is_finite(most: float) -> None:
    f = torch.rand(1, 1, 4, 5, generator=torch.Generator().manual_seed(0)) * most
    assert bool(torch.isfinite(compute_curvature(f)).all())
