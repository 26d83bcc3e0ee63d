"""Images that end in darkness are evened; all others are left as they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from napari_selfdeconv import api, preset
from napari_selfdeconv.events import Warned
from napari_selfdeconv.physics.even_border import ends_in_darkness, even_border_of

LOPSIDED = np.arange(1.0, 10)[:, None] * np.arange(9.0, 2, -1)[None]
LOPSIDED /= LOPSIDED.sum()
PSFS = {2: LOPSIDED, 3: LOPSIDED[None] * np.array([1.0, 2, 3, 2, 1])[:, None, None] / 9}
SHAPES = {2: (90, 110), 3: (40, 80, 90)}


def scene(ndim: int, seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).random(SHAPES[ndim])
    return np.asarray(1 + 3 * gaussian_filter(rough, 3, mode="mirror"))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_what_lies_in_darkness_is_found_and_nothing_else(ndim: int, sigma: float) -> None:
    psf, noise = PSFS[ndim], sigma * np.random.default_rng(1).normal(size=SHAPES[ndim])
    dark = fftconvolve(scene(ndim), psf, mode="same") + noise
    assert ends_in_darkness(dark, psf)
    inside = tuple(slice(k, n - k) for k, n in zip(psf.shape, dark.shape, strict=True))
    assert not ends_in_darkness(dark[inside], psf)
    assert not ends_in_darkness(scene(ndim) + noise, psf)


def test_a_specimen_that_fades_is_no_border() -> None:
    y, x = np.mgrid[:90, :110]
    specimen = np.exp(-(((y - 45) / 25.0) ** 2) - ((x - 55) / 30.0) ** 2)
    assert not ends_in_darkness(fftconvolve(specimen, LOPSIDED, mode="same"), LOPSIDED)
    assert not ends_in_darkness(np.zeros((90, 110)), LOPSIDED)
    # Set to zero at the rim, as after a rotation.
    rotated = scene(2)
    rotated[:3] = rotated[:, :3] = rotated[-3:] = rotated[:, -3:] = 0
    assert not ends_in_darkness(rotated, LOPSIDED)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_uniform_scene_becomes_uniform(ndim: int) -> None:
    dark = fftconvolve(np.full(SHAPES[ndim], 5.0), PSFS[ndim], mode="same")
    assert dark.min() < 2.5
    np.testing.assert_allclose(even_border_of(dark, PSFS[ndim]), 5.0, rtol=1e-5)


def test_a_run_says_so_and_its_record_holds_it() -> None:
    dark = fftconvolve(scene(2), LOPSIDED, mode="same")
    few = dict(steps=2, patch=32, features=4, batch_size=1, pretrained=False, refine=False)
    said: list[str] = []
    on = api.deconvolve(
        dark,
        LOPSIDED,
        preset("quick", 2, even_border=True, **few),
        on_event=lambda e: said.append(getattr(e, "message", "")),
    )
    off = api.deconvolve(dark, LOPSIDED, preset("quick", 2, **few))
    assert on.provenance["border_evened"]
    assert not off.provenance["border_evened"]
    assert any("gets dark towards its border" in text for text in said)
    rim, middle = on.image[:3].mean(), on.image[40:50].mean()
    assert rim > 0.8 * middle
    assert off.image[:3].mean() < rim
    np.testing.assert_allclose(api.apply_model(on.model, dark), on.image, rtol=1e-4)
    assert isinstance(next(api.iter_apply_model(on.model, dark)), Warned)
