"""Noise that neighbouring pixels share is measured beyond the PSF, and completed until it is independent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from napari_selfdeconv import api
from napari_selfdeconv.benchmark.methods import measure
from napari_selfdeconv.benchmark.trust_figures import measure_figures
from napari_selfdeconv.benchmark.trust_scenes import make_scene
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.events import Warned, drain
from napari_selfdeconv.inference.make_ready import NOISE_ADDED, with_independent_noise
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.physics.independent_noise import fit_shared_noise, make_independent, subtract_stripes
from napari_selfdeconv.physics.noise_check import check_noise
from napari_selfdeconv.stop_token import StopToken

WIDTHS = (0.7, 0.85, 1.0)


def correlated(width: float, name: str = "correlated noise") -> tuple[np.ndarray, np.ndarray]:
    scene = make_scene(name, size=128)
    white = np.random.default_rng(1).normal(0, 20, scene.image.shape)
    return scene.empty + gaussian_filter(white, width, mode="wrap"), scene.psf


@pytest.mark.parametrize("width", WIDTHS)
def test_the_coarse_waves_are_measured_by_the_fine_ones(width: float) -> None:
    image, psf = correlated(width)
    found = fit_shared_noise(image, psf)
    assert found is not None
    assert found.width == pytest.approx(width, rel=0.2)
    # The coarse waves are those of the white noise that was filtered.
    assert np.sqrt(found.coarse) == pytest.approx(20, rel=0.4)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_noise_is_independent_afterwards(width: float) -> None:
    image, psf = correlated(width)
    whole = make_independent(image, psf)
    assert whole is not None
    assert check_noise(image, psf) != []
    assert check_noise(whole, psf) == []
    assert np.array_equal(whole, make_independent(image, psf))  # type: ignore[arg-type]
    noise = whole - whole.mean()
    neighbours = [np.mean(noise[1:] * noise[:-1]), np.mean(noise[:, 1:] * noise[:, :-1])]
    assert np.abs(neighbours).max() < 0.15 * noise.var()
    # Coarse waves are left as they were.
    assert np.abs(gaussian_filter(whole - image, 4)).std() < 0.3 * gaussian_filter(noise, 4).std()


def test_bright_places_get_more_as_their_photons_have_more() -> None:
    image, psf = correlated(0.7)
    ramp = np.linspace(0, 3, image.shape[1]) ** 2 * np.ones((len(image), 1))
    photons = gaussian_filter(np.random.default_rng(2).normal(size=image.shape), 0.7) * np.sqrt(1 + 50 * ramp)
    whole = make_independent(100 + 50 * ramp + 3 * photons, psf)
    assert whole is not None
    added = whole - (100 + 50 * ramp + 3 * photons)
    assert added[:, -30:].std() > 2 * added[:, :30].std()


def test_the_planes_of_a_stack_get_noise_of_their_own() -> None:
    image, psf = correlated(0.7)
    stack = np.stack([image, image[::-1], image[:, ::-1]])
    whole = make_independent(stack, psf[None] * np.array([0.2, 0.6, 0.2])[:, None, None])
    assert whole is not None
    assert check_noise(whole, psf[None]) == []
    added = (whole - stack).reshape(3, -1)
    assert np.abs(np.corrcoef(added) - np.eye(3)).max() < 0.05


def test_frames_of_a_series_get_noise_of_their_own() -> None:
    """The same noise in each of them would look like something that stands still."""
    image, psf = correlated(0.7)
    other = image[::-1].copy()
    first, second = make_independent(image, psf), make_independent(other, psf)
    assert first is not None
    assert second is not None
    added = [(first - image).ravel(), (second - other).ravel()]
    assert abs(np.corrcoef(*added)[0, 1]) < 0.05


def test_nothing_is_added_to_noise_that_is_independent() -> None:
    scene = make_scene("points", size=128)
    problem = Problem.of(scene.image, scene.psf)
    assert with_independent_noise(problem) is problem
    # Noise of a narrow kernel is named, and left.
    moved = shift(scene.image, (0.3, 0.4), order=3, mode="reflect")
    slightly = Problem.of(moved, scene.psf)
    assert slightly.shared_noise == ("correlated",)
    assert with_independent_noise(slightly).noise_changes == ()


@pytest.mark.parametrize(
    "method", ["instant,average_symmetries=false", "rl-auto", "rl-tv", "wiener-auto", "tv-auto"]
)
def test_shared_noise_does_not_come_out_as_structure(method: str) -> None:
    """With it Richardson-Lucy had 433 false peaks here, and the network 151."""
    scene = make_scene("correlated noise", size=64)
    (found,) = drain(measure(method, scene.image, scene.psf, "cpu", StopToken(), border="open"))
    figures = measure_figures(scene, found.image + np.float32(found.background))
    assert figures.false_peaks <= 2
    assert figures.grain < 0.9


@pytest.mark.parametrize("axis", [0, 1])
def test_stripes_are_subtracted(axis: int) -> None:
    """The network had 12 false peaks here, and Richardson-Lucy with gradient consensus 6."""
    scene = make_scene("stripes", size=96)
    image = scene.image if axis == 0 else scene.image.T
    problem = with_independent_noise(Problem.of(image, scene.psf))
    assert problem.noise_changes == ("stripes subtracted",)
    assert check_noise(problem.image, scene.psf) == []
    assert problem.image.mean() == pytest.approx(image.mean(), rel=1e-4)
    assert sum("offsets" in note for note in problem.notes) == 2
    (found,) = drain(measure("instant,average_symmetries=false", image, scene.psf, "cpu", StopToken()))
    assert measure_figures(scene, found.image).false_peaks <= 2


def test_structure_is_left_where_stripes_are_subtracted() -> None:
    image = make_scene("lines", size=96).image
    image[40:44] += 80  # a line of the sample along the rows
    offsets = np.random.default_rng(1).normal(0, 5, (96, 1))
    change = subtract_stripes(image + offsets) - image
    apart = np.r_[:34, 50:96]
    assert change[apart].std() < 0.8 * offsets.std()
    assert abs(change[40:44].mean() - change[apart].mean()) < 15


def test_the_run_says_so_and_the_record_keeps_it() -> None:
    image, psf = correlated(0.7)
    image, psf = image[:64, :64], psf[8:-8, 8:-8]
    said: list[str] = []

    def note(event: api.Event) -> None:
        if isinstance(event, Warned):
            said.append(event.message)

    config = preset("instant", 2, average_symmetries=False, device="cpu")
    result = drain(api.iter_deconvolve(image, psf, config), note)
    assert said.count(NOISE_ADDED) == 1
    assert result.provenance["noise_changes"] == ["noise added"]
    # A model that is applied to the same image sees the same image.
    said.clear()
    applied = drain(api.iter_apply_model(result.model, image, device_name="cpu"), note)
    assert said.count(NOISE_ADDED) == 1
    assert np.abs(applied - result.image).max() < 1e-3 * np.ptp(result.image)
    # So does a preview, but for the views that are averaged and for the gain.
    preview = api.preview_region(image, psf, preset("instant", 2, device="cpu")).image
    assert preview.std() < image.std()
    classical = api.classical_method(image, psf, api.Classical(method="rl", iterations=1), device_name="cpu")
    assert classical.provenance["noise_changes"] == ["noise added"]
    # The residual is that of the image as it was recorded.
    left = api.residual(image, result.image, psf)
    assert left.std() < 1.1 * image.std()


def test_the_noise_that_is_added_obeys_the_laws() -> None:
    """Units, offset and orientation of the image are those of the added noise; another image gets other noise."""
    image, psf = correlated(0.7)
    whole = make_independent(image, psf)
    assert whole is not None
    changed = {
        "times 1e-25": (1e-25 * image, 1e-25 * whole.astype(float)),
        "plus 1000": (image + 1000, whole + np.float32(1000)),
        "transposed": (image.T, whole.T),
        "mirrored": (image[::-1], whole[::-1]),
    }
    for name, (other, expected) in changed.items():
        found = make_independent(other, psf.T if name == "transposed" else psf)
        assert found is not None
        assert np.abs(found - expected).max() < 5e-3 * np.ptp(expected), name
    twin = image + 5 * np.roll(image - image.mean(), 9)
    second = make_independent(twin, psf)
    assert second is not None
    added = [(a - b).ravel() for a, b in ((whole, image), (second, twin))]
    assert abs(np.corrcoef(*added)[0, 1]) < 0.1
