"""The paper's six loss terms and three of ours, one pure function each, and the table that adds them.

All tensors are (batch, 1, *space) in standardised units; ``mask`` is boolean of the same shape. Source of
the six: Papkov, Palo and Parts 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_selfdeconv.config.loss import LossWeights

# Below this the slope of sqrt is cut off: at 0 it is infinite and the gradient NaN.
_SQRT_FLOOR = 1e-12


@dataclass(frozen=True, kw_only=True)
class Passes:
    """What one training step computed. A pass that no term needs is None.

    ``x`` noisy patch; ``f_x``, ``g_x``: f(x), g(f(x)); ``f_masked``, ``g_masked``: the same of the masked patch.
    ``low``, ``high``: the image's extremes; ``delta``: Huber threshold, None for the square; ``f_start``: f(x) as
    it was when training began; ``f_again``: f of that, blurred and made noisy again.
    """

    x: Tensor
    mask: Tensor
    f_x: Tensor | None
    g_x: Tensor | None
    f_masked: Tensor | None
    g_masked: Tensor | None
    low: float
    high: float
    delta: float | None = None
    f_start: Tensor | None = None
    f_again: Tensor | None = None


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of ``values`` where ``mask`` is set; 0 for an empty mask."""
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def safe_sqrt(value: Tensor) -> Tensor:
    """Return the square root with a finite slope at 0."""
    return torch.sqrt(value.clamp(min=_SQRT_FLOOR))


def data_error(residual: Tensor, delta: float | None) -> Tensor:
    """Return the square of ``residual``, or the Huber function scaled to the square near 0."""
    if delta is None:
        return residual.square()
    return 2.0 * F.huber_loss(residual, torch.zeros_like(residual), reduction="none", delta=delta)


def blind_spot(p: Passes) -> Tensor:
    """Mean over J of (g(f(x_masked)) - x)^2."""
    return masked_mean(data_error(_need(p.g_masked) - p.x, p.delta), p.mask)


def reconstruction(p: Passes) -> Tensor:
    """Mean over all pixels of (g(f(x)) - x)^2."""
    return data_error(_need(p.g_x) - p.x, p.delta).mean()


def invariance(p: Passes) -> Tensor:
    """Root mean square over J of g(f(x)) - g(f(x_masked))."""
    return safe_sqrt(masked_mean((_need(p.g_x) - _need(p.g_masked)).square(), p.mask))


def invariance_deconvolved(p: Passes) -> Tensor:
    """Root mean square over J of f(x) - f(x_masked)."""
    return safe_sqrt(masked_mean((_need(p.f_x) - _need(p.f_masked)).square(), p.mask))


def bound(p: Passes) -> Tensor:
    """Mean of abs(low - y) + abs(y - high) over g(f(x)), in units of the image's range."""
    return _bound(_need(p.g_masked if p.g_x is None else p.g_x), p.low, p.high)


def bound_deconvolved(p: Passes) -> Tensor:
    """Return `bound` of f(x)."""
    return _bound(_need(p.f_masked if p.f_x is None else p.f_x), p.low, p.high)


def total_variation(p: Passes) -> Tensor:
    """Mean length of the gradient of f(x), forward differences; pins down what g cannot see."""
    y = _need(p.f_masked if p.f_x is None else p.f_x)
    square = torch.zeros_like(y)
    for axis in range(2, y.ndim):
        n = y.shape[axis]
        if n > 1:
            step = torch.diff(y, dim=axis)
            square = square + torch.cat([step, torch.zeros_like(y.narrow(axis, 0, 1))], axis).square()
    return torch.sqrt(square + 1e-6).mean()


def anchor(p: Passes) -> Tensor:
    """Mean of (f(x) - f_start(x))^2: where the image says nothing, what was learned before stays."""
    return (_need(p.f_masked if p.f_x is None else p.f_x) - _need(p.f_start)).square().mean()


def bootstrap(p: Passes) -> Tensor:
    """Mean of (f(g(f_start(x)) + noise) - f_start(x))^2: a parametric bootstrap of the first result.

    ``f_again`` may be there for the first patches only.
    """
    again = _need(p.f_again)
    return (again - _need(p.f_start)[: len(again)]).square().mean()


class Term(NamedTuple):
    """A row of the table: its function, and which passes it needs."""

    function: Callable[[Passes], Tensor]
    unmasked: bool
    masked: bool


# Bounds, total variation and anchor take whichever pass there is.
TERMS: Mapping[str, Term] = {
    "bsp": Term(blind_spot, False, True),
    "rec": Term(reconstruction, True, False),
    "inv": Term(invariance, True, True),
    "inv_d": Term(invariance_deconvolved, True, True),
    "bound": Term(bound, False, False),
    "bound_d": Term(bound_deconvolved, False, False),
    "tv": Term(total_variation, False, False),
    "anchor": Term(anchor, False, False),
    "bootstrap": Term(bootstrap, False, False),
}


def active_terms(weights: LossWeights) -> dict[str, float]:
    """Return the terms with a weight above 0."""
    return {name: weight for name in TERMS if (weight := getattr(weights, name)) > 0}


def needed_passes(weights: LossWeights) -> tuple[bool, bool]:
    """Say whether the unmasked and the masked pass are needed."""
    active = active_terms(weights)
    return any(TERMS[t].unmasked for t in active), any(TERMS[t].masked for t in active)


def total(p: Passes, weights: LossWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum, and each active term unweighted and detached."""
    values = {name: TERMS[name].function(p) for name in active_terms(weights)}
    terms = [getattr(weights, name) * value for name, value in values.items()]
    return torch.stack(terms).sum(), {name: value.detach() for name, value in values.items()}


def _bound(y: Tensor, low: float, high: float) -> Tensor:
    return ((low - y).abs() + (y - high).abs()).mean() / (high - low)


def _need(y: Tensor | None) -> Tensor:
    if y is None:
        raise AssertionError("a loss term was called without the pass it needs")
    return y
