"""Self-supervised deconvolution of a single image, in napari and headless.

Nothing here imports torch, Qt or napari until it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_selfdeconv.api import (
        BeadPsf,
        BeadSettings,
        ClassicalResult,
        Deconvolution,
        apply_model,
        beads_psf,
        classical_method,
        create_zarr,
        deconvolve,
        evaluate_without_truth,
        iter_apply_model,
        iter_beads_psf,
        iter_classical,
        iter_deconvolve,
        iter_deconvolve_large,
        iter_deconvolve_series,
        iter_richardson_lucy,
        iter_uncertainty,
        load_model,
        prepare_psf,
        psf_for_image,
        residual,
        richards_wolf_psf,
        richardson_lucy,
        save_model,
        suggest_psf_shape,
        uncertainty,
    )
    from napari_selfdeconv.config import Layers, LossWeights, Optics, TileConfig, TrainConfig
    from napari_selfdeconv.config_classical import Classical
    from napari_selfdeconv.errors import Cancelled, ComputeError, ConfigError, SelfDeconvError
    from napari_selfdeconv.events import StopToken
    from napari_selfdeconv.presets import preset
    from napari_selfdeconv.series import SeriesPlan

__version__ = "0.1.0"

__all__ = [
    "BeadPsf",
    "BeadSettings",
    "Cancelled",
    "Classical",
    "ClassicalResult",
    "ComputeError",
    "ConfigError",
    "Deconvolution",
    "Layers",
    "LossWeights",
    "Optics",
    "SelfDeconvError",
    "SeriesPlan",
    "StopToken",
    "TileConfig",
    "TrainConfig",
    "apply_model",
    "beads_psf",
    "classical_method",
    "create_zarr",
    "deconvolve",
    "evaluate_without_truth",
    "iter_apply_model",
    "iter_beads_psf",
    "iter_classical",
    "iter_deconvolve",
    "iter_deconvolve_large",
    "iter_deconvolve_series",
    "iter_richardson_lucy",
    "iter_uncertainty",
    "load_model",
    "prepare_psf",
    "preset",
    "psf_for_image",
    "residual",
    "richards_wolf_psf",
    "richardson_lucy",
    "save_model",
    "suggest_psf_shape",
    "uncertainty",
]

_ROOM = {
    "config": {"Layers", "LossWeights", "Optics", "TileConfig", "TrainConfig"},
    "config_classical": {"Classical"},
    "errors": {"Cancelled", "ComputeError", "ConfigError", "SelfDeconvError"},
    "events": {"StopToken"},
    "presets": {"preset"},
    "series": {"SeriesPlan"},
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = next((room for room, names in _ROOM.items() if name in names), "api")
    return getattr(importlib.import_module(f"{__name__}.{room}"), name)
