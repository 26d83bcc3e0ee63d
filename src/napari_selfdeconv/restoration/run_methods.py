"""Runs classical methods: settings that are not given are chosen, and counts of one method share a run."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Event, report_progress
from napari_selfdeconv.holdout.choose import choose_regularisation
from napari_selfdeconv.restoration.choose_iterations import choose_iterations
from napari_selfdeconv.restoration.methods import METHODS, Classical, Each, MethodInputs
from napari_selfdeconv.restoration.replace_outliers import replace_outliers


@dataclass(frozen=True)
class Solved:
    """One result: what was asked, the settings with everything chosen, and the image."""

    asked: Classical
    settings: Classical
    image: NDArray[np.float32]


def run_methods(inputs: MethodInputs, asked: Sequence[Classical]) -> Generator[Event, None, list[Solved]]:
    """Return a result for each of ``asked``, in their order; methods that a stop cut short are left out."""
    found: dict[int, Solved] = {}
    for places in group_runs(asked):
        if inputs.stop.stopped:
            break
        results = yield from _run_once(inputs, [asked[place] for place in places])
        found |= {places[member]: solved for member, solved in results.items()}
    return [found[place] for place in sorted(found)]


def group_runs(methods: Sequence[Classical]) -> list[list[int]]:
    """Return the places of the methods that one run computes: the same but for their counts.

    Examples
    --------
    >>> two, five = (Classical(method="rl", iterations=count) for count in (2, 5))
    >>> group_runs([two, Classical(method="tv"), five])
    [[0, 2], [1]]
    """
    groups: dict[tuple[Classical, bool], list[int]] = {}
    for place, method in enumerate(methods):
        key = replace(method, iterations=None), method.iterations is None
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def _run_once(inputs: MethodInputs, asked: Sequence[Classical]) -> Generator[Event, None, dict[int, Solved]]:
    """Run one group of `group_runs`; the results by their place in it."""
    if asked[0].median_guard:
        inputs = replace(inputs, image=replace_outliers(inputs.image))
    settings = yield from _choose(inputs, _with_defaults(asked[0]))
    if settings is None:
        return {}
    method = METHODS[settings.method]
    counts = [settings.iterations if one.iterations is None else one.iterations for one in asked]
    wanted = sorted({count for count in counts if count is not None})
    estimates = yield from _solve(inputs, settings, wanted)

    def solved(one: Classical, count: int) -> Solved:
        chosen = replace(settings, iterations=None if method.iterations is None else count)
        image = np.ascontiguousarray(inputs.operator.crop(estimates[count])[0, 0].numpy())
        return Solved(one, chosen, image)

    reached = {place: count or 0 for place, count in enumerate(counts) if (count or 0) in estimates}
    # A run stopped before its first count still has an estimate.
    reached = reached or {0: max(estimates)}
    return {place: solved(asked[place], count) for place, count in reached.items()}


def _solve(
    inputs: MethodInputs, settings: Classical, counts: Sequence[int], each: Each | None = None
) -> Generator[Event, None, dict[int, Tensor]]:
    method = METHODS[settings.method]
    return (yield from report_progress(method.solve(inputs, settings, counts, each), method.title, inputs.stop))


def _with_defaults(settings: Classical) -> Classical:
    method = METHODS[settings.method]
    if settings.iterations is None and method.iterations is not None and method.iterations.default is not None:
        settings = replace(settings, iterations=int(method.iterations.default))
    if settings.regularisation is None and method.regularisation is not None:
        settings = replace(settings, regularisation=method.regularisation.default)
    return settings


def _choose(inputs: MethodInputs, settings: Classical) -> Generator[Event, None, Classical | None]:
    """Return the settings with the one that is left open chosen; None if stopped before."""
    method, forward = METHODS[settings.method], inputs.operator.forward
    if method.chosen is None or getattr(settings, method.chosen) is not None:
        return settings
    if method.chosen == "iterations":
        assert method.iterations is not None
        most = int(method.iterations.grid[-1])

        def iterate(image: NDArray[np.float32], each: Each) -> Generator[Event, None, object]:
            return (yield from _solve(replace(inputs, image=image), settings, (most,), each))

        count = yield from choose_iterations(
            inputs.image, forward, iterate, device=inputs.device, stop=inputs.stop
        )
        return None if count is None else replace(settings, iterations=count)
    assert method.regularisation is not None
    search = method.search_iterations or settings.iterations

    def solve(image: NDArray[np.float32], value: float) -> Generator[Event, None, Tensor]:
        tried = replace(settings, regularisation=value)
        counts = () if search is None else (search,)
        estimates = yield from _solve(replace(inputs, image=image), tried, counts)
        return estimates[max(estimates)]

    value = yield from choose_regularisation(
        inputs.image, forward, solve, method.regularisation.grid, device=inputs.device, stop=inputs.stop
    )
    return None if value is None else replace(settings, regularisation=value)
