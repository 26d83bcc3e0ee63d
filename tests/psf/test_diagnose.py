"""The doctor: every illness is found by name, and after a repair nothing repairable is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.diagnose import Context, examine_psf
from napari_selfdeconv.psf.generate import richards_wolf_psf
from napari_selfdeconv.psf.lenses import IMMERSIONS, OBJECTIVES
from napari_selfdeconv.psf.parameters import PsfParameters, load_parameters, save_parameters
from napari_selfdeconv.psf.repair import repair_psf

VOXEL = (0.3, 0.1, 0.1)


def bead(
    shape: tuple[int, ...] = (25, 25, 25), shift: tuple[float, ...] = (0, 0, 0), width: Any = (3, 2, 2)
) -> Any:
    axes = np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij")
    exponent = sum(((a - s) / w) ** 2 for a, s, w in zip(axes, shift, width, strict=False))
    data = np.exp(-exponent / 2)
    return data / data.sum()


def keys(psf: Any, **context: Any) -> set[str]:
    return {finding.key for finding in examine_psf(psf, Context(**context))}


def test_a_good_psf_is_left_alone_bit_for_bit() -> None:
    good = bead((19, 13, 13)).astype(np.float32)
    assert examine_psf(good, Context(voxel_um=VOXEL, image_shape=(40, 64, 64), image_voxel_um=VOXEL)) == []
    same, voxel, did = repair_psf(good, [], Context(voxel_um=VOXEL))
    assert np.array_equal(same, good)
    assert (voxel, did) == (VOXEL, [])


@pytest.mark.parametrize(
    ("spoil", "key"),
    [
        (lambda p: p + 0.1 * p.max(), "background"),
        (lambda p: 3 * p, "sum"),
        (lambda p: p[1:], "even"),
        (lambda p: np.roll(p, 2, 1), "centre"),
        (lambda p: np.where(p == p.max(), np.nan, p), "nan"),
        (lambda p: p - 0.01 * p.max(), "negative"),
        (lambda p: np.moveaxis(p, 0, 2), "axes"),
        (lambda p: np.pad(p, 20), "large"),
        (lambda p: p[:, :, 4:9], "truncated"),
        (lambda p: p[:, ::4, ::4], "undersampled"),
        (lambda p: p * np.linspace(0.5, 1.5, p.shape[2]), "lopsided"),
        (lambda p: np.clip(p / p.max() * 400, 0, 255).astype(np.uint8), "saturated"),
        (lambda p: np.pad(p, ((0, 0), (0, 0), (0, 26))) + np.pad(p, ((0, 0), (0, 0), (26, 0))), "spots"),
    ],
)
def test_every_illness_is_found(spoil: Any, key: str) -> None:
    assert key in keys(spoil(bead((19, 13, 13), width=(3.5, 2, 2))))


def test_the_image_is_asked_too() -> None:
    good = bead((19, 13, 13))
    assert "voxels" in keys(good, voxel_um=VOXEL, image_voxel_um=(0.3, 0.2, 0.2))
    assert "larger" in keys(good, image_shape=(11, 64, 64))
    assert "ndim" in keys(good, image_shape=(64, 64))


@settings(max_examples=25, deadline=None)
@example(shift=(0.0, 0.0, 0.0), background=1.0, shape=(24, 25, 26), transposed=False)
@given(
    st.tuples(*[st.floats(-2, 2)] * 3),
    st.floats(0, 50),
    st.sampled_from([(24, 25, 26), (25, 30, 25)]),
    st.booleans(),
)
def test_after_fix_all_nothing_repairable_is_left(
    shift: tuple[float, ...], background: float, shape: tuple[int, ...], transposed: bool
) -> None:
    patient = 200 * bead(shape, shift, (4, 2, 2)) / bead(shape, shift, (4, 2, 2)).max() + background
    patient = np.moveaxis(patient, 0, 2) if transposed else patient
    context = Context(voxel_um=(0.1,) * 3, image_voxel_um=(0.2, 0.1, 0.1), image_shape=(40, 64, 64))
    fixable = [finding.key for finding in examine_psf(patient, context) if finding.fix]
    fixed, voxel, did = repair_psf(patient, fixable, context)
    left = examine_psf(fixed, Context(voxel_um=voxel, image_shape=(40, 64, 64), image_voxel_um=(0.2, 0.1, 0.1)))
    assert [finding.key for finding in left if finding.fix] == []
    assert did
    assert fixed.dtype == np.float32
    assert all(n % 2 for n in fixed.shape)
    assert fixed.sum() == pytest.approx(1, abs=1e-4)


def test_one_repair_does_that_one_thing() -> None:
    patient = np.roll(bead((19, 13, 13), width=(3.5, 2, 2)), 2, 1)
    fixed, _, _ = repair_psf(5 * patient, ["sum"])
    np.testing.assert_allclose(fixed, patient, atol=1e-6)
    assert "centre" in {finding.key for finding in examine_psf(fixed)}


def test_what_cannot_be_repaired_or_examined() -> None:
    with pytest.raises(ConfigError, match="cannot repair: truncated"):
        repair_psf(bead(), ["truncated"])
    with pytest.raises(ConfigError, match="0 or less"):
        examine_psf(np.zeros((5, 5)))


def test_parameters_survive_a_file(tmp_path: Any) -> None:
    optics = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33, excitation_um=0.488, pinhole_au=1.0)
    made = PsfParameters(optics=optics, voxel_um=VOXEL, shape=(25, 31, 31))
    save_parameters(tmp_path / "p.json", made)
    assert load_parameters(tmp_path / "p.json") == made
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(ConfigError, match="its format is not"):
        load_parameters(tmp_path / "other.json")
    with pytest.raises(ConfigError, match=r"cannot read PSF parameters from .*missing.json: No such file"):
        load_parameters(tmp_path / "missing.json")
    with pytest.raises(ConfigError, match="cannot write"):
        save_parameters(tmp_path / "nowhere" / "p.json", made)
    with pytest.raises(ConfigError, match="odd numbers"):
        PsfParameters(optics=optics, voxel_um=VOXEL, shape=(24, 31, 31))
    with pytest.raises(ConfigError, match="unknown setting for PsfParameters: colour"):
        PsfParameters.from_dict({**made.to_dict(), "colour": 1})


def test_objectives_are_possible() -> None:
    for objective in OBJECTIVES:
        Optics(na=objective.na, wavelength_um=0.5, refractive_index=IMMERSIONS[objective.immersion])


@pytest.mark.parametrize("pinhole", [None, 1.0])
@pytest.mark.parametrize("shape", [(7, 15, 15), (15, 15, 15), (8, 16, 16)])
@pytest.mark.filterwarnings("ignore:.*")
def test_a_computed_psf_in_another_order_of_axes_is_named(shape: tuple[int, ...], pinhole: float | None) -> None:
    """With such voxels it is hardly longer along z than along x: its length says nothing."""
    excitation = None if pinhole is None else 0.488
    optics = Optics(
        na=1.2, wavelength_um=0.52, refractive_index=1.33, excitation_um=excitation, pinhole_au=pinhole
    )
    psf = richards_wolf_psf(shape, (0.3, 0.13, 0.13), optics)
    noisy = psf + np.random.default_rng(0).normal(0, 0.02 * psf.max(), psf.shape)
    assert "axes" not in keys(psf) | keys(noisy) | keys(noisy.transpose(2, 1, 0))
    for order in ((2, 1, 0), (1, 2, 0), (1, 0, 2)):
        (found,) = [finding for finding in examine_psf(psf.transpose(order)) if finding.key == "axes"]
        assert (found.severity, found.fix) == ("problem", None)
        assert f"round about axis {order.index(0)}" in found.text
