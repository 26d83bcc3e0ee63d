"""Settings are validated where they are made, and survive a round trip."""

import json

import pytest

from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import LossWeights, TrainConfig
from napari_selfdeconv.errors import ConfigError


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["quick", "standard", "paper"])
@pytest.mark.parametrize("loss", [None, "noise2self", "noise2same", "noise2same_d"])
def test_presets_round_trip_through_json(name, ndim, loss):
    config = preset(name, ndim, loss=loss, seed=3)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.name == name


def test_the_papers_settings():
    two, three = preset("paper", 2), preset("paper", 3)
    common = lambda c: (c.patch, c.batch_size, c.steps, c.learning_rate, c.halve_every, c.features, c.skip)  # noqa: E731
    assert common(two) == (128, 16, 3000, 4e-4, 500, 96, "concat")
    assert common(three) == (64, 4, 15_000, 4e-4, 2000, 48, "add")
    assert two.mask_percent == three.mask_percent == 0.5
    assert two.mask_sigma == three.mask_sigma == 0.2
    assert not two.inverse_channels
    assert two.schedule == "halving"
    assert two.loss == LossWeights(rec=1.0, inv_d=2.0)
    assert three.loss == LossWeights(rec=1.0, inv=2.0)
    assert preset("paper", 2, loss="noise2self").loss == LossWeights(bsp=1.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: preset("fast", 2), "preset must be one of quick, standard, paper, ssi, got 'fast'"),
        (lambda: preset("quick", 4), "2 or 3 axes here, got 4"),
        (lambda: preset("quick", 2, steps=0), r"steps must be a whole number from 1 to 10000000, got 0"),
        (lambda: preset("quick", 2, stepz=1), "unknown setting for TrainConfig: stepz"),
        (lambda: preset("quick", 2, loss="l2"), "loss must be one of noise2self"),
        (lambda: TrainConfig(mask_percent=float("nan")), "mask_percent .* got nan"),
        (lambda: TrainConfig.from_dict({"nonsense": 1}), "unknown setting for TrainConfig: nonsense"),
        (lambda: LossWeights(tv=1.0), "nothing else looks at the data"),
        (lambda: TileConfig(tile=8), r"tile must be a whole number from 16 to 65536, got 8"),
        (lambda: TileConfig(tile=(32, 0)), r"tile must be a whole number from 1 to 2147483648, got 0"),
        (lambda: Optics(na=1.4, wavelength_um=520, refractive_index=1.5), r"nanometres\? then give 0.52"),
        (lambda: Optics(na=1.6, wavelength_um=0.5, refractive_index=1.5), r"refractive_index \(1.5\), got 1.6"),
        (lambda: Optics(na=0, wavelength_um=0.5, refractive_index=1.5), "na must be"),
        (lambda: Optics(na=1, wavelength_um=float("nan"), refractive_index=1.5), "got nan"),
        (lambda: Optics(na=1, wavelength_um=0.5, refractive_index=1.5, pinhole_au=1), "needs both"),
        (
            lambda: Optics(na=1, wavelength_um=0.5, refractive_index=1.5, pinhole_au=1, excitation_um=0.6),
            "must not exceed the emission",
        ),
        (lambda: CoverslipLayers(sample_index=1.33, sample_depth_um=-1), "sample_depth_um"),
    ],
)  # fmt: skip
def test_a_bad_setting_names_itself_and_its_range(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_optics_round_trip_with_layers():
    optics = Optics(na=1.2, wavelength_um=0.5, refractive_index=1.33, layers=CoverslipLayers(sample_index=1.4))
    assert Optics.from_dict(json.loads(json.dumps(optics.to_dict()))) == optics
