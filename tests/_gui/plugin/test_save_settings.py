"""'Save the settings of the selected result': a file that the command line and the dock 'Many files' take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog

from napari_selfdeconv import api, preset
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY
from napari_selfdeconv._gui.plugin.actions import save_settings


def test_the_settings_of_a_result_are_saved(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    viewer = make_napari_viewer()
    config = preset("quick", 2, steps=7, seed=3)
    told = {
        "config": config.to_dict(),
        "tiles": {"tile": [64, 64], "memory_share": 0.3},
        "optics": {
            "na": 1.2,
            "wavelength_um": 0.5,
            "refractive_index": 1.33,
            "sources": {"na": "given", "wavelength_um": "the OME-XML", "refractive_index": "the OME-XML"},
        },
    }
    viewer.add_image(np.ones((8, 8)), metadata={METADATA_KEY: told})
    save_settings(viewer)
    read = api.read_template(path)
    assert read.training.config(2) == config
    assert (read.optics.na, read.optics.wavelength_um) == (1.2, None)
    # The tile was chosen for that image and that memory.
    assert (read.training.tiles.tile, read.training.tiles.memory_share) == (None, 0.3)


def test_a_layer_that_is_no_result_is_said(
    make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: pytest.fail("asked for a name"))
    viewer = make_napari_viewer()
    save_settings(viewer)
    assert "is not a result of this plugin" in notification_manager.records[-1].message
