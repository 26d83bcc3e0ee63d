"""Options of the command line that belong to a `Template`: made from its fields, gathered into one."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from napari_selfdeconv.api import METHODS, MODELS, Border, Parameter
from napari_selfdeconv.config.loss_terms import LOSSES
from napari_selfdeconv.config.optics import CoverslipLayers
from napari_selfdeconv.config.presets import preset_names
from napari_selfdeconv.config.rules import Choice, Each, Flag, Maybe, Number, NumberOr, Rule, Whole, rule_of
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.config.template_rules import Told
from napari_selfdeconv.errors import ConfigError

_TITLES = {
    "image": "which part of the file",
    "optics": "optics (values that are not given are taken from the file)",
    "psf": "point spread function",
    "method": "method",
    "training": "training of the network",
    "output": "result",
}
_LAYERS = {
    "sample_index": "refractive index of the sample, with a coverslip before it (Gibson-Lanni)",
    "sample_depth_um": "depth of the object below the coverslip, um; default: 0",
    "coverslip_index": "refractive index of the coverslip; default: 1.515",
    "coverslip_design_index": "index of the coverslip the objective is designed for; default: 1.515",
    "coverslip_um": "thickness of the coverslip, um; default: 170",
    "coverslip_design_um": "thickness of the coverslip the objective is designed for, um; default: 170",
    "immersion_design_index": "index of the immersion the objective is designed for; default: --refractive-index",
    "immersion_design_um": "working distance the objective is designed for, um; default: 100",
}


def add_config(p: argparse.ArgumentParser) -> None:
    """Add ``--config``, a file that can hold all other options of the template."""
    p.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings of a run as TOML (selfdeconv template writes one), or the JSON of an earlier run; other "
        "options replace its values",
    )


def add_part(p: argparse.ArgumentParser, part: str, *names: str) -> None:
    """Add the options of one part of a template, or those of its fields that are named."""
    group = p.add_argument_group(_TITLES[part])
    for name, (rule, told) in _fields(part).items():
        if names and name not in names:
            continue
        flag = told.flag or "--" + name.replace("_", "-")
        how = _how(rule, _choices(part, name))
        if "choices" not in how and "const" not in how:
            how["metavar"] = told.metavar or _metavar(name, how["type"])
        group.add_argument(flag, dest=f"{part}.{name}", help=told.help, default=None, **how)
    if part == "optics" and not names:
        for parameter, titles in _parameters_of_models().values():
            about = f"{', '.join(titles)}: {parameter.summary}"
            unit = ", um" if parameter.name.endswith("_um") and ", um" not in about else ""
            _add_number(group, f"optics.values.{parameter.name}", about + unit)
        for field in dataclasses.fields(CoverslipLayers):
            _add_number(group, f"optics.layers.{field.name}", _LAYERS[field.name])


def part_names(part: str) -> tuple[str, ...]:
    """Return the names of the fields of a part that have an option."""
    return tuple(_fields(part))


def _add_number(group: Any, dest: str, about: str) -> None:
    name = dest.split(".")[-1]
    flag = "--" + name.replace("_", "-")
    group.add_argument(flag, dest=dest, type=float, metavar=_metavar(name, float), help=about)


def _metavar(name: str, kind: Any) -> str:
    """Return the placeholder of a value in the help: its unit or its kind."""
    if name.endswith("_um"):
        return "UM"
    return {int: "N", float: "X"}.get(kind, "TEXT" if name not in ("file", "mask", "microscope") else "FILE")


def add_training(p: argparse.ArgumentParser) -> None:
    """Add the preset, the settings of the network that have an option, and ``--set`` for the others."""
    add_part(p, "training", "preset")
    group = p.add_argument_group("settings that differ from the preset")
    group.add_argument("--steps", dest="training.settings.steps", type=int, metavar="N", help="training steps")
    group.add_argument("--seed", dest="training.settings.seed", type=int, metavar="N", help="default: 0")
    group.add_argument(
        "--loss", dest="training.settings.loss", choices=tuple(LOSSES),
        help="one of the paper's losses; training starts from random weights",
    )  # fmt: skip
    for flag, name, value, about in (
        ("--random-start", "pretrained", False, "start from random weights, not from the learned ones"),
        ("--no-refine", "refine", False, "no refinement of the network's result by Richardson-Lucy"),
        ("--even-border", "even_border", True, "brighten the border of an image that is dark there"),
    ):
        group.add_argument(
            flag, dest=f"training.settings.{name}", action="store_const", const=value, default=None, help=about
        )
    group.add_argument(
        "--set", dest="set", action="append", default=[], metavar="NAME=VALUE",
        help="any other setting of the network, such as views=8; see Settings in the reference",
    )  # fmt: skip


def template_of(args: argparse.Namespace) -> Template:
    """Return the template of a command: that of ``--config``, with the values of the other options.

    Raises
    ------
    ConfigError
        If the file cannot be used, or a value is not allowed.
    """
    from napari_selfdeconv.api import read_template

    path = getattr(args, "config", None)
    template = Template() if path is None else read_template(path)
    given: dict[str, dict[str, Any]] = {}
    for place, value in vars(args).items():
        part, *name = place.split(".")
        if not name or value is None:
            continue
        values = given.setdefault(part, {})
        if len(name) == 2:
            values = values.setdefault(name[0], dict(getattr(getattr(template, part), name[0])))
        values[name[-1]] = tuple(value) if isinstance(value, list) else value
    settings = _set(getattr(args, "set", []))
    if settings:
        training = given.setdefault("training", {})
        training["settings"] = {**training.get("settings", template.training.settings), **settings}
    chosen = given.get("training", {}).get("settings", {})
    # A loss of the paper is for random weights.
    if chosen.get("loss") and template.training.run is None:
        chosen.setdefault("pretrained", False)
    # An option replaces its counterpart in the file.
    if "optics" in given and "file" not in given.get("psf", {}):
        template = template.part("psf", file=None) if path is not None else template
    elif "file" in given.get("psf", {}) and path is not None and "optics" not in given:
        template = dataclasses.replace(template, optics=Template().optics)
    for part, changes in given.items():
        template = template.part(part, **changes)
    return template


def _set(words: list[str]) -> dict[str, Any]:
    """Return the settings that ``--set`` gives. Their values are read as TOML, or else as a word."""
    import tomllib

    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"--set needs NAME=VALUE, got {word}")
        try:
            found[name.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = text
    return found


def _choices(part: str, name: str) -> tuple[str, ...] | None:
    """Return the allowed words of a field whose choices are defined in a room above the template."""
    if (part, name) == ("method", "name"):
        return ("network", *METHODS)
    known = {"preset": preset_names(), "psf_model": tuple(MODELS), "boundary": get_args(Border)}
    return known.get(name)


@cache
def _fields(part: str) -> Mapping[str, tuple[Rule, Told]]:
    """Return the rule and the help of each field of a part that has an option."""
    hints = get_type_hints(type(getattr(Template(), part)), include_extras=True)
    found: dict[str, tuple[Rule, Told]] = {}
    for name, hint in hints.items():
        for told in getattr(hint, "__metadata__", ()):
            if isinstance(told, Told):
                found[name] = rule_of(hint, Settings), told
    return found


def _how(rule: Rule, choices: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Return how argparse reads a field: its type, choices or number of words."""
    if choices is not None:
        return {"choices": choices}
    rule = rule.rule if isinstance(rule, Maybe) else rule
    if isinstance(rule, Flag):
        return {"action": "store_const", "const": True}
    if isinstance(rule, Choice):
        return {"choices": rule.choices}
    if isinstance(rule, Each):
        return {"nargs": "+", **_how(rule.rule)}
    if isinstance(rule, NumberOr):
        return {"type": _number_or_word}
    return {"type": float if isinstance(rule, Number) else int if isinstance(rule, Whole) else str}


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _parameters_of_models() -> dict[str, tuple[Parameter, list[str]]]:
    """Return each parameter once, with the titles of the models that have it."""
    found: dict[str, tuple[Parameter, list[str]]] = {}
    for model in MODELS.values():
        for parameter in model.parameters:
            found.setdefault(parameter.name, (parameter, []))[1].append(model.title.lower())
    return found
