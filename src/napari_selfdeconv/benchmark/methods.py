"""The methods of the quality benchmark: their names, and the measurement of each on one image."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api import (
    METHODS,
    Border,
    Classical,
    Weights,
    background_of,
    benchmark_names,
    iter_classical,
    iter_deconvolve,
)
from napari_selfdeconv.benchmark.smooth_tv import iter_smooth_tv
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event
from napari_selfdeconv.restoration.replace_outliers import replace_outliers
from napari_selfdeconv.stop_token import StopToken

# Weights of the smoothed total variation: those of the total variation.
TV_WEIGHTS = METHODS["tv"].compared
_SMOOTH_TV_STEPS = 150
_BOUND_WEIGHT = 0.1

_SMOOTH_TV = "tv-cg"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One result: ``label`` names it in the tables, rows of one ``family`` differ in a fixed setting only.

    ``background`` was subtracted from the image: with it the result is in the units of the image.
    """

    label: str
    family: str
    image: NDArray[np.float32]
    seconds: float
    device: str
    held_out: float | None = None
    background: float = 0.0


def labels(method: str) -> list[str]:
    """Return the labels of the results of a method, which are the same for every image.

    Examples
    --------
    >>> labels("rl")
    ['RL 2', 'RL 3', 'RL 5', 'RL 10', 'RL 20']
    >>> labels("tv:0.001+0.005")
    ['TV 0.001', 'TV 0.005']
    >>> labels("quick")
    ['quick']

    Raises
    ------
    ConfigError
        If the name is not a method.
    """
    name, values = _fixed(method)
    if name in benchmark_names():
        return [settings.label for settings in _settings(name, values)]
    if name == _SMOOTH_TV:
        return [f"TV-CG {weight:g}" for weight in values]
    if method != "input":
        network(method, 2)
    return [method]


def _fixed(method: str) -> tuple[str, tuple[Any, ...]]:
    """Split ``rl:30+50`` into its name and its settings; those of a table's own if none are given."""
    name, _, given = method.partition(":")
    compared = TV_WEIGHTS if name == _SMOOTH_TV else METHODS[name].compared if name in METHODS else ()
    if not compared:
        return method, ()
    try:
        return name, tuple(_number(value) for value in given.split("+")) if given else compared
    except ValueError:
        raise ConfigError(f"unknown method {method!r}: {expected()}") from None


def _number(text: str) -> float:
    """Return a whole number as an int: a count is one."""
    return int(text) if text.isdecimal() else float(text)


def network(method: str, ndim: int, device_name: str = "auto") -> TrainConfig:
    """Return the settings of a network: ``preset[:loss[+bound]][@seed][,field=value...]``.

    A field is a flat name of `TrainConfig.replace`, or a loss weight as ``loss.anchor``. Its value is written as
    in JSON. With another loss training starts from random weights, unless the field ``pretrained`` says otherwise.

    Examples
    --------
    >>> network("paper:noise2same_d+bound", 2).loss.weights.bound_d
    0.1
    >>> network("quick@3,average_symmetries=false", 3).seed
    3
    >>> network("quick,loss.anchor=0,loss.tv=0.06", 2).loss.weights.tv
    0.06

    Raises
    ------
    ConfigError
        For an unknown preset, loss or field, or a seed that is not a number.
    """
    rest, *changes = _split_fields(method)
    rest, _, seed = rest.partition("@")
    name, _, loss = rest.partition(":")
    loss, _, bound = loss.partition("+")
    if bound not in ("", "bound") or (seed and not seed.isdigit()):
        raise ConfigError(f"unknown method {method!r}: {expected()}")
    try:
        fields = dict(_field(change) for change in changes)
        weights = {k.removeprefix("loss."): fields.pop(k) for k in list(fields) if k.startswith("loss.")}
        if loss:
            fields.setdefault("pretrained", False)
        config = preset(name, ndim, loss=loss or None, device=device_name, seed=int(seed or 0), **fields)
        config = config.replace(loss={**config.loss.weights.to_dict(), **weights})
    except ConfigError as error:
        raise ConfigError(f"unknown method {method!r} ({error}): {expected()}") from error
    if bound:
        # The bound is taken where the invariance is: on the deconvolved image for noise2same_d.
        where = "bound_d" if config.loss.weights.inv_d else "bound"
        config = config.replace(loss=replace(config.loss.weights, **{where: _BOUND_WEIGHT}))
    return config


def _split_fields(method: str) -> list[str]:
    """Split at the commas that begin a field, not at those inside lists."""
    return re.split(r",(?=[a-z_.]+=)", method)


def _field(change: str) -> tuple[str, Any]:
    name, _, text = change.partition("=")
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        value = text
    return name, tuple(value) if isinstance(value, list) else value


def expected() -> str:
    """Return the known names, for a message."""
    return (
        f"expected input, {', '.join(benchmark_names())}, {_SMOOTH_TV}, those with fixed settings also as "
        "rl:30+50, or a network as preset[:loss[+bound]][@seed][,field=value...], such as quick, standard@1, "
        "paper:noise2self+bound or quick,steps=50"
    )


def measure(
    method: str,
    noisy: NDArray[np.float32],
    psf: NDArray[Any],
    device_name: str,
    stop: StopToken,
    *,
    border: Border = "reflect",
    weights: Weights = None,
) -> Generator[Event, None, list[Measured]]:
    """Run one method on one image. Results that a stop interrupted are left out.

    Parameters
    ----------
    method : as in `labels`.
    noisy, psf : 2D or 3D.
    device_name, stop : as elsewhere.
    border : border rule of the classical methods that know it, and of the refinement. The protocol's images
        continue by reflection.
    weights : as in `iter_deconvolve`. All pixels of the protocol's images are measurements.
    """
    if method == "input":
        return [Measured(label="input", family="input", image=noisy, seconds=0.0, device="-")]
    name, values = _fixed(method)
    if name in benchmark_names():
        return (yield from _classical(_settings(name, values, border), noisy, psf, device_name, stop, weights))
    if name == _SMOOTH_TV:
        return (yield from _smooth_tv(values, noisy, psf, device_name, stop))
    config = network(method, noisy.ndim, device_name)
    if border == "reflect" and ",refine_border=" not in method:
        config = config.replace(refine_border="network")
    result = yield from iter_deconvolve(noisy, psf, config, weights=weights, stop=stop)
    # A network that the user stopped is not a measurement of the preset.
    if result.stopped:
        return []
    return [
        Measured(
            label=method,
            family=re.sub(r"@\d+", "", method),
            image=result.image,
            seconds=result.seconds,
            device=f"{result.device} {result.precision}",
            background=background_of(result.provenance),
            held_out=result.held_out[-1][1] if result.held_out else None,
        )
    ]


def _settings(name: str, values: Sequence[float], border: Border = "reflect") -> list[Classical]:
    """Return a classical method with each of its fixed settings, or without any, with automatic settings."""
    key = name if name in METHODS else name.removesuffix("-auto")
    # Least squares need the salt and pepper replaced first, or they would not be worth comparing with.
    guard = METHODS[key].least_squares and border == "reflect"
    known = border if border in METHODS[key].boundaries else None
    method = Classical(method=key, median_guard=guard, boundary=known)
    return [method.with_shown(value) for value in values] or [method]


def _family(settings: Classical) -> str:
    """Return the label without its fixed setting."""
    return settings.label if settings.shown is None else METHODS[settings.method].label


def classical_families() -> set[str]:
    """Return the families that are no network."""
    families = {"input", "TV-CG"}
    for name in benchmark_names():
        families |= {_family(settings) for settings in _settings(name, _fixed(name)[1])}
    return families


def _classical(
    methods: Sequence[Classical],
    noisy: NDArray[np.float32],
    psf: NDArray[Any],
    device_name: str,
    stop: StopToken,
    weights: Weights,
) -> Generator[Event, None, list[Measured]]:
    """Measure each method; counts of one method are one run, and each has its share of the run's time."""
    counts = METHODS[methods[0].method].shown == "iterations"
    found = []
    for run in [methods] if counts else [[method] for method in methods]:
        start = time.perf_counter()
        results = yield from iter_classical(noisy, psf, run, weights=weights, device_name=device_name, stop=stop)
        seconds = time.perf_counter() - start
        if stop.stopped:
            break
        last = max(result.provenance["iterations"] or 0 for result in results)
        found += [
            Measured(
                label=asked.label,
                family=_family(asked),
                image=result.image,
                seconds=seconds * result.provenance["iterations"] / last if counts else seconds,
                device=result.provenance["device"],
                background=background_of(result.provenance),
            )
            for asked, result in zip(run, results, strict=True)
        ]
    return found


def _smooth_tv(
    weights: Sequence[float], noisy: NDArray[np.float32], psf: NDArray[Any], device_name: str, stop: StopToken
) -> Generator[Event, None, list[Measured]]:
    where = device.choose_device(device_name, "float32").device
    found = []
    for weight in weights:
        start = time.perf_counter()
        guarded = replace_outliers(noisy)
        image = yield from iter_smooth_tv(guarded, psf, weight, _SMOOTH_TV_STEPS, device=where, stop=stop)
        if stop.stopped:
            break
        seconds = time.perf_counter() - start
        found.append(
            Measured(label=f"TV-CG {weight:g}", family="TV-CG", image=image, seconds=seconds, device=str(where))
        )
    return found
