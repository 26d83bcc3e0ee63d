"""The one entry for the GUI, the command line and notebooks: arrays in, events on the way, arrays out."""

from napari_selfdeconv.api._apply import apply_model, iter_apply_model, model_differences
from napari_selfdeconv.api._beads import beads_psf, iter_beads_psf
from napari_selfdeconv.api._classical import (
    ClassicalResult,
    classical_method,
    iter_classical,
    iter_richardson_lucy,
    richardson_lucy,
)
from napari_selfdeconv.api._deconvolve import Deconvolution, deconvolve, iter_deconvolve
from napari_selfdeconv.api._large import LargeDeconvolution, create_zarr, iter_deconvolve_large
from napari_selfdeconv.api._memory import memory_outlook
from napari_selfdeconv.api._series import SeriesDeconvolution, iter_deconvolve_series
from napari_selfdeconv.api._trust import iter_uncertainty, residual, uncertainty
from napari_selfdeconv.beads import BeadPsf, BeadSettings
from napari_selfdeconv.model_file import load_model, save_model
from napari_selfdeconv.no_reference import evaluate_without_truth
from napari_selfdeconv.psf import psf_for_image, richards_wolf_psf, suggest_psf_shape
from napari_selfdeconv.psf_doctor import Context, Finding, examine, repair
from napari_selfdeconv.psf_file import PsfParameters, load_parameters, save_parameters
from napari_selfdeconv.psf_prepare import fit_to_voxels, prepare_psf
from napari_selfdeconv.series import SeriesPlan

__all__ = [
    "BeadPsf",
    "BeadSettings",
    "ClassicalResult",
    "Context",
    "Deconvolution",
    "Finding",
    "LargeDeconvolution",
    "PsfParameters",
    "SeriesDeconvolution",
    "SeriesPlan",
    "apply_model",
    "beads_psf",
    "classical_method",
    "create_zarr",
    "deconvolve",
    "evaluate_without_truth",
    "examine",
    "fit_to_voxels",
    "iter_apply_model",
    "iter_beads_psf",
    "iter_classical",
    "iter_deconvolve",
    "iter_deconvolve_large",
    "iter_deconvolve_series",
    "iter_richardson_lucy",
    "iter_uncertainty",
    "load_model",
    "load_parameters",
    "memory_outlook",
    "model_differences",
    "prepare_psf",
    "psf_for_image",
    "repair",
    "residual",
    "richards_wolf_psf",
    "richardson_lucy",
    "save_model",
    "save_parameters",
    "suggest_psf_shape",
    "uncertainty",
]
