"""Richardson-Lucy and total variation with light from outside the image, weights and a background."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from napari_selfdeconv import api
from napari_selfdeconv.api import Classical
from napari_selfdeconv.cli import main
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import drain, report_progress
from napari_selfdeconv.io.images import read_image, write_ome_tiff
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.camera import Background
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.forward_operator import BlurOperator
from napari_selfdeconv.restoration.method_inputs import Border
from napari_selfdeconv.restoration.methods import METHODS
from napari_selfdeconv.restoration.open_operator import OpenOperator
from napari_selfdeconv.restoration.weighted_richardson_lucy import iterate_weighted_richardson_lucy
from napari_selfdeconv.stop_token import StopToken

CPU = torch.device("cpu")
OPEN = [key for key, method in METHODS.items() if method.boundaries[0] == "open"]


def kernel(ndim: int, side: int = 15, sigma: float = 2.0) -> np.ndarray:
    line = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    out = line
    for _ in range(ndim - 1):
        out = np.multiply.outer(out, line)
    return out / out.sum()


def field(photons: float, offset: float = 0.0, read: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A scene of blobs larger than what is recorded: its middle, and the image of that."""
    random = np.random.default_rng(3)
    scene = gaussian_filter((random.random((112, 112)) > 0.995).astype(float), 1.0)
    scene[30:80, 50:70] += 0.02
    scene /= scene.max()
    blurred = np.maximum(fftconvolve(scene, kernel(2), mode="same"), 0)
    inside = (slice(32, 80),) * 2
    image = random.poisson(blurred[inside] / blurred.max() * photons).astype(float)
    return scene[inside] / blurred.max() * photons, image + offset + random.normal(0, read, image.shape)


def run(image: np.ndarray, operator: object, count: int = 30, **settings: object) -> np.ndarray:
    work = iterate_weighted_richardson_lucy(
        image, operator, (count,), device=CPU, stop=StopToken(), **settings  # type: ignore[arg-type]
    )  # fmt: skip
    estimate = drain(report_progress(work, "RL", StopToken()))[count]
    return operator.crop(estimate)[0, 0].numpy()  # type: ignore[attr-defined, no-any-return]


def distance(result: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((result - truth) ** 2)))


def test_light_from_outside_stays_outside() -> None:
    """A bright object just beyond the border; with reflection its light becomes an object inside."""
    scene = np.full((96, 96), 1.0)
    scene[48, 29] = 2000.0  # the image begins at 32
    image = fftconvolve(scene, kernel(2), mode="same")[32:64, 32:64]
    opened, reflected = (api.richardson_lucy(image, kernel(2), 60, boundary=b) for b in ("open", "reflect"))
    assert reflected[16, 0] > 20
    # Above the darkest light that is taken for background.
    assert opened[:, 3:].max() < 2


@pytest.mark.parametrize("two_grids", [False, True])
def test_every_step_explains_the_light_of_the_image(two_grids: bool) -> None:
    """Of plain steps, A f has the sum of the image exactly; light outside is not counted twice."""
    psf = kernel(3, 9)
    image = np.random.default_rng(0).random((8, 20, 24)) + 1
    operator = OpenOperator(psf, image.shape, two_grids=two_grids)
    work = iterate_weighted_richardson_lucy(
        image, operator, (1, 3), device=CPU, stop=StopToken(), accelerated=False
    )
    for estimate in drain(report_progress(work, "RL", StopToken())).values():
        assert float(operator.forward(estimate).sum()) == pytest.approx(float(image.sum()), rel=2e-3)


def test_acceleration_goes_the_same_way_in_fewer_steps() -> None:
    _, image = field(400)
    operator = OpenOperator(kernel(2), image.shape)
    plain, quick = run(image, operator, 150, accelerated=False), run(image, operator, 22)
    assert distance(quick, plain) < 0.2 * plain.std()
    assert distance(run(image, operator, 22, accelerated=False), plain) > 2 * distance(quick, plain)


def test_reflection_without_weights_is_the_same_algorithm() -> None:
    """For a symmetric PSF the general iteration equals plain Richardson-Lucy, which is written separately."""
    _, image = field(100)
    operator = BlurOperator(Blur(kernel(2)), image.shape)
    found = run(image, operator, 8, accelerated=False)
    np.testing.assert_allclose(
        found, api.richardson_lucy(image, kernel(2), 8, boundary="reflect"), rtol=1e-3, atol=1e-4
    )


def test_a_pixel_without_weight_says_nothing() -> None:
    _, image = field(200)
    weights = np.ones(image.shape, np.float32)
    weights[10:14, 20:23] = 0
    spoiled = np.where(weights > 0, image, 5000)
    operator = OpenOperator(kernel(2), image.shape)
    results = [
        run(x, operator, weights=PixelWeights(weights), background=Background(0.0, 1.0, 0.0))
        for x in (image, spoiled)
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-4 * results[0].max())


@pytest.mark.parametrize("method", OPEN)
def test_the_offset_of_the_camera_is_found(method: str) -> None:
    truth, image = field(150, offset=100, read=2)
    settings = {"regularisation": 0.01} if METHODS[method].least_squares else {"iterations": 20}
    result = api.classical_method(image, kernel(2), Classical(method=method, **settings))  # type: ignore[arg-type]
    assert 94 < result.provenance["background"]["constant"] < 103
    assert 0.4 < result.provenance["background"]["gain"] < 1.6
    assert result.image.min() >= 0 or method == "wiener"
    # No haze: a quarter of the scene at least is empty.
    assert np.quantile(result.image, 0.25) < 0.05 * result.image.max()
    assert distance(result.image, truth) < distance(image - 100, truth)


def test_a_given_background_is_used() -> None:
    _, image = field(150, offset=100, read=2)
    given = Classical(method="rl", iterations=10, background=97.5)
    result = api.classical_method(image, kernel(2), given)
    assert result.provenance["background"]["constant"] == pytest.approx(97.5)
    light = api.classical_method(image - 97.5, kernel(2), Classical(method="rl", iterations=10, background=0.0))
    np.testing.assert_allclose(result.image, light.image, rtol=1e-3, atol=1e-3 * light.image.max())


def test_negative_pixels_count() -> None:
    """An image of noise about -2 after somebody subtracted too much; the light used to become 5.8."""
    image = np.random.default_rng(0).normal(-2, 20, (64, 64))
    result = api.classical_method(image, kernel(2), Classical(method="rl", iterations=20))
    explained = result.image.mean() + result.provenance["background"]["constant"]
    assert explained == pytest.approx(image.mean(), abs=0.5)
    flat = api.classical_method(image, kernel(2), Classical(method="rl", iterations=20, background=-2.0))
    assert flat.image.mean() == pytest.approx(0, abs=1)


@pytest.mark.parametrize("method", ["rl", "tv"])
def test_the_choice_follows_the_noise(method: str) -> None:
    chosen = []
    for photons in (40, 4000):
        _, image = field(photons, offset=50, read=1)
        found = api.classical_method(image, kernel(2), Classical(method=method))
        chosen.append(found.settings.shown)
    assert (chosen[0] < chosen[1]) == (method == "rl")


def test_a_psf_may_be_larger_than_the_image() -> None:
    _, image = field(200)
    image = image[:12, :14]
    result = api.classical_method(image, kernel(2, 31, 5.0), Classical(method="rl", iterations=5))
    assert result.image.shape == image.shape
    for closed in (Classical(method=method, boundary="reflect") for method in ("wiener", "rl")):
        with pytest.raises(ConfigError, match="larger than the image"):
            api.classical_method(image, kernel(2, 31, 5.0), closed)


@pytest.mark.parametrize("boundary", ["reflect", "open"])
def test_the_wiener_filter_with_weights_is_the_filter_and_knows_light_from_outside(boundary: Border) -> None:
    """Conjugate gradients give what the filter gives; a body just outside the image misleads the filter alone."""
    random = np.random.default_rng(0)
    scene = 50 + 20 * gaussian_filter(random.random((72, 72)), 1.5)
    if boundary == "open":
        scene[:, :17] = 4000
    line = np.exp(-((np.arange(9) - 4) ** 2) / (2 * 1.5**2))
    psf = np.outer(line, line) / line.sum() ** 2
    image = fftconvolve(scene, psf, mode="same")[16:-16, 20:-12]
    method = Classical(method="wiener", regularisation=0.01, boundary=boundary, background=0.0)
    found = api.classical_method(image, psf, method, weights=np.ones(image.shape)).image
    plain = api.classical_method(image, psf, replace(method, boundary="reflect", background=None)).image
    truth = scene[16:-16, 20:-12]
    if boundary == "reflect":
        inside = (slice(8, -8),) * 2
        np.testing.assert_allclose(found[inside], plain[inside], atol=0.03 * np.ptp(plain))
    else:
        near = slice(None), slice(0, 6)
        assert np.abs(found - truth)[near].mean() < 0.9 * np.abs(plain - truth)[near].mean()


def test_the_command_line_makes_it_again(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    _, image = field(150, offset=100)
    write_ome_tiff("image.tif", image.astype(np.float32))  # type: ignore[arg-type]
    np.save("psf.npy", kernel(2))
    method = Classical(method="rl", iterations=6, background=99.0)
    result = api.classical_method(image.astype(np.float32), kernel(2), method, device_name="cpu")
    words = api.as_command(result.provenance, "image.tif", "psf.npy", out="out.tif").split()[1:]
    assert main([*words, "--device", "cpu"]) == 0
    written = read_image("out.tif")  # type: ignore[arg-type]
    np.testing.assert_array_equal(written.data, result.image)
    assert written.provenance["settings"]["boundary"] == "open"
