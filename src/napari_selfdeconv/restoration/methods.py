"""The registry of classical methods. Other code knows a method only by its row of `METHODS`.

To add a method, write its function in `solvers`, its row here, and its line in docs/comparing.md. Nothing here
imports torch before a method runs, so that the command line can list the methods at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from napari_selfdeconv.config.checks import check_choice, check_number, check_whole
from napari_selfdeconv.config.rules import Number, NumberOr, Text, Whole
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Tick
from napari_selfdeconv.restoration.method_inputs import Border, Each, MethodInputs
from napari_selfdeconv.restoration.solvers import (
    run_gradient_consensus,
    run_richardson_lucy,
    run_total_variation,
    run_wiener,
)

if TYPE_CHECKING:
    from torch import Tensor

SettingName = Literal["iterations", "regularisation"]


@dataclass(frozen=True, kw_only=True)
class Classical(Settings):
    """One classical method and its settings.

    Attributes
    ----------
    method : "rl" (Richardson-Lucy), "rl-tv" (the same with total variation), "tv", "wiener", or any other key of
        `METHODS`.
    iterations : number of iterations. More give more detail and more noise. None chooses it from held-out pixels
        ("rl", "rl-tv") or takes 150 ("tv"). "rlgc" ends automatically, at the latest after this number or 200.
    regularisation : weight of the total variation or of the Wiener filter. A larger weight gives a smoother
        result. None chooses it from held-out pixels ("tv", "wiener") or takes 0.002 ("rl-tv").
    median_guard : replace single pixels that differ much from their neighbours first (salt and pepper).
    boundary : the rule at the border (`Border`). None takes "open". "wiener" is one filter with "reflect" and is
        solved by conjugate gradients with the other rules. With "open" the iterations of "rl" and "rl-tv" are
        accelerated: 35 of them have the effect of about 200 plain ones.
    background : light everywhere in the image that comes from no object, in the image's units, such as the offset
        of the camera. The result is the light above it. "varying" adds a part that varies slowly over the field of
        view, estimated from the image. None estimates a constant with "open" and takes 0 otherwise.
    offset, gain, read_noise : of the camera, in the image's units: a pixel without light, a photon, and the
        standard deviation of a pixel without light. They determine the weight of dark pixels. None estimates them.

    Examples
    --------
    >>> Classical(method="rl", iterations=10).label, Classical(method="tv").label
    ('RL 10', 'TV auto')
    """

    method: Annotated[str, Text()]
    iterations: Annotated[int | None, Whole(1, 100_000)] = None
    regularisation: Annotated[float | None, Number(0.0, 1e3, open_low=True)] = None
    median_guard: bool = False
    boundary: Border | None = None
    background: Annotated[float | Literal["varying"] | None, NumberOr("varying", Number(-1e9, 1e9))] = None
    offset: Annotated[float | None, Number(-1e9, 1e9)] = None
    gain: Annotated[float | None, Number(0.0, 1e9, open_low=True)] = None
    read_noise: Annotated[float | None, Number(0.0, 1e9)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("method", self.method, tuple(METHODS))
        method = METHODS[self.method]
        if self.boundary is not None:
            check_choice(f"boundary of {method.title}", self.boundary, method.boundaries)
        for name, setting in (("iterations", method.iterations), ("regularisation", method.regularisation)):
            value = getattr(self, name)
            if value is None:
                continue
            if setting is None:
                raise ConfigError(f"{method.title} has no {name}, got {value!r}")
            if name == "iterations":
                check_whole(name, value, 1, int(setting.most))
            else:
                check_number(name, value, 0.0, setting.most, open_low=True)

    @property
    def models_background(self) -> bool:
        """Whether the image is modelled with a background."""
        given = (self.background, self.offset, self.gain, self.read_noise)
        return self.border == "open" or any(value is not None for value in given)

    @property
    def border(self) -> Border:
        """The rule at the border: the given one, else the method's own."""
        return self.boundary or METHODS[self.method].boundaries[0]

    @property
    def label(self) -> str:
        """Name of the result in layers and tables, before settings are chosen."""
        method, value = METHODS[self.method], self.shown
        if method.shown is None:
            return method.label
        return f"{method.label} auto" if value is None else f"{method.label} {value:g}"

    @property
    def shown(self) -> float | None:
        """Value of the setting that names the result (`Method.shown`)."""
        name = METHODS[self.method].shown
        value: float | None = None if name is None else getattr(self, name)
        return value

    def with_shown(self, value: float | None) -> Classical:
        """Return the same method with another value of the setting that names the result."""
        if METHODS[self.method].shown == "iterations":
            return replace(self, iterations=value)  # type: ignore[arg-type]  # checked where it is made
        return replace(self, regularisation=value)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A field of `Classical` that a method reads.

    Attributes
    ----------
    most : largest value allowed.
    default : value that stands for None, if there is no ``grid``.
    grid : rising values. Held-out pixels choose among them where the field is None. Counts are tried along one
        run, from 1 to the last of the grid.
    """

    most: float
    default: float | None = None
    grid: tuple[float, ...] = ()


#: From the inputs, settings without None and the counts wanted to the estimates, (1, 1, *estimate), in the
#: computer's memory, by count. A method without iterations gets no counts and returns its result as 0.
Solve = Callable[
    [MethodInputs, Classical, Sequence[int], "Each | None"], Generator[Tick, None, "dict[int, Tensor]"]
]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A classical method: a row of the registry.

    Attributes
    ----------
    label : short name, in layers, tables and files.
    title : name in menus, messages and the progress.
    summary : one sentence for a tooltip.
    solve : function that runs the method.
    iterations, regularisation : how the method reads the fields of that name; None if it does not.
    search_iterations : number of iterations that suffices to rank the values of a grid of regularisations.
    needs_light : whether it refuses an image without positive values, unless the boundary is open.
    least_squares : whether it minimises squared residuals, so that outliers should be replaced first.
    compared : settings among which the benchmark finds the best one for all images.
    ticked : whether the Compare dock proposes it.
    boundaries : the rules at the border that it supports, its default first.

    Examples
    --------
    >>> METHODS["rl"].label, METHODS["wiener"].iterations is None
    ('RL', True)
    """

    label: str
    title: str
    summary: str
    solve: Solve
    iterations: Setting | None = None
    regularisation: Setting | None = None
    search_iterations: int | None = None
    needs_light: bool = False
    least_squares: bool = False
    compared: tuple[float, ...] = ()
    ticked: bool = False
    boundaries: tuple[Border, ...] = ("reflect",)

    @property
    def chosen(self) -> SettingName | None:
        """The setting that held-out pixels choose where it is None."""
        if self.iterations is not None and self.iterations.grid:
            return "iterations"
        if self.regularisation is not None and self.regularisation.grid:
            return "regularisation"
        return None

    @property
    def shown(self) -> SettingName | None:
        """The setting that names the result: the one that is chosen, or else the first that is read."""
        if self.chosen is not None or (self.iterations is None and self.regularisation is None):
            return self.chosen
        return "regularisation" if self.iterations is None else "iterations"


_COUNTS = Setting(most=100_000, grid=tuple(range(1, 201)))
_BORDERS: tuple[Border, ...] = ("open", "reflect", "zero")

METHODS: dict[str, Method] = {
    "rl": Method(
        label="RL",
        title="Richardson-Lucy",
        summary="Maximises the likelihood for photon noise, step by step",
        solve=run_richardson_lucy,
        iterations=_COUNTS,
        needs_light=True,
        compared=(2, 3, 5, 10, 20),
        ticked=True,
        boundaries=_BORDERS,
    ),
    "rl-tv": Method(
        label="RL-TV",
        title="Richardson-Lucy with TV",
        summary="Richardson-Lucy with total variation of weight 0.002",
        solve=run_richardson_lucy,
        iterations=_COUNTS,
        regularisation=Setting(most=0.1, default=0.002),
        needs_light=True,
        boundaries=_BORDERS,
    ),
    "rlgc": Method(
        label="RLGC",
        title="Gradient consensus (RLGC)",
        summary="Richardson-Lucy that changes a place only where two halves of the light agree; it ends early",
        solve=run_gradient_consensus,
        iterations=Setting(most=100_000, default=200),
        needs_light=True,
        compared=(5, 10, 20, 50),
        boundaries=_BORDERS,
    ),
    "tv": Method(
        label="TV",
        title="Total variation",
        summary="Least squares with total variation: flat areas with sharp edges",
        solve=run_total_variation,
        iterations=Setting(most=100_000, default=150),
        regularisation=Setting(most=1e3, grid=tuple(0.0025 * 2.0**k for k in range(7))),
        search_iterations=60,
        least_squares=True,
        # 0.01 and 0.02 are near what is chosen for most images of the benchmark.
        compared=(0.01, 0.02, 0.04, 0.08),
        ticked=True,
        boundaries=_BORDERS,
    ),
    "wiener": Method(
        label="Wiener",
        title="Wiener filter",
        summary="Least squares with the smallest squares of the result: linear, and may be negative",
        solve=run_wiener,
        boundaries=_BORDERS,
        regularisation=Setting(most=1e3, grid=tuple(10.0 ** (k / 4) for k in range(-10, 5))),
        least_squares=True,
        # 0.1 and 1 are those of the filtered copies that the network gets.
        compared=(0.01, 0.03, 0.1, 0.3, 1.0),
    ),
}


def describe_default(name: SettingName) -> str:
    """Return how a setting that is not given is chosen, for every method that reads it.

    Parameters
    ----------
    name : "iterations" or "regularisation".

    Examples
    --------
    >>> describe_default("iterations")
    'chosen on held-out pixels (rl, rl-tv), 200 (rlgc), 150 (tv)'
    """
    told: dict[str, list[str]] = {}
    for key, method in METHODS.items():
        setting: Any = getattr(method, name)
        if setting is not None:
            told.setdefault("chosen on held-out pixels" if setting.grid else f"{setting.default:g}", []).append(
                key
            )
    return ", ".join(f"{text} ({', '.join(keys)})" for text, keys in told.items())


def benchmark_names() -> list[str]:
    """Return the names under which the benchmark runs the methods.

    A method with settings to compare runs with each of them under its key, and chooses its own as KEY-auto.

    Examples
    --------
    >>> benchmark_names()
    ['rl', 'rl-auto', 'rl-tv', 'rlgc', 'rlgc-auto', 'tv', 'tv-auto', 'wiener', 'wiener-auto']
    """
    return [
        name for key, method in METHODS.items() for name in ([key, f"{key}-auto"] if method.compared else [key])
    ]
