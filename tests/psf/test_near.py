"""The compact part of a PSF as large as a stack."""

import numpy as np
import pytest

from napari_selfdeconv import Optics, psf_for_stack, suggest_psf_shape
from napari_selfdeconv.psf.near import has_far_light, near_part, near_shape

VOXEL = (0.3, 0.12, 0.12)


@pytest.mark.parametrize(("na", "index"), [(1.2, 1.33), (1.4, 1.515), (0.8, 1.0)])
def test_compact_part_is_near_the_suggested_compact_psf(na: float, index: float) -> None:
    optics, shape = Optics(na=na, wavelength_um=0.52, refractive_index=index), (16, 40, 40)
    whole, _ = psf_for_stack(optics, VOXEL, shape)
    compact = suggest_psf_shape(optics, VOXEL, shape)
    found = near_shape(whole, shape)
    assert all(n % 2 == 1 for n in found)
    assert all(abs(n - m) <= max(4, 0.4 * m) for n, m in zip(found, compact, strict=True))


def test_compact_part_is_the_middle_of_the_psf_and_sums_to_one() -> None:
    psf = np.random.default_rng(0).random((9, 71, 71)).astype(np.float32)
    psf /= psf.sum()
    near, share = near_part(psf, (5, 7, 7))
    assert near.sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(near * share, psf[2:7, 32:39, 32:39], rtol=1e-4)


def test_only_long_psfs_of_volumes_have_far_light() -> None:
    assert not has_far_light((65, 65, 65), (80, 80, 80))
    assert has_far_light((65, 67, 65), (80, 80, 80))
    assert has_far_light((15, 9, 9), (8, 80, 80))
    assert not has_far_light((99, 99), (50, 50))


def test_suggested_compact_psfs_have_no_far_light() -> None:
    optics = Optics(na=0.5, wavelength_um=0.6, refractive_index=1.33)
    shape = suggest_psf_shape(optics, (0.2, 0.1, 0.1), (100, 200, 200))
    assert max(shape) >= 60
    assert not has_far_light(shape, (100, 200, 200))
