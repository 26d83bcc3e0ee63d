"""The PSF that holds the light of a whole stack."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from napari_selfdeconv import api
from napari_selfdeconv.cli import main
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf import stack
from napari_selfdeconv.psf.models import model_of
from napari_selfdeconv.psf.stack import psf_for_stack, share_in_stack, stack_psf_shape

WATER = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33)
CONFOCAL = Optics(
    na=1.2, wavelength_um=0.52, refractive_index=1.33, excitation_um=0.488, pinhole_au=1, pixel_integration=False
)
VOXEL = (0.3, 0.12, 0.12)


@pytest.mark.parametrize("image", [(40, 112, 112), (12, 300, 280), (33, 50, 200)])
def test_it_holds_the_light_of_the_stack(image: tuple[int, ...]) -> None:
    shape = stack_psf_shape(WATER, VOXEL, image)
    assert shape[0] == 2 * image[0] - 1
    assert all(n % 2 == 1 and n < 2 * m for n, m in zip(shape, image, strict=True))
    assert share_in_stack(shape, WATER, VOXEL, image) > 0.97


def test_memory_limits_it_and_it_still_holds_enough() -> None:
    image = (128, 256, 512)
    shape = stack_psf_shape(WATER, VOXEL, image)
    assert math.prod(shape) <= 2 * math.prod(image)
    assert share_in_stack(shape, WATER, VOXEL, image) >= stack.ENOUGH


def test_the_share_is_that_of_the_light_between_voxels() -> None:
    """Against the sum over all pairs, which share_in_stack never makes."""
    image, psf_shape = (6, 20, 18), (5, 13, 9)
    voxel = (0.3, 0.1, 0.1)
    full, *_ = model_of(WATER).compute(tuple(2 * n - 1 for n in image), voxel, WATER)
    ones, total, held = np.ones(image), 0.0, 0.0
    for z, y, x in np.ndindex(full.shape):
        shift = (z - image[0] + 1, y - image[1] + 1, x - image[2] + 1)
        pairs = ones[tuple(slice(abs(s), None) for s in shift)].size * float(full[z, y, x])
        total += pairs
        held += pairs * all(abs(s) <= n // 2 for s, n in zip(shift, psf_shape, strict=True))
    assert share_in_stack(psf_shape, WATER, voxel, image) == pytest.approx(held / total, rel=1e-4)


def test_a_large_stack_is_measured_on_fewer_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    image, psf_shape = (20, 60, 60), (39, 61, 61)
    exact = share_in_stack(psf_shape, WATER, VOXEL, image)
    monkeypatch.setattr(stack, "_MEASURED", 2**17)
    assert share_in_stack(psf_shape, WATER, VOXEL, image) == pytest.approx(exact, abs=0.01)


def test_a_psf_that_lacks_light_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "_SMALL", 2000)
    monkeypatch.setattr(stack, "_MOST", 0.05)
    psf, notes = psf_for_stack(WATER, VOXEL, (20, 40, 40))
    assert psf.shape[0] == 39
    assert any("of the light inside the stack" in note for note in notes)


def test_what_needs_no_large_psf_has_the_compact_one() -> None:
    for optics, image in ((CONFOCAL, (20, 64, 64)), (WATER, (64, 64))):
        voxel = VOXEL[-len(image) :]
        assert stack_psf_shape(optics, voxel, image) == api.suggest_psf_shape(optics, voxel, image)
    with pytest.raises(ConfigError, match="a stack has three axes"):
        share_in_stack((3, 3), WATER, VOXEL[1:], (64, 64))


def test_the_network_keeps_its_compact_psf() -> None:
    psf, _ = api.psf_for_image(WATER, VOXEL, (40, 112, 112))
    assert psf.shape == (21, 19, 19)


def test_the_command_line_makes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.random.default_rng(0).random((5, 24, 20)).astype(np.float32) + 1
    api.write_ome_tiff(tmp_path / "a.tif", image, voxel_um=VOXEL)
    optics = ["--na", "1.2", "--wavelength-um", "0.52", "--refractive-index", "1.33", "--device", "cpu"]
    words = ["classical", str(tmp_path / "a.tif"), "--method", "rl", "--iterations", "2", *optics]
    assert main([*words, "--out", str(tmp_path / "b.tif")]) == 0
    assert "PSF: widefield, 9x47x39 voxels" in (told := capsys.readouterr().err)
    assert "it holds 100% of the light inside the stack" in told
    assert main([*words, "--boundary", "reflect", "--out", str(tmp_path / "c.tif")]) == 0
    assert "47" not in capsys.readouterr().err.split("voxels")[0]
