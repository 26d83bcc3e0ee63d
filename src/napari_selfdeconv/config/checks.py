"""Checks that every setting goes through, and the base class of all settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Self

from napari_selfdeconv.errors import ConfigError


def check_number(
    name: str, value: object, low: float, high: float, *, open_low: bool = False, hint: str = ""
) -> None:
    """Raise ConfigError unless ``value`` is a finite number in [low, high] (or (low, high])."""
    ok = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if ok:
        ok = (low < value if open_low else low <= value) and value <= high  # type: ignore[operator]
    if not ok:
        bracket = "(" if open_low else "["
        raise ConfigError(f"{name} must be a number in {bracket}{low:g}, {high:g}], got {value!r}{hint}")


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise ConfigError unless ``value`` is a whole number in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ConfigError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


class Settings:
    """dict in, dict out; unknown keys are refused so that an old file never passes silently."""

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain numbers, strings, lists and dicts (JSON-ready)."""
        values = asdict(self)  # type: ignore[call-overload]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from `to_dict`'s output; ConfigError on a key that does not exist."""
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"unknown setting for {cls.__name__}: {', '.join(unknown)}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
