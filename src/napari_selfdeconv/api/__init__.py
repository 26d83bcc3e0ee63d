"""The public functions, for docks, command line and notebooks. They take arrays, yield events and return arrays.

A name is imported from its module when it is first used, so that looking up an objective does not load torch.
"""

from __future__ import annotations

import functools
import importlib
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_selfdeconv.api.apply import apply_model, iter_apply_model, model_differences
    from napari_selfdeconv.api.batch import Sharing, iter_batch
    from napari_selfdeconv.api.batch_items import BatchItem, find_images
    from napari_selfdeconv.api.batch_rows import BatchResult, FileFinished, FileStarted
    from napari_selfdeconv.api.beads import beads_psf, iter_beads_psf
    from napari_selfdeconv.api.camera import estimate_background, report_camera
    from napari_selfdeconv.api.checkpoints import Checkpoint
    from napari_selfdeconv.api.chosen_method import classical_of, is_network, weights_of
    from napari_selfdeconv.api.chromatic import add_shifts, iter_measure_shifts, unshift_channels
    from napari_selfdeconv.api.classical import (
        ClassicalResult,
        classical_method,
        iter_classical,
        iter_richardson_lucy,
        richardson_lucy,
    )
    from napari_selfdeconv.api.confidence import (
        background_of,
        evaluate_without_truth,
        iter_evaluate_without_truth,
        iter_residual,
        residual,
    )
    from napari_selfdeconv.api.cost import PsfCost, psf_cost
    from napari_selfdeconv.api.deconvolution import Deconvolution, deconvolve, iter_deconvolve
    from napari_selfdeconv.api.image_part import channel_record, check_one_image, read_selected
    from napari_selfdeconv.api.inputs import (
        ChosenPsf,
        Stated,
        choose_psf,
        complete_optics,
        find_microscope,
        open_input,
    )
    from napari_selfdeconv.api.instant import preview_region
    from napari_selfdeconv.api.interrupted import InterruptedRun, find_interrupted, new_checkpoint
    from napari_selfdeconv.api.intervals import Uncertainty, iter_uncertainty, uncertainty
    from napari_selfdeconv.api.large import LargeDeconvolution, iter_deconvolve_large
    from napari_selfdeconv.api.large_zarr import iter_deconvolve_zarr
    from napari_selfdeconv.api.memory import memory_outlook
    from napari_selfdeconv.api.outcome import Outcome, origin
    from napari_selfdeconv.api.provenance import applied_record
    from napari_selfdeconv.api.reproduce import as_command, as_python, kind_of, settings_json, template_of_record
    from napari_selfdeconv.api.results import save_outcome, stem
    from napari_selfdeconv.api.run import iter_run
    from napari_selfdeconv.api.series import SeriesDeconvolution, iter_deconvolve_series
    from napari_selfdeconv.compute.device import Choice, choose_device, free_memory_bytes
    from napari_selfdeconv.compute.failures import translate_error
    from napari_selfdeconv.compute.memory_budget import Outlook, outlook
    from napari_selfdeconv.config.chromatic import ChromaticShift
    from napari_selfdeconv.config.loss_terms import LossWeights
    from napari_selfdeconv.config.microscope import Microscope
    from napari_selfdeconv.config.optics import CoverslipLayers, Optics
    from napari_selfdeconv.config.presets import preset
    from napari_selfdeconv.config.series import SeriesPlan
    from napari_selfdeconv.config.template import Template
    from napari_selfdeconv.config.tiles import TileConfig
    from napari_selfdeconv.config.training import TrainConfig
    from napari_selfdeconv.errors import Cancelled, ComputeError, ConfigError, SelfDeconvError
    from napari_selfdeconv.inference.weigh import Weights
    from napari_selfdeconv.io.checks import check_image, check_layout
    from napari_selfdeconv.io.images import ImageFile, read_image, read_psf, read_record, write_ome_tiff, write_psf
    from napari_selfdeconv.io.json_files import read_json
    from napari_selfdeconv.io.microscope_files import (
        forget_microscope,
        load_microscope,
        remember_microscope,
        remembered_microscopes,
        save_microscope,
    )
    from napari_selfdeconv.io.ome_zarr import create_zarr, is_unfinished, new_zarr
    from napari_selfdeconv.io.outputs import Output, OutputKind, check_outputs
    from napari_selfdeconv.io.record import ChannelRecord, ImageRecord, Remark
    from napari_selfdeconv.io.template_files import read_template, save_template, template_text
    from napari_selfdeconv.metrics.scores import evaluate
    from napari_selfdeconv.network.model import Model
    from napari_selfdeconv.network.model_file import load_model, save_model
    from napari_selfdeconv.physics.camera import CameraReport
    from napari_selfdeconv.physics.illumination import Course, correct_light, measure_light
    from napari_selfdeconv.physics.mask import Unmeasured, find_hot_pixels, find_unmeasured
    from napari_selfdeconv.psf.beads.settings import REASONS, BeadPsf, BeadSettings
    from napari_selfdeconv.psf.chromatic import fit_shift, unshift
    from napari_selfdeconv.psf.diagnose import Context, Finding, examine_psf
    from napari_selfdeconv.psf.generate import (
        PsfWarning,
        psf_and_notes,
        psf_for_image,
        richards_wolf_psf,
        suggest_psf_shape,
    )
    from napari_selfdeconv.psf.lenses import IMMERSIONS, OBJECTIVES, Objective
    from napari_selfdeconv.psf.measure import fwhm
    from napari_selfdeconv.psf.models import MODELS, Parameter, PsfModel, make_optics, model_key, parameter_values
    from napari_selfdeconv.psf.parameters import PsfParameters, load_parameters, save_parameters
    from napari_selfdeconv.psf.prepare import fit_to_voxels, prepare_psf
    from napari_selfdeconv.psf.repair import repair_psf
    from napari_selfdeconv.psf.stack import psf_for_stack, share_in_stack, stack_psf_shape
    from napari_selfdeconv.restoration.method_inputs import Border
    from napari_selfdeconv.restoration.methods import METHODS, Classical, Method, benchmark_names, describe_default
    from napari_selfdeconv.simulate.beads import sample_beads
    from napari_selfdeconv.simulate.degrade import degrade
    from napari_selfdeconv.simulate.samples import sample_2d, sample_3d
    from napari_selfdeconv.stop_token import StopToken

__all__ = [
    "IMMERSIONS",
    "METHODS",
    "MODELS",
    "OBJECTIVES",
    "REASONS",
    "BatchItem",
    "BatchResult",
    "BeadPsf",
    "BeadSettings",
    "Border",
    "CameraReport",
    "Cancelled",
    "ChannelRecord",
    "Checkpoint",
    "Choice",
    "ChosenPsf",
    "ChromaticShift",
    "Classical",
    "ClassicalResult",
    "ComputeError",
    "ConfigError",
    "Context",
    "Course",
    "CoverslipLayers",
    "Deconvolution",
    "FileFinished",
    "FileStarted",
    "Finding",
    "ImageFile",
    "ImageRecord",
    "InterruptedRun",
    "LargeDeconvolution",
    "LossWeights",
    "Method",
    "Microscope",
    "Model",
    "Objective",
    "Optics",
    "Outcome",
    "Outlook",
    "Output",
    "OutputKind",
    "Parameter",
    "PsfCost",
    "PsfModel",
    "PsfParameters",
    "PsfWarning",
    "Remark",
    "SelfDeconvError",
    "SeriesDeconvolution",
    "SeriesPlan",
    "Sharing",
    "Stated",
    "StopToken",
    "Template",
    "TileConfig",
    "TrainConfig",
    "Uncertainty",
    "Unmeasured",
    "Weights",
    "add_shifts",
    "applied_record",
    "apply_model",
    "as_command",
    "as_python",
    "background_of",
    "beads_psf",
    "benchmark_names",
    "channel_record",
    "check_image",
    "check_layout",
    "check_one_image",
    "check_outputs",
    "choose_device",
    "choose_psf",
    "classical_method",
    "classical_of",
    "complete_optics",
    "correct_light",
    "create_zarr",
    "deconvolve",
    "degrade",
    "describe_default",
    "estimate_background",
    "evaluate",
    "evaluate_without_truth",
    "examine_psf",
    "find_hot_pixels",
    "find_images",
    "find_interrupted",
    "find_microscope",
    "find_unmeasured",
    "fit_shift",
    "fit_to_voxels",
    "forget_microscope",
    "free_memory_bytes",
    "fwhm",
    "is_network",
    "is_unfinished",
    "iter_apply_model",
    "iter_batch",
    "iter_beads_psf",
    "iter_classical",
    "iter_deconvolve",
    "iter_deconvolve_large",
    "iter_deconvolve_series",
    "iter_deconvolve_zarr",
    "iter_evaluate_without_truth",
    "iter_measure_shifts",
    "iter_residual",
    "iter_richardson_lucy",
    "iter_run",
    "iter_uncertainty",
    "kind_of",
    "load_microscope",
    "load_model",
    "load_parameters",
    "make_optics",
    "measure_light",
    "memory_outlook",
    "model_differences",
    "model_key",
    "new_checkpoint",
    "new_zarr",
    "open_input",
    "origin",
    "outlook",
    "parameter_values",
    "prepare_psf",
    "preset",
    "preview_region",
    "psf_and_notes",
    "psf_cost",
    "psf_for_image",
    "psf_for_stack",
    "read_image",
    "read_json",
    "read_psf",
    "read_record",
    "read_selected",
    "read_template",
    "remember_microscope",
    "remembered_microscopes",
    "repair_psf",
    "report_camera",
    "residual",
    "richards_wolf_psf",
    "richardson_lucy",
    "sample_2d",
    "sample_3d",
    "sample_beads",
    "save_microscope",
    "save_model",
    "save_outcome",
    "save_parameters",
    "save_template",
    "settings_json",
    "share_in_stack",
    "stack_psf_shape",
    "stem",
    "suggest_psf_shape",
    "template_of_record",
    "template_text",
    "translate_error",
    "uncertainty",
    "unshift",
    "unshift_channels",
    "weights_of",
    "write_ome_tiff",
    "write_psf",
]

# Which module holds which names.
_NAMES = {
    "physics.illumination": "Course correct_light measure_light",
    "api.checkpoints": "Checkpoint",
    "api.chromatic": "add_shifts iter_measure_shifts unshift_channels",
    "config.chromatic": "ChromaticShift",
    "psf.chromatic": "fit_shift unshift",
    "api.image_part": "channel_record check_one_image read_selected",
    "api.inputs": "ChosenPsf Stated choose_psf complete_optics find_microscope open_input",
    "api.outcome": "Outcome origin",
    "api.run": "iter_run",
    "api.chosen_method": "classical_of is_network weights_of",
    "api.results": "save_outcome stem",
    "api.batch": "Sharing iter_batch",
    "api.batch_rows": "BatchResult FileFinished FileStarted",
    "api.batch_items": "BatchItem find_images",
    "config.template": "Template",
    "io.template_files": "read_template save_template template_text",
    "api.instant": "preview_region",
    "api.apply": "apply_model iter_apply_model model_differences",
    "api.beads": "beads_psf iter_beads_psf",
    "api.camera": "estimate_background report_camera",
    "api.classical": "ClassicalResult classical_method iter_classical iter_richardson_lucy richardson_lucy",
    "api.deconvolution": "Deconvolution deconvolve iter_deconvolve",
    "api.interrupted": "InterruptedRun find_interrupted new_checkpoint",
    "api.large": "LargeDeconvolution iter_deconvolve_large",
    "api.large_zarr": "iter_deconvolve_zarr",
    "api.memory": "memory_outlook",
    "api.provenance": "applied_record",
    "api.cost": "PsfCost psf_cost",
    "api.reproduce": "as_command as_python kind_of settings_json template_of_record",
    "api.series": "SeriesDeconvolution iter_deconvolve_series",
    "api.confidence": "background_of evaluate_without_truth iter_evaluate_without_truth iter_residual residual",
    "api.intervals": "Uncertainty iter_uncertainty uncertainty",
    "inference.weigh": "Weights",
    "io.ome_zarr": "create_zarr is_unfinished new_zarr",
    "compute.device": "Choice choose_device free_memory_bytes",
    "compute.failures": "translate_error",
    "compute.memory_budget": "Outlook outlook",
    "config.loss_terms": "LossWeights",
    "config.microscope": "Microscope",
    "config.optics": "CoverslipLayers Optics",
    "config.presets": "preset",
    "config.series": "SeriesPlan",
    "config.tiles": "TileConfig",
    "config.training": "TrainConfig",
    "errors": "Cancelled ComputeError ConfigError SelfDeconvError",
    "io.images": "ImageFile read_image read_psf read_record write_ome_tiff write_psf",
    "io.record": "ChannelRecord ImageRecord Remark",
    "io.checks": "check_image check_layout",
    "io.json_files": "read_json",
    "io.microscope_files": "forget_microscope load_microscope remember_microscope remembered_microscopes "
    "save_microscope",
    "io.outputs": "Output OutputKind check_outputs",
    "metrics.scores": "evaluate",
    "network.model": "Model",
    "network.model_file": "load_model save_model",
    "physics.camera": "CameraReport",
    "physics.mask": "Unmeasured find_hot_pixels find_unmeasured",
    "psf.beads.settings": "REASONS BeadPsf BeadSettings",
    "psf.diagnose": "Context Finding examine_psf",
    "psf.repair": "repair_psf",
    "psf.stack": "psf_for_stack share_in_stack stack_psf_shape",
    "psf.generate": "PsfWarning psf_and_notes psf_for_image richards_wolf_psf suggest_psf_shape",
    "psf.lenses": "IMMERSIONS OBJECTIVES Objective",
    "psf.measure": "fwhm",
    "psf.models": "MODELS Parameter PsfModel make_optics model_key parameter_values",
    "psf.parameters": "PsfParameters load_parameters save_parameters",
    "psf.prepare": "fit_to_voxels prepare_psf",
    "restoration.method_inputs": "Border",
    "restoration.methods": "METHODS Classical Method benchmark_names describe_default",
    "simulate.beads": "sample_beads",
    "simulate.degrade": "degrade",
    "simulate.samples": "sample_2d sample_3d",
    "stop_token": "StopToken",
}
_MODULE = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"napari_selfdeconv.{_MODULE[name]}"), name)
    return _checked(found) if isinstance(found, types.FunctionType) else found


@functools.cache
def _checked(function: types.FunctionType) -> Any:
    """Return a public function that refuses arguments of the wrong type, with what to give instead."""
    from napari_selfdeconv.api.arguments import checked

    return checked(function)
