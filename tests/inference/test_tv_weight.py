"""The weight of the total variation follows the noise of an image, whatever its units."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_selfdeconv.inference.tv_weight import LEAST_TV, TV, tv_weight

WAVES = 0.5 + 0.5 * np.sin(np.arange(192) / 15) * np.sin(np.arange(192) / 20)[:, None]


def recorded(photons: float, read_noise: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    return random.poisson(photons * WAVES) + random.normal(100, read_noise, WAVES.shape)


def test_it_falls_with_the_root_of_the_photons() -> None:
    few, more, most = (tv_weight(recorded(photons)) for photons in (800, 3200, 12_800))
    assert few == pytest.approx(TV / 2, rel=0.1)
    assert more == pytest.approx(few / 2, rel=0.1)
    assert most == pytest.approx(more / 2, rel=0.1)


def test_units_do_not_matter() -> None:
    image = recorded(1000)
    assert tv_weight(7.5 * image + 3) == pytest.approx(tv_weight(image))


def test_read_noise_counts_as_fewer_photons() -> None:
    # The noise of 1600 photons and a read noise of 80 is that of a quarter of the photons and a bit more.
    assert tv_weight(recorded(1600, 80)) == pytest.approx(TV * np.sqrt(200 * (1600 + 6400)) / 1600, rel=0.1)
    assert tv_weight(recorded(1600, 200)) == TV


def test_it_has_bounds() -> None:
    assert tv_weight(recorded(50)) == TV
    assert tv_weight(recorded(1e6)) == LEAST_TV
    assert tv_weight(WAVES) == LEAST_TV
    assert tv_weight(np.zeros((32, 32))) == TV


def test_pixels_that_are_no_measurement_do_not_count() -> None:
    image, measured = recorded(1000), np.ones(WAVES.shape, bool)
    measured[40:60, 40:60] = False
    broken = np.where(measured, image, 60_000)
    assert tv_weight(broken, measured) == pytest.approx(tv_weight(image), rel=0.1)
