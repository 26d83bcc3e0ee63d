"""Rules for the fields of a `Template`, and their help texts on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_selfdeconv.config.checks import check_choice, check_number, shown
from napari_selfdeconv.config.presets import preset_names
from napari_selfdeconv.errors import ConfigError


@dataclass(frozen=True)
class Told:
    """The help text of a field on the command line, its placeholder, and its flag if that differs."""

    help: str
    metavar: str | None = None
    flag: str | None = None


@dataclass(frozen=True)
class Values:
    """Names and values; numbers only unless ``any_value``."""

    any_value: bool = False

    def checked(self, name: str, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} must be names and values, got {shown(value)}")
        if self.any_value:
            return {str(key): item for key, item in value.items()}
        return {str(key): check_number(f"{name}.{key}", item, -1e6, 1e6) for key, item in value.items()}


@dataclass(frozen=True)
class PresetName:
    """The name of a preset: any for which there are files."""

    def checked(self, name: str, value: object) -> str:
        return check_choice(name, value, preset_names())


@dataclass(frozen=True)
class Span:
    """A part of an axis as text: "3:20" is 3 to 19, "5:" all from 5 on, ":8" the first 8."""

    def checked(self, name: str, value: object) -> str:
        try:
            low, high = (int(part) if part else None for part in str(value).split(":"))
        except ValueError:
            raise ConfigError(
                f"{name} must be FIRST:END with whole numbers, as in 3:20, got {shown(value)}"
            ) from None
        if (low or 0) < 0 or (high is not None and high <= (low or 0)):
            raise ConfigError(f"{name} must count up from 0, as in 3:20, got {shown(value)}")
        return str(value)


def span(text: str, length: int, name: str) -> slice:
    """Return the slice that a text of `Span` means; ConfigError if the axis is shorter.

    Examples
    --------
    >>> span("3:", 10, "z")
    slice(3, 10, None)
    """
    low, high = (int(part) if part else None for part in Span().checked(name, text).split(":"))
    if (high or 0) > length or (low or 0) >= length:
        raise ConfigError(f"{name} is {text}, but there are only {length}, numbered 0 to {length - 1}")
    return slice(low or 0, length if high is None else high)
