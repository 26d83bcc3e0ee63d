"""What a notebook sees: names, results that save themselves, and one sentence for a wrong argument."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import napari_selfdeconv as nsd
from napari_selfdeconv import api, preset
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import read_image

IMAGE = 100 + np.random.default_rng(0).random((24, 28)).astype(np.float32)
PSF = np.ones((3, 3)) / 9
OPTICS = nsd.Optics(na=0.8, wavelength_um=0.6, refractive_index=1.33)
TINY = preset("quick", 2, steps=1, patch=16, features=4, batch_size=1, pretrained=False)


def test_the_package_says_its_types() -> None:
    assert (resources.files("napari_selfdeconv") / "py.typed").is_file()


def test_every_public_name_is_there() -> None:
    for name in (*nsd.__all__, *(f"api.{name}" for name in api.__all__)):
        owner: Any = api if name.startswith("api.") else nsd
        assert getattr(owner, name.removeprefix("api.")) is not None
    asked = {"read_image", "write_ome_tiff", "evaluate", "examine_psf", "repair_psf", "memory_outlook"}
    assert asked <= set(nsd.__all__)


WRONG: dict[str, tuple[Any, str]] = {
    "a preset's name": (lambda: nsd.deconvolve(IMAGE, PSF, "quick"), r'TrainConfig, got .quick.: preset\("quick"'),
    "a dictionary": (lambda: nsd.iter_deconvolve(IMAGE, PSF, {"steps": 3}), "config must be a TrainConfig"),
    "no image": (lambda: nsd.deconvolve(None, PSF), "image must be an array, got None"),
    "a path as image": (lambda: nsd.deconvolve("a.tif", PSF), r"read_image\(path\)"),
    "no PSF": (lambda: nsd.deconvolve(IMAGE, None), "psf must be an array"),
    "300": (lambda: nsd.deconvolve(IMAGE, PSF, voxel_um=300), "a number for each axis, in micrometres, got 300"),
    "300 nm": (lambda: nsd.beads_psf(IMAGE, (300, 300)), r"nanometres\? then give 0.3"),
    "a number as tiles": (lambda: nsd.deconvolve(IMAGE, PSF, tiles=64), r"TileConfig\(tile=256\)"),
    "a text as count": (lambda: nsd.richardson_lucy(IMAGE, PSF, "5"), "must be a whole number, got '5'"),
    "a list as count": (lambda: nsd.richardson_lucy(IMAGE, PSF, [2, 3]), "must be a whole number"),
    "a method's name": (lambda: nsd.classical_method(IMAGE, PSF, "rl"), r'Classical\(method="rl", it'),
    "a method alone": (
        lambda: nsd.iter_classical(IMAGE, PSF, nsd.Classical(method="rl")), r"methods must be a list of Classical"
    ),
    "a path as model": (lambda: nsd.apply_model("m.safetensors", IMAGE), r"load_model\(path\) returns one"),
    "no optics": (lambda: nsd.richards_wolf_psf((9, 9), (0.1, 0.1), None), r"optics must be an Optics"),
    "one size": (lambda: nsd.richards_wolf_psf((9, 9), 0.1, OPTICS), "a number for each axis"),
    "axes as plan": (lambda: nsd.iter_deconvolve_series(IMAGE, PSF, "tyx"), r"SeriesPlan\(axes="),
    "no path": (lambda: nsd.read_image(None), "path must be the path of a file, got None"),
    "bytes as path": (lambda: nsd.load_model(b"x"), "path must be the path"),
    "no PSF to examine": (lambda: nsd.examine_psf(None), "psf must be an array"),
    "a name for memory": (lambda: nsd.memory_outlook("quick", (9, 9), (3, 3)), "must be a TrainConfig"),
    "no truth": (lambda: nsd.evaluate(IMAGE, None), "truth must be an array"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_an_argument_of_the_wrong_type_is_one_sentence(case: str) -> None:
    call, words = WRONG[case]
    with pytest.raises(ConfigError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_python_says_itself_what_it_knows() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'psff'"):
        nsd.deconvolve(IMAGE, psff=PSF)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing"):
        nsd.deconvolve(IMAGE)  # type: ignore[call-arg]


def test_results_save_and_show_themselves(tmp_path: Path) -> None:
    result = nsd.deconvolve(IMAGE, PSF, TINY, voxel_um=(0.2, 0.1))
    assert repr(result).startswith("<Deconvolution: 24 x 28 float32, quick, 1 steps, ")
    assert len(repr(result)) < 80
    result.save(tmp_path / "a.ome.tif")
    read = read_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(read.data, result.image)
    assert (read.voxel_um, read.provenance) == ((0.2, 0.1), result.provenance)
    with pytest.raises(ConfigError, match="exists already"):
        result.save(tmp_path / "a.ome.tif")
    result.save(tmp_path / "a.ome.tif", dtype="uint16", compression="zlib", overwrite=True)
    whole = read_image(tmp_path / "a.ome.tif").data
    np.testing.assert_allclose(whole, result.image, atol=np.ptp(result.image) / 65535 + 1e-5)
    assert whole.dtype == np.float32
    with pytest.raises(ConfigError, match=r"call it a\.ome\.tif"):
        result.save(tmp_path / "a.png")
    for _ in range(2):
        result.save(tmp_path / "a.zarr", overwrite=True)
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["0"].attrs["provenance"]["seed"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ome.tif", "a.zarr"]


def test_other_results_do_the_same(tmp_path: Path) -> None:
    classical = nsd.classical_method(IMAGE, PSF, nsd.Classical(method="wiener", regularisation=0.1))
    assert repr(classical) == "<ClassicalResult: 24 x 28 float32, Wiener 0.1>"
    classical.save(tmp_path / "w.tif")
    movie = np.stack([IMAGE, IMAGE[::-1]])
    series = nsd.iter_deconvolve_series(movie, PSF, nsd.SeriesPlan(axes="tyx"), TINY, voxel_um=(0.2, 0.1))
    from napari_selfdeconv.events import drain

    found = drain(series)
    found.save(tmp_path / "s.ome.tif")
    read = read_image(tmp_path / "s.ome.tif")
    assert (read.axes, read.voxel_um) == ("TYX", (0.2, 0.1))
    y, x = np.mgrid[:64, :64]
    beads = sum(900 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 6) for a, b in ((16, 16), (16, 47), (48, 31)))
    bead = nsd.beads_psf(np.asarray(beads), (0.1, 0.1), settings=nsd.BeadSettings(window_um=(1.5, 1.5)))
    assert repr(bead) == "<BeadPsf: 15 x 15 float32>"
    bead.save(tmp_path / "psf.tif")
    assert read_image(tmp_path / "psf.tif").voxel_um == (0.1, 0.1)
