"""Chromatic shift: what was put in comes out, from positions and from images, and is taken back from results."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_selfdeconv import Optics
from napari_selfdeconv.api import Microscope, load_microscope, save_microscope
from napari_selfdeconv.api.chromatic import shifts_of_channels
from napari_selfdeconv.cli import main
from napari_selfdeconv.config.chromatic import ChromaticShift
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import read_image, write_ome_tiff
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord
from napari_selfdeconv.psf.chromatic import fit_shift, unshift

WAVES: dict[str, Any] = {"wavelength_um": 0.6, "reference_um": 0.52}
SHAPE, VOXEL = (20, 200, 240), (0.3, 0.1, 0.1)


def seen(points: np.ndarray, shift: ChromaticShift, shape: Any, voxel: Any) -> np.ndarray:
    """Where the other channel sees the points (voxels)."""
    middle = (np.asarray(shape) - 1) / 2
    p = (points - middle) * voxel
    angle = math.radians(shift.rotation_deg)
    turn = shift.zoom * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    p[:, -2:] = p[:, -2:] @ turn.T
    p += np.asarray((shift.z_um, shift.y_um, shift.x_um))[-len(shape) :]
    moved: np.ndarray = p / voxel + middle
    return moved


@settings(max_examples=25, deadline=None)
@given(
    z=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5), x=st.floats(-0.5, 0.5), angle=st.floats(-0.3, 0.3),
    zoom=st.floats(0.995, 1.005), seed=st.integers(0, 1000), ndim=st.sampled_from([2, 3]),
)  # fmt: skip
def test_shift_rotation_and_zoom_are_found(
    z: float, y: float, x: float, angle: float, zoom: float, seed: int, ndim: int
) -> None:
    random = np.random.default_rng(seed)
    shape, voxel = SHAPE[-ndim:], VOXEL[-ndim:]
    grid = np.stack(np.meshgrid(np.arange(20, 200, 45), np.arange(20, 240, 45), indexing="ij"), -1).reshape(-1, 2)
    beads = np.concatenate(
        [random.uniform(5, 15, (len(grid), 3 - 2)), grid + random.uniform(-5, 5, grid.shape)], 1
    )
    beads = beads[:, -ndim:]
    true = ChromaticShift(**WAVES, z_um=z, y_um=y, x_um=x, rotation_deg=angle, zoom=zoom)
    other = seen(beads, true, shape, voxel)
    # Some beads are seen in one channel only, and the order differs.
    other = random.permutation(np.concatenate([other[2:], random.uniform(0, 1, (2, ndim)) * shape]))
    found = fit_shift(beads, other, voxel, shape, **WAVES)
    assert found.beads >= len(beads) - 4
    expected = (z if ndim == 3 else 0.0, y, x)
    np.testing.assert_allclose((found.z_um, found.y_um, found.x_um), expected, atol=2e-3)
    assert found.rotation_deg == pytest.approx(angle, abs=2e-2)
    assert found.zoom == pytest.approx(zoom, abs=3e-4)


def test_few_beads_give_a_shift_alone_and_none_is_an_error() -> None:
    one = np.array([[50.0, 60.0]])
    found = fit_shift(one, one + np.array([1.0, -2.0]), (0.1, 0.1), (100, 100), **WAVES)
    assert (found.y_um, found.x_um, found.zoom, found.beads) == (pytest.approx(0.1), pytest.approx(-0.2), 1.0, 1)
    with pytest.raises(ConfigError, match="no bead is seen in both channels within"):
        fit_shift(one, one + 40, (0.1, 0.1), (100, 100), **WAVES)


@given(st.lists(st.sampled_from([(0.6, 0.52), (0.52, 0.6), (0.45, 0.52), (0.45, 0.6), (0.7, 0.52)]), unique=True))
def test_channels_are_moved_to_one_reference_whatever_was_measured(pairs: list[tuple[float, float]]) -> None:
    """Also after shifts relative to another channel were measured and stored beside the old ones."""
    shifts = [ChromaticShift(wavelength_um=wave, reference_um=reference, x_um=0.1) for wave, reference in pairs]
    waves = [0.45, 0.52, 0.6, None]
    found = shifts_of_channels(shifts, waves)
    known = [one for one in found if one is not None]
    assert len({one.reference_um for one in known}) <= 1
    assert all(one is None or one.wavelength_um == wave for one, wave in zip(found, waves, strict=True))
    if len(pairs) == 1 and pairs[0][0] != 0.7:
        assert sorted(one.x_um for one in known) == [0.0, 0.1]


def blobs(points: np.ndarray, shape: tuple[int, ...], wide: float = 1.6) -> np.ndarray:
    axes = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    image = np.full(shape, 100.0)
    for point in points:
        image += 900 * np.exp(-sum((a - p) ** 2 for a, p in zip(axes, point, strict=True)) / (2 * wide**2))
    return image


def test_an_image_comes_back_to_the_reference() -> None:
    shape, voxel = (7, 70, 80), (0.3, 0.1, 0.1)
    true = ChromaticShift(**WAVES, z_um=0.1, y_um=0.13, x_um=-0.08, rotation_deg=0.4, zoom=1.004)
    points = np.array([[3, 20.2, 22], [3.2, 45.5, 60.1], [2.8, 50, 20]])
    image = blobs(seen(points, true, shape, voxel), shape)
    back = unshift(image, true, voxel)
    np.testing.assert_allclose(back[1:-1, 5:-5, 5:-5], blobs(points, shape)[1:-1, 5:-5, 5:-5], atol=15)
    np.testing.assert_allclose(unshift(image, ChromaticShift(**WAVES), voxel), image, rtol=1e-5)


@pytest.fixture
def beads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.chdir(tmp_path)
    true = ChromaticShift(**WAVES, y_um=0.2, x_um=-0.15, zoom=1.002)
    grid = np.stack(np.meshgrid(np.arange(25, 140, 42), np.arange(22, 150, 42), indexing="ij"), -1).reshape(-1, 2)
    points = grid + np.random.default_rng(0).uniform(-4, 4, grid.shape)
    shape = (145, 160)
    image = np.stack([blobs(points, shape), blobs(seen(points, true, shape, (0.1, 0.1)), shape)])
    image += np.random.default_rng(1).normal(0, 3, image.shape)
    channels = tuple(ChannelRecord(name=name, emission_um=wave) for name, wave in (("GFP", 0.52), ("RFP", 0.6)))
    record = ImageRecord(
        file="b",
        format="x",
        axes="CYX",
        shape=image.shape,
        dtype="f",
        channels=channels,
        na=0.8,
        refractive_index=1.0,
    )
    write_ome_tiff("beads.ome.tif", image, (0.1, 0.1), axes="CYX", record=record)
    optics = Optics(na=0.8, wavelength_um=0.52, refractive_index=1.0)
    save_microscope("scope.toml", Microscope(name="mine", optics=optics))
    return image


def run(*words: str) -> int:
    return main(list(words))


def test_measured_on_beads_stored_in_the_microscope_applied_on_request(
    beads: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("shifts", "beads.ome.tif", "--save", "scope.toml", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["y_um"], told["x_um"]) == (pytest.approx(0.2, abs=0.01), pytest.approx(-0.15, abs=0.01))
    assert told["zoom"] == pytest.approx(1.002, abs=5e-4)
    # Measured again, it is replaced.
    assert run("shifts", "beads.ome.tif", "--save", "scope.toml", "-q") == 0
    (stored,) = load_microscope("scope.toml").shifts
    assert stored.wavelength_um == 0.6
    method = ("--method", "wiener", "--regularisation", "0.5")
    assert run("series", "beads.ome.tif", *method, "--out", "plain.ome.tif") == 0
    assert run("series", "beads.ome.tif", *method, "--align", "scope.toml", "--out", "aligned.ome.tif") == 0
    plain, aligned = (read_image(name) for name in ("plain.ome.tif", "aligned.ome.tif"))
    np.testing.assert_array_equal(aligned.data[0], plain.data[0])
    inside = (slice(8, -8), slice(8, -8))
    apart = [
        np.corrcoef(one.data[0][inside].ravel(), one.data[1][inside].ravel())[0, 1] for one in (plain, aligned)
    ]
    assert apart[1] > 0.99 > 0.9 > apart[0]
    assert aligned.provenance is not None
    assert aligned.provenance["chromatic_shifts"][1]["beads"] == stored.beads


def test_what_is_missing_is_said(beads: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    method = ("--method", "wiener", "--regularisation", "0.5")
    assert run("series", "beads.ome.tif", *method, "--align", "scope.toml", "--out", "a.ome.tif") == 2
    assert "has no chromatic shifts: measure them: selfdeconv shifts BEADS" in capsys.readouterr().err
    write_ome_tiff("plain.ome.tif", beads, (0.1, 0.1), axes="CYX")
    assert run("shifts", "plain.ome.tif") == 2
    assert "emission wavelength of channel 0, 1 is not in the file" in capsys.readouterr().err
    assert run("shifts", "beads.ome.tif", "--reference", "2") == 2
    assert "there is no channel 2" in capsys.readouterr().err
