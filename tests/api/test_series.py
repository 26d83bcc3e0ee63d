"""Series and images larger than memory: axes, frames read one at a time, light kept, results written in pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from scipy.signal import fftconvolve

from napari_selfdeconv import api
from napari_selfdeconv.api import series
from napari_selfdeconv.arrays.check_pieces import check_pieces
from napari_selfdeconv.arrays.chunks import stored_pieces
from napari_selfdeconv.arrays.out_of_core import block_around, training_block
from napari_selfdeconv.arrays.tiling import predict_tiled
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled, ComputeError, ConfigError
from napari_selfdeconv.events import Event, Filling, Finished, Preview, Progress, Started, Warned, drain
from napari_selfdeconv.inference import prepare
from napari_selfdeconv.io.ome_zarr import create_zarr
from napari_selfdeconv.stop_token import StopToken

PSF2 = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
PSF3 = np.multiply.outer([0.25, 0.5, 0.25], PSF2)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    return (100 + 50 * gaussian_filter(random.random(shape), 1.0) + random.normal(0, 1, shape)).astype(np.float32)


def tiny(ndim: int, **changes: Any) -> TrainConfig:
    return preset(
        "quick", ndim, **{"steps": 4, "patch": 16, "features": 4, "batch_size": 2, "pretrained": False, **changes}
    )


class Lazy:
    """An array that counts what is read of it, and refuses to be read as a whole."""

    def __init__(self, data: np.ndarray, most: int) -> None:
        self._data, self._most = data, most
        self.shape, self.ndim, self.dtype = data.shape, data.ndim, data.dtype
        self.largest = 0

    def __getitem__(self, where: Any) -> np.ndarray:
        piece = self._data[where]
        self.largest = max(self.largest, piece.size)
        assert piece.size <= self._most, f"{piece.size} voxels were read at once"
        return piece

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("the whole array was read")


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("tyx", (3, 24, 24)),
        ("tzyx", (2, 6, 20, 20)),
        ("cyx", (2, 24, 24)),
        ("yxc", (24, 24, 2)),
        ("tcyx", (2, 2, 20, 24)),
    ],
)
def test_every_series_keeps_its_axes_and_its_light(axes: str, shape: tuple[int, ...]) -> None:
    image = noise(shape) * np.linspace(1, 0.5, shape[0]).reshape(-1, *[1] * (len(shape) - 1)).astype(np.float32)
    plan = SeriesPlan(axes=axes)
    psf = PSF3 if "z" in axes else PSF2
    result = drain(api.iter_deconvolve_series(image, psf, plan, tiny(psf.ndim)))
    assert result.image.shape == image.shape
    assert result.image.dtype == np.float32
    assert len(result.models) == plan.count("c", shape)
    for t in range(plan.count("t", shape)):
        for c in range(plan.count("c", shape)):
            where = plan.index(t, c)
            assert result.image[where].mean() == pytest.approx(image[where].mean(), rel=0.03)


def test_the_frame_trained_on_is_deconvolved_as_it_would_be_alone() -> None:
    movie = noise((3, 24, 24))
    series = drain(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx", current=1), tiny(2)))
    alone = api.deconvolve(movie[1], PSF2, tiny(2))
    np.testing.assert_array_equal(series.image[1], alone.image)
    # How strongly the residual is put back is chosen once for a series, and anew for every image by itself.
    plain = tiny(2, refine=False)
    series = drain(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx", current=1), plain))
    alone = api.deconvolve(movie[1], PSF2, plain)
    np.testing.assert_array_equal(series.image[2], api.apply_model(alone.model, movie[2]))


def test_sampled_frames_are_spread_over_time() -> None:
    plan = SeriesPlan(axes="tyx", train_on="sampled", frames=3)
    assert plan.training_times((11, 8, 8)) == [0, 5, 10]
    assert SeriesPlan(axes="tyx", train_on="sampled", frames=9).training_times((2, 8, 8)) == [0, 1]
    movie = noise((4, 24, 24))
    first = drain(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx"), tiny(2)))
    spread = drain(api.iter_deconvolve_series(movie, PSF2, plan, tiny(2)))
    assert spread.provenance["series"]["times"] == [0, 2, 3]
    assert not np.array_equal(first.image, spread.image)


def test_a_psf_for_each_channel() -> None:
    image = noise((2, 24, 24))
    wide = np.ones((5, 5)) / 25
    result = drain(api.iter_deconvolve_series(image, [PSF2, wide], SeriesPlan(axes="cyx"), tiny(2)))
    assert [model.psf.shape for model in result.models] == [(3, 3), (5, 5)]
    np.testing.assert_array_equal(result.image[1], api.deconvolve(image[1], wide, tiny(2)).image)
    with pytest.raises(ConfigError, match="2 channels, got 3 PSFs"):
        drain(api.iter_deconvolve_series(image, [PSF2] * 3, SeriesPlan(axes="cyx"), tiny(2)))


def test_dask_is_read_frame_by_frame() -> None:
    stack = Lazy(noise((5, 6, 20, 20)), most=6 * 20 * 20)
    result = drain(api.iter_deconvolve_series(stack, PSF3, SeriesPlan(axes="tzyx"), tiny(3)))
    assert result.image.shape == stack.shape
    movie = da.from_array(noise((3, 24, 24)), chunks=(1, 24, 24))
    from_dask = drain(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx"), tiny(2))).image
    from_numpy = drain(api.iter_deconvolve_series(movie.compute(), PSF2, SeriesPlan(axes="tyx"), tiny(2))).image
    np.testing.assert_array_equal(from_dask, from_numpy)


def test_events_of_a_series() -> None:
    movie = noise((3, 24, 24))
    events: list[Event] = []
    where = (slice(0, 1), slice(2, 12), slice(4, 20))
    work = api.iter_deconvolve_series(
        movie, PSF2, SeriesPlan(axes="tyx", current=2), tiny(2), preview_every_s=0.0, preview_region=lambda: where
    )
    result = drain(work, events.append)
    preview = next(e for e in events if isinstance(e, Preview))
    assert preview.image.shape == (1, 10, 16)
    assert preview.offset == (2, 2, 4)
    (filling,) = [e for e in events if isinstance(e, Filling)]
    assert filling.image is result.image
    counted = [e.step for e in events if isinstance(e, Progress) and e.stage == "predict"]
    assert counted == sorted(counted)
    assert events[-2].step == events[-2].steps  # type: ignore[union-attr]


def test_an_empty_frame_is_passed_on_and_said() -> None:
    movie = noise((3, 24, 24))
    movie[2] = 7
    events: list[Event] = []
    result = drain(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx"), tiny(2)), events.append)
    assert (result.image[2] == 7).all()
    assert any(isinstance(e, Warned) and "Frame 2" in e.message for e in events)


def test_a_frame_that_cannot_be_used_costs_no_other_frame() -> None:
    movie = noise((5, 24, 24))
    whole = drain(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx"), tiny(2))).image
    movie[3, 4, 5], movie[2, 7, 7] = np.nan, np.inf
    said: list[Event] = []
    result = drain(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx"), tiny(2)), said.append)
    for t in (0, 1, 4):
        np.testing.assert_array_equal(result.image[t], whole[t])
    assert np.isnan(result.image[2:4]).all()
    words = [event.message for event in said if isinstance(event, Warned)]
    assert "Frame 3 is NaN in the result: the image has 1 NaN and 0 infinite pixels: replace them first" in words
    assert any(text.startswith("Frame 2 is NaN in the result") for text in words)
    assert result.provenance["nan_frames"] == [[2, 0], [3, 0]]
    json.dumps(result.provenance)


class Damaged:
    """A movie with frames that the disk does not give."""

    def __init__(self, data: np.ndarray, *bad: int) -> None:
        self._data, self._bad = data, bad
        self.shape, self.ndim, self.dtype = data.shape, data.ndim, data.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        if where[0] in self._bad:
            raise OSError("chunk 3.0.0 is damaged")
        return self._data[where]


def test_a_frame_that_cannot_be_read_costs_no_other_frame() -> None:
    movie, plan = noise((4, 24, 24)), SeriesPlan(axes="tyx")
    whole = drain(api.iter_deconvolve_series(movie, PSF2, plan, tiny(2))).image
    said: list[Event] = []
    result = drain(api.iter_deconvolve_series(Damaged(movie, 2), PSF2, plan, tiny(2)), said.append)
    for t in (0, 1, 3):
        np.testing.assert_array_equal(result.image[t], whole[t])
    assert np.isnan(result.image[2]).all()
    words = [event.message for event in said if isinstance(event, Warned)]
    assert "Frame 2 is NaN in the result: it cannot be read: chunk 3.0.0 is damaged" in words
    assert result.provenance["nan_frames"] == [[2, 0]]


def test_the_frame_trained_on_must_be_read() -> None:
    movie = noise((3, 24, 24))
    with pytest.raises(ConfigError, match=r"no frame to train on.*Frame 0.*it cannot be read"):
        next(api.iter_deconvolve_series(Damaged(movie, 0), PSF2, SeriesPlan(axes="tyx"), tiny(2)))
    plan = SeriesPlan(axes="tyx", train_on="sampled", frames=3)
    result = drain(api.iter_deconvolve_series(Damaged(movie, 0), PSF2, plan, tiny(2)))
    assert np.isnan(result.image).any(axis=(1, 2)).tolist() == [True, False, False]


def test_every_frame_is_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of the second channel that are trained on were scanned twice."""
    scanned, real = [], prepare.Standardizer.of
    monkeypatch.setattr(prepare.Standardizer, "of", lambda image: scanned.append(image) or real(image))
    drain(api.iter_deconvolve_series(noise((3, 2, 24, 24)), PSF2, SeriesPlan(axes="tcyx"), tiny(2)))
    assert len(scanned) == 6


@pytest.mark.parametrize("broken", [1, 3])
def test_a_frame_without_a_finite_result_costs_no_other(monkeypatch: pytest.MonkeyPatch, broken: int) -> None:
    movie, real, number = noise((4, 24, 20)), series.deconvolve_whole, 0

    def deconvolve_whole(*arguments: Any) -> Any:
        nonlocal number
        number += 1
        if number == broken:
            raise ComputeError("the network's result has values that are not finite", "train again")
        return (yield from real(*arguments))

    monkeypatch.setattr(series, "deconvolve_whole", deconvolve_whole)
    words: list[Event] = []
    work = api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx"), tiny(2))
    if broken == 1:  # the frame that was trained on: the model is of no use
        with pytest.raises(ComputeError, match="not finite"):
            drain(work)
        return
    result = drain(work, words.append)
    assert np.isnan(result.image).any(axis=(1, 2)).tolist() == [False, False, True, False]
    assert [event.message for event in words if isinstance(event, Warned)] == [
        "Frame 2 is NaN in the result: the network's result has values that are not finite"
    ]
    assert result.provenance["nan_frames"] == [[2, 0]]


def test_sampled_training_leaves_out_a_frame_that_cannot_be_used() -> None:
    movie, said = noise((3, 24, 24)), []
    movie[0] = np.nan
    plan = SeriesPlan(axes="tyx", train_on="sampled", frames=3)
    result = drain(api.iter_deconvolve_series(movie, PSF2, plan, tiny(2)), said.append)
    assert np.isnan(result.image[0]).all()
    assert np.isfinite(result.image[1:]).all()
    assert any("Frame 0 is left out of training" in getattr(event, "message", "") for event in said)
    with pytest.raises(ConfigError, match=r"no frame to train on.*Frame 0 is left out of training"):
        next(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="tyx"), tiny(2)))


def test_every_channel_is_checked_before_the_first_is_trained() -> None:
    image = noise((2, 24, 24))
    for bad, psfs in ((np.where([[[0]], [[1]]], np.nan, image), [PSF2] * 2), (image, [PSF2, -PSF2])):
        with pytest.raises(ConfigError, match=r"channel 1|negative"):
            next(api.iter_deconvolve_series(bad, psfs, SeriesPlan(axes="cyx"), tiny(2)))


def test_the_least_share_of_the_channels_is_told() -> None:
    movie = noise((2, 24, 24))
    # Of so harmful a training nothing is kept.
    config = preset("quick", 2, steps=6, learning_rate=0.1, patch=16, batch_size=2, refine=False)
    events: list[Event] = []
    result = drain(api.iter_deconvolve_series(movie, PSF2, SeriesPlan(axes="cyx"), config), events.append)
    shares = result.provenance["kept_share"]
    assert len(shares) == 2
    (finished,) = [e for e in events if isinstance(e, Finished)]
    assert finished.kept_share == min(shares) < 1


def test_stop_ends_one_channel_and_the_next_gets_as_many_steps() -> None:
    token = StopToken()

    def stop_early(event: Event) -> None:
        early = isinstance(event, Progress) and event.stage == "train" and event.step >= 3
        if early and not token.stopped:
            token.stop()

    work = api.iter_deconvolve_series(
        noise((2, 24, 24)), PSF2, SeriesPlan(axes="cyx"), tiny(2, steps=100_000), stop=token
    )
    result = drain(work, stop_early)
    steps = [model.provenance["steps_done"] for model in result.models]
    assert 3 <= steps[0] < 1000
    assert steps[1] == steps[0]
    # Which of the checked steps held-out pixels liked best is the noise's business after a handful of steps.
    kept = result.provenance["kept_step"]
    assert kept == [model.provenance["kept_step"] for model in result.models]
    assert all(0 <= kept[channel] <= steps[channel] for channel in range(2))
    assert result.provenance["kept_share"] == [1.0, 1.0]
    assert result.image[1].std() > 0
    token = StopToken()
    work = api.iter_deconvolve_series(noise((2, 24, 24)), PSF2, SeriesPlan(axes="cyx"), tiny(2), stop=token)
    next(work)
    token.cancel()
    with pytest.raises(Cancelled):
        drain(work)


@pytest.mark.parametrize("axes", ["xy", "tt", "zyxx", "yx t", "tyxz", ""])
def test_axes_that_make_no_sense(axes: str) -> None:
    with pytest.raises(ConfigError, match="axes must be y and x"):
        SeriesPlan(axes=axes)


def test_a_plan_that_does_not_fit_the_image() -> None:
    with pytest.raises(ConfigError, match="are 3, but the image has shape"):
        drain(api.iter_deconvolve_series(noise((24, 24)), PSF2, SeriesPlan(axes="tyx")))
    with pytest.raises(ConfigError, match="current must be below 2, the number of frames, got 5"):
        drain(api.iter_deconvolve_series(noise((2, 24, 24)), PSF2, SeriesPlan(axes="tyx", current=5)))


def test_tiles_can_be_written_into_zarr(tmp_path: Path) -> None:
    image = noise((40, 50))
    out = create_zarr(tmp_path / "out.zarr", image.shape, {"voxel_um": [0.1, 0.1]})
    drain_tiles = list(predict_tiled([lambda t: 2 * t], image, tile=(24, 24), context=(4, 4), out=out))
    assert drain_tiles[-1][0] == drain_tiles[-1][1]
    np.testing.assert_allclose(out[:], 2 * image, rtol=1e-5)
    with pytest.raises(ConfigError, match="exists already"):
        create_zarr(tmp_path / "out.zarr", image.shape)


def test_a_large_image_is_never_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_selfdeconv.arrays.out_of_core.TRAINING_VOXELS", 48 * 48)
    monkeypatch.setattr(training_block, "__kwdefaults__", {"seed": 0, "most": 48 * 48})
    monkeypatch.setattr(stored_pieces, "__defaults__", (64 * 64,))
    data = noise((150, 170))
    image = Lazy(data, most=84 * 84)
    out = create_zarr(tmp_path / "out.zarr", data.shape)
    events: list[Event] = []
    work = api.iter_deconvolve_large(image, PSF2, tiny(2), out=out, tiles=TileConfig(tile=32))
    result = drain(work, events.append)
    assert result.image is out
    found = out[:]
    assert np.isfinite(found).all()
    assert (found != 0).all()  # every tile has landed
    assert found.mean() == pytest.approx(data.mean(), rel=0.01)
    assert any(isinstance(e, Warned) and "block" in e.message for e in events)
    assert any(isinstance(e, Filling) and e.image is out for e in events)


def test_a_bad_pixel_outside_the_training_block_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_block, "__kwdefaults__", {"seed": 0, "most": 24 * 24})
    data = noise((64, 60))
    block = training_block(data)
    outside = np.ones(data.shape, bool)
    outside[block] = False
    y, x = np.argwhere(outside)[0]
    for value, words in ((np.nan, "1 NaN and 0 infinite"), (np.inf, "0 NaN and 1 infinite")):
        bad = data.copy()
        bad[y, x] = value
        out, said = np.zeros(data.shape, np.float32), []
        with pytest.raises(ConfigError, match=words):
            drain(api.iter_deconvolve_large(bad, PSF2, tiny(2), out=out), said.append)
        assert not any(isinstance(event, Started) for event in said)  # before an hour of training
        assert not out.any()


def test_whole_numbers_are_not_read_twice() -> None:
    counts = Lazy(noise((40, 44)).astype(np.uint16), most=0)
    assert list(check_pieces(counts)) == []


def test_pieces_are_whole_chunks_and_cover_the_array() -> None:
    chunked = da.zeros((7, 33, 50), chunks=(2, 10, 50))
    for image in (chunked, np.zeros((7, 33, 50)), np.zeros((5, 4))):
        seen = np.zeros(image.shape, int)
        for where in stored_pieces(image, most=2500):
            seen[where] += 1
            assert seen[where].size <= 2500
        assert (seen == 1).all()
    assert {s.start % 10 for _, s, _ in stored_pieces(chunked, most=2500)} == {0}


def test_a_large_image_that_fits_gives_what_a_small_one_gives() -> None:
    data = noise((40, 44))
    out = np.zeros(data.shape, np.float32)
    drain(api.iter_deconvolve_large(data, PSF2, tiny(2), out=out))
    np.testing.assert_allclose(out, api.deconvolve(data, PSF2, tiny(2)).image, rtol=1e-4)
    dark = fftconvolve(data, np.ones((7, 7)) / 49, mode="same").astype(np.float32)
    wide, config = np.ones((7, 7)), tiny(2, even_border=True, refine=False)
    made = drain(api.iter_deconvolve_large(dark, wide, config, out=out))
    assert made.provenance["border_evened"]
    np.testing.assert_allclose(out, api.deconvolve(dark, wide, config).image, rtol=1e-4)
    with pytest.raises(ConfigError, match=r"must have the image's shape \(40, 44\), got \(3, 3\)"):
        drain(api.iter_deconvolve_large(data, PSF2, tiny(2), out=np.zeros((3, 3))))


def test_blocks() -> None:
    image = noise((90, 300, 300)) * 0 + 100
    image[:, 200:, 200:] += 50 * np.random.default_rng(0).random((90, 100, 100)).astype(np.float32)
    block = training_block(image, most=64**3)
    sizes = [s.stop - s.start for s in block]
    assert np.prod(sizes) <= 64**3
    assert all(0 <= s.start < s.stop <= n for s, n in zip(block, image.shape, strict=True))
    around = block_around((90, 300, 300), (slice(0, 4), slice(290, 300), slice(100, 110)), most=64**3)
    assert around[0].start == 0
    assert around[1].stop == 300
    assert around[2].start < 100 < 110 < around[2].stop


def test_what_is_true_of_many_frames_is_said_once_whatever_its_numbers() -> None:
    said: set[str] = set()
    messages = ["The result explains a mean of 1.5e-05: 12 % is missing.", "Another one.", "Another one."]
    messages.insert(1, messages[0].replace("1.5e-05", "3").replace("12", "9"))
    kept = [series._counted(Warned(message), done=0, total=4, said=said) for message in messages]
    assert [event is not None for event in kept] == [True, False, True, False]
