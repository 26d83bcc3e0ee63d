"""Files that version 0.1 wrote can still be used, and mean the same. They are never regenerated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv import (
    CoverslipLayers,
    LossWeights,
    Optics,
    TileConfig,
    TrainConfig,
    apply_model,
    load_model,
)
from napari_selfdeconv.config.flat_names import OLD_NAMES, PLACES
from napari_selfdeconv.config.loss import LossSettings

OLD = Path(__file__).parents[1] / "data" / "v0_1"


def read(name: str) -> Any:
    return json.loads((OLD / name).read_text("utf-8"))


def test_an_old_model_gives_the_same_result() -> None:
    image, expected = np.load(OLD / "applied.npy")
    model = load_model(OLD / "model.safetensors")
    tiles = TileConfig.from_dict(read("applied_tiles.json"))
    result = apply_model(model, image, tiles=tiles, device_name="cpu")
    assert result.shape == expected.shape
    # Version 0.1 saw 8 voxels around its tiles of 32, which is less than the network sees. Half of its pixels were
    # off by more than 0.03 % of the range, and the worst one by 2.4 %. With its tiling the arrays were equal.
    # It also mirrored more voxels at the end of each axis, which changed the pixels near the border, and gain and
    # offset with them by 0.4 % of the range.
    off = np.abs(result - expected)[8:-8, 8:-8] / np.ptp(expected)
    assert np.median(off) < 5e-3
    assert off.max() < 0.03


def test_an_old_model_knows_its_settings() -> None:
    model = load_model(OLD / "model.safetensors")
    assert model.config == TrainConfig.from_dict(read("provenance_network.json")["config"])
    assert (model.config.network.features, model.config.network.levels, model.config.network.inverse_channels) == (
        2,
        2,
        (0.1,),
    )
    assert model.voxel_um == (0.12, 0.12)
    assert model.psf.shape == (9, 9)
    assert model.provenance["psf_sha256"] == read("provenance_network.json")["psf_sha256"]


@pytest.mark.parametrize("file", ["settings_quick_3d.json", "settings_losses.json"])
def test_old_settings_keep_every_value(file: str) -> None:
    stored = read(file)
    again = json.loads(json.dumps(TrainConfig.from_dict(stored["config"]).to_dict()))
    for name, value in stored["config"].items():
        part, inner = PLACES.get(OLD_NAMES.get(name, name), ("", ""))
        assert (again[part][inner] if part else again[name]) == value
    assert TrainConfig.from_dict(again) == TrainConfig.from_dict(stored["config"])


def test_old_settings_mean_the_same() -> None:
    quick, losses = (read(f"settings_{name}.json") for name in ("quick_3d", "losses"))
    config = TrainConfig.from_dict(quick["config"])
    assert config.loss.weights == LossWeights(bsp=1.0, bootstrap=0.3, tv=0.03)
    assert (config.name, config.optimiser.steps, config.seed, config.start.pretrained) == ("quick", 120, 4, True)
    assert config.network.inverse_channels == (0.01, 0.1, 1.0)
    assert TileConfig.from_dict(quick["tiles"]) == TileConfig(tile=(12, 64, 64))
    config = TrainConfig.from_dict(losses["config"])
    weights = LossWeights(bsp=0.5, rec=1.0, inv=0.25, inv_d=1.5, bound=0.1, bound_d=0.2, tv=0.01)
    assert config.loss == LossSettings(weights=weights, data_term="huber", huber_delta=1.5)
    assert config.blind_spot.mask_percent_start == 20.0
    assert TileConfig.from_dict(losses["tiles"]) == TileConfig()


@pytest.mark.parametrize(
    ("name", "second"),
    [("network", "psf.tif"), ("classical", "psf.tif"), ("rl", "psf.tif"), ("applied", "model.safetensors")],
)
def test_old_records_give_the_same_recipes(name: str, second: str) -> None:
    from napari_selfdeconv.api import reproduce

    record = read(f"provenance_{name}.json")
    python = (OLD / f"provenance_{name}_python.txt").read_text("utf-8")
    command = (OLD / f"provenance_{name}_command.txt").read_text("utf-8")
    made = reproduce.as_python(record, "my image.tif", second)
    made_command = reproduce.as_command(record, "my image.tif", second) + "\n"
    if name in ("classical", "rl"):
        # Version 0.1 had one border. The recipe names it, because it is not the default any more.
        assert "boundary='reflect'" in made
        assert "--boundary reflect" in made_command
        made = made.replace("boundary='reflect', method", "method").replace(", boundary='reflect'", "")
        made_command = made_command.replace("--boundary reflect ", "")
    assert made == python
    # Commands look for pixels that are no measurement; version 0.1 took every pixel as it is.
    assert made_command.removesuffix(" --mask none\n") + "\n" == command
    assert made_command != command


def test_old_psf_parameters_load() -> None:
    from napari_selfdeconv.api import load_parameters

    layers = CoverslipLayers(
        sample_index=1.38, sample_depth_um=5.0, coverslip_um=165.0, immersion_design_index=1.515
    )
    loaded = load_parameters(OLD / "psf_parameters.json")
    assert loaded.optics == Optics(
        na=1.3, wavelength_um=0.52, refractive_index=1.515, defocus_um=0.25, layers=layers
    )
    assert (loaded.voxel_um, loaded.shape) == ((0.2, 0.08, 0.08), (9, 17, 17))
