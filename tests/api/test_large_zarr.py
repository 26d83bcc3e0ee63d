"""A result that fills a folder, and goes on there after a kill: bit-equal, whatever was written before."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs
import zarr

from napari_selfdeconv import api, preset
from napari_selfdeconv.arrays.out_of_core import training_block
from napari_selfdeconv.cli import main
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Filling, Progress, Warned, drain
from napari_selfdeconv.io.images import read_image
from napari_selfdeconv.io.ome_zarr import is_unfinished, unfinished_folder
from napari_selfdeconv.stop_token import StopToken

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
IMAGE = (100 + np.random.default_rng(0).random((150, 170)) * 50).astype(np.float32)
TINY = preset("quick", 2, steps=2, patch=16, features=4, levels=2, batch_size=1, pretrained=False, device="cpu")
TILES = TileConfig(tile=64)


def work(
    path: Path,
    image: np.ndarray = IMAGE,
    psf: np.ndarray = PSF,
    stop: StopToken | None = None,
    config: api.TrainConfig = TINY,
    **settings: Any,
) -> Any:
    return api.iter_deconvolve_zarr(
        image, psf, path, config, tiles=TILES, voxel_um=(0.2, 0.1), stop=stop, **settings
    )


def end_after(run: Any, path: Path, tiles: int) -> None:
    """End a run as a kill does, when some tiles are written: nothing is tidied."""
    for _ in run:
        written = [one for one in (path / "0").glob("c/*/*") if one.is_file()] if path.exists() else []
        if is_unfinished(path) and len(written) >= tiles:
            return


def bytes_of(path: Path) -> str:
    data: np.ndarray = np.asarray(zarr.open_group(path, mode="r")["0"])
    return hashlib.sha256(data.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "r.zarr"
    drain(work(path))
    return path


def test_a_tile_is_a_shard_written_once_and_the_folder_is_a_valid_image(whole: Path) -> None:
    array = zarr.open_group(whole, mode="r")["0"]
    shards = list((whole / "0" / "c").rglob("*/*"))
    assert len([path for path in shards if path.is_file()]) == 9
    assert array.shards == (50, 58)
    assert not list(whole.glob(".*"))
    yaozarrs.validate_zarr_store(str(whole))
    assert read_image(whole).voxel_um == (0.2, 0.1)
    plain = np.zeros(IMAGE.shape, np.float32)
    drain(api.iter_deconvolve_large(IMAGE, PSF, TINY, out=plain, tiles=TILES))
    np.testing.assert_array_equal(np.asarray(array), plain)


def test_what_lands_is_seen_while_the_run_goes_on(tmp_path: Path) -> None:
    seen = []
    filling: Any = None
    for event in work(tmp_path / "r.zarr"):
        if isinstance(event, Filling):
            filling = event.image
        elif filling is not None and isinstance(event, Progress) and event.stage == "predict":
            seen.append(np.count_nonzero(filling[:]))
    assert 0 < seen[len(seen) // 2] < IMAGE.size


@pytest.mark.parametrize("tiles", [0, 1, 5, 8])
def test_a_run_that_ended_anywhere_goes_on_bit_equal(tiles: int, whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.zarr"
    end_after(work(path), path, tiles)
    copy = tmp_path / "copy.zarr"
    shutil.copytree(path, copy)
    assert is_unfinished(copy)
    events: list[Any] = []
    result = drain(work(copy), events.append)
    assert bytes_of(copy) == bytes_of(whole)
    assert not is_unfinished(copy)
    assert "train" not in {event.stage for event in events if isinstance(event, Progress)}
    assert result.provenance["steps_done"] == 2


def test_another_image_or_psf_does_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "r.zarr"
    for event in work(path):
        if isinstance(event, Filling):
            break
    shutil.copytree(path, tmp_path / "copy.zarr")
    for image, psf in ((IMAGE[::-1].copy(), PSF), (IMAGE, np.ones((3, 3)))):
        with pytest.raises(ConfigError, match="unfinished run on another image or PSF"):
            drain(work(tmp_path / "copy.zarr", image, psf))
    assert is_unfinished(tmp_path / "copy.zarr")
    other = TINY.replace(seed=5)
    with pytest.raises(ConfigError, match="unfinished run with other settings"):
        drain(work(tmp_path / "copy.zarr", config=other))
    assert is_unfinished(tmp_path / "copy.zarr")
    for event in work(tmp_path / "copy.zarr", config=other, overwrite=True):
        if isinstance(event, Filling):
            break
    model = api.load_model(unfinished_folder(tmp_path / "copy.zarr") / "model.safetensors")
    assert model.config.seed == 5


def test_a_cancel_removes_the_folder_and_a_folder_that_is_there_is_left(tmp_path: Path) -> None:
    stop = StopToken()

    def cancel(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "predict":
            stop.cancel()

    with pytest.raises(Cancelled):
        drain(work(tmp_path / "r.zarr", stop=stop), cancel)
    assert not any(tmp_path.iterdir())
    (tmp_path / "mine.zarr").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        drain(work(tmp_path / "mine.zarr"))


@pytest.mark.parametrize("most", [IMAGE.size, 80 * 80])
def test_what_pixels_without_a_weight_hold_is_not_seen(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tiles as well, of an image that is trained on a block of it or as a whole."""
    monkeypatch.setattr(training_block, "__kwdefaults__", {"seed": 0, "most": most})
    counts = np.ones(IMAGE.shape, bool)
    counts[:, 60], counts[100:, 120:] = False, False
    config = TINY.replace(refine=True)
    results = []
    for junk in (0.0, np.nan, 3e4):
        out = np.zeros(IMAGE.shape, np.float32)
        spoiled = np.where(counts, IMAGE, np.float32(junk))
        drain(api.iter_deconvolve_large(spoiled, PSF, config, out=out, weights=counts, tiles=TILES))
        results.append(out)
    assert np.isfinite(results[0]).all()
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    found = np.zeros(IMAGE.shape, np.float32)
    spoiled = np.where(counts, IMAGE, np.float32(0))
    region = slice(30, 50), slice(30, 50)
    for out, weights in ((results[0], counts), (found, "auto")):
        work = api.iter_deconvolve_large(
            spoiled, PSF, config, out=out, weights=weights, region=region, tiles=TILES
        )
        drain(work)
    np.testing.assert_allclose(found, results[0], atol=0.02 * np.ptp(results[0]))


@pytest.mark.parametrize("begun", [False, True])
def test_light_that_is_lost_beside_the_training_block_is_said(
    begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of tiles that a killed run has written, and not twice."""
    monkeypatch.setattr(training_block, "__kwdefaults__", {"seed": 0, "most": 80 * 80})
    lost = "explains a mean of"
    for most, said in ((1e9, False), (3.0, True)):
        # A network that returns what it gets, up to some brightness.
        network = partial(np.minimum, most)
        monkeypatch.setattr("napari_selfdeconv.api.large_tiles.predictors", lambda *_, n=network, **__: [n])
        image, path = IMAGE.copy(), tmp_path / f"{most}.zarr"
        image[140:, 140:] *= 50
        region = (slice(0, 80), slice(0, 80))
        monkeypatch.setattr("napari_selfdeconv.api.large.training_block", lambda _, r=region: r)
        if begun:
            end_after(work(path, image), path, tiles=5)
        told: list[Any] = []
        drain(work(path, image), told.append)
        messages = [one.message for one in told if isinstance(one, Warned) and lost in one.message]
        assert len(messages) == said
        assert all("is missing" in one for one in messages)


def test_a_mask_must_fit_and_a_run_with_another_mask_does_not_go_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="weights have shape"):
        drain(api.iter_deconvolve_large(IMAGE, PSF, TINY, out=IMAGE.copy(), weights=np.ones((3, 3))))
    for event in work(tmp_path / "r.zarr"):
        if isinstance(event, Filling):
            break
    counts = np.ones(IMAGE.shape, bool)
    counts[50] = False
    with pytest.raises(ConfigError, match="or with another mask"):
        drain(api.iter_deconvolve_zarr(IMAGE, PSF, tmp_path / "r.zarr", TINY, weights=counts, tiles=TILES))


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_killed_command_goes_on(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL: no handler runs. The same command ends what is missing, bit-equal to a run without a kill."""
    api.write_ome_tiff(tmp_path / "image.tif", IMAGE, (0.2, 0.1))
    api.write_ome_tiff(tmp_path / "psf.tif", PSF, (0.2, 0.1))
    (tmp_path / "run.toml").write_text(
        "[training]\nsteps = 2\npatch = 16\nfeatures = 4\nlevels = 2\nbatch_size = 1\npretrained = false\n"
        "[training.tiles]\ntile = 64\n[method]\ndevice = 'cpu'\n",
        "utf-8",
    )
    code = (
        "import sys, time\n"
        "from napari_selfdeconv.api.large_zarr import _ZarrPlace as place\n"
        "from napari_selfdeconv.cli import main\n"
        "fast = place._shard\n"
        "made = iter(range(99))\n"
        # The fourth shard waits for the kill, however late a busy machine sends it.
        "place._shard = lambda *a: (time.sleep(60 * (next(made) > 2)), fast(*a))[1]\n"
        "sys.exit(main())"
    )
    words = ["deconvolve", "image.tif", "--psf", "psf.tif", "--config", "run.toml", "-q", "--out"]
    process = subprocess.Popen([sys.executable, "-c", code, *words, "killed.zarr"], cwd=tmp_path)
    folder = tmp_path / "killed.zarr" / "0"
    deadline = time.monotonic() + 60
    while len(list(folder.glob("c/*/*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert is_unfinished(tmp_path / "killed.zarr")
    monkeypatch.chdir(tmp_path)
    assert main([*words, "killed.zarr"]) == 0
    assert bytes_of(tmp_path / "killed.zarr") == bytes_of(whole)
    assert not is_unfinished(tmp_path / "killed.zarr")
