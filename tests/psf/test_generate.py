"""The Richards & Wolf PSF against formulas, tabulated values and an independent, plain quadrature."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.generate import PsfWarning, richards_wolf_psf, suggest_psf_shape
from napari_selfdeconv.psf.radial_table import pinhole_radius_um, radial_table
from napari_selfdeconv.psf.richards_wolf import focus_range, intensity, plane_energy
from napari_selfdeconv.psf.richards_wolf_grid import MAX_SUGGESTED, focus_shift

OIL = Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)
WATER = Optics(na=0.8, wavelength_um=0.6, refractive_index=1.33)
CONFOCAL = replace(OIL, excitation_um=0.488, pinhole_au=1.0)
INTO_WATER = replace(OIL, layers=CoverslipLayers(sample_index=1.33, sample_depth_um=5.0))
POINTS = [(0, 0.1), (0, 0.3), (0.4, 0), (0.4, 0.25), (1, 0.7), (3.2, 2)]
ORACLE = [
    (
        OIL,
        [
            0.533158842518302,
            0.020053697523863,
            0.145039076964130,
            0.080229037248654,
            0.009754689404582,
            0.000888100824639,
        ],
    ),
    (
        WATER,
        [
            0.844801025906950,
            0.180392649457948,
            0.900004367957180,
            0.294972277361825,
            0.025467333136761,
            0.004721410511935,
        ],
    ),
]


def quiet_psf(shape, spacing, optics):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PsfWarning)
        return richards_wolf_psf(shape, spacing, optics)


def plain_fields(z, r, na, wavelength, n, nodes=120):
    """I0, I1, I2 written down once more: other variable (s = sin), other Bessel functions, other weights."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    s = (x + 1) / 2 * na / n
    c = np.sqrt(1 - s**2)
    k = 2 * math.pi * n / wavelength
    base = w / 2 * na / n * s / np.sqrt(c) * np.exp(1j * k * z * c)
    bessel = [special.jv(m, k * np.multiply.outer(r, s)) for m in range(3)]
    return [bessel[0] @ (base * (1 + c)), bessel[1] @ (base * s), bessel[2] @ (base * (1 - c))]


def plain_intensity(z, r, optics, wavelength=None, nodes=120):
    wavelength = wavelength or optics.wavelength_um
    i0, i1, i2 = plain_fields(z, np.asarray(r), optics.na, wavelength, optics.refractive_index, nodes)
    return np.abs(i0) ** 2 + 2 * np.abs(i1) ** 2 + np.abs(i2) ** 2


def plain_plane(z, shape, spacing, light, points=12):
    """`plain_pixel` for every pixel, the mirrored ones from their originals."""
    ny, nx = shape
    corner = [
        [plain_pixel(z, y, x, spacing, light, points) for x in range(nx // 2 + 1)] for y in range(ny // 2 + 1)
    ]
    return np.array(corner)[np.abs(np.arange(ny) - ny // 2)[:, None], np.abs(np.arange(nx) - nx // 2)]


def plain_pixel(z, iy, ix, spacing, light, points=12):
    """Mean of ``light(z, r)`` over one pixel by a product rule far finer than needed."""
    x, w = np.polynomial.legendre.leggauss(points)
    y_um, x_um = (iy + x / 2) * spacing[0], (ix + x / 2) * spacing[1]
    values = light(z, np.hypot(y_um[:, None], x_um).ravel()).reshape(points, points)
    return w @ values @ w / 4


@pytest.mark.parametrize(("optics", "expected"), ORACLE)
def test_intensity_equals_the_tabulated_values(optics, expected):
    peak = intensity(0, 0, optics)[0, 0]
    got = [intensity(z, r, optics)[0, 0] / peak for z, r in POINTS]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("na", [0.05, 0.3, 0.8, 1.2, 1.4, 1.51])
def test_peak_and_plane_energy_follow_their_formulas(na):
    optics = replace(OIL, na=na)
    c = math.cos(math.asin(na / 1.515))
    peak = (2 / 3 * (1 - c**1.5) + 2 / 5 * (1 - c**2.5)) ** 2
    assert intensity(0, 0, optics)[0, 0] == pytest.approx(peak, rel=1e-12)
    k = 2 * math.pi * 1.515 / 0.52
    assert plane_energy(optics) == pytest.approx(2 * math.pi * 4 * (1 - c) / k**2, rel=1e-10)


@pytest.mark.parametrize("optics", [OIL, WATER, replace(INTO_WATER, na=1.2)])
def test_light_summed_to_large_radius_is_the_plane_energy(optics):
    # What is still outside falls as 1 / r: extrapolate it away from two radii.
    table = radial_table(optics, np.array([0.0, 2.0]), 80.0)
    inside = table.cumulated()
    r = table.step * np.arange(inside.shape[1])
    half = len(r) // 2
    slope = (inside[:, -1] - inside[:, half]) / (1 / r[half] - 1 / r[-1])
    np.testing.assert_allclose(inside[:, -1] + slope / r[-1], plane_energy(optics), rtol=1e-3)


def test_low_na_tends_to_the_airy_pattern():
    optics = Optics(na=0.05, wavelength_um=0.5, refractive_index=1.0)
    r = np.linspace(0, 12, 60)
    x = 2 * math.pi * 0.05 / 0.5 * r
    airy = np.divide(2 * special.j1(x), x, out=np.ones_like(x), where=x > 0) ** 2
    got = intensity(0, r, optics)[0]
    np.testing.assert_allclose(got / got[0], airy, rtol=0, atol=1e-3)


def test_intensity_agrees_with_plain_quadrature_far_out_and_far_off_focus():
    r = np.linspace(0, 12, 8)
    for z in (-13.0, 0.0, 9.1):
        expected = plain_intensity(z, r, OIL, nodes=400)
        np.testing.assert_allclose(intensity(z, r, OIL)[0], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("coordinates", [(np.nan, 0.0), (0.0, -1.0), (0.0, np.inf), ([[0.0]], 0.0)])
def test_intensity_refuses_bad_coordinates(coordinates):
    with pytest.raises(ConfigError, match="z_um and r_um"):
        intensity(*coordinates, OIL)


@pytest.mark.parametrize("optics", [OIL, WATER, INTO_WATER])
def test_table_is_smooth_enough_between_its_nodes(optics):
    z = np.array([0.0, 1.0, 3.2])
    r = np.random.default_rng(0).uniform(0, 8, 300)
    table = radial_table(optics, z, 8.0)
    got = (table.at(r[:, None], np.ones((300, 1))) @ table.values.T).T
    assert np.abs(got - intensity(z, r, optics)).max() < 1e-8 * table.values.max()


@pytest.mark.parametrize(
    ("optics", "shape", "spacing"),
    [
        (OIL, (2, 6, 7), (0.2, 0.065, 0.065)),
        (OIL, (1, 7, 8), (0.2, 0.05, 0.09)),
        (WATER, (2, 4, 5), (1.0, 0.406, 0.406)),
        (replace(OIL, pixel_integration=False, defocus_um=0.13), (3, 9, 8), (0.2, 0.065, 0.08)),
        (replace(WATER, defocus_um=-3.0), (6, 7), (0.2, 0.3)),
    ],
)
def test_every_voxel_agrees_with_direct_quadrature(optics, shape, spacing):
    got = quiet_psf(shape, spacing, optics).astype(float)
    nz, ny, nx = (1, *shape)[-3:]
    planes = (np.arange(nz) - nz // 2) * (0.0, *spacing)[-3] + optics.defocus_um
    points = 12 if optics.pixel_integration else 1
    expected = np.array(
        [
            plain_plane(z, (ny, nx), spacing[-2:], lambda z, r: plain_intensity(z, r, optics), points)
            for z in planes
        ]
    )
    expected = (expected / expected.sum()).reshape(shape)
    assert np.linalg.norm(got - expected) < 1e-6 * np.linalg.norm(expected)
    assert np.abs(got - expected).max() < 1e-6 * expected.max()


def test_pixel_integration_matters():
    spacing, shape = (0.406, 0.406), (17, 17)
    sampled = quiet_psf(shape, spacing, replace(WATER, pixel_integration=False))
    integrated = quiet_psf(shape, spacing, WATER)
    assert np.linalg.norm(sampled - integrated) / np.linalg.norm(integrated) > 0.2


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 14), st.integers(1, 14)),
    spacing=st.tuples(st.floats(0.05, 0.5), st.floats(0.03, 0.3), st.floats(0.03, 0.3)),
    optics=st.sampled_from([OIL, WATER, CONFOCAL, replace(OIL, pixel_integration=False)]),
)
@settings(max_examples=40, deadline=None)
def test_any_grid_gives_unit_sum_a_centred_peak_and_mirror_symmetry(shape, spacing, optics):
    psf = quiet_psf(shape, spacing, optics)
    assert psf.shape == shape
    assert psf.dtype == np.float32
    assert psf.min() >= 0
    assert psf.sum(dtype=float) == pytest.approx(1, abs=1e-6)
    assert psf[tuple(n // 2 for n in shape)] == psf.max()
    for axis, n in enumerate(shape):
        odd = np.take(psf, range(1 - n % 2, n), axis)
        np.testing.assert_array_equal(odd, np.flip(odd, axis))


def test_even_and_odd_sizes_hold_the_same_light_at_the_same_distance():
    odd, even = (quiet_psf((n, n + 2, n + 4), (0.2, 0.07, 0.09), OIL).astype(float) for n in (9, 10))
    core = even[1:, 1:, 1:]
    np.testing.assert_allclose(core / core.sum(), odd, rtol=1e-5, atol=1e-9)


def test_a_window_is_a_cut_out_of_a_larger_one():
    large = quiet_psf((7, 41, 31), (0.2, 0.065, 0.08), OIL).astype(float)
    part = large[1:-1, 13:-13, 8:-8]
    got = quiet_psf(part.shape, (0.2, 0.065, 0.08), OIL)
    np.testing.assert_allclose(got, part / part.sum(), rtol=2e-6)


def test_swapping_dy_and_dx_transposes():
    a = quiet_psf((3, 11, 16), (0.2, 0.05, 0.09), OIL)
    b = quiet_psf((3, 16, 11), (0.2, 0.09, 0.05), OIL)
    np.testing.assert_allclose(a, b.transpose(0, 2, 1), rtol=1e-6)
    assert a[1, 5 + 3, 8] > a[1, 5, 8 + 3]  # three pixels along y are nearer than three along x


def test_a_single_plane_is_the_stack_of_one():
    flat = quiet_psf((31, 32), (0.065, 0.065), OIL)
    np.testing.assert_array_equal(flat, quiet_psf((1, 31, 32), (0.3, 0.065, 0.065), OIL)[0])


def test_defocus_shifts_all_planes():
    still = quiet_psf((21, 33, 33), (0.2, 0.065, 0.065), OIL).astype(float)
    moved = quiet_psf((21, 33, 33), (0.2, 0.065, 0.065), replace(OIL, defocus_um=0.6)).astype(float)
    a, b = moved[:-3], still[3:]
    np.testing.assert_allclose(a / a.sum(), b / b.sum(), rtol=1e-5)
    tie = quiet_psf((17, 9, 9), (0.4, 0.1, 0.1), replace(OIL, defocus_um=0.2))
    np.testing.assert_allclose(tie[7], tie[8], rtol=1e-6)


# --- confocal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pinhole", [0.25, 1.0, 7.0])
def test_pinhole_agrees_with_a_plain_sum_over_its_disc(pinhole):
    optics = replace(CONFOCAL, pinhole_au=pinhole)
    z = np.array([0.0, 0.3, 1.0])
    table = radial_table(optics, z, 1.5)
    a = pinhole * 0.61 * 0.52 / 1.4
    assert pinhole_radius_um(optics) == pytest.approx(a)
    x, w = np.polynomial.legendre.leggauss(90)
    rho, phi = (x + 1) * a / 2, 2 * math.pi * np.arange(180) / 180
    for r in (0.0, 0.02, 0.17, min(a, 1.3), 1.4):
        d = np.sqrt(np.maximum(r**2 + rho[:, None] ** 2 + 2 * r * rho[:, None] * np.cos(phi), 0))
        emission = intensity(z, d.ravel(), optics).reshape(3, 90, 180).mean(axis=-1) @ (w * rho) / a
        expected = emission * intensity(z, r, optics, wavelength_um=0.488)[:, 0]
        got = table.at(np.array([[r]]), np.ones((1, 1))) @ table.values.T
        np.testing.assert_allclose(np.ravel(got), expected, rtol=0, atol=1e-8 * table.values.max())


def test_point_pinhole_is_the_product_of_both_and_a_wide_one_tends_to_the_excitation():
    shape, spacing = (5, 15, 15), (0.15, 0.05, 0.05)
    sampled = {"pixel_integration": False}
    emission = quiet_psf(shape, spacing, replace(OIL, **sampled)).astype(float)
    excitation = quiet_psf(shape, spacing, replace(OIL, wavelength_um=0.488, **sampled)).astype(float)
    point = quiet_psf(shape, spacing, replace(CONFOCAL, pinhole_au=0.0, **sampled))
    product = emission * excitation
    np.testing.assert_allclose(point, product / product.sum(), rtol=1e-5)
    wide = quiet_psf(shape, spacing, replace(CONFOCAL, pinhole_au=60.0, **sampled))
    assert np.linalg.norm(wide - excitation) < 0.02 * np.linalg.norm(excitation)


def test_confocal_pixels_agree_with_direct_quadrature():
    optics = replace(CONFOCAL, pinhole_au=0.0)
    spacing = (0.12, 0.1)

    def light(z, r):
        return plain_intensity(z, r, OIL) * plain_intensity(z, r, OIL, 0.488)

    expected = plain_plane(0.0, (5, 6), spacing, light)
    got = quiet_psf((5, 6), spacing, optics)
    np.testing.assert_allclose(got, expected / expected.sum(), rtol=0, atol=1e-6 * got.max())


def test_confocal_sections_and_closing_the_pinhole_sharpens():
    shape, spacing = (31, 31, 31), (0.1, 0.06, 0.06)
    wide_field = quiet_psf(shape, spacing, OIL)
    peaks = [quiet_psf(shape, spacing, replace(CONFOCAL, pinhole_au=p)).max() for p in (0.0, 0.5, 1.0, 3.0)]
    assert peaks == sorted(peaks, reverse=True)
    confocal = quiet_psf(shape, spacing, CONFOCAL)
    assert confocal[0].sum() < 0.1 * confocal[15].sum()
    assert wide_field[0].sum() > 0.3 * wide_field[15].sum()
    assert np.linalg.norm(confocal - quiet_psf(shape, spacing, replace(CONFOCAL, pinhole_au=0.0))) > 0.05 * (
        np.linalg.norm(confocal)
    )


# --- layers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0.0, 30.0])
def test_equal_layers_are_no_layers(depth):
    layers = CoverslipLayers(sample_index=1.515, sample_depth_um=depth)
    z, r = np.linspace(-4, 4, 9), np.linspace(0, 4, 9)
    np.testing.assert_allclose(intensity(z, r, replace(OIL, layers=layers)), intensity(z, r, OIL), atol=1e-12)
    shape, spacing = (5, 9, 10), (0.2, 0.065, 0.065)
    got, plain = quiet_psf(shape, spacing, replace(OIL, layers=layers)), quiet_psf(shape, spacing, OIL)
    np.testing.assert_allclose(got, plain, atol=1e-7 * plain.max())


def test_layers_agree_with_plain_quadrature_across_the_critical_angle():
    # Written down once more with the full optical path, and brute force (midpoint rule) instead of the split.
    n, ns, depth, k0 = 1.515, 1.33, 0.8, 2 * math.pi / 0.52
    optics = replace(OIL, layers=CoverslipLayers(sample_index=ns, sample_depth_um=depth))
    alpha = math.asin(1.4 / n)
    theta = (np.arange(500_000) + 0.5) / 500_000 * alpha
    s, c = np.sin(theta), np.cos(theta)
    cs = np.sqrt(1 - (n / ns * s) ** 2 + 0j)
    ts, tp = 2 * n * c / (n * c + ns * cs), 2 * n * c / (ns * c + n * cs)
    immersion = -depth * n / ns  # thinner than designed, for the sum of thickness / index to stay
    for z, r in [(0.0, 0.0), (0.4, 0.2), (-0.5, 0.1)]:
        phase = np.exp(1j * k0 * (ns * depth * cs + n * (immersion - z) * c)) * np.sqrt(c) * s
        x = k0 * n * s * r
        i0 = np.mean(phase * (ts + tp * cs) * special.j0(x))
        i1 = np.mean(phase * tp * n / ns * s * special.j1(x))
        i2 = np.mean(
            phase
            * (ts - tp * cs)
            * (special.j0(x) * -1 + np.where(x > 0, 2 * special.j1(x) / np.where(x > 0, x, 1), 1))
        )
        expected = alpha**2 * (abs(i0) ** 2 + 2 * abs(i1) ** 2 + abs(i2) ** 2)
        assert intensity(z, r, optics)[0, 0] == pytest.approx(expected, abs=1e-7)


def test_rays_bent_short_ask_for_a_deeper_focus():
    # Oil into water: the outer rays cross the axis above the paraxial focus, so the stage must go deeper.
    low, high = focus_range(INTO_WATER)
    assert low == pytest.approx(0, abs=1e-9)
    assert high > 1
    assert focus_shift(INTO_WATER, (0.065, 0.065)) > 0.2
    reverse = replace(WATER, layers=CoverslipLayers(sample_index=1.45, sample_depth_um=30.0))
    assert focus_shift(reverse, (0.1, 0.1)) < 0
    assert focus_shift(OIL, (0.065, 0.065)) == 0


def test_deeper_plane_index_is_the_side_of_the_tail():
    optics = replace(
        Optics(na=1.2, wavelength_um=0.52, refractive_index=1.515),
        layers=CoverslipLayers(sample_index=1.33, sample_depth_um=15.0),
    )
    axis = quiet_psf((61, 9, 9), (0.15, 0.08, 0.08), optics)[:, 4, 4]
    assert axis.argmax() == 30
    assert axis[33:].sum() > 1.2 * axis[:28].sum()


@pytest.mark.parametrize(
    "optics",
    [
        INTO_WATER,
        replace(INTO_WATER, excitation_um=0.488, pinhole_au=1.0),
        replace(OIL, na=1.2, layers=CoverslipLayers(sample_index=1.38, sample_depth_um=20.0, coverslip_um=175.0)),
        replace(WATER, layers=CoverslipLayers(sample_index=1.33, coverslip_um=190.0)),
    ],
)
def test_with_layers_the_peak_is_still_in_the_middle(optics):
    psf = quiet_psf((33, 24, 25), (0.2, 0.07, 0.07), optics)
    assert np.unravel_index(psf.argmax(), psf.shape) == (16, 12, 12)
    assert psf.sum(dtype=float) == pytest.approx(1, abs=1e-6)


def test_evanescent_light_fades_with_depth():
    energies = [
        plane_energy(replace(OIL, layers=CoverslipLayers(sample_index=1.33, sample_depth_um=d)))
        for d in (0.0, 0.1, 3.0)
    ]
    assert energies[0] > 1.05 * energies[1]
    assert energies[1] > energies[2]


# --- errors and warnings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"na": 0.0}, "na"),
        ({"na": 1.515}, "below refractive_index"),
        ({"wavelength_um": 0.05}, "wavelength_um"),
        ({"wavelength_um": 520.0}, "nanometres"),
        ({"na": math.nan}, "na"),
        ({"excitation_um": 0.6, "pinhole_au": 1.0}, "must not exceed"),
        ({"excitation_um": 0.488, "pinhole_au": -1.0}, "pinhole_au"),
        ({"pinhole_au": 1.0}, "both"),
    ],
)
def test_impossible_optics_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(OIL, **changes)


@pytest.mark.parametrize(
    ("shape", "spacing", "message"),
    [
        ((0, 9, 9), (0.1, 0.1, 0.1), "at least 1"),
        ((9, -1), (0.1, 0.1), "at least 1"),
        ((9,), (0.1,), "nz, ny, nx"),
        ((9, 9.5), (0.1, 0.1), "whole numbers"),
        (9, (0.1, 0.1), "whole numbers"),
        ((9, 9), (0.1, 0.1, 0.1), "spacing_um must have 2 entries"),
        ((9, 9), (0.0, 0.1), "dy"),
        ((9, 9), (0.1, -0.1), "dx"),
        ((9, 9, 9), (math.nan, 0.1, 0.1), "dz"),
        ((9, 9), (0.1, math.inf), "dx"),
        ((9, 9), (0.1, "0.1"), "dx"),
    ],
)
def test_impossible_grids_are_refused(shape, spacing, message):
    with pytest.raises(ConfigError, match=message):
        richards_wolf_psf(shape, spacing, OIL)


def test_layers_that_leave_no_psf_are_refused():
    with pytest.raises(ConfigError, match="depth"):
        richards_wolf_psf(
            (9, 9), (0.065, 0.065), replace(OIL, layers=CoverslipLayers(sample_index=1.33, sample_depth_um=9000.0))
        )
    with pytest.raises(ConfigError, match="designed for"):
        intensity(0, 0, replace(OIL, layers=CoverslipLayers(sample_index=1.5, immersion_design_index=1.33)))


@pytest.mark.parametrize(
    ("optics", "shape", "spacing", "message"),
    [
        (OIL, (1, 65, 65), (0.1, 0.2, 0.2), "Pixels of 0.2 um"),
        (OIL, (3, 129, 129), (0.4, 0.065, 0.065), "Planes 0.4 um apart are further apart than the 0.28 um"),
        (OIL, (3, 129, 129), (0.28, 0.065, 0.065), "Planes 0.28 um apart are further apart than the 0.278 um"),
        (replace(OIL, defocus_um=3.2), (65, 65), (0.065, 0.065), "only 32% of the light"),
        (CONFOCAL, (3, 5, 5), (0.1, 0.04, 0.04), "5 x 5 pixels"),
        (replace(OIL, layers=CoverslipLayers(sample_index=1.33)), (129, 129), (0.065, 0.065), "stay blurred"),
    ],
)
def test_doubtful_input_warns_where_it_was_called(optics, shape, spacing, message):
    with pytest.warns(PsfWarning, match=message) as caught:
        richards_wolf_psf(shape, spacing, optics)
    assert {w.filename for w in caught} == {__file__}


def test_good_input_does_not_warn():
    # Warnings are errors in this suite.
    richards_wolf_psf((3, 65, 65), (0.1, 0.065, 0.065), OIL)
    richards_wolf_psf((3, 33, 33), (0.1, 0.05, 0.05), CONFOCAL)


# --- size -------------------------------------------------------------------------------------------------------


@given(
    image=st.tuples(st.integers(1, 90), st.integers(1, 300), st.integers(1, 300)),
    energy=st.floats(0.3, 0.99),
    flat=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_suggested_sizes_are_odd_and_fit(image, energy, flat):
    shape, spacing = (image[1:], (0.065, 0.08)) if flat else (image, (0.2, 0.065, 0.08))
    size = suggest_psf_shape(OIL, spacing, shape, energy)
    assert len(size) == len(shape)
    for n, limit in zip(size, shape, strict=True):
        assert n % 2 == 1
        assert n <= min(limit, MAX_SUGGESTED[len(shape)])


def test_suggested_plane_holds_the_energy_and_hardly_more():
    for energy in (0.6, 0.9):
        ny, nx = suggest_psf_shape(OIL, (0.03, 0.04), (500, 500), energy)
        r = min((ny // 2 + 0.5) * 0.03, (nx // 2 + 0.5) * 0.04)
        table = radial_table(OIL, np.zeros(1), r)
        share = table.cumulated()[0] / plane_energy(OIL)
        radius = table.step * np.arange(share.size)
        assert np.interp(r, radius, share) >= energy
        assert np.interp(r - 0.04, radius, share) < energy


def test_suggested_stack_grows_with_the_light_asked_for_and_shrinks_for_a_confocal():
    spacing, image = (0.2, 0.065, 0.065), (100, 512, 512)
    sizes = [suggest_psf_shape(OIL, spacing, image, e) for e in (0.7, 0.8, 0.9)]
    assert all(
        a <= b
        for small, large in zip(sizes[:-1], sizes[1:], strict=True)
        for a, b in zip(small, large, strict=True)
    )
    assert sizes[0] < sizes[2]
    assert math.prod(suggest_psf_shape(CONFOCAL, spacing, image)) < math.prod(sizes[2]) / 4
    assert suggest_psf_shape(OIL, spacing, (1, 512, 512))[0] == 1


def test_suggested_size_refuses_nonsense():
    with pytest.raises(ConfigError, match="energy"):
        suggest_psf_shape(OIL, (0.1, 0.1), (64, 64), 1.0)
    with pytest.raises(ConfigError, match="image_shape"):
        suggest_psf_shape(OIL, (0.1, 0.1), (64, 0))
