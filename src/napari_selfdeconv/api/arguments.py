"""Checks of the types of arguments. An error says what to give instead.

The rules are derived from the annotations of the public functions, so a new public function has them at once.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from napari_selfdeconv.config.checks import shown
from napari_selfdeconv.errors import ConfigError

# Classes of arguments, and how to get an instance of each.
_KINDS: Mapping[str, str] = {
    "TrainConfig": 'preset("quick", image.ndim) returns one, with settings as in steps=200',
    "TileConfig": "TileConfig(tile=256)",
    "SeriesPlan": 'SeriesPlan(axes="tzyx")',
    "Optics": "Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)",
    "Template": "read_template(path) returns one",
    "BeadSettings": "BeadSettings(window_um=(2.0, 1.5, 1.5))",
    "Context": "Context(voxel_um=(0.3, 0.1, 0.1))",
    "Model": "load_model(path) returns one, and so does the result of a training: result.model",
    "Classical": 'Classical(method="rl", iterations=20)',
    "StopToken": "StopToken()",
    "Checkpoint": 'Checkpoint("run.checkpoint")',
}
# Modules of types that are certainly not settings, models or tokens.
_PLAIN = ("builtins", "pathlib", "numpy")
_PATHS = ("str | os.PathLike[str]", "FilePath")
_SIZES = ("voxel_um", "spacing_um", "target_voxel_um")
_ARRAYS = ("image", "psf", "result", "truth")
# Pixels of light microscopes are smaller than this at any magnification.
_LARGEST_UM = 200.0


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a public function that refuses arguments of the wrong type.

    Raises
    ------
    ConfigError
        If it is called with such an argument. The message names it, the value, and what to give instead.
    """
    signature = inspect.signature(function)
    rules = [parameter for parameter in signature.parameters.values() if _has_rule(parameter)]
    if not rules:
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # Python's own message: too many arguments, or an unknown one.
        for parameter in rules:
            if parameter.name in given:
                _check(parameter.name, str(parameter.annotation), given[parameter.name])
        return function(*args, **kwargs)

    return call


def _has_rule(parameter: inspect.Parameter) -> bool:
    words = str(parameter.annotation).split(" | ")
    return (
        any(word in _KINDS for word in words)
        or words[0] in ("Sequence[Classical]", "int")
        or str(parameter.annotation) in _PATHS
        or parameter.name in _SIZES
        or (parameter.name in _ARRAYS and words[0].startswith(("NDArray", "ArrayLike", "Any")))
    )


def _check(name: str, annotation: str, value: Any) -> None:
    words = annotation.split(" | ")
    if value is None and "None" in words:
        return
    kind = next((word for word in words if word in _KINDS), None)
    if kind is not None:
        _check_kind(name, kind, value)
    elif words[0] == "Sequence[Classical]":
        remedy = f"a list, such as [{_KINDS['Classical']}]"
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{name} must be a list of Classical, got {shown(value)}", remedy)
        for one in value:
            _check_kind(f"every one of {name}", "Classical", one)
    elif words == ["int"]:
        whole: object = value
        if isinstance(whole, bool) or not isinstance(whole, numbers.Integral):
            raise ConfigError(f"{name} must be a whole number, got {shown(value)}")
    elif annotation in _PATHS:
        if not isinstance(value, (str, os.PathLike)) or value == "":
            raise ConfigError(f"{name} must be the path of a file, got {shown(value)}", "give a text or a Path")
    elif name in _SIZES:
        _check_sizes(name, value)
    elif value is None or isinstance(value, (str, bytes, os.PathLike)):
        raise ConfigError(f"{name} must be an array, got {shown(value)}", "read_image(path).data returns one")


def _check_kind(name: str, kind: str, value: Any) -> None:
    """Refuse values of Python's and NumPy's own types. Other objects may act like the class."""
    remedy = _KINDS[kind]
    if type(value).__module__.split(".")[0] in _PLAIN:
        raise ConfigError(f"{name} must be {_an(kind)} {kind}, got {shown(value)}", remedy)


def _check_sizes(name: str, value: Any) -> None:
    """Refuse a voxel size that is a single number or can only be in nanometres."""
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
        raise ConfigError(
            f"{name} must have a number for each axis, in micrometres, got {shown(value)}",
            "for example (0.3, 0.1, 0.1) for z, y, x",
        )
    for size in value:
        if isinstance(size, (int, float)) and size > _LARGEST_UM:
            raise ConfigError(
                f"{name} is in micrometres, and {size:g} um is not a voxel size of a light microscope",
                f"nanometres? then give {size / 1000:g}",
            )


def _an(word: str) -> str:
    return "an" if word[0] in "AEIO" else "a"
