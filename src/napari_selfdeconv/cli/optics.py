"""The optics of a command: what is given, and for the rest what the file of the image states."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from napari_selfdeconv.api import MODELS, make_optics
from napari_selfdeconv.cli.terminal import say
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError

if TYPE_CHECKING:
    from napari_selfdeconv.api import ImageRecord

# What a PSF needs, and where a record holds it.
_NEEDED = {"na": "na", "refractive_index": "refractive_index", "wavelength_um": "channels.0.emission_um"}
_CONFOCAL = {"excitation_um": "channels.0.excitation_um", "pinhole_au": "channels.0.pinhole_au"}


def model_values(args: argparse.Namespace) -> dict[str, float | None]:
    """Return what was given for each parameter that only some PSF models have."""
    names = {parameter.name for model in MODELS.values() for parameter in model.parameters}
    return {name: getattr(args, name) for name in names}


def gives_optics(args: argparse.Namespace) -> bool:
    """Return whether any option of the optics was given."""
    shared = [args.na, args.wavelength_um, args.refractive_index, args.psf_model, args.defocus_um or None]
    return any(value is not None for value in (*shared, *model_values(args).values()))


def optics_of(args: argparse.Namespace) -> Optics:
    """Return the optics that the arguments give."""
    return make_optics(
        args.psf_model,
        model_values(args),
        na=args.na,
        wavelength_um=args.wavelength_um,
        refractive_index=args.refractive_index,
        defocus_um=args.defocus_um,
    )


def optics_for(args: argparse.Namespace, record: ImageRecord | None) -> Optics:
    """Return the optics that the arguments give, completed by what the file states of its only channel.

    Raises
    ------
    ConfigError
        If a value is in neither, or the file states a kind of microscope that has no model of its PSF; the
        message names what is missing and its option.
    """
    if record is None:
        return optics_of(args)
    modality = record.channels[0].modality or ""
    wanted = dict(_NEEDED)
    if args.psf_model == "confocal" or (args.psf_model is None and "confocal" in modality):
        wanted |= _CONFOCAL
    filled = {
        name: record.value(field)
        for name, field in wanted.items()
        if getattr(args, name) is None and record.value(field) is not None
    }
    complete = argparse.Namespace(**{**vars(args), **filled})
    missing = {name: field for name, field in wanted.items() if getattr(complete, name) is None}
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        reasons = "; ".join(remark.problem for remark in record.missing if remark.field in missing.values())
        raise ConfigError(f"a PSF is needed: --psf FILE, or {options} ({reasons})")
    chosen = args.psf_model is not None or any(value is not None for value in model_values(args).values())
    known = "confocal" in modality or modality == "widefield"
    if modality and not known and not chosen:
        raise ConfigError(
            f"{record.file} was recorded by {modality}, which has no PSF model here",
            "give --psf FILE with a measured PSF, or choose a model with --psf-model",
        )
    optics = optics_of(complete)
    for name, value in filled.items():
        say(f"--{name.replace('_', '-')} {value:g} ({record.sources[wanted[name]]})")
    if filled and not known and not chosen:
        say("warning: the file does not state the kind of microscope; the PSF is that of a widefield microscope")
    for doubt in record.doubts:
        if doubt.field in [wanted[name] for name in filled]:
            say(f"warning: {doubt}")
    return optics
