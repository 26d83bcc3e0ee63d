"""The terms of the loss: each is a row with its name, its weight, its label and its formula.

A new term is a function and a field of `LossWeights`. The training history, the settings files and the curves of
the dock find it there. The formulas are not in `training`, because the settings, the command line and the docks
read the rows without loading torch.

Source of the first six terms: Papkov, Palo and Parts 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import Flag, auto
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from napari_selfdeconv.config.rules import Number
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

# Below this the square root has a constant value: at 0 its slope is infinite and the gradient NaN.
_SQRT_FLOOR = 1e-12


class Needs(Flag):
    """The outputs of the network that a term needs in a step.

    ``UNMASKED`` and ``MASKED`` are f and g(f) of the patch and of the patch without its hidden pixels.
    ``REFERENCE`` is f of the patch with the initial weights. ``SIMULATED`` is f of that, blurred and made noisy.
    """

    NOTHING = 0
    UNMASKED = auto()
    MASKED = auto()
    REFERENCE = auto()
    SIMULATED = auto()


@dataclass(frozen=True, kw_only=True)
class Passes:
    """The outputs of one training step, as (batch, 1, *space) in standardised units.

    Attributes
    ----------
    x : the noisy patches; mask : boolean, True where a pixel is hidden.
    f_x, g_x : f(x) and g(f(x)); None if no term needs them.
    f_masked, g_masked : the same of the patches without their hidden pixels.
    low, high : lowest and highest value of the image.
    delta : where the Huber loss becomes linear; None for the square.
    reference : f(x) with the initial weights; None if no term needs it.
    simulated : f of the reference result, blurred and made noisy, for the first patches of the batch.
    weights : how much each pixel of ``x`` counts, 0 to 1; None if all count the same.
    at_least : boolean, True at saturated pixels, which count only if g(f) is below them; None without such pixels.
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
    reference: Tensor | None = None
    simulated: Tensor | None = None
    weights: Tensor | None = None
    at_least: Tensor | None = None

    @property
    def any_f(self) -> Tensor:
        """f(x), or f of the masked patches if f(x) was not computed."""
        return _need(self.f_masked if self.f_x is None else self.f_x)

    @property
    def any_g(self) -> Tensor:
        """g(f(x)), or g(f) of the masked patches if g(f(x)) was not computed."""
        return _need(self.g_masked if self.g_x is None else self.g_x)


class LossTerm(NamedTuple):
    """One row: the label in plots, the formula, the outputs it needs, and whether it compares with the data."""

    label: str
    formula: Callable[[Passes], Tensor]
    needs: Needs = Needs.NOTHING
    sees_data: bool = False


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of ``values`` where ``mask`` is set; 0 for an empty mask."""
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def safe_sqrt(value: Tensor) -> Tensor:
    """Return the square root with a finite slope at 0."""
    return value.clamp(min=_SQRT_FLOOR).sqrt()


def data_error(residual: Tensor, delta: float | None) -> Tensor:
    """Return the square of ``residual``, or the Huber function scaled to the square near 0."""
    if delta is None:
        return residual.square()
    from torch.nn.functional import huber_loss

    return 2.0 * huber_loss(residual, residual.new_zeros(residual.shape), reduction="none", delta=delta)


def blind_spot(p: Passes) -> Tensor:
    """Weighted mean over the hidden pixels of (g(f(x_masked)) - x)^2."""
    error = data_error(_residual(_need(p.g_masked), p), p.delta)
    return masked_mean(error, p.mask if p.weights is None else p.mask * p.weights)


def reconstruction(p: Passes) -> Tensor:
    """Weighted mean over all pixels of (g(f(x)) - x)^2."""
    error = data_error(_residual(_need(p.g_x), p), p.delta)
    return error.mean() if p.weights is None else masked_mean(error, p.weights)


def invariance(p: Passes) -> Tensor:
    """Root mean square over the hidden pixels of g(f(x)) - g(f(x_masked))."""
    return safe_sqrt(masked_mean((_need(p.g_x) - _need(p.g_masked)).square(), p.mask))


def invariance_deconvolved(p: Passes) -> Tensor:
    """Root mean square over the hidden pixels of f(x) - f(x_masked)."""
    return safe_sqrt(masked_mean((_need(p.f_x) - _need(p.f_masked)).square(), p.mask))


def bound(p: Passes) -> Tensor:
    """Mean of abs(low - y) + abs(y - high) over y = g(f(x)), in units of the image's range."""
    return _out_of_range(p.any_g, p)


def bound_deconvolved(p: Passes) -> Tensor:
    """`bound` with y = f(x)."""
    return _out_of_range(p.any_f, p)


def total_variation(p: Passes) -> Tensor:
    """Mean length of the gradient of f(x), by forward differences. It determines detail that g removes."""
    import torch

    y = p.any_f
    square = torch.zeros_like(y)
    for axis in range(2, y.ndim):
        if y.shape[axis] > 1:
            step = torch.diff(y, dim=axis)
            square = square + torch.cat([step, torch.zeros_like(y.narrow(axis, 0, 1))], axis).square()
    return torch.sqrt(square + 1e-6).mean()


def anchor(p: Passes) -> Tensor:
    """Mean of (f(x) - reference)^2. It keeps f(x) near the initial weights where the image does not decide."""
    return (p.any_f - _need(p.reference)).square().mean()


def bootstrap(p: Passes) -> Tensor:
    """Mean of (f(g(reference) + noise) - reference)^2: a parametric bootstrap of the reference result."""
    simulated = _need(p.simulated)
    return (simulated - _need(p.reference)[: len(simulated)]).square().mean()


def _residual(g: Tensor, p: Passes) -> Tensor:
    """Return g - x; 0 at saturated pixels where g is above x."""
    residual = g - p.x
    return residual if p.at_least is None else residual.where(~p.at_least, residual.clamp(max=0.0))


def _out_of_range(y: Tensor, p: Passes) -> Tensor:
    return ((p.low - y).abs() + (y - p.high).abs()).mean() / (p.high - p.low)


def _need(y: Tensor | None) -> Tensor:
    if y is None:
        raise AssertionError("a loss term was called without the pass it needs")
    return y


def loss_term(
    label: str, formula: Callable[[Passes], Tensor], needs: Needs = Needs.NOTHING, *, sees_data: bool = False
) -> Mapping[str, LossTerm]:
    """Return the row of a term, as the metadata of the field of its weight."""
    return {"term": LossTerm(label, formula, needs, sees_data)}


Weight = Annotated[float, Number(0.0, 1e6)]
_BOTH = Needs.UNMASKED | Needs.MASKED


@dataclass(frozen=True, kw_only=True)
class LossWeights(Settings):
    """Weights of the loss terms. A term of weight 0 is not computed.

    The last two terms need initial weights: `StartSettings.pretrained`, or a model to train further.

    Attributes
    ----------
    bsp : blind spot, g(f) against the data at masked pixels.
    rec : g(f) against the data at all pixels. Alone it fits the noise when run long.
    inv, inv_d : invariance of g(f(x)), or of f(x), to the masking of pixels.
    bound, bound_d : g(f(x)), or f(x), outside the range of the image.
    tv : total variation of f(x). More of it gives a smoother result, and a large weight gives flat patches.
    anchor : distance of f(x) from the reference result, which is f(x) with the initial weights.
    bootstrap : the reference result is blurred and made noisy again, and f must recover it.

    References
    ----------
    The first six terms: Papkov, Palo and Parts 2023, https://doi.org/10.48550/arXiv.2308.09426

    Examples
    --------
    >>> LossWeights(bsp=1.0, tv=0.01).active
    {'bsp': 1.0, 'tv': 0.01}
    """

    called: ClassVar[str] = "loss weight "

    bsp: Weight = field(default=0.0, metadata=loss_term("blind spot", blind_spot, Needs.MASKED, sees_data=True))
    rec: Weight = field(
        default=0.0, metadata=loss_term("reconstruction", reconstruction, Needs.UNMASKED, sees_data=True)
    )
    inv: Weight = field(default=0.0, metadata=loss_term("invariance", invariance, _BOTH))
    inv_d: Weight = field(
        default=0.0, metadata=loss_term("invariance (deconvolved)", invariance_deconvolved, _BOTH)
    )
    bound: Weight = field(default=0.0, metadata=loss_term("bound", bound))
    bound_d: Weight = field(default=0.0, metadata=loss_term("bound (deconvolved)", bound_deconvolved))
    tv: Weight = field(default=0.0, metadata=loss_term("total variation", total_variation))
    anchor: Weight = field(default=0.0, metadata=loss_term("anchor", anchor, Needs.REFERENCE))
    bootstrap: Weight = field(
        default=0.0, metadata=loss_term("bootstrap", bootstrap, Needs.REFERENCE | Needs.SIMULATED)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(LOSS_TERMS[name].sees_data for name in self.active):
            allowed = " and ".join(name for name, term in LOSS_TERMS.items() if term.sees_data)
            raise ConfigError(f"one of the loss weights {allowed} must be above 0: no other term uses the data")

    @property
    def active(self) -> dict[str, float]:
        """The terms with a weight above 0, and their weights."""
        return {name: weight for name in LOSS_TERMS if (weight := getattr(self, name, 0.0)) > 0}

    @property
    def needs(self) -> Needs:
        """The outputs that the active terms need."""
        found = Needs.NOTHING
        for name in self.active:
            found |= LOSS_TERMS[name].needs
        return found

    @property
    def term_with_reference(self) -> str:
        """The name of the first active term that needs initial weights, or ""."""
        return next((name for name in self.active if Needs.REFERENCE in LOSS_TERMS[name].needs), "")


#: Every term by its name, which is the name of its weight.
LOSS_TERMS: dict[str, LossTerm] = {f.name: f.metadata["term"] for f in fields(LossWeights)}


class NamedLoss(NamedTuple):
    """A loss that is chosen by its name: its label in the dock, and its weights."""

    label: str
    weights: LossWeights


#: The losses of the paper, by the name that settings and the command line give them.
LOSSES: dict[str, NamedLoss] = {
    "noise2self": NamedLoss("noise2self", LossWeights(bsp=1.0)),
    "noise2same": NamedLoss("noise2same", LossWeights(rec=1.0, inv=2.0)),
    "noise2same_d": NamedLoss("noise2same (deconvolved)", LossWeights(rec=1.0, inv_d=2.0)),
}
