"""The classical methods behind one signature. Nothing here imports torch before a method runs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from napari_selfdeconv.events import Tick
from napari_selfdeconv.restoration.method_inputs import Each, MethodInputs, SolverSettings

if TYPE_CHECKING:
    from torch import Tensor

# Conjugate gradients for the Wiener filter of an image with weights or an open border.
_MOST_GRADIENTS = 60


def run_richardson_lucy(
    inputs: MethodInputs, settings: SolverSettings, counts: Sequence[int], each: Each | None
) -> Generator[Tick, None, dict[int, Tensor]]:
    from napari_selfdeconv.physics.camera import NO_BACKGROUND
    from napari_selfdeconv.restoration.forward_operator import BlurOperator
    from napari_selfdeconv.restoration.richardson_lucy import iterate_richardson_lucy
    from napari_selfdeconv.restoration.weighted_richardson_lucy import iterate_weighted_richardson_lucy

    common: dict[str, Any] = {
        "device": inputs.device,
        "stop": inputs.stop,
        "tv": settings.regularisation or 0.0,
        "each": each,
    }
    operator = inputs.operator
    plain = settings.boundary == "reflect" and inputs.weights is None and inputs.background is None
    if plain and isinstance(operator, BlurOperator):
        return (yield from iterate_richardson_lucy(inputs.image, operator, counts, **common))
    return (
        yield from iterate_weighted_richardson_lucy(
            inputs.image,
            operator,
            counts,
            weights=inputs.weights,
            accelerated=settings.boundary == "open",
            background=inputs.background or NO_BACKGROUND,
            **common,
        )
    )


def run_gradient_consensus(
    inputs: MethodInputs, settings: SolverSettings, counts: Sequence[int], each: Each | None
) -> Generator[Tick, None, dict[int, Tensor]]:
    from napari_selfdeconv.physics.camera import NO_BACKGROUND, NoiseLine, estimate_noise_line
    from napari_selfdeconv.restoration.gradient_consensus import iterate_gradient_consensus

    line = estimate_noise_line(inputs.image, None if inputs.weights is None else inputs.weights.measured)
    read = line.read if settings.read_noise is None else settings.read_noise**2
    return (
        yield from iterate_gradient_consensus(
            inputs.image,
            inputs.operator,
            counts,
            noise=NoiseLine(line.dark, line.gain if settings.gain is None else settings.gain, read),
            device=inputs.device,
            stop=inputs.stop,
            weights=inputs.weights,
            background=inputs.background or NO_BACKGROUND,
            each=each,
        )
    )


def run_total_variation(
    inputs: MethodInputs, settings: SolverSettings, counts: Sequence[int], _each: Each | None
) -> Generator[Tick, None, dict[int, Tensor]]:
    from napari_selfdeconv.restoration.total_variation import minimise_total_variation

    assert settings.regularisation is not None
    return (
        yield from minimise_total_variation(
            inputs.image,
            inputs.operator,
            settings.regularisation,
            counts,
            device=inputs.device,
            stop=inputs.stop,
            weights=inputs.weights,
            background=None if inputs.background is None else inputs.background.whole,
        )
    )


def run_wiener(
    inputs: MethodInputs, settings: SolverSettings, counts: Sequence[int], _each: Each | None
) -> Generator[Tick, None, dict[int, Tensor]]:
    from napari_selfdeconv.restoration.forward_operator import BlurOperator
    from napari_selfdeconv.restoration.least_squares import solve_least_squares
    from napari_selfdeconv.restoration.wiener import apply_wiener_filter

    assert settings.regularisation is not None
    operator = inputs.operator
    plain = settings.boundary == "reflect" and inputs.weights is None and inputs.background is None
    if not (plain and isinstance(operator, BlurOperator)):
        count = max(counts, default=_MOST_GRADIENTS)
        estimate = yield from solve_least_squares(
            inputs.image,
            operator,
            settings.regularisation,
            count,
            device=inputs.device,
            stop=inputs.stop,
            weights=inputs.weights,
            background=0.0 if inputs.background is None else inputs.background.whole,
        )
        return {max(counts, default=0): estimate}
    result = apply_wiener_filter(inputs.image, inputs.operator.psf, settings.regularisation, inputs.device)
    yield Tick(1, 1)
    return {0: result}
