"""The whole path on tiny images: events, determinism, stop, cancel, models, Richardson-Lucy."""

import dataclasses
import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from scipy.ndimage import gaussian_filter
from skimage.restoration import richardson_lucy as skimage_lucy

from napari_selfdeconv import api, preset
from napari_selfdeconv.compute import memory_budget
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.loss_terms import LossWeights
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import Cancelled, ComputeError, ConfigError
from napari_selfdeconv.events import Finished, Preview, Progress, Started, Warned
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.preview import Previewer, limit_region
from napari_selfdeconv.inference.views import predictors
from napari_selfdeconv.network.model import Model, build_network
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training import run


def gaussian_psf(ndim, sigma=1.2, size=7):
    grids = np.meshgrid(*[np.arange(size) - size // 2] * ndim, indexing="ij")
    psf = np.exp(-sum(g.astype(float) ** 2 for g in grids) / (2 * sigma**2))
    return psf / psf.sum()


def blobs(shape, seed=0):
    rng = np.random.default_rng(seed)
    image = np.zeros(shape)
    for _ in range(12):
        image[tuple(rng.integers(0, n) for n in shape)] = 40.0
    return (gaussian_filter(image, 1.5) + 1 + rng.normal(0, 0.05, shape)).astype(np.float32)


def tiny(ndim, **changes):
    values = dict(steps=4, patch=16, features=4, batch_size=2, pretrained=False, device="cpu", precision="float32")
    return preset("quick", ndim, **{**values, **changes})


def collect(work):
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return end.value, events


@pytest.mark.parametrize("loss", [None, "noise2self", "noise2same", "noise2same_d"])
@pytest.mark.parametrize("shape", [(32, 32), (13, 24, 20), (5, 7, 40), (11, 9)])
def test_every_loss_runs_on_every_shape(shape, loss):
    ndim = len(shape)
    psf = gaussian_psf(ndim, size=5)
    config = tiny(ndim, loss=loss)
    result, events = collect(api.iter_deconvolve(blobs(shape), psf, config))
    assert result.image.shape == shape
    assert result.image.dtype == np.float32
    assert np.isfinite(result.image).all()
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    stages = [e.stage for e in events if isinstance(e, Progress)]
    assert stages == sorted(stages, key=["train", "predict", "choose", "refine"].index)
    last = [e for e in events if isinstance(e, Progress) and e.stage == "train"][-1]
    assert last.step == last.steps == 4
    assert set(last.losses) == {"total", *(k for k, v in config.loss.weights.to_dict().items() if v)}
    assert result.steps_done == 4
    assert not result.stopped


def test_bound_variants_run():
    for weights in (LossWeights(bsp=1, bound=0.1), LossWeights(rec=1, inv_d=2, bound=0.1, bound_d=0.1)):
        result = api.deconvolve(blobs((24, 24)), gaussian_psf(2), tiny(2, loss=weights))
        assert np.isfinite(result.image).all()


def test_training_explains_the_image():
    truth = np.zeros((32, 32), np.float32)
    truth[8:24:8, 4:28] = 1.0
    blur = Blur(gaussian_psf(2))
    image = blur(torch.from_numpy(truth)[None, None])[0, 0].numpy()
    config = tiny(2, steps=60, patch=32, learning_rate=1e-2, bn_momentum=0.3, loss=LossWeights(rec=1.0))
    result = api.deconvolve(image, blur.psf, config)
    assert result.losses["total"][-1] < 0.4 * result.losses["total"][0]
    reblurred = blur(torch.from_numpy(result.image)[None, None])[0, 0].numpy()
    # A flat image would leave all of the variance unexplained.
    assert ((reblurred - image) ** 2).mean() < 0.35 * image.var()


def test_same_seed_same_array_other_seed_another():
    image, psf = blobs((24, 24)), gaussian_psf(2)
    first, second, third = (api.deconvolve(image, psf, tiny(2, seed=s)).image for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_the_global_random_state_is_untouched():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    api.deconvolve(blobs((24, 24)), gaussian_psf(2), tiny(2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_units_are_kept_whatever_the_dtype(dtype):
    image = (blobs((32, 32)) * 40).astype(dtype)
    # Scaling and offset go through: standardisation is exact. Only the refinement knows that no light is 0.
    for refine, offset in ((True, 0), (False, 500)):
        config = tiny(2, refine=refine)
        scaled = api.deconvolve(image.astype(np.float64) * 10 + offset, gaussian_psf(2), config).image
        plain = api.deconvolve(image, gaussian_psf(2), config).image
        np.testing.assert_allclose(scaled, plain * 10 + offset, rtol=2e-3, atol=1e-3 * np.ptp(scaled))


def test_input_is_not_written_to():
    image, psf = blobs((24, 24)), gaussian_psf(2)
    copies = image.copy(), psf.copy()
    api.deconvolve(image, psf, tiny(2))
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(psf, copies[1])


def test_stop_keeps_what_there_is():
    token = StopToken()
    work = api.iter_deconvolve(blobs((24, 24)), gaussian_psf(2), tiny(2, steps=100_000), stop=token)
    events = []
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result = end.value
            break
        events.append(event)
        if isinstance(event, Progress):
            token.stop()
    assert result.stopped
    assert 1 <= result.steps_done < 100_000
    assert result.image.shape == (24, 24)
    assert result.provenance["stopped"] is True
    assert events[-1].stopped


@pytest.mark.parametrize("stage", ["train", "predict"])
def test_cancel_discards_in_every_stage(stage):
    token = StopToken()
    work = api.iter_deconvolve(blobs((24, 24)), gaussian_psf(2), tiny(2), stop=token)
    with pytest.raises(Cancelled):  # noqa: PT012
        for event in work:
            if isinstance(event, Progress) and event.stage == stage:
                token.cancel()


def test_previews_show_the_region_asked_for():
    image = blobs((40, 50))
    region = (slice(5, 25), slice(10, 45))
    work = api.iter_deconvolve(image, gaussian_psf(2), tiny(2), preview_every_s=0.0, preview_region=lambda: region)
    _, events = collect(work)
    previews = [e for e in events if isinstance(e, Preview)]
    assert len(previews) == 3  # between the four steps: after the last one comes the result
    assert {p.image.shape for p in previews} == {(20, 35)}
    assert previews[0].offset == (5, 10)
    assert previews[0].image.dtype == np.float32
    assert not np.array_equal(previews[0].image, previews[-1].image)


def test_previews_do_not_change_the_result():
    image, psf = blobs((24, 24)), gaussian_psf(2)
    with_previews, _ = collect(api.iter_deconvolve(image, psf, tiny(2), preview_every_s=0.0))
    np.testing.assert_array_equal(with_previews.image, api.deconvolve(image, psf, tiny(2)).image)


def test_a_preview_is_limited_and_inside():
    where = limit_region((100, 2000, 2000), None, 262_144)
    assert np.prod([s.stop - s.start for s in where]) <= 262_144
    assert limit_region((10, 10), (slice(-5, 4), slice(8, 30)), 1000) == (slice(0, 4), slice(8, 10))
    assert limit_region((10, 10), (slice(50, 60), slice(3, 3)), 1000) == (slice(9, 10), slice(3, 4))


def test_a_large_preview_is_predicted_in_tiles_and_can_be_cancelled(monkeypatch):
    monkeypatch.setattr("napari_selfdeconv.inference.preview._TILE_VOXELS", 32 * 32)
    network, image = build_network(tiny(2), gaussian_psf(2)).eval(), blobs((96, 96))
    choice, stop = choose_device("cpu", "float32"), StopToken()
    preview = Previewer(Problem.of(image, gaussian_psf(2)), choice, tiny(2), 0.0)
    first = preview.make_preview(1, network, stop)
    assert first.image.size <= 32 * 32
    second = preview.make_preview(2, network, stop)
    assert second.image.shape == (96, 96)  # fast enough for all of it
    inside = tuple(slice(s, s + n) for s, n in zip(first.offset, first.image.shape, strict=True))
    centre = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(second.image[inside][centre], first.image[centre], atol=0.05 * np.ptp(image))
    stop.cancel()
    with pytest.raises(Cancelled):
        preview.make_preview(3, network, stop)


def test_training_goes_on_for_longer_after_a_slow_preview(monkeypatch):
    network, image = build_network(tiny(2), gaussian_psf(2)).eval(), blobs((24, 24))
    preview = Previewer(Problem.of(image, gaussian_psf(2)), choose_device("cpu", "float32"), tiny(2), 1.0)
    now = 100.0
    monkeypatch.setattr("napari_selfdeconv.inference.preview.time.perf_counter", lambda: now)
    predict = preview._predict

    def slowly(*args):
        nonlocal now
        now += 2.0
        return predict(*args)

    monkeypatch.setattr(preview, "_predict", slowly)
    stop = StopToken()
    assert preview.make_preview(1, network, stop) is not None
    now += 10.0
    assert preview.make_preview(2, network, stop) is None
    now += 10.0
    assert preview.make_preview(3, network, stop) is not None
    now += 2.0
    stop.pause()  # there is no training that it could delay
    assert preview.make_preview(4, network, stop) is not None


def test_torch_errors_become_compute_errors(monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] can't allocate memory: you tried 1 byte")

    monkeypatch.setattr("napari_selfdeconv.training.run.compute_loss", fail)
    with pytest.raises(ComputeError, match="ran out of memory: close other programs") as caught:
        api.deconvolve(blobs((24, 24)), gaussian_psf(2), tiny(2))
    assert not isinstance(caught.value, RuntimeError)


def test_a_loss_that_is_no_longer_finite_is_said(monkeypatch):
    original = run.compute_loss
    monkeypatch.setattr(run, "compute_loss", lambda p, w: (original(p, w)[0] * float("nan"), {}))
    with pytest.raises(ComputeError, match=r"collapsed twice .*no longer finite"):
        api.deconvolve(blobs((24, 24)), gaussian_psf(2), tiny(2))


@pytest.mark.parametrize(
    ("image", "psf", "words"),
    [
        (np.ones((16, 16)), gaussian_psf(2), "constant"),
        (np.full((16, 16), np.nan), gaussian_psf(2), "NaN"),
        (blobs((16, 16)), np.zeros((3, 3)), "PSF"),
        (blobs((16, 16)), -gaussian_psf(2), "PSF"),
        (blobs((16, 16)), gaussian_psf(2, size=31), "larger than the image"),
        (blobs((16, 16, 16)), gaussian_psf(2), "2D"),
        (blobs((4, 4, 16, 16)), gaussian_psf(2), "2D or 3D"),
    ],
)
def test_bad_input_is_refused_before_the_first_event(image, psf, words):
    for work in (
        api.iter_deconvolve(image, psf),
        api.iter_richardson_lucy(image, psf, boundary="reflect"),
    ):
        with pytest.raises(ConfigError, match=words):
            next(work)


@pytest.mark.parametrize(
    ("voxel_um", "words"),
    [((0.1, 0.1, 0.1), "must have 2 entries"), ((-0.1, 0.1), "got -0.1"), ((np.nan, 0.1), "got nan")],
)
def test_a_voxel_size_that_a_model_file_cannot_hold_is_refused_before_the_first_event(voxel_um, words):
    image, out = blobs((16, 16)), np.zeros((16, 16), np.float32)
    for work in (
        api.iter_deconvolve(image, gaussian_psf(2), tiny(2), voxel_um=voxel_um),
        api.iter_deconvolve_large(image, gaussian_psf(2), tiny(2), out=out, voxel_um=voxel_um),
    ):
        with pytest.raises(ConfigError, match=words):
            next(work)


def test_an_unknown_device_is_refused():
    for name in ("gpu", "cuda:99", "cpu:0"):
        with pytest.raises(ConfigError, match="device"):
            api.deconvolve(blobs((16, 16)), gaussian_psf(2), tiny(2, device=name))


def test_a_model_trained_on_a_card_is_applied_where_there_is_none():
    image = blobs((24, 24))
    model = api.deconvolve(image, gaussian_psf(2), tiny(2, steps=1)).model
    of_a_card = dataclasses.replace(model, config=model.config.replace(device="cuda:99"))
    asked = {"tiles": TileConfig(tile=64), "device_name": "cpu"}
    np.testing.assert_array_equal(
        api.apply_model(of_a_card, image, **asked), api.apply_model(model, image, **asked)
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_model_file_holds_all_and_applies(tmp_path, ndim):
    shape = (28, 24) if ndim == 2 else (12, 16, 20)
    image, psf = blobs(shape), gaussian_psf(ndim, size=5)
    result = api.deconvolve(image, psf, tiny(ndim), voxel_um=(0.3, 0.1, 0.1)[-ndim:])
    path = tmp_path / "m.safetensors"
    api.save_model(path, result.model)
    model = api.load_model(path)
    assert model.config == result.model.config
    assert model.voxel_um == (0.3, 0.1, 0.1)[-ndim:]
    np.testing.assert_array_equal(model.psf, result.model.psf)
    assert json.loads(json.dumps(model.provenance)) == model.provenance
    np.testing.assert_array_equal(api.apply_model(model, image), result.image)
    other = blobs([n + 5 for n in shape], seed=3)
    assert api.apply_model(model, other).shape == other.shape
    assert list(tmp_path.iterdir()) == [path]


def test_a_bad_model_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such model file"):
        api.load_model(tmp_path / "none")
    evil = tmp_path / "evil.pt"
    evil.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ConfigError, match="is not a model file"):
        api.load_model(evil)
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}))
    with pytest.raises(ConfigError, match="is not a model file this version reads"):
        api.load_model(foreign)
    result = api.deconvolve(blobs((24, 24)), gaussian_psf(2), tiny(2))
    with pytest.raises(ConfigError, match="cannot write"):
        api.save_model(tmp_path / "nowhere" / "m", result.model)


def test_a_model_refuses_an_image_of_other_axes():
    model = api.deconvolve(blobs((24, 24)), gaussian_psf(2), tiny(2)).model
    with pytest.raises(ConfigError, match="the model is for 2D images"):
        api.apply_model(model, blobs((12, 16, 16)))


def test_tiles_do_not_show():
    image = blobs((96, 90))
    # Not refined: many iterations would spread the last digit in which the tiles differ.
    config = tiny(2, average_symmetries=False, levels=2, inverse_channels=(), refine=False)
    model = api.deconvolve(image, gaussian_psf(2), config).model
    whole = api.apply_model(model, image)
    tiled = api.apply_model(model, image, tiles=TileConfig(tile=48))
    assert np.abs(tiled - whole).max() < 1e-3 * np.ptp(whole)


def test_the_record_holds_the_tile_that_was_taken(monkeypatch):
    """What is taken depends on the memory that is free that day; the same array must not."""
    monkeypatch.setattr(memory_budget, "_MOST_VOXELS", 3000)
    image, config = blobs((70, 75)), tiny(2, refine=False)
    made = api.deconvolve(image, gaussian_psf(2), config)
    told = made.provenance["tiles"]
    assert len(told["tile"]) == 2
    assert told["tile"] != [70, 75]
    assert json.loads(json.dumps(told)) == told
    monkeypatch.undo()
    again = api.deconvolve(image, gaussian_psf(2), config, tiles=TileConfig.from_dict(told))
    np.testing.assert_array_equal(again.image, made.image)
    with pytest.raises(
        ConfigError, match=r"tile must have 2 sides for an image of shape \(70, 75\), got \(9, 9, 9\)"
    ):
        api.apply_model(made.model, image, tiles=TileConfig(tile=(9, 9, 9)))


def views(image, *, average):
    # Not refined: that looks at the image anew, and a tiny network leaves it much to do.
    model = api.deconvolve(image, gaussian_psf(2), tiny(2, refine=False)).model
    config = model.config.replace(average_symmetries=average)
    return lambda x: api.apply_model(dataclasses.replace(model, config=config), x)


def test_averaging_brings_the_result_nearer_to_equivariance():
    """Turning the image turns the result; not exactly, as each view has the grid at another phase."""
    image = blobs((32, 32))
    off = {}
    for average in (False, True):
        apply = views(image, average=average)
        off[average] = np.abs(apply(np.rot90(image).copy()) - np.rot90(apply(image))).mean()
    assert off[True] < 0.5 * off[False]


class Patterned(torch.nn.Module):
    """The identity plus what strided convolutions leave behind: a pattern that repeats every two voxels."""

    def __init__(self, ndim):
        super().__init__()
        self.unet = SimpleNamespace(multiple=4)
        self.cell = torch.from_numpy(np.random.default_rng(0).random((2,) * ndim).astype(np.float32))

    def forward(self, x):
        repeats = [n // 2 for n in x.shape[2:]]
        return x + self.cell.repeat(repeats)


@pytest.mark.parametrize("shape", [(48, 40), (33, 47), (13, 20, 17)])
@pytest.mark.parametrize("lopsided", [False, True])
def test_averaging_removes_the_pattern_of_strided_convolutions(shape, lopsided):
    ndim = len(shape)
    psf = gaussian_psf(ndim, size=5)
    if lopsided:
        psf = np.random.default_rng(1).random((5, 4, 3)[:ndim])
    model = Model(config=tiny(ndim), psf=psf, network=Patterned(ndim))
    image = blobs(shape)
    views = predictors(model, choose_device("cpu", "float32"), average=True)
    mean = np.mean([view(image) for view in views], axis=0)
    single = predictors(model, choose_device("cpu", "float32"), average=False)[0](image)
    assert np.ptp(single - image) > 0.5
    assert np.ptp(mean - image) < 1e-5


def test_psf_warnings_arrive_as_events():
    psf = np.zeros((9, 9))
    psf[1, 1] = 1.0
    _, events = collect(api.iter_deconvolve(blobs((32, 32)), psf, tiny(2)))
    assert any(isinstance(e, Warned) and "shift" in e.message for e in events)


@pytest.mark.parametrize("shape", [(32, 30), (13, 20, 22)])
def test_richardson_lucy_keeps_flux_and_sharpens(shape):
    truth = np.zeros(shape, np.float32)
    truth[tuple(n // 2 for n in shape)] = 100
    psf = gaussian_psf(len(shape), size=7)
    image = Blur(psf)(torch.from_numpy(truth)[None, None])[0, 0].numpy() + 1
    results, events = collect(api.iter_richardson_lucy(image, psf, [5, 2, 20], boundary="reflect"))
    assert list(results) == [2, 5, 20]
    for result in results.values():
        assert result.dtype == np.float32
        assert (result >= 0).all()
        assert result.sum() == pytest.approx(image.sum(), rel=1e-3)
    assert results[20].max() > results[5].max() > results[2].max()
    assert results[5].max() > image.max()
    # scikit-image continues with zeros; on a reflected margin both are the same algorithm.
    margin = 40 if len(shape) == 2 else 12
    padded = np.pad(image.astype(np.float64), margin, mode="symmetric") / 100
    reference = skimage_lucy(padded, psf, 5, clip=False) * 100
    inside = (slice(margin, -margin),) * len(shape)
    np.testing.assert_allclose(results[5], reference[inside], rtol=1e-2)
    np.testing.assert_allclose(results[5], api.richardson_lucy(image, psf, 5, boundary="reflect"), rtol=1e-6)
    assert isinstance(events[-1], Finished)


def test_richardson_lucy_stops_with_what_it_has():
    token = StopToken()
    work = api.iter_richardson_lucy(blobs((20, 20)), gaussian_psf(2), [50, 100], stop=token)
    assert next(work).step == 1
    token.stop()
    results, _ = collect(work)
    assert list(results) == [1]
    # Stopped before it began: there is nothing to keep.
    assert collect(api.iter_richardson_lucy(blobs((20, 20)), gaussian_psf(2), [50], stop=token))[0] == {}


def test_richardson_lucy_refuses_an_image_without_light():
    with pytest.raises(ConfigError, match="positive"):
        next(api.iter_richardson_lucy(-blobs((16, 16)), gaussian_psf(2), boundary="reflect"))


@pytest.mark.parametrize("counts", [[], [0], [2, -1], [1.5]])
def test_bad_counts(counts):
    with pytest.raises(ConfigError, match="iterations"):
        next(api.iter_richardson_lucy(blobs((16, 16)), gaussian_psf(2), counts))


def test_the_preview_leaves_the_network_training():
    network = build_network(tiny(2), gaussian_psf(2))
    network.train()
    image = blobs((24, 24))
    preview = Previewer(Problem.of(image, gaussian_psf(2)), choose_device("cpu", "float32"), tiny(2), 0.0)
    assert preview.make_preview(1, network).image.shape == (24, 24)
    assert network.training


def test_a_batch_of_one_voxel_at_the_lowest_level_is_refused() -> None:
    image = np.random.default_rng(0).random((16, 16))
    config = preset("ssi", 2, steps=1, batch_size=1, features=2)
    with pytest.raises(ConfigError, match="batch_size=2"):
        next(api.iter_deconvolve(image, np.ones((3, 3)) / 9, config))
    # With one voxel more it is not.
    wider = np.pad(image, ((0, 0), (0, 1)), mode="reflect")
    assert np.isfinite(api.deconvolve(wider, np.ones((3, 3)) / 9, config).image).all()
    assert np.isfinite(api.deconvolve(image, np.ones((3, 3)) / 9, config.replace(batch_size=2)).image).all()
