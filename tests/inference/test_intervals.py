"""Other recordings, and intervals on a generated scene with the numbers that are shipped."""

from __future__ import annotations

import numpy as np
import pytest

from napari_selfdeconv.inference.intervals import features, half_widths, unsupported
from napari_selfdeconv.inference.resample import another_recording
from selfdeconv_tools.fit_intervals import Generated, collect, generate

RANDOM = np.random.default_rng(0)


def test_another_recording_has_the_noise_of_the_first_at_each_brightness() -> None:
    expected = np.repeat(np.float32([5, 500]), 8000).reshape(2, 80, 100)
    image = RANDOM.poisson(expected).astype(np.float32)
    again = another_recording(expected, image, np.random.default_rng(1))
    for part in (0, 1):
        assert again[part].std() == pytest.approx(image[part].std(), rel=0.1)
        assert again[part].mean() == pytest.approx(image[part].mean(), rel=0.05)
    assert abs(np.corrcoef((again - expected).ravel(), (image - expected).ravel())[0, 1]) < 0.1


def test_pixels_that_are_no_measurement_lend_no_noise() -> None:
    expected = np.full((64, 64), 5, np.float32)
    image = expected + RANDOM.normal(0, 1, expected.shape).astype(np.float32)
    measured = np.ones(image.shape, bool)
    measured[10:30] = False
    image[10:30] = 1e6
    assert another_recording(expected, image, RANDOM, measured).max() < 20


@pytest.mark.parametrize(("kind", "numbers", "side"), [("2d", (5001, 5002, 5003), 64), ("3d", (5001, 5002), 36)])
def test_the_shipped_numbers_cover_scenes_that_they_were_not_fitted_to(
    kind: str, numbers: tuple[int, ...], side: int
) -> None:
    shares = []
    for number in numbers:
        made = generate(kind, number)
        part = (slice(0, side),) * made.image.ndim
        made = Generated(made.truth[part], made.image[part], made.psf)
        found = collect(made, trained=False, samples=1)
        width = half_widths(found)
        assert np.isfinite(features(found)).all()
        # Not one width for all pixels.
        assert width.std() > 0.1 * width.mean()
        shares.append(float((np.abs(made.truth - found.result) <= width).mean()))
    assert 0.75 < np.mean(shares) < 0.995


def test_noise_and_background_are_not_marked_but_a_structure_is() -> None:
    result, width = np.zeros((64, 64), np.float32), np.ones((64, 64), np.float32)
    other = RANDOM.normal(5, 2, result.shape).astype(np.float32)
    assert unsupported(result, width, [other]).mean() < 0.01
    other[30:36, 30:36] += 9
    marked = unsupported(result, width, [np.zeros_like(other), other])
    assert marked[32:34, 32:34].all()
    assert not marked[:10].any()
    assert not unsupported(result, width, []).any()
