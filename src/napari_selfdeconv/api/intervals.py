"""The uncertainty of a result: 90 % intervals of its pixels, and places that the data do not support."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.provenance import applied_record
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.checks import check_whole
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, Progress, Warned, drain, mapped
from napari_selfdeconv.inference.check_result import check_finite
from napari_selfdeconv.inference.evidence import gather_evidence
from napari_selfdeconv.inference.intervals import LEVEL, half_widths, unsupported
from napari_selfdeconv.inference.make_ready import make_ready, with_independent_noise
from napari_selfdeconv.inference.predict import computing, deconvolve_whole, on_device
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.inference.weigh import Weights, weighing_of
from napari_selfdeconv.io.savable import Savable
from napari_selfdeconv.network.initial_weights import fit_learned, initial_weights
from napari_selfdeconv.network.model import Model, build_network, takes_estimate
from napari_selfdeconv.restoration.methods import Classical
from napari_selfdeconv.restoration.run_methods import Recorded, run_methods
from napari_selfdeconv.stop_token import StopToken

Array = NDArray[np.float32]
#: Name of the stage in which other models deconvolve the image, in `Progress`.
COMPARE_STAGE = "compare"


@dataclass(frozen=True, kw_only=True, repr=False)
class Uncertainty(Savable):
    """The uncertainty of the pixels of a result.

    Attributes
    ----------
    result : float32 array, as `apply_model` returns it.
    half_width : float32 array of the same shape, in the units of the image. The interval from
        ``result - half_width`` to ``result + half_width`` is meant to contain 90 % of the true values. On test
        images it contained 53 to 99 % (docs/trust.md).
    unsupported : boolean array of the same shape. It is True where another result differs by more than the
        interval.
    provenance : JSON-ready record.
    seconds : time taken.

    `save` writes ``half_width`` and ``unsupported`` as two channels, in that order; their names are `CHANNELS`.

    Examples
    --------
    >>> width = np.ones((8, 8), np.float32)
    >>> found = Uncertainty(
    ...     result=width, half_width=width, unsupported=width > 2, provenance={}, seconds=0.1
    ... )
    >>> found.channels.shape
    (2, 8, 8)
    """

    CHANNELS: ClassVar[tuple[str, str]] = ("half-width of the 90 % interval", "not supported by the data")

    result: Array
    half_width: Array
    unsupported: NDArray[np.bool_]
    provenance: dict[str, Any]
    seconds: float

    @property
    def channels(self) -> Array:
        """``half_width`` and ``unsupported`` (0 or 1) as two channels, float32."""
        return np.stack([self.half_width, self.unsupported.astype(np.float32)])

    @property
    def _array(self) -> Array:
        return self.channels

    @property
    def _axes(self) -> str:
        return "CZYX" if self.half_width.ndim == 3 else "CYX"


def iter_uncertainty(
    model: Model,
    image: NDArray[Any],
    *,
    weights: Weights = None,
    samples: int = 3,
    others: Sequence[Model] = (),
    tiles: TileConfig | None = None,
    stop: StopToken | None = None,
    device_name: str = "auto",
    seed: int = 0,
) -> Generator[Event, None, Uncertainty]:
    """Return the 90 % interval of each pixel of a model's result, and what the data do not support.

    The result is blurred, gets new noise as strong as that of the image, and is deconvolved again, ``samples``
    times. The half-width is computed from the distance of these answers to the result, the distance of the result
    to that of the initial weights, the noise, and the width of the PSF. The formula was fitted by quantile
    regression and conformal calibration on generated scenes with a known truth.

    Parameters
    ----------
    model : trained on this image or one like it.
    image : as many axes as the model's PSF.
    weights, tiles, stop, device_name : as `iter_apply_model`.
    samples : number of simulated recordings, 1 to 64. Each takes as long as applying the model.
    others : models of the same PSF, such as one trained with another seed. ``unsupported`` compares their results,
        besides those of the initial weights and of Richardson-Lucy.
    seed : seed of the noise.

    Raises
    ------
    ConfigError, ComputeError, Cancelled
        As `iter_deconvolve`.

    Notes
    -----
    The coverage holds for a whole image, not for each kind of structure: edges and points are covered less often
    than smooth places. Errors of the PSF are not included. docs/trust.md has the measured coverage.

    References
    ----------
    Parametric bootstrap with symmetries: Tachella and Pereyra (2024), doi:10.48550/arXiv.2310.11838.
    Conformalized quantile regression: Romano, Patterson and Candès (2019), doi:10.48550/arXiv.1905.03222.

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> model = deconvolve(image, np.ones((3, 3)) / 9, config).model
    >>> found = drain(iter_uncertainty(model, image, samples=1))
    >>> found.half_width.shape, found.unsupported.dtype
    ((32, 32), dtype('bool'))
    """
    started = time.perf_counter()
    check_whole("samples", samples, 1, 64)
    if odd := [other.psf.ndim for other in others if other.psf.ndim != model.psf.ndim]:
        raise ConfigError(f"the model is {model.psf.ndim}D and another one is {odd[0]}D: they must be the same")
    if model.whole_psf is None and any(other.whole_psf is not None for other in others):
        raise ConfigError(
            "another model was trained with a PSF larger than its stack, and the model was not: "
            "compare models of the same PSF"
        )
    given = with_independent_noise(Problem.of_model(model, image, weights))
    choice = device.choose_device(device_name, model.config.compute.precision)
    tiles, stop = tiles or TileConfig(), stop or StopToken()
    problem = yield from make_ready(given, model.config, stop, choice=choice)
    yield from map(Warned, problem.notes)
    initial, results = _initial(model), []
    for other in (*initial, *others):
        with on_device(other, choice):
            compared, _ = yield from mapped(deconvolve_whole(other, problem, choice, tiles, stop), _as_compared)
        results.append(compared)
    with on_device(model, choice):
        evidence = yield from gather_evidence(
            model, problem, choice, tiles, stop,
            initial=results[0] if initial else None, samples=samples, seed=seed,
        )  # fmt: skip
    recorded = Recorded(
        np.require(given.image, np.float32, "W"), given.given_psf, choice.device, stop, given.weights
    )
    with computing():
        rl = Classical(method="rl", median_guard=evidence.outliers)
        solved = yield from run_methods(recorded, [rl])
    for classical in solved:
        # If far light is subtracted, the result of the network has no background either.
        dark = 0.0 if problem.far is not None or classical.background is None else classical.background.mean
        results.append(classical.image + np.float32(dark))
    width = half_widths(evidence)
    check_finite("the uncertainty", width)
    seconds = time.perf_counter() - started
    yield Finished(seconds=seconds, steps_done=samples, stopped=False)
    record = applied_record(model, "", weighing_of(weights))
    return Uncertainty(
        result=evidence.result,
        half_width=width,
        unsupported=unsupported(evidence.result, width, results),
        provenance={**record, "role": "uncertainty", "level": LEVEL, "samples": samples},
        seconds=seconds,
    )


def uncertainty(
    model: Model,
    image: NDArray[Any],
    *,
    weights: Weights = None,
    samples: int = 3,
    others: Sequence[Model] = (),
    tiles: TileConfig | None = None,
    device_name: str = "auto",
    seed: int = 0,
) -> Uncertainty:
    """Return the 90 % interval of each pixel of a model's result, and what the data do not support.

    Parameters
    ----------
    model, image, weights, samples, others, tiles, device_name, seed : as in `iter_uncertainty`.

    Raises
    ------
    ConfigError, ComputeError
        As `iter_uncertainty`.

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    >>> model = deconvolve(image, np.ones((3, 3)) / 9, config).model
    >>> bool(uncertainty(model, image, samples=1).half_width.min() > 0)
    True
    """
    work = iter_uncertainty(
        model, image, weights=weights, samples=samples, others=others, tiles=tiles, device_name=device_name,
        seed=seed,
    )  # fmt: skip
    return drain(work)


def _initial(model: Model) -> list[Model]:
    """Return the model with its initial weights, if those are known.

    Those of an earlier version are not if they had another architecture.
    """
    if not (model.config.start.pretrained and fit_learned(model.config, model.psf.ndim)):
        return []
    learned = initial_weights(model.config, model.psf.ndim, hazy=model.whole_psf is not None)
    network = build_network(model.config, model.psf, takes_estimate(learned, model.config))
    network.load_state_dict(learned)
    return [replace(model, network=network.eval())]


def _as_compared(event: Event) -> Event | None:
    """Give progress its own stage, and drop messages about the image that were sent before."""
    if isinstance(event, Progress):
        return replace(event, stage=COMPARE_STAGE)
    return None if isinstance(event, Warned) else event
