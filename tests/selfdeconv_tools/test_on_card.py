"""Batches that are made on the device, on the processor: the same problems as those of `Problems`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch

from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.network.model import build_network
from selfdeconv_tools.pretraining import __main__ as pretraining
from selfdeconv_tools.pretraining import problems
from selfdeconv_tools.pretraining.checkpoint import Position, save_checkpoint
from selfdeconv_tools.pretraining.on_card import CardProblems, cyclic, reflecting
from selfdeconv_tools.pretraining.training import Schedule, train

CPU = torch.device("cpu")


def card_problems(ndim: int, patches: int = 4, drawn: Path | None = None) -> CardProblems:
    return CardProblems(preset("quick", ndim), ndim, 2, 3, 0, drawn, CPU, patches)


@pytest.fixture(autouse=True)
def few_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "SIZES", {2: (64, 24, 1, 2), 3: (64, 16, 1, 2)})
    monkeypatch.setattr(problems, "_VALIDATION_SCENES", 1)
    monkeypatch.setattr(problems, "_VALIDATION_KERNELS", 1)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_card_blurs_and_filters_as_the_library_does(ndim: int) -> None:
    drawn = card_problems(ndim)
    truth = drawn._crops(np.random.default_rng(0))
    assert truth.shape == (4, 1, *[drawn._size] * ndim)
    for number, (blur, inverses) in enumerate(drawn._operators):
        ours = cyclic(truth, drawn._blurs[number][None, None])[drawn._inside]
        theirs = blur(truth)[drawn._inside]
        assert torch.allclose(ours, theirs, atol=1e-4)
        filtered = torch.cat([inverse(theirs) for inverse in inverses], 1)
        assert torch.allclose(reflecting(theirs, drawn._filters[number][None]), filtered, atol=1e-3)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_batch_has_the_shape_that_was_asked_for_and_depends_on_its_number_alone(ndim: int) -> None:
    drawn, again = (card_problems(ndim, patches=6) for _ in range(2))
    inputs, truths, contrasts = drawn.batch(3)
    patch = (problems.SIZES[ndim][1],) * ndim
    assert inputs.shape == (6, 1 + len(preset("quick", ndim).network.inverse_channels), *patch)
    assert truths.shape == (6, 1, *patch)
    assert contrasts.shape == (6, 1, *[1] * ndim)
    again.batch(0)
    assert all(torch.equal(a, b) for a, b in zip(drawn.batch(3), again.batch(3), strict=True))
    assert not torch.equal(inputs, drawn.batch(4)[0])


def test_parts_of_scenes_are_turned_in_every_way() -> None:
    drawn = card_problems(2, patches=64)
    drawn._all_scenes = torch.arange(64.0 * 64).reshape(1, 64, 64).half() / 4096
    crops = drawn._crops(np.random.default_rng(0)).float()
    down, right = (torch.sign(crops.diff(dim=axis).mean((1, 2, 3))) for axis in (2, 3))
    turned = (crops.diff(dim=2).abs().mean((1, 2, 3)) < crops.diff(dim=3).abs().mean((1, 2, 3))).float()
    ways = torch.stack([down, right, turned], 1).unique(dim=0)
    assert len(ways) == 8


def test_pretraining_on_a_card_goes_on_with_scenes_that_were_drawn_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(module: Any, *words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["it", *words])
        module.main()

    scenes, out = tmp_path / "scenes.npy", tmp_path / "unet2d.safetensors"
    call(problems, "--scenes", "3", "--seed", "5", "--out", str(scenes))
    assert np.load(scenes).shape == (3, 64, 64)
    few = ["--kernels", "1", "--device", "cpu", "--drawn", str(scenes), "--patches", "2", "--out", str(out)]
    call(pretraining, *few, "--steps", "2")
    # Over at once: the time is up after the first step.
    call(pretraining, *few, "--steps", "1000", "--minutes", "1e-9")
    rows = list(csv.DictReader(out.with_suffix(".csv").read_text().splitlines()))
    assert [int(row["steps"]) for row in rows] == [0, 2, 2, 3]
    with safetensors.safe_open(out, framework="pt") as file:
        assert file.metadata()["scenes"] == "scenes.npy"
    with pytest.raises(ConfigError, match="scenes of 3 axes: draw them"):
        call(pretraining, *few, "--ndim", "3")
    with pytest.raises(SystemExit):
        call(pretraining, *few, "--stacks", str(tmp_path))


def test_an_interrupted_cycle_ends_in_time_on_a_card(tmp_path: Path) -> None:
    config, path = preset("quick", 2), tmp_path / "a.checkpoint"
    network = build_network(config, np.ones((1, 1), np.float32))
    begun = Position(step=7, cycle_steps=1000, seconds=90.0)
    optimizer = torch.optim.Adam(network.parameters())
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    save_checkpoint(path, network, optimizer, begun)
    drawn = card_problems(2, patches=2)
    schedule = Schedule(1000, 1e-3, path, cycle_s=1e-9)
    assert train(network, drawn, choose_device("cpu", "float32"), schedule).step == 8


def test_a_cycle_ends_after_its_steps_or_its_seconds_whichever_is_sooner() -> None:
    position = Position(step=30, cycle_start=20, cycle_steps=40, seconds=5, cycle_start_s=2, cycle_s=4)
    assert position.share == pytest.approx(0.75)
    assert Position(step=30, cycle_start=20, cycle_steps=40, seconds=1e9).share == pytest.approx(0.25)
    assert Position(step=30, cycle_start=20, cycle_steps=40, seconds=6, cycle_start_s=2, cycle_s=4).ended
    begun = position.next_cycle(10, 60)
    assert (begun.share, begun.step, begun.ended) == (0, 30, False)
