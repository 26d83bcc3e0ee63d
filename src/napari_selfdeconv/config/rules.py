"""Rules for the values of settings. A rule stands beside the type: ``steps: Annotated[int, Whole(1, 100)]``."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin

from napari_selfdeconv.config.checks import check_choice, check_flag, check_number, check_whole, shown
from napari_selfdeconv.errors import ConfigError


class Rule(Protocol):
    """Something that checks a value and returns it as a plain Python object."""

    def checked(self, name: str, value: object) -> Any:
        """Return the value; ConfigError, with the name, if it is not allowed."""
        ...


@dataclass(frozen=True)
class Number:
    """A finite number from ``low`` to ``high``; with ``open_low`` it must be above ``low``."""

    low: float
    high: float
    open_low: bool = False
    hint: str = ""

    def checked(self, name: str, value: object) -> float:
        return check_number(name, value, self.low, self.high, open_low=self.open_low, hint=self.hint)


@dataclass(frozen=True)
class NumberOr:
    """A word, or a number that follows a rule."""

    word: str
    number: Number

    def checked(self, name: str, value: object) -> float | str:
        if not isinstance(value, str):
            return self.number.checked(name, value)
        if value != self.word:
            raise ConfigError(f"{name} must be a number or {self.word!r}, got {shown(value)}")
        return value


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def checked(self, name: str, value: object) -> int:
        return check_whole(name, value, self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of several words. It follows from the type ``Literal[...]``."""

    choices: tuple[str, ...]

    def checked(self, name: str, value: object) -> str:
        return check_choice(name, value, self.choices)


@dataclass(frozen=True)
class Flag:
    """True or False. It follows from the type ``bool``."""

    def checked(self, name: str, value: object) -> bool:
        return check_flag(name, value)


@dataclass(frozen=True)
class Text:
    """A text that is not empty; ``words`` describe it in messages."""

    words: str = "a text that is not empty"

    def checked(self, name: str, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{name} must be {self.words}, got {shown(value)}")
        return str(value)


@dataclass(frozen=True)
class Each:
    """A tuple or list of at most ``most`` values that follow one rule; ``counts`` are the allowed lengths."""

    rule: Rule
    counts: tuple[int, ...] = ()
    most: int = 1000

    def checked(self, name: str, value: object) -> tuple[Any, ...]:
        if not isinstance(value, (tuple, list)):
            raise ConfigError(f"{name} must be a tuple, got {shown(value)}")
        if self.counts and len(value) not in self.counts:
            counts = " or ".join(map(str, self.counts))
            raise ConfigError(f"{name} must have {counts} entries, got {shown(value)}")
        if len(value) > self.most:
            raise ConfigError(f"{name} must have at most {self.most} entries, got {len(value)}")
        return tuple(self.rule.checked(name, item) for item in value)


@dataclass(frozen=True)
class Part:
    """Settings inside settings. It follows from the type."""

    kind: type[Any]

    def checked(self, name: str, value: object) -> Any:
        if not isinstance(value, self.kind):
            raise ConfigError(f"{name} must be {self.kind.__name__}, got {shown(value)}")
        return value


@dataclass(frozen=True)
class Maybe:
    """None, or what another rule allows. It follows from the type ``... | None``."""

    rule: Rule

    def checked(self, name: str, value: object) -> Any:
        return None if value is None else self.rule.checked(name, value)


def rule_of(kind: Any, parts: type[Any]) -> Rule:
    """Return the rule of a field.

    Parameters
    ----------
    kind : the field's type, with a rule in ``Annotated`` where the type alone does not say what is allowed.
    parts : base class of settings that may be inside settings.

    Examples
    --------
    >>> rule_of(Annotated[float | None, Number(0, 1)], dict)
    Maybe(rule=Number(low=0, high=1, open_low=False, hint=''))
    """
    given = kind.__metadata__[0] if get_origin(kind) is Annotated else None
    bare = get_args(kind)[0] if given is not None else kind
    if get_origin(bare) in (Union, types.UnionType):
        rest = [one for one in get_args(bare) if one is not type(None)]
        optional = len(rest) < len(get_args(bare))
        rule = given if given is not None else rule_of(rest[0], parts)
        return Maybe(rule) if optional else rule
    if given is not None:
        return given  # type: ignore[no-any-return]
    if get_origin(bare) is Literal:
        return Choice(get_args(bare))
    if bare is bool:
        return Flag()
    if isinstance(bare, type) and issubclass(bare, parts):
        return Part(bare)
    raise TypeError(f"a field of type {kind!r} needs a rule: Annotated[..., Number(...)]")
