"""Checking a PSF that is used as it is, and preparing one that was measured."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.prepare import PsfReport, fit_to_voxels, prepare_psf
from napari_selfdeconv.psf.validate import check_psf


def bead(shape, centre, sigma, *, height=1000.0, level=0.0, noise=0.0, seed=0):
    """A Gaussian spot; what a prepared one must look like is known in closed form."""
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    distance = sum(((g - c) / s) ** 2 for g, c, s in zip(grid, centre, sigma, strict=True))
    clean = level + height * np.exp(-distance / 2)
    return clean + noise * np.random.default_rng(seed).normal(size=shape)


def centroid(psf):
    return [
        float((psf.astype(float).sum(axis=tuple(b for b in range(psf.ndim) if b != a)) * np.arange(n)).sum())
        for a, n in enumerate(psf.shape)
    ]


# --- check_psf --------------------------------------------------------------------------------------------------


def test_check_returns_a_float32_unit_sum_copy():
    psf = bead((7, 9, 8), (3, 4, 4), (1, 2, 2)).astype(np.uint16)
    before = psf.copy()
    kernel, doubts = check_psf(psf, (7, 9, 20))
    assert kernel.dtype == np.float32
    assert kernel.sum(dtype=float) == pytest.approx(1, abs=1e-6)
    assert doubts == []
    np.testing.assert_array_equal(psf, before)
    np.testing.assert_allclose(kernel, psf / psf.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("psf", "image", "message"),
    [
        (np.ones((5, 5)), (20, 20, 20), "the PSF is 2D but the image is 3D: give a 3D PSF"),
        (np.ones((5, 5, 5)), (20, 20), "the PSF is 3D but the image is 2D: give one plane"),
        (np.ones((65, 65)), (40, 50), r"the PSF \(65, 65\) is larger than the image \(40, 50\): crop"),
        (np.ones((5, 51)), (40, 50), "larger than the image"),
        (np.zeros((5, 5)), (40, 50), "every voxel of the PSF is 0"),
        (np.array([[1, 2], [-3, 4]]), (40, 50), "1 negative values .*prepare"),
        (np.array([[1, np.nan], [np.inf, 4]]), (40, 50), "2 NaN or infinite"),
        (np.ones((5, 5), complex), (40, 50), "real numbers"),
        (np.ones((5, 5), bool), (40, 50), "real numbers"),
        (np.array([["a", "b"]]), (40, 50), "real numbers"),
        (np.ones(5), (40,), "2 or 3 axes"),
        (np.ones((5, 0)), (40, 50), "no empty one"),
    ],
)
def test_check_says_what_is_wrong_and_what_to_do(psf, image, message):
    with pytest.raises(ConfigError, match=message):
        check_psf(psf, image)


def test_check_survives_numbers_whose_sum_overflows():
    kernel, _ = check_psf(np.full((4, 4), 1e308), (9, 9))
    np.testing.assert_allclose(kernel, 1 / 16)


@pytest.mark.parametrize(
    ("centre", "warned"), [((8, 8), False), ((7.5, 8), False), ((7.2, 8), True), ((8, 10), True)]
)
def test_check_warns_of_a_shift_beyond_half_a_voxel(centre, warned):
    _, doubts = check_psf(bead((17, 17), centre, (2, 2)), (64, 64))
    assert bool(doubts) == warned
    assert not warned or "shifted" in doubts[0]


def test_check_takes_an_out_of_focus_ring_for_centred():
    y, x = np.mgrid[-8:9, -8:9]
    ring = np.exp(-((np.hypot(y, x) - 5) ** 2)) + 1e-4
    assert check_psf(ring, (64, 64))[1] == []


# --- prepare_psf ------------------------------------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(21, 28), st.integers(24, 33), st.integers(24, 33)),
    off=st.tuples(st.floats(-3, 3), st.floats(-4, 4), st.floats(-4, 4)),
    level=st.floats(0, 500),
)
@settings(max_examples=25, deadline=None)
def test_a_bead_anywhere_ends_up_in_the_middle_of_odd_sizes(shape, off, level):
    centre = tuple(n // 2 + o for n, o in zip(shape, off, strict=True))
    kernel, report = prepare_psf(bead(shape, centre, (2.0, 1.5, 1.5), level=level))
    assert all(n % 2 for n in kernel.shape)
    assert kernel.dtype == np.float32
    assert kernel.min() >= 0
    assert kernel.sum(dtype=float) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(report.centre, centre, atol=0.04)
    np.testing.assert_allclose(report.shift, off, atol=0.04)
    np.testing.assert_allclose(centroid(kernel), [n // 2 for n in kernel.shape], atol=0.05)
    assert kernel.argmax() == kernel.size // 2
    assert report.background == pytest.approx(level, abs=2)
    assert check_psf(kernel, shape)[1] == []


def test_a_centred_clean_odd_bead_is_left_as_it_is():
    psf = bead((21, 31, 31), (10, 15, 15), (2, 2.5, 2.5))
    kernel, report = prepare_psf(psf, energy=1.0, background=0.0)
    assert kernel.shape == psf.shape
    np.testing.assert_allclose(kernel, psf / psf.sum(), atol=1e-7)
    assert report.energy_kept == pytest.approx(1)
    assert report.fwhm == pytest.approx([2.355 * s for s in (2, 2.5, 2.5)], rel=0.03)
    assert report.warnings == ()


@pytest.mark.parametrize("shape", [(40, 41), (24, 32, 33)])
def test_noise_and_background_leave_no_haze(shape):
    centre = [n // 2 + 0.3 for n in shape]
    sigma = [2.0] * len(shape)
    kernel, report = prepare_psf(bead(shape, centre, sigma, level=100, noise=10), energy=1.0)
    np.testing.assert_allclose(report.centre, centre, atol=0.05)
    assert report.noise == pytest.approx(10, rel=0.1)
    assert report.background == pytest.approx(100, abs=4)
    core = kernel[tuple(slice(n // 2 - 8, n // 2 + 9) for n in kernel.shape)]
    assert core.sum() > 0.93
    hazy, _ = prepare_psf(bead(shape, centre, sigma, level=100, noise=10), energy=1.0, noise_sigmas=0)
    assert hazy[tuple(slice(n // 2 - 8, n // 2 + 9) for n in hazy.shape)].sum() < core.sum()


@pytest.mark.parametrize(
    ("voxel", "target"),
    [
        ((0.1, 0.03, 0.03), (0.2, 0.065, 0.08)),
        ((0.2, 0.1, 0.1), (0.1, 0.05, 0.1)),
        ((0.1, 0.05, 0.05), (0.1, 0.05, 0.05)),
    ],
)
def test_resampling_keeps_the_size_in_micrometres(voxel, target):
    sigma_um = (0.3, 0.14, 0.14)
    shape = tuple(int(9 * s / v) for s, v in zip(sigma_um, voxel, strict=True))
    centre = tuple(n / 2 + 0.2 for n in shape)
    sigma = tuple(s / v for s, v in zip(sigma_um, voxel, strict=True))
    kernel, report = prepare_psf(
        bead(shape, centre, sigma), voxel_um=voxel, target_voxel_um=target, energy=1.0, background=0.0
    )
    assert report.target_voxel_um == target
    assert centroid(kernel) == pytest.approx([n // 2 for n in kernel.shape], abs=0.05)
    for axis, (n, d) in enumerate(zip(kernel.shape, target, strict=True)):
        profile = kernel.astype(float).sum(axis=tuple(a for a in range(3) if a != axis))
        width = math.sqrt((profile * (np.arange(n) - n // 2) ** 2).sum()) * d
        # A coarser pixel adds the variance of its width, less that of the voxel in the data already.
        extra = max(0, d**2 - voxel[axis] ** 2) / 12 if axis else 0
        assert width == pytest.approx(math.sqrt(sigma_um[axis] ** 2 + extra), rel=0.02)


def test_binning_three_to_one_sums_the_pixels():
    psf = bead((45, 45), (22, 22), (4, 4))
    kernel, _ = prepare_psf(psf, voxel_um=(0.03, 0.03), target_voxel_um=(0.09, 0.09), energy=1.0, background=0.0)
    binned = psf.reshape(15, 3, 15, 3).sum(axis=(1, 3))
    np.testing.assert_allclose(kernel, binned / binned.sum(), atol=3e-4 * kernel.max())


def test_the_crop_holds_the_energy_and_hardly_more():
    psf = bead((41, 61, 61), (20, 30, 30), (3, 4, 4))
    sizes = []
    for energy in (0.7, 0.9, 0.99, 1.0):
        kernel, report = prepare_psf(psf, energy=energy, background=0.0)
        assert energy - 1e-9 <= report.energy_kept <= min(1.0, energy + 0.15)
        assert report.shape == kernel.shape
        sizes.append(kernel.size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 3


def test_max_shape_caps_the_crop():
    kernel, report = prepare_psf(bead((41, 61, 61), (20, 30, 30), (3, 8, 8)), max_shape=(12, 30, 200))
    assert kernel.shape[:2] == (11, 29)
    assert report.energy_kept < 0.99


def test_center_false_keeps_the_middle_voxel():
    psf = bead((30, 40), (17, 18), (2, 2))
    kernel, report = prepare_psf(psf, center=False, energy=1.0, background=0.0)
    peak = np.unravel_index(kernel.argmax(), kernel.shape)
    assert [p - n // 2 for p, n in zip(peak, kernel.shape, strict=True)] == [2, -2]
    assert "left the centre where it was" in report.did


def test_a_lopsided_psf_keeps_its_direction():
    psf = bead((31, 31), (15, 15), (2, 2)) + bead((31, 31), (15, 20), (2, 2), height=300)
    kernel, _ = prepare_psf(psf, background=0.0)
    middle = kernel.shape[1] // 2
    assert kernel[:, middle + 1 :].sum() > 1.3 * kernel[:, :middle].sum()


def test_a_few_bad_pixels_are_mended_and_reported():
    psf = bead((31, 31), (15, 15), (2, 2), level=50)
    psf[3, 4], psf[20, 1] = np.nan, np.inf
    kernel, report = prepare_psf(psf)
    assert report.non_finite == 2
    assert np.isfinite(kernel).all()
    assert any("NaN" in line for line in report.found)
    assert any("NaN" in line for line in report.did)


def test_report_tells_numbers_in_sentences():
    psf = bead((30, 40), (17.5, 18), (2, 2), level=50)
    _, report = prepare_psf(psf, voxel_um=(0.05, 0.05), target_voxel_um=(0.1, 0.1))
    assert isinstance(report, PsfReport)
    assert report.original_shape == (30, 40)
    text = " ".join(report.found + report.did)
    for piece in ("(30, 40)", "17.50", "background 50", "resampled", str(report.shape), "sum 1"):
        assert piece in text
    with pytest.raises(AttributeError):
        report.noise = 0.0


def saturated_bead():
    return np.minimum(bead((31, 31), (15, 15), (3, 3)), 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("psf", "settings", "message"),
    [
        (bead((31, 31), (15, 2), (3, 3)), {"background": 0.0}, r"cut off at the border along x \("),
        (bead((31, 31), (15, 15), (0.6, 2)), {}, r"undersampled"),
        (bead((41, 41), (20, 12), (2, 2)) + bead((41, 41), (20, 30), (2, 2), height=900), {}, "2 separate"),
        (saturated_bead(), {}, "saturated"),
        (
            bead((31, 31, 31), (15, 15, 15), (1.5, 1.5, 4)),
            {"voxel_um": (0.1, 0.2, 0.2), "target_voxel_um": (0.1, 0.2, 0.2)},
            "order z, y, x",
        ),
    ],
)
def test_doubts_are_reported(psf, settings, message):
    _, report = prepare_psf(psf, **settings)
    assert any(re.search(message, line) for line in report.warnings), report.warnings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"voxel_um": (0.1, 0.1)}, "give both"),
        ({"voxel_um": (0.1,), "target_voxel_um": (0.1, 0.1)}, "voxel_um must have 2 entries"),
        ({"voxel_um": (0.1, 0.0), "target_voxel_um": (0.1, 0.1)}, "voxel_um"),
        ({"voxel_um": (0.1, 0.1), "target_voxel_um": (0.1, math.nan)}, "target_voxel_um"),
        ({"voxel_um": (100.0, 100.0), "target_voxel_um": (0.1, 0.1)}, "nanometres"),
        ({"energy": 0.2}, "energy"),
        ({"energy": 1.1}, "energy"),
        ({"noise_sigmas": -1.0}, "noise_sigmas"),
        ({"background": "low"}, "background"),
        ({"background": math.nan}, "background"),
        ({"background": 1e6}, "brighter than its background"),
        ({"noise_sigmas": 100.0, "background": 0.0}, "times its noise"),
        ({"max_shape": (5, 5, 5)}, "max_shape"),
        ({"max_shape": (5, 0)}, "max_shape"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        prepare_psf(bead((30, 30), (15, 15), (2, 2), noise=100), **settings)


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        (np.zeros((9, 9)), "brighter than its background"),
        (np.full((9, 9), 7.0), "brighter than its background"),
        (np.full((9, 9), np.nan), "81 of 81"),
        (np.ones((9, 9), complex), "real numbers"),
        (np.ones((9, 9, 9, 9)), "2 or 3 axes"),
    ],
)
def test_arrays_that_hold_no_psf_are_refused(psf, message):
    with pytest.raises(ConfigError, match=message):
        prepare_psf(psf)


def test_resampling_that_would_fill_the_memory_is_refused():
    psf = bead((61, 64, 64), (30, 32, 32), (3, 3, 3))
    with pytest.raises(ConfigError, match="crop it first"):
        prepare_psf(psf, voxel_um=(1.0, 1.0, 1.0), target_voxel_um=(0.06, 0.06, 0.06))


def test_a_stack_of_one_plane_works():
    kernel, report = prepare_psf(bead((1, 31, 31), (0, 14.5, 15), (1, 2, 2)), background=0.0)
    assert kernel.shape[0] == 1
    assert kernel.argmax() == kernel.size // 2
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("columns", "level", "said"),
    [
        ([7], 0.0, ""),
        ([7], 10.0, r"a background of 10, \d+% of all its light: the result would lose contrast; prepare"),
        ([7, 22], 0.0, "2 separate bright spots, .*; if it is an image of several beads, crop it"),
    ],
)
def test_check_says_that_a_psf_is_not_of_one_point(columns, level, said):
    """Nothing was said of such PSFs in memory, and of two beads in a file neither."""
    beads = [bead((13, 15, 15 * len(columns)), (6, 7, x), (1.5,) * 3, height=100.0) for x in columns]
    found = [one for one in check_psf(sum(beads) + level, (64, 64, 64))[1] if "centre" not in one]
    assert len(found) == bool(said), found
    assert re.search(said, "".join(found))


def test_check_says_that_a_psf_blurs_nothing():
    """So is a PSF after it was resampled to the 1 um that a file states instead of no voxel size."""
    point = np.zeros((9, 9))
    point[4, 4] = 1
    assert "compare the voxel sizes of the PSF and the image" in " ".join(check_psf(point, (64, 64))[1])


@pytest.mark.parametrize("shape", [(9, 9), (1, 1), (1, 9), (6, 6), (5, 9, 9)])
def test_check_takes_a_box_for_a_psf(shape):
    assert not [said for said in check_psf(np.ones(shape), (64,) * len(shape))[1] if "centre" not in said]


# --- fit_to_voxels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "image"), [(None, (1, 1)), ((1, 1), None), ((1, 1), (1, 1.005)), ((1, 1), (1, 1, 1))]
)
def test_a_psf_that_fits_or_cannot_be_compared_is_untouched(own, image):
    psf = np.random.default_rng(0).random((9, 7))
    same, notes = fit_to_voxels(psf, own, image)
    assert same is psf
    assert notes == []


def test_a_psf_of_finer_voxels_is_resampled_and_said():
    x = np.arange(41) - 20
    fine = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 8.0**2))
    coarse, notes = fit_to_voxels(fine, (0.05, 0.05), (0.1, 0.1))
    expected = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 4.0**2))
    middle = coarse.shape[0] // 2
    profile = coarse[middle, middle - 3 : middle + 4]
    np.testing.assert_allclose(profile / profile.max(), expected, atol=0.01)
    assert "0.05 x 0.05 um to the image's 0.1 x 0.1 um" in notes[0]
