"""Light from far planes and from outside the image is taken off before a compact PSF is used."""

from collections.abc import Generator
from typing import TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from napari_selfdeconv import Optics, richards_wolf_psf
from napari_selfdeconv.events import Tick
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.physics.camera import NO_BACKGROUND
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.psf.near import near_part, near_shape
from napari_selfdeconv.psf.stack import stack_psf_shape
from napari_selfdeconv.restoration.far_light import FarLight, estimate_far_light, estimate_scene
from napari_selfdeconv.simulate.widefield import OFFSET, VOXEL_UM, make_scene
from napari_selfdeconv.stop_token import StopToken

FIELD = (12, 40, 40)
CPU = torch.device("cpu")
T = TypeVar("T")


def run(work: Generator[Tick, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def stack() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Truth in photons, image, and a PSF as large as the stack."""
    optics = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
    scene = 20_000 * make_scene(tuple(2 * n for n in FIELD), 3)
    psf = richards_wolf_psf(stack_psf_shape(optics, VOXEL_UM, FIELD), VOXEL_UM, optics)
    blurred = np.maximum(fftconvolve(scene, psf, mode="same"), 0)
    middle = tuple(slice(n // 2, n // 2 + n) for n in FIELD)
    image = np.random.default_rng(0).poisson(blurred[middle]) + OFFSET
    return scene[middle], image.astype(np.float32), psf


@pytest.mark.filterwarnings("ignore::napari_selfdeconv.psf.generate.PsfWarning")
def test_what_is_left_is_the_truth_seen_through_the_compact_psf(
    stack: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
) -> None:
    truth, image, psf = stack
    shape = near_shape(psf, FIELD)
    far = run(estimate_far_light(image, psf, shape, "reflect", CPU, StopToken(), iterations=25))
    near, share = near_part(psf, shape)
    assert far.share == pytest.approx(share)
    assert share < 0.5
    expected = far.share * convolved(Blur(near), truth)
    left = image - far.light
    haze = (image - OFFSET).mean() - expected.mean()
    assert haze > expected.mean()
    assert abs(left.mean() - expected.mean()) < 0.25 * haze
    assert np.corrcoef(left.ravel(), expected.ravel())[0, 1] > np.corrcoef(image.ravel(), expected.ravel())[0, 1]


@pytest.mark.filterwarnings("ignore::napari_selfdeconv.psf.generate.PsfWarning")
def test_far_light_and_compact_light_are_what_the_scene_expects(
    stack: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
) -> None:
    _, image, psf = stack
    shape = near_shape(psf, FIELD)
    work = estimate_scene(image, psf, CPU, StopToken(), iterations=5)
    first = next(work)
    assert first.done == 1
    assert first.total > 5
    scene = run(work)
    far = run(estimate_far_light(image, psf, shape, "reflect", CPU, StopToken(), iterations=5))
    inside = scene.operator.crop(scene.light)[0, 0].numpy()
    near, share = near_part(psf, shape)
    whole = scene.expected(inside) + scene.background.constant
    np.testing.assert_allclose(far.light + share * convolved(Blur(near), inside), whole, rtol=1e-4)


def test_pixels_that_are_no_measurement_have_what_the_estimate_expects() -> None:
    image, expected = np.full((1, 2, 3), 10.0, np.float32), np.full((1, 2, 3), 6.0, np.float32)
    image[0, 0] = 4095, np.nan, 12
    expected[0, 0, 2] = 20
    light = np.ones_like(image)
    far = FarLight(light=light, share=0.5, background=NO_BACKGROUND, near=expected, estimate=light)
    counts, at_least = np.isfinite(image), np.zeros(image.shape, bool)
    counts[0, 0, 0], at_least[0, 0, 2] = False, True
    left = far.subtract(image, PixelWeights(counts, at_least))
    assert left.tolist() == [[[6, 6, 20], [9, 9, 9]]]


def test_an_image_without_light_outside_the_compact_psf_loses_nothing_but_its_background() -> None:
    random = np.random.default_rng(1)
    psf = np.zeros((3, 71, 71), np.float32)
    psf[1, 34:37, 34:37] = 1 / 9
    truth = np.zeros((6, 24, 24), np.float32)
    truth[2:4, 8:16, 8:16] = 5000
    light = convolved(Blur(psf[:, 34:37, 34:37]), truth)
    image = (random.poisson(np.maximum(light, 0)) + OFFSET + random.normal(0, 2, light.shape)).astype(np.float32)
    far = run(estimate_far_light(image, psf, (3, 3, 3), "reflect", CPU, StopToken()))
    assert far.share == pytest.approx(1)
    assert abs(far.light - OFFSET).mean() < 0.02 * light.max()
