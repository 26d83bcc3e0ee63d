"""What the quality benchmark can run: names, and what each of them measures on one image."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api import iter_classical, iter_deconvolve, iter_richardson_lucy
from napari_selfdeconv.benchmark.smooth_tv import iter_smooth_tv
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.classical import Classical
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import LossWeights, TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event
from napari_selfdeconv.restoration import replace_outliers
from napari_selfdeconv.stop_token import StopToken

RL_COUNTS = (2, 3, 5, 10, 20)
# Weights of the total variation and regularisations of the Wiener filter among which the best one for all images
# is sought. 0.1 and 1 are those whose filtered copies our network gets.
TV_WEIGHTS = (0.01, 0.02, 0.04, 0.08)
WIENER = (0.01, 0.03, 0.1, 0.3, 1.0)
_SMOOTH_TV_STEPS = 150
_BOUND_WEIGHT = 0.1

CLASSICAL_METHODS = ("rl", "rl-auto", "wiener", "wiener-auto", "rl-tv", "tv", "tv-auto", "tv-cg")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One result: ``label`` names it in the tables, rows of one ``family`` differ in a fixed setting only."""

    label: str
    family: str
    image: NDArray[np.float32]
    seconds: float
    device: str
    held_out: float | None = None


def labels(method: str) -> list[str]:
    """Return the labels of what a method measures on every image.

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
        For a name that is no method.
    """
    name, values = _fixed(method)
    if name in _CLASSICAL:
        return [settings.label for settings in _settings(name, values)]
    if name == "rl":
        return [f"RL {n}" for n in values]
    if name == "tv-cg":
        return [f"TV-CG {weight:g}" for weight in values]
    if method != "input":
        network(method, 2)
    return [method]


def _fixed(method: str) -> tuple[str, tuple[Any, ...]]:
    """Split ``rl:30+50`` into its name and its settings; those of a table's own if none are given."""
    name, _, given = method.partition(":")
    if name not in _FIXED:
        return method, ()
    convert = int if name == "rl" else float
    try:
        return name, tuple(convert(value) for value in given.split("+")) if given else _FIXED[name]
    except ValueError:
        raise ConfigError(f"unknown method {method!r}: {expected()}") from None


def network(method: str, ndim: int, device_name: str = "auto") -> TrainConfig:
    """Return the settings of a network: ``preset[:loss[+bound]][@seed][,field=value...]``.

    A field is one of `TrainConfig`, or of its loss as ``loss.anchor``; its value is written as in JSON.

    Examples
    --------
    >>> network("paper:noise2same_d+bound", 2).loss.bound_d
    0.1
    >>> network("quick@3,average_symmetries=false", 3).seed
    3
    >>> network("quick,loss.anchor=0,loss.tv=0.06", 2).loss.tv
    0.06

    Raises
    ------
    ConfigError
        For an unknown preset, loss or field, or a seed that is none.
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
        config = preset(name, ndim, loss=loss or None, device=device_name, seed=int(seed or 0), **fields)
        config = replace(config, loss=LossWeights.from_dict({**config.loss.to_dict(), **weights}))
    except ConfigError as error:
        raise ConfigError(f"unknown method {method!r} ({error}): {expected()}") from error
    if bound:
        # The bound is taken where the invariance is: on the deconvolved image for noise2same_d.
        where = "bound_d" if config.loss.inv_d else "bound"
        config = replace(config, loss=replace(config.loss, **{where: _BOUND_WEIGHT}))
    return config


def _split_fields(method: str) -> list[str]:
    """Split at the commas that begin a field: lists have commas, too."""
    return re.split(r",(?=[a-z_.]+=)", method)


def _field(change: str) -> tuple[str, Any]:
    name, _, text = change.partition("=")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    return name, tuple(value) if isinstance(value, list) else value


def expected() -> str:
    """Say which names there are."""
    return (
        f"expected input, {', '.join(CLASSICAL_METHODS)}, those with fixed settings also as rl:30+50, or a "
        "network as preset[:loss[+bound]][@seed][,field=value...], such as quick, standard@1, "
        "paper:noise2self+bound or quick,steps=50"
    )


def measure(
    method: str, noisy: NDArray[np.float32], psf: NDArray[Any], device_name: str, stop: StopToken
) -> Generator[Event, None, list[Measured]]:
    """Run one method on one image; what a stop cut short is left out.

    Parameters
    ----------
    method : as in `labels`.
    noisy, psf : 2D or 3D.
    device_name, stop : as elsewhere.
    """
    if method == "input":
        return [Measured(label="input", family="input", image=noisy, seconds=0.0, device="-")]
    name, values = _fixed(method)
    if name == "rl":
        return (yield from _lucy(values, noisy, psf, device_name, stop))
    if name in _CLASSICAL:
        return (yield from _classical(_settings(name, values), noisy, psf, device_name, stop))
    if name == "tv-cg":
        return (yield from _smooth_tv(values, noisy, psf, device_name, stop))
    result = yield from iter_deconvolve(noisy, psf, network(method, noisy.ndim, device_name), stop=stop)
    # A network cut short by the user is no measurement of the preset.
    if result.stopped:
        return []
    return [
        Measured(
            label=method,
            family=re.sub(r"@\d+", "", method),
            image=result.image,
            seconds=result.seconds,
            device=f"{result.device} {result.precision}",
            held_out=result.held_out[-1][1] if result.held_out else None,
        )
    ]


# Settings of the family whose best for all images is sought; ``rl:30+50`` is run with others.
_FIXED: dict[str, tuple[Any, ...]] = {"rl": RL_COUNTS, "wiener": WIENER, "tv": TV_WEIGHTS, "tv-cg": TV_WEIGHTS}
# Least squares need the salt and pepper taken out first, or they would not be worth comparing with.
_CLASSICAL: dict[str, Classical] = {
    "rl-auto": Classical(method="rl"),
    "rl-tv": Classical(method="rl-tv"),
    "wiener": Classical(method="wiener", median_guard=True),
    "wiener-auto": Classical(method="wiener", median_guard=True),
    "tv": Classical(method="tv", median_guard=True),
    "tv-auto": Classical(method="tv", median_guard=True),
}


def _settings(name: str, values: Sequence[float]) -> list[Classical]:
    """Return a classical method with each of its fixed settings, or, without any, as it chooses itself."""
    method = _CLASSICAL[name]
    return [replace(method, regularisation=value) for value in values] or [method]


def _family(settings: Classical) -> str:
    fixed = settings.iterations if settings.method.startswith("rl") else settings.regularisation
    return settings.label if fixed is None else settings.label.rpartition(" ")[0]


#: What is no network.
CLASSICAL_FAMILIES = {
    "input",
    "RL",
    "TV-CG",
    *(
        _family(settings)
        for name, values in _CLASSICAL.items()
        for settings in _settings(name, _FIXED.get(name, ()))
    ),
}


def _lucy(
    counts: Sequence[int], noisy: NDArray[np.float32], psf: NDArray[Any], device_name: str, stop: StopToken
) -> Generator[Event, None, list[Measured]]:
    start = time.perf_counter()
    results = yield from iter_richardson_lucy(noisy, psf, counts, device_name=device_name, stop=stop)
    seconds = time.perf_counter() - start
    where = str(device.choose_device(device_name, "float32").device)
    # One run gives all counts; a count's own share of the time is its share of the iterations.
    return [
        Measured(label=f"RL {n}", family="RL", image=image, seconds=seconds * n / max(results), device=where)
        for n, image in results.items()
        if n in counts
    ]


def _classical(
    methods: Sequence[Classical], noisy: NDArray[np.float32], psf: NDArray[Any], device_name: str, stop: StopToken
) -> Generator[Event, None, list[Measured]]:
    found = []
    for method in methods:
        start = time.perf_counter()
        results = yield from iter_classical(noisy, psf, [method], device_name=device_name, stop=stop)
        if stop.stopped:
            break
        found += [
            Measured(
                label=method.label,
                family=_family(method),
                image=result.image,
                seconds=time.perf_counter() - start,
                device=result.provenance["device"],
            )
            for result in results
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
