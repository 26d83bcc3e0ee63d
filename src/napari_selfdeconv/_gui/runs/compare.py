"""What the Compare dock computes in the worker's thread: the methods, and the table of metrics."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot
from napari_selfdeconv._gui.runs.camera import weights_of
from napari_selfdeconv._gui.runs.psf_choice import Psf, optics_record
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.api import Classical
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, Tick, Warned, report_progress
from napari_selfdeconv.stop_token import StopToken


@dataclass(frozen=True)
class MethodResult:
    """One finished method: the tag of its layer, its array, where it comes from, and the model if it has one."""

    tag: str
    image: np.ndarray
    provenance: dict[str, Any]
    model: Any = None


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    scores: dict[str, float]


def compare_job(
    image: LayerSnapshot,
    psf: Psf,
    methods: Sequence[Classical],
    network: TrainConfig | None,
    tiles: TileConfig,
    device: str,
    weights: Any = None,
) -> Job:
    """Return the job that runs the classical methods, then the network if asked for; it gives `MethodResult`s.

    ``weights`` say which pixels count.
    """

    def job(token: StopToken) -> Generator[Event, None, list[MethodResult]]:
        from napari_selfdeconv import api

        data = np.asarray(image.data)
        done: list[MethodResult] = []
        # Without an open border there is no room for a PSF as large as the stack.
        for group, make in (
            ([method for method in methods if method.border == "open"], psf.kernel),
            ([method for method in methods if method.border != "open"], psf.compact_kernel),
        ):
            if group and not token.stopped:
                kernel, notes = make(image)
                yield from map(Warned, notes)
                results = yield from api.iter_classical(
                    data, kernel, group, weights=weights_of(weights), stop=token, device_name=device
                )
                told = {**optics_record([psf]), "psf": kernel}
                done += [MethodResult(r.label, r.image, {**r.provenance, **told}) for r in results]
        if network is not None and not token.stopped:
            kernel, notes = psf.kernel(image)
            yield from map(Warned, notes)
            result = yield from api.iter_deconvolve(
                data,
                kernel,
                network,
                weights=weights_of(weights),
                tiles=tiles,
                voxel_um=psf.voxels(image),
                stop=token,
            )
            told = {**result.provenance, **optics_record([psf]), "psf": result.model.given_psf}
            done.append(MethodResult("deconvolved", result.image, told, result.model))
        return done

    return job


def measure_job(
    image: LayerSnapshot,
    psf: Psf,
    results: Sequence[tuple[str, Any, float]],
    truth: tuple[str, Any] | None,
    weights: Any = None,
) -> Job:
    """Return the job that scores the image and every result; its value: `Row`s.

    ``results`` are (name, data, background that the data are without), ``truth`` is (name, data).
    With a truth they are scored against it on its scale, without
    one against the image.
    """

    def measure() -> Generator[Tick | Event, None, list[Row]]:
        from napari_selfdeconv import api

        started = time.perf_counter()
        data = np.asarray(image.data)
        rows: list[Row] = []
        if truth is None:
            kernel, notes = psf.whole_kernel(image)
            yield from map(Warned, notes)
            found = yield from api.iter_evaluate_without_truth(
                [np.asarray(array) for _, array, _ in results],
                data,
                kernel,
                psf.voxels(image),
                weights=weights_of(weights),
                backgrounds=[background for _, _, background in results],
            )
            rows = [Row(name, scores) for (name, _, _), scores in zip(results, found, strict=True)]
        else:
            everything = [(image.name, data, 0.0), *results]
            for n, (name, array, _) in enumerate(everything, 1):
                rows.append(Row(name, against_truth(np.asarray(array), truth)))
                yield Tick(n, len(everything))
        yield Finished(seconds=time.perf_counter() - started, steps_done=len(rows), stopped=False)
        return rows

    def job(token: StopToken) -> Generator[Event, None, list[Row]]:
        return report_progress(measure(), "measure", token)

    return job


def against_truth(array: np.ndarray, truth: tuple[str, Any]) -> dict[str, float]:
    """Score ``array`` against a truth in the same intensity units, of whatever range."""
    from napari_selfdeconv.api import evaluate

    name, data = truth
    if np.shape(data) != array.shape:
        raise ConfigError(f"the truth '{name}' has shape {np.shape(data)} and the result {array.shape}")
    try:
        return evaluate(array, data, units="truth")
    except ConfigError as error:
        raise ConfigError(f"'{name}': {error}") from error
