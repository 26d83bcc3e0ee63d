"""The time to compute a PSF."""

from __future__ import annotations

import warnings

from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.psf.generate import PsfWarning, richards_wolf_psf
from selfdeconv_tools.speed.figure import Pair, Setting, Target
from selfdeconv_tools.speed.inputs import size_text
from selfdeconv_tools.speed.timing import Call

_VOXEL_UM = (0.1, 0.05, 0.05)
_MOST_S = 0.3
_OPTICS = {
    "widefield": Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515),
    "confocal": Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515, excitation_um=0.488, pinhole_au=1.0),
    "layers": Optics(
        na=1.4,
        wavelength_um=0.52,
        refractive_index=1.515,
        layers=CoverslipLayers(sample_index=1.42, sample_depth_um=5.0),
    ),
}


def figures(setting: Setting) -> list[Pair]:
    """Return widefield, confocal and Gibson-Lanni; no baseline: a plain integration would be of our own making."""
    shape = (5, 16, 16) if setting.small else (128, 256, 256)
    return [
        Pair(
            name=f"psf-{name}",
            size=size_text(shape),
            compares="a Richards & Wolf PSF, integrated over pixels; seconds only",
            ours=lambda optics=optics: _compute(shape, optics),  # type: ignore[misc]
            targets=(Target.seconds(_MOST_S),),
            precision="float64",
        )
        for name, optics in _OPTICS.items()
    ]


def _compute(shape: tuple[int, int, int], optics: Optics) -> Call:
    def call() -> object:
        with warnings.catch_warnings():
            # Its warnings about the window do not matter here.
            warnings.simplefilter("ignore", PsfWarning)
            return richards_wolf_psf(shape, _VOXEL_UM, optics)

    return call
