"""Memory: what is predicted, what is changed to fit, and what happens when it runs out all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from napari_selfdeconv import api
from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.memory_budget import fit_training, halve_training
from napari_selfdeconv.compute.memory_model import (
    parameters,
    passes,
    reference_result_bytes,
    tile_bytes,
    training_bytes,
)
from napari_selfdeconv.config.loss_terms import LOSSES, LossWeights
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ComputeError, ConfigError
from napari_selfdeconv.events import Event, Started, Warned, drain
from napari_selfdeconv.network.model import Deconvolver, build_network

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
SIZES: dict[str, Any] = {"shape": (512, 512), "psf_shape": (31, 31)}


def tiny(**overrides: Any) -> TrainConfig:
    values = {"steps": 3, "patch": 16, "features": 4, "batch_size": 4, "pretrained": False}
    return preset("quick", 2, **{**values, **overrides})


def image(shape: tuple[int, ...] = (48, 40)) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


def collect(work: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    return drain(work, events.append), events


def warnings_of(events: list[Event]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Warned))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("skip", ["add", "concat"])
@pytest.mark.parametrize("levels", [1, 3])
def test_the_weights_are_counted(ndim: int, skip: Any, levels: int) -> None:
    config = TrainConfig().replace(features=6, levels=levels, skip=skip, inverse_channels=(0.1,))
    network = build_network(config, np.ones((3,) * ndim) / 3**ndim)
    assert parameters(config, ndim) == sum(p.numel() for p in network.parameters())


def test_a_patch_goes_through_the_network_once_or_twice() -> None:
    assert [passes(loss.weights) for loss in LOSSES.values()] == [1, 2, 2]
    assert passes(LossWeights(bsp=1, inv=1)) == 2
    assert passes(LossWeights(rec=1, bound=1)) == 1


def test_a_cell_of_the_reference_result_may_take_more_than_a_step() -> None:
    sizes: dict[str, Any] = {"shape": (128, 128, 128), "psf_shape": (17, 17, 17), "precision": "float32"}
    usual, wide = preset("quick", 3, batch_size=8), preset("quick", 3, batch_size=1)
    assert training_bytes(usual, **sizes) > reference_result_bytes(usual, **sizes) > 0
    assert training_bytes(wide, **sizes) == reference_result_bytes(wide, **sizes)
    # No cell is larger than the image.
    assert (
        reference_result_bytes(wide, **{**sizes, "shape": (16, 32, 64)})
        < reference_result_bytes(wide, **sizes) / 10
    )
    assert reference_result_bytes(preset("paper", 3), **sizes) == 0


def test_the_prediction_grows_with_what_is_asked_for() -> None:
    config = preset("standard", 2, precision="float32")
    base = training_bytes(config, **SIZES, precision="float32")
    for more in ({"batch_size": 16}, {"patch": 256}, {"features": 48}):
        assert training_bytes(config.replace(**more), **SIZES, precision="float32") > 1.3 * base
    assert training_bytes(config, **SIZES, precision="bfloat16") < base
    tiles = [tile_bytes(config, (n, n), (31, 31), precision="float32") for n in (256, 512)]
    assert 2 < tiles[1] / tiles[0] < 5


@pytest.mark.parametrize(
    ("kind", "ndim", "shape"),
    [("train", 2, (64, 64)), ("predict", 2, (400, 400)), ("predict", 3, (24, 64, 64))],
)
def test_a_measured_run_is_near_the_estimate(kind: str, ndim: int, shape: tuple[int, ...]) -> None:
    config = preset("quick", ndim, precision="float32", steps=2, auto_stop=False, pretrained=False)
    point = {"kind": kind, "shape": shape, "psf_shape": (9,) * ndim, "device": "cpu", "config": config.to_dict()}
    command = [sys.executable, "-m", "selfdeconv_tools.run_memory", json.dumps(point)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    estimate = training_bytes if kind == "train" else tile_bytes
    # An estimate that is too low costs a restart with half the batch; one that is too high, a smaller batch.
    assert 0.5 < estimate(config, shape, (9,) * ndim, precision="float32") / int(done.stdout) < 3


def test_what_fits_is_left_as_it_is() -> None:
    config = preset("standard", 2)
    fitted = fit_training(
        config, **SIZES, precision="float32", free_bytes=1e11, memory_share=0.5, fast_bfloat16=True
    )
    assert fitted.config is config
    assert fitted.note == ""


def test_batch_then_precision_then_patch_are_made_to_fit() -> None:
    config = preset("paper", 3)
    sizes: dict[str, Any] = {"shape": (64, 256, 256), "psf_shape": (17, 17, 17), "precision": "float32"}

    def at(share: float, **one: Any) -> TrainConfig:
        candidate = config.replace(**one)
        free = training_bytes(candidate, (64, 256, 256), (17, 17, 17), precision="float32") / share
        shared = {"memory_share": share, "fast_bfloat16": fast}
        return fit_training(config, **sizes, free_bytes=free * 1.001, **shared).config

    fast = False
    assert at(0.5, batch_size=2) == config.replace(batch_size=2)
    assert at(0.5, batch_size=1, patch=32) == config.replace(batch_size=1, patch=32)
    fast = True
    assert at(0.5, batch_size=1, patch=32).compute.precision == "bfloat16"


def test_what_cannot_fit_is_refused_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "free_memory_bytes", lambda _: 1000)
    with pytest.raises(ConfigError, match=r"needs about .* patch 16 \(not 64\).* are free"):
        next(api.iter_deconvolve(image(), PSF, tiny(patch=64)))


def test_a_smaller_batch_is_said_and_recorded_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(batch_size=16, patch=48, features=16)
    needed = training_bytes(config.replace(batch_size=4), (48, 40), (3, 3), precision="float32")
    monkeypatch.setattr(device, "free_memory_bytes", lambda _: needed * 2.001)
    config = config.replace(precision="float32")
    result, events = collect(api.iter_deconvolve(image(), PSF, config))
    assert "batch size 4 (not 16)" in warnings_of(events)
    used = TrainConfig.from_dict(result.provenance["config"])
    assert used == config.replace(batch_size=4)
    assert next(e for e in events if isinstance(e, Started)).peak_bytes == needed
    monkeypatch.undo()
    np.testing.assert_array_equal(api.deconvolve(image(), PSF, used).image, result.image)


def failing_above(most: int, monkeypatch: pytest.MonkeyPatch, *, training: bool) -> None:
    """Make the network run out of memory on inputs of more than ``most`` voxels."""
    forward = Deconvolver.forward

    def limited(self: Deconvolver, x: torch.Tensor) -> torch.Tensor:
        if self.training == training and x.numel() > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return forward(self, x)

    monkeypatch.setattr(Deconvolver, "forward", limited)


@pytest.mark.parametrize(("most", "used"), [(2 * 16**2, {"batch_size": 2}), (8**2 * 4, {"batch_size": 1})])
def test_training_out_of_memory_begins_anew_with_half(
    most: int, used: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = api.deconvolve(image(), PSF, tiny(**used)).image
    failing_above(most, monkeypatch, training=True)
    result, events = collect(api.iter_deconvolve(image(), PSF, tiny()))
    assert "ran out of memory. It begins again with batch size 2 (not 4)" in warnings_of(events)
    assert result.model.config == tiny(**used)
    np.testing.assert_array_equal(result.image, plain)


def test_training_gives_up_at_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_above(0, monkeypatch, training=True)
    with pytest.raises(ComputeError, match="ran out of memory"):
        api.deconvolve(image(), PSF, tiny(patch=32))
    assert halve_training(tiny(batch_size=1, patch=16)) is None


def test_predicting_out_of_memory_restarts_with_half_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    tall = image((120, 40))
    model = api.deconvolve(tall, PSF, tiny()).model
    plain = api.apply_model(model, tall, tiles=TileConfig(tile=(24, 40)))
    # Tiles of 24 x 40 read 72 x 40, made larger by their phases; half the image reads 104 x 40.
    failing_above(76 * 44, monkeypatch, training=False)
    result, events = collect(api.iter_apply_model(model, tall))
    said = warnings_of(events)
    assert "Out of memory with tiles of 120 x 40 voxels" in said
    assert "Out of memory with tiles of 56 x 40 voxels. Prediction begins again with 24 x 40." in said
    np.testing.assert_array_equal(result, plain)
    # And the record of a run names the tile that did it, not the one that failed.
    told = api.deconvolve(tall, PSF, tiny()).provenance["tiles"]
    assert TileConfig.from_dict(told) == TileConfig(tile=(24, 40))


def test_predicting_gives_up_at_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    model = api.deconvolve(image(), PSF, tiny()).model
    failing_above(0, monkeypatch, training=False)
    with pytest.raises(ComputeError, match="ran out of memory"):
        api.apply_model(model, image())


def test_other_errors_are_no_want_of_memory() -> None:
    assert device.is_out_of_memory(MemoryError())
    assert device.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    for words in ("cuFFT error: CUFFT_ALLOC_FAILED", "Unable to find a valid cuDNN algorithm to run convolution"):
        assert device.is_out_of_memory(RuntimeError(words))
    assert not device.is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_large_images_are_scaled_in_parts_to_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_selfdeconv.arrays import scaling

    data = (1000 * image((50, 30))).astype(np.uint16)
    whole = Standardizer.of(data)
    expected = whole.apply(data)
    monkeypatch.setattr(scaling, "_CHUNK_SIZE", 64)
    parts = Standardizer.of(data)
    assert parts.std == pytest.approx(whole.std, rel=1e-12)
    np.testing.assert_array_equal(whole.apply(data), expected)
    np.testing.assert_allclose(whole.undo(expected, out=expected), data, rtol=1e-5, atol=1e-2)


def test_the_outlook_is_one_line() -> None:
    sentence = api.memory_outlook(preset("quick", 2, device="cpu"), (512, 512), (31, 31)).sentence
    assert sentence.startswith("about ")
    assert sentence.endswith(" free)")


def test_the_outlook_of_a_stack_that_is_only_refined_has_no_training() -> None:
    stack, whole = (40, 112, 112), (79, 223, 223)
    config = preset("quick", 3, device="cpu")
    refined = api.memory_outlook(config, stack, whole)
    assert refined.training_bytes == 0
    # The scene is many times the image, and so is the memory of its estimate.
    assert refined.result_bytes > api.memory_outlook(config, stack, (21, 19, 19)).result_bytes
    trained = api.memory_outlook(config.replace(far_light_training=True), stack, whole)
    assert trained.training_bytes > 1e8
    assert trained.result_bytes == refined.result_bytes
