"""A point of 1000 times the background digs no hole beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.events import Preview, Warned

BACKGROUND = 100.0


def recorded(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a point of 1000 times the background with photon noise, and the PSF."""
    truth = np.full(shape, BACKGROUND)
    truth[tuple(n // 2 for n in shape)] *= 1000
    delta = np.zeros((9,) * len(shape))
    delta[(4,) * len(shape)] = 1
    psf = gaussian_filter(delta, 1.3, truncate=3)
    light = gaussian_filter(truth, 1.3, truncate=3)
    random = np.random.default_rng(0)
    return (random.poisson(light) + random.normal(0, 1, shape)).astype(np.float32), (psf / psf.sum()).astype(
        np.float32
    )


def settings(name: str, ndim: int) -> Any:
    few = {} if name == "instant" else {"steps": 3, "batch_size": 1, "patch": 16}
    return preset(name, ndim, device="cpu", precision="float32", views=1, **few)


@pytest.mark.parametrize("name", ["instant", "quick"])
@pytest.mark.parametrize("shape", [(48, 52), (14, 24, 26)])
def test_no_value_lies_three_sigma_below_the_background(name: str, shape: tuple[int, ...]) -> None:
    image, psf = recorded(shape)
    said: list[str] = []
    result = api.deconvolve(
        image,
        psf,
        settings(name, len(shape)),
        on_event=lambda event: said.append(event.message) if isinstance(event, Warned) else None,
    )
    assert result.image.min() > BACKGROUND - 3 * np.sqrt(BACKGROUND + 1)
    middle = tuple(slice(n // 2 - 1, n // 2 + 2) for n in shape)
    assert result.image[middle].sum() == pytest.approx(1000 * BACKGROUND, rel=0.05)
    assert result.provenance["bright_points"] == 1
    assert any(text.startswith("Points far brighter than the rest of the image: 1.") for text in said)
    np.testing.assert_allclose(api.apply_model(result.model, image), result.image, rtol=1e-4, atol=0.1)


def test_a_preview_and_the_intervals_have_the_point() -> None:
    image, psf = recorded((48, 52))
    part = (slice(12, 36), slice(14, 40))
    preview = api.preview_region(image, psf, settings("instant", 2), region=part, extra=True)
    assert isinstance(preview, Preview)
    assert preview.image.max() > 500 * BACKGROUND
    assert preview.reblurred is not None
    np.testing.assert_allclose(preview.reblurred, image[part], atol=0.05 * image.max())
    result = api.deconvolve(image, psf, settings("instant", 2))
    found = api.uncertainty(result.model, image, samples=1)
    np.testing.assert_allclose(found.result, result.image, rtol=1e-4, atol=0.1)
    assert found.result.max() > 500 * BACKGROUND
