"""A setting that is not allowed is refused with its name, its range in words and the value."""

import numpy as np
import pytest

from napari_selfdeconv.config.loss_terms import LossWeights
from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.config.parts import BlindSpotSettings
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import ConfigError


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: preset("quick", 2, steps=-1), r"steps must be a whole number from 0 to 10000000, got -1"),
        (lambda: BlindSpotSettings(mask_percent=float("nan")), "mask_percent .* got nan"),
        (lambda: LossWeights(tv=1.0), "no other term uses the data"),
        (lambda: TileConfig(tile=8), r"tile must be a whole number from 16 to 65536, got 8"),
        (lambda: TileConfig(tile=(32, 0)), r"tile must be a whole number from 1 to 2147483648, got 0"),
        (lambda: Optics(na=1.4, wavelength_um=520, refractive_index=1.5), r"nanometres\? then give 0.52"),
        (lambda: Optics(na=1.4, wavelength_um=np.int64(520), refractive_index=1.5), r"then give 0.52"),
        (lambda: Optics(na=1.4, wavelength_um=np.float32(520), refractive_index=1.5), r"then give 0.52"),
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
