"""The registry of PSF models. Command line, docks and the generator know a model only by its row of `MODELS`.

To add a model, write its functions and its row here, and its line in docs/psf.md. Nothing here imports scipy
before a PSF is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.config.checks import check_choice, check_number
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError

#: The PSF, and sentences on what is doubtful: about its sampling and optics, and about its window.
Computed = tuple[NDArray[np.float32], list[str], list[str]]
_FIELDS = {field.name for field in fields(Optics)}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter that not all models have.

    Attributes
    ----------
    name : name with the unit, of a field of `Optics` or a new one; "pinhole_au" is ``--pinhole-au``.
    label : text at the field of a form.
    summary : description for help texts.
    proposed : first value in a form.
    low, high : allowed range.
    step : step of the arrow keys in a form.
    wavelength : whether a form shows it in nanometres.

    Examples
    --------
    >>> pinhole = next(one for one in MODELS["confocal"].parameters if one.name == "pinhole_au")
    >>> pinhole.low, pinhole.wavelength
    (0.0, False)
    """

    name: str
    label: str
    summary: str
    proposed: float
    low: float
    high: float
    step: float = 0.1
    wavelength: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class PsfModel:
    """A model of the PSF: a row of the registry.

    Attributes
    ----------
    title : name in menus.
    summary : one sentence for a tooltip.
    compute : from shape, spacing in um and optics to the PSF (`Computed`): float32, >= 0, sum 1.
    suggest_shape : from optics, spacing in um, image shape and share of the light to a compact odd size.
    parameters : its parameters besides those that all models share.
    scans : whether the microscope samples points. Otherwise a camera integrates over its pixels.
    spreads : whether light out of focus is spread but not lost, so that a stack needs a PSF as large as itself.

    Examples
    --------
    >>> MODELS["widefield"].spreads, [one.name for one in MODELS["confocal"].parameters]
    (True, ['excitation_um', 'pinhole_au'])
    """

    title: str
    summary: str
    compute: Callable[[Sequence[int], Sequence[float], Optics], Computed]
    suggest_shape: Callable[[Optics, Sequence[float], Sequence[int], float], tuple[int, ...]]
    parameters: tuple[Parameter, ...] = ()
    scans: bool = False
    spreads: bool = False


def _richards_wolf(shape: Sequence[int], spacing_um: Sequence[float], optics: Optics) -> Computed:
    from napari_selfdeconv.psf.richards_wolf_grid import compute_on_grid

    return compute_on_grid(shape, spacing_um, optics)


def _richards_wolf_shape(
    optics: Optics, spacing_um: Sequence[float], image_shape: Sequence[int], energy: float
) -> tuple[int, ...]:
    from napari_selfdeconv.psf.richards_wolf_grid import suggest_shape

    return suggest_shape(optics, spacing_um, image_shape, energy)


MODELS: dict[str, PsfModel] = {
    "widefield": PsfModel(
        title="Widefield",
        summary="A camera sees the light of all planes",
        compute=_richards_wolf,
        suggest_shape=_richards_wolf_shape,
        spreads=True,
    ),
    "confocal": PsfModel(
        title="Confocal",
        summary="A focus scans the sample, and a pinhole blocks the light of other planes",
        compute=_richards_wolf,
        suggest_shape=_richards_wolf_shape,
        parameters=(
            Parameter(
                name="excitation_um",
                label="Excitation",
                summary="excitation wavelength",
                proposed=0.488,
                low=0.1,
                high=2.0,
                wavelength=True,
            ),
            Parameter(
                name="pinhole_au",
                label="Pinhole, AU",
                summary="pinhole diameter in Airy units; 0 is a point",
                proposed=1.0,
                low=0.0,
                high=100.0,
            ),
        ),
        scans=True,
    ),
}


def model_key(optics: Optics) -> str:
    """Return the key of the model that the optics ask for.

    Parameters
    ----------
    optics : optics of a microscope.

    Examples
    --------
    >>> model_key(Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33))
    'widefield'
    """
    if optics.model is not None:
        return optics.model
    return "widefield" if optics.excitation_um is None else "confocal"


def stated_model(modality: str) -> str | None:
    """Return the key of the model for a kind of microscope that a file states; None without a model.

    Parameters
    ----------
    modality : as in `ChannelRecord`.

    Examples
    --------
    >>> stated_model("laser scanning confocal"), stated_model("light sheet")
    ('confocal', None)
    """
    return next((key for key in MODELS if key in modality), None)


def model_of(optics: Optics) -> PsfModel:
    """Return the model that the optics ask for.

    Raises
    ------
    ConfigError
        If there is no such model, or it lacks a parameter or has one out of range.
    """
    key = check_choice("model", model_key(optics), tuple(MODELS))
    model = MODELS[key]
    own = _own(model)
    if len(own) != len(optics.model_values):
        names = ", ".join(parameter.name for parameter in own) or "no values of its own"
        raise ConfigError(f"the PSF model {key} needs {names}, got {len(optics.model_values)} values")
    for name, value in parameter_values(optics).items():
        parameter = next(one for one in model.parameters if one.name == name)
        check_number(name, value, parameter.low, parameter.high)
    return model


def parameter_values(optics: Optics) -> dict[str, float]:
    """Return the values of the model's parameters by name.

    Parameters
    ----------
    optics : optics of a microscope.

    Examples
    --------
    >>> confocal = Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33, excitation_um=0.488, pinhole_au=1)
    >>> parameter_values(confocal)
    {'excitation_um': 0.488, 'pinhole_au': 1}
    """
    model = MODELS[model_key(optics)]
    own = dict(zip([one.name for one in _own(model)], optics.model_values, strict=True))
    return {one.name: own[one.name] if one.name in own else getattr(optics, one.name) for one in model.parameters}


def make_optics(key: str | None, values: Mapping[str, float | None], **shared: Any) -> Optics:
    """Return the optics of a model.

    Parameters
    ----------
    key : key of the model; None finds the model by the given parameters.
    values : values of parameters by name; None means that a value is not given.
    shared : fields of `Optics` that all models have. By default ``pixel_integration`` is off for a model that
        scans.

    Raises
    ------
    ConfigError
        If no model has the parameters given, or one is missing.

    Examples
    --------
    >>> values = {"excitation_um": 0.488, "pinhole_au": 1.0}
    >>> optics = make_optics("confocal", values, na=1.2, wavelength_um=0.52, refractive_index=1.33)
    >>> optics.pinhole_au, optics.pixel_integration
    (1.0, False)
    """
    given = {name: value for name, value in values.items() if value is not None}
    fitting = [
        name
        for name, model in MODELS.items()
        if key in (None, name) and given.keys() <= {parameter.name for parameter in model.parameters}
    ]
    if not fitting:
        which = "no PSF model has all of" if key is None else f"the PSF model {key} does not have"
        raise ConfigError(f"{which} {', '.join(given)}")
    model = MODELS[fitting[0]]
    if missing := [one.name for one in model.parameters if one.name not in given]:
        raise ConfigError(
            f"a {model.title.lower()} PSF needs all of {', '.join(one.name for one in model.parameters)}: "
            f"{', '.join(missing)} is missing"
        )
    chosen: dict[str, Any] = {one.name: given[one.name] for one in model.parameters if one.name in _FIELDS}
    shared.setdefault("pixel_integration", not model.scans)
    optics = Optics(
        **shared,
        **chosen,
        # Records of the two models that Optics has fields for stay as they are.
        model=None if fitting[0] in ("widefield", "confocal") else fitting[0],
        model_values=tuple(given[one.name] for one in _own(model)),
    )
    model_of(optics)
    return optics


def _own(model: PsfModel) -> list[Parameter]:
    """Return the parameters that `Optics` has no field for."""
    return [parameter for parameter in model.parameters if parameter.name not in _FIELDS]
