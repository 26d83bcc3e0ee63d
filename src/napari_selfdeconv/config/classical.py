"""Which classical method, with what settings; validated where it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from napari_selfdeconv.config.checks import Settings, check_choice, check_number, check_whole
from napari_selfdeconv.errors import ConfigError

Method = Literal["rl", "rl-tv", "tv", "wiener"]
NAMES = {"rl": "RL", "rl-tv": "RL-TV", "tv": "TV", "wiener": "Wiener"}


@dataclass(frozen=True, kw_only=True)
class Classical(Settings):
    """One classical method.

    Attributes
    ----------
    method : "rl" (Richardson-Lucy), "rl-tv" (the same with total variation), "tv" or "wiener".
    iterations : count; None chooses it from held-out pixels ("rl", "rl-tv") or takes 150 ("tv").
    regularisation : weight of the total variation or of the Wiener filter; None chooses it from held-out pixels
        ("tv", "wiener") or takes 0.002 ("rl-tv").
    median_guard : replace lone pixels far off their neighbours first (salt and pepper).

    Examples
    --------
    >>> Classical(method="rl", iterations=10).label, Classical(method="tv").label
    ('RL 10', 'TV auto')
    """

    method: Method
    iterations: int | None = None
    regularisation: float | None = None
    median_guard: bool = False

    def __post_init__(self) -> None:
        check_choice("method", self.method, get_args(Method))
        if self.iterations is not None:
            if self.method == "wiener":
                raise ConfigError(f"the Wiener filter has no iterations, got {self.iterations!r}")
            check_whole("iterations", self.iterations, 1, 100_000)
        if self.regularisation is not None:
            if self.method == "rl":
                raise ConfigError(f"plain Richardson-Lucy has no regularisation, got {self.regularisation!r}")
            most = 0.1 if self.method == "rl-tv" else 1e3
            check_number("regularisation", self.regularisation, 0.0, most, open_low=True)

    @property
    def label(self) -> str:
        """How the result is called before anything was chosen."""
        name = NAMES[self.method]
        setting = self.iterations if self.method in ("rl", "rl-tv") else self.regularisation
        return f"{name} auto" if setting is None else f"{name} {setting:g}"
