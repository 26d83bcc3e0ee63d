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
_OF_MODELS = {parameter.name for model in MODELS.values() for parameter in model.parameters}


def optics_of(args: argparse.Namespace) -> Optics:
    """Return the optics that the arguments give."""
    return make_optics(
        args.psf_model,
        {name: getattr(args, name) for name in _OF_MODELS},
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
    filled = {}
    for name, field in wanted.items():
        if getattr(args, name) is None and (value := record.value(field)) is not None:
            filled[name] = value
            say(f"--{name.replace('_', '-')} {value:g} ({record.sources[field]})")
    complete = argparse.Namespace(**{**vars(args), **filled})
    missing = [field for name, field in wanted.items() if getattr(complete, name) is None]
    if missing:
        asked = "; ".join(str(remark) for remark in record.missing if remark.field in missing)
        raise ConfigError(f"a PSF is needed: --psf FILE, or the optics. {asked}")
    chosen = args.psf_model is not None or any(getattr(args, name) is not None for name in _OF_MODELS)
    if not chosen and "confocal" not in modality and modality != "widefield":
        if modality:
            raise ConfigError(
                f"{record.file} was recorded by {modality}, which has no PSF model here",
                "give --psf FILE with a measured PSF, or choose a model with --psf-model",
            )
        say("warning: the file does not state the kind of microscope; the PSF is that of a widefield microscope")
    for doubt in record.doubts:
        if doubt.field in ("na", "refractive_index", *wanted.values()):
            say(f"warning: {doubt}")
    return optics_of(complete)
