"""The PSF of a run: its optics, and the origin of each value."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_selfdeconv.api.chosen_psf import ChosenPsf, Stated, read_chosen_psf
from napari_selfdeconv.api.image_part import read_selected, size_of, voxel_doubts
from napari_selfdeconv.api.record_optics import overruled, source_of
from napari_selfdeconv.config.microscope import Microscope
from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.config.template import GIVEN, OF_MICROSCOPE, OpticsChoice, Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import ImageFile
from napari_selfdeconv.io.microscope_files import load_microscope, remembered_microscopes
from napari_selfdeconv.io.record import ImageRecord
from napari_selfdeconv.psf.generate import psf_for_image
from napari_selfdeconv.psf.models import MODELS, make_optics, model_key, parameter_values, stated_model
from napari_selfdeconv.psf.stack import psf_for_stack, share_in_stack

# The values that a PSF needs, and the fields of a record that hold them.
_NEEDED = {"na": "na", "refractive_index": "refractive_index", "wavelength_um": "channels.0.emission_um"}
_CONFOCAL = {"excitation_um": "channels.0.excitation_um", "pinhole_au": "channels.0.pinhole_au"}


def open_input(path: str | os.PathLike[str], template: Template) -> ImageFile:
    """Read the part of a file that a template names. What it lacks of its voxel size may be the microscope's.

    Parameters
    ----------
    path : path of the file.
    template : its parts ``image`` and ``optics`` are used.

    Raises
    ------
    ConfigError
        As `read_selected`, and if the named microscope does not exist.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import Template, write_ome_tiff
    >>> template = Template.from_dict({"image": {"channel": 1}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ome_tiff(f"{folder}/a.ome.tif", np.zeros((2, 4, 8, 8)), (0.3, 0.1, 0.1), axes="CZYX")
    ...     open_input(f"{folder}/a.ome.tif", template).data.shape
    (4, 8, 8)
    """
    file = read_selected(path, template.image)
    if file.voxel_um is not None or template.optics.microscope is None:
        return file
    voxel = find_microscope(template.optics.microscope).voxel_um or ()
    stated = file.record.stated_um if file.record is not None else ()
    if not voxel or len(voxel) != len(stated):
        return file
    both = tuple(usual if own is None else own for own, usual in zip(stated, voxel, strict=True))
    return dataclasses.replace(file, voxel_um=both)


def choose_psf(
    file: ImageFile,
    template: Template,
    *,
    whole: bool = True,
    frame_shape: Sequence[int] | None = None,
) -> ChosenPsf:
    """Return the PSF of an image: read from a file, or computed from the optics.

    Parameters
    ----------
    file : the image, with one channel.
    template : gives the PSF or the optics. Other values are taken from the record of the file.
    whole : whether the PSF is as large as the light of the stack. Otherwise it is compact, as methods without an
        open border need it.
    frame_shape : shape of one frame; by default that of the file.

    Raises
    ------
    ConfigError
        If a value is missing in both, or if both a PSF and optics are given. The message says what to do.

    Examples
    --------
    >>> from napari_selfdeconv import Template
    >>> from napari_selfdeconv.api import ImageFile
    >>> file = ImageFile(data=np.zeros((64, 64)), axes="YX", voxel_um=(0.1, 0.1))
    >>> optics = {"na": 1.2, "wavelength_um": 0.52, "refractive_index": 1.33}
    >>> chosen = choose_psf(file, Template.from_dict({"optics": optics}))
    >>> chosen.psf.ndim, str(chosen.stated[0])
    (2, '--na 1.2 (given)')
    """
    optics = template.optics
    if template.psf.file is not None:
        if optics.given:
            raise ConfigError("give either --psf or the optics (--na, --wavelength-um, ...), not both")
        return read_chosen_psf(Path(template.psf.file), file, bool(template.psf.prepare))
    if file.voxel_um is None:
        name = file.record.file if file.record is not None else "the image"
        raise ConfigError(f"the voxel size of {name} is not in the file: give --voxel-um [DZ] DY DX")
    complete, stated, doubts = complete_optics(optics, file.record)
    shape = tuple(frame_shape or file.data.shape)
    array, warnings = (psf_for_stack if whole else psf_for_image)(complete, file.voxel_um, shape)
    holds = ""
    if len(shape) == 3:
        share = share_in_stack(array.shape, complete, file.voxel_um, shape)
        holds = f"; it holds {share:.0%} of the light inside the stack"
    size = size_of(file.voxel_um)
    kind = MODELS[model_key(complete)].title.lower()
    return ChosenPsf(
        psf=array,
        optics=complete,
        stated=stated,
        notes=(f"PSF: {kind}, {'x'.join(map(str, array.shape))} voxels of {size} um{holds}",),
        warnings=(*voxel_doubts(file), *doubts, *warnings),
    )


def complete_optics(
    choice: OpticsChoice, record: ImageRecord | None
) -> tuple[Optics, tuple[Stated, ...], tuple[str, ...]]:
    """Return the given optics, completed by the values that the file states for its only channel.

    Parameters
    ----------
    choice : the given optics.
    record : record of the file, with one channel; None without a file.

    Returns
    -------
    The optics, each value with its origin, and doubts for the user.

    Raises
    ------
    ConfigError
        If a value is missing in both, or the file states a kind of microscope without a PSF model. The message
        names the missing value and its option.

    Examples
    --------
    >>> from napari_selfdeconv.config.template import OpticsChoice
    >>> optics, stated, doubts = complete_optics(
    ...     OpticsChoice(na=1.2, wavelength_um=0.52, refractive_index=1.33), None
    ... )
    >>> optics.na, stated[0].source
    (1.2, 'given')
    """
    choice, named = _with_microscope(choice)
    own = {name: getattr(choice, name) for name in _NEEDED} | dict(choice.values)
    given = {name: value for name, value in own.items() if value is not None}
    modality = (record.channels[0].modality or "") if record is not None else ""
    wanted = dict(_NEEDED)
    if choice.psf_model == "confocal" or (choice.psf_model is None and "confocal" in modality):
        wanted |= _CONFOCAL
    filled: dict[str, float] = {}
    if record is not None:
        found = {name: record.value(field_) for name, field_ in wanted.items() if name not in given}
        filled = {name: value for name, value in found.items() if value is not None}
    missing = [name for name in wanted if name not in given and name not in filled]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        asked = [] if record is None else record.missing
        reasons = "; ".join(remark.problem for remark in asked if remark.field in [wanted[n] for n in missing])
        raise ConfigError(f"a PSF is needed: --psf FILE, or {options}" + (f" ({reasons})" if reasons else ""))
    chosen = choice.psf_model is not None or bool(choice.values)
    known = stated_model(modality) is not None
    if record is not None and modality and not known and not chosen:
        raise ConfigError(
            f"{record.file} was recorded by {modality}, which has no PSF model here",
            "give --psf FILE with a measured PSF, or choose a model with --psf-model",
        )
    optics = _optics_of(choice, given | filled)
    key = model_key(optics)
    kind = "" if stated_model(modality) == key else modality
    stated = [
        Stated(
            name=name, value=value, source=source_of(name, value, wanted.get(name), named, record, name in given)
        )
        for name, value in (given | filled).items()
    ]
    doubts = []
    if chosen and (choice.psf_model is not None or kind):
        stated.append(Stated(name="psf_model", value=key, source=named.get("psf_model", GIVEN) + overruled(kind)))
    if kind:
        model = MODELS[key].title.lower()
        doubts.append(f"the file states the microscope {kind}, and the PSF is that of a {model} one, as chosen")
    if filled and not known and not chosen:
        doubts.append("the file does not state the kind of microscope; the PSF is that of a widefield microscope")
    taken = [wanted[name] for name in filled]
    doubts += [str(doubt) for doubt in (record.doubts if record is not None else ()) if doubt.field in taken]
    return optics, tuple(stated), tuple(doubts)


def find_microscope(name: str) -> Microscope:
    """Return the microscope of a file, or the remembered one with this name.

    Parameters
    ----------
    name : path of a TOML file, or a remembered name.

    Raises
    ------
    ConfigError
        If it is neither.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import Optics, save_microscope
    >>> from napari_selfdeconv.api import Microscope
    >>> optics = Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_microscope(f"{folder}/oil.toml", Microscope(name="63x oil", optics=optics))
    ...     find_microscope(f"{folder}/oil.toml").name
    '63x oil'
    """
    if Path(name).suffix.lower() == ".toml" or Path(name).is_file():
        return load_microscope(name)
    remembered = remembered_microscopes()
    for microscope in remembered:
        if microscope.name == name:
            return microscope
    known = ", ".join(microscope.name for microscope in remembered) or "none"
    raise ConfigError(f"there is no microscope {name!r}", f"give a file of one; napari remembers: {known}")


def _with_microscope(choice: OpticsChoice) -> tuple[OpticsChoice, dict[str, str]]:
    """Return the optics, completed by those of the named microscope, and the origin of the completed values."""
    if choice.microscope is None:
        return choice, {}
    microscope = find_microscope(choice.microscope)
    optics, source = microscope.optics, f"{OF_MICROSCOPE}{microscope.name}"
    shared = {name: getattr(optics, name) for name in _NEEDED if getattr(choice, name) is None}
    values = {name: value for name, value in parameter_values(optics).items() if name not in choice.values}
    rest: dict[str, Any] = {}
    if choice.defocus_um is None:
        rest["defocus_um"] = optics.defocus_um
    if not choice.layers and optics.layers is not None:
        layers = optics.layers.to_dict()
        rest["layers"] = {name: value for name, value in layers.items() if value is not None}
    if choice.psf_model is None:
        rest["psf_model"] = model_key(optics)
    complete = dataclasses.replace(choice, values={**choice.values, **values}, **shared, **rest)
    return complete, dict.fromkeys((*shared, *values, *(["psf_model"] if "psf_model" in rest else [])), source)


def _optics_of(choice: OpticsChoice, values: dict[str, float]) -> Optics:
    layers = CoverslipLayers.from_dict(choice.layers) if choice.layers else None
    return make_optics(
        choice.psf_model,
        {name: value for name, value in values.items() if name not in _NEEDED},
        na=values["na"],
        wavelength_um=values["wavelength_um"],
        refractive_index=values["refractive_index"],
        defocus_um=choice.defocus_um or 0.0,
        layers=layers,
    )
