"""A training that a crash interrupted is offered again, with its own settings and its own PSF."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv import api
from napari_selfdeconv.api import interrupted
from napari_selfdeconv.io import atomic
from napari_selfdeconv.training import checkpoint as checkpoints


@pytest.fixture
def crashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], api.TrainConfig]:
    """Return a function that leaves a run as a crash does: its checkpoint, of a process that is gone."""
    monkeypatch.setenv(interrupted.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)

    def crash(image: np.ndarray) -> api.TrainConfig:
        config = api.preset("quick", 2, steps=6, patch=16, features=4, levels=2, batch_size=1, pretrained=False)
        about = {"name": "spots", "shape": list(image.shape), "tiles": api.TileConfig().to_dict(), "weights": None}
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 2**22 + 1)  # beyond the numbers of processes
            file = api.new_checkpoint(config, about)
        assert file is not None
        for event in api.iter_deconvolve(image, np.ones((3, 3)) / 9, config, checkpoint=file):
            if getattr(event, "step", 0) >= 4:
                break
        return config

    return crash


@pytest.mark.usefixtures("qtbot")
def test_an_interrupted_run_is_offered_and_goes_on(
    open_dock: Callable[..., Any], finish: Callable[..., None], crashed: Any, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    config = crashed(image)
    dock = open_dock(image=image)
    assert not dock.interrupted.isHidden()
    assert "'spots' was interrupted at step" in dock.interrupted.note.text()
    other = dock.viewer.add_image(image[:20], name="other")
    dock.image_box.choose(other)
    dock.interrupted.resume_button.click()
    assert "32 × 32 pixels): choose that image" in dock.run_panel.status.text()
    dock.image_box.choose(dock.viewer.layers["spots"])
    dock.interrupted.resume_button.click()
    assert dock.busy
    finish(dock)
    whole = api.deconvolve(image, np.ones((3, 3)) / 9, config)
    result = next(layer for layer in dock.viewer.layers if layer.metadata.get("selfdeconv", {}).get("resumed_at"))
    np.testing.assert_array_equal(result.data, whole.image)
    assert dock.interrupted.isHidden()
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_goes_on_elsewhere_is_not_offered_and_one_can_be_discarded(
    crashed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed(np.random.default_rng(0).normal(100, 9, (32, 32)))
    found = api.find_interrupted()
    assert found is not None
    mine = tmp_path / atomic.temporary_name("checkpoint")
    shutil.copy(found.path, mine)  # of this process, which is alive
    found.discard()
    assert api.find_interrupted() is None
    assert mine.exists()
    monkeypatch.setattr(atomic, "_is_alive", lambda *_: False)
    mine.write_bytes(b"damaged")
    assert api.find_interrupted() is None
    assert not mine.exists()
