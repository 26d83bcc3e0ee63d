"""The base class of all settings: it checks every field, and turns settings into dictionaries and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from functools import cache
from typing import Any, ClassVar, Self, get_type_hints

from napari_selfdeconv.config.checks import cut, shown
from napari_selfdeconv.config.rules import Maybe, Part, Rule, rule_of
from napari_selfdeconv.errors import ConfigError


class Settings:
    """Base of frozen dataclasses whose fields have rules (`napari_selfdeconv.config.rules`).

    Every field is checked when the settings are made. NumPy scalars are stored as plain Python numbers.
    """

    #: The text before the name of a field in a message.
    called: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, rule in rules(type(self)).items():
            object.__setattr__(self, name, rule.checked(f"{self.called}{name}", getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain numbers, strings, lists and dicts (JSON-ready)."""
        return _plain(asdict(self))  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build settings from the output of `to_dict`.

        Raises
        ------
        ConfigError
            If a name does not exist, a required one is missing, or a value is not allowed.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{cls.__name__} must be built from names and values, got {shown(values)}")
        own = rules(cls)
        if unknown := sorted(str(name) for name in values if name not in own):
            raise ConfigError(f"unknown setting for {cls.__name__}: {cut(', '.join(unknown))}")
        needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
        if missing := [name for name in needed if name not in values]:
            raise ConfigError(f"missing setting for {cls.__name__}: {', '.join(missing)}")
        return cls(**{name: _built(own[name], value) for name, value in values.items()})


def rules(kind: type[Settings]) -> Mapping[str, Rule]:
    """Return the rule of each field of a class of settings."""
    return _rules(kind)  # type: ignore[arg-type]


@cache
def _rules(kind: type[Settings]) -> Mapping[str, Rule]:
    hints = get_type_hints(kind, include_extras=True)
    return {f.name: rule_of(hints[f.name], Settings) for f in fields(kind)}  # type: ignore[arg-type]


def _built(rule: Rule, value: Any) -> Any:
    """Return settings for a dictionary where a field holds settings; any other value as it is."""
    inner = rule.rule if isinstance(rule, Maybe) else rule
    return inner.kind.from_dict(value) if isinstance(inner, Part) and isinstance(value, Mapping) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
