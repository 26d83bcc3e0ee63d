"""Self-supervised deconvolution of a single image, in napari and headless.

Nothing here imports torch, Qt or napari until it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_selfdeconv._version import __version__ as __version__

if TYPE_CHECKING:
    from napari_selfdeconv.api import (
        BeadPsf,
        BeadSettings,
        Cancelled,
        Classical,
        ClassicalResult,
        ComputeError,
        ConfigError,
        CoverslipLayers,
        Deconvolution,
        LossWeights,
        Optics,
        SelfDeconvError,
        SeriesPlan,
        StopToken,
        TileConfig,
        TrainConfig,
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
        preset,
        psf_for_image,
        psf_for_stack,
        read_image,
        read_record,
        residual,
        richards_wolf_psf,
        richardson_lucy,
        save_model,
        suggest_psf_shape,
        uncertainty,
    )

__all__ = [
    "BeadPsf",
    "BeadSettings",
    "Cancelled",
    "Classical",
    "ClassicalResult",
    "ComputeError",
    "ConfigError",
    "CoverslipLayers",
    "Deconvolution",
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
    "psf_for_stack",
    "read_image",
    "read_record",
    "residual",
    "richards_wolf_psf",
    "richardson_lucy",
    "save_model",
    "suggest_psf_shape",
    "uncertainty",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.api"), name)
