"""What the network is trained to minimise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

from napari_selfdeconv.config.checks import check_choice
from napari_selfdeconv.config.rules import Number
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.errors import ConfigError

DataTerm = Literal["square", "huber"]
LossName = Literal["noise2self", "noise2same", "noise2same_d"]
Weight = Annotated[float, Number(0.0, 1e6)]


@dataclass(frozen=True, kw_only=True)
class LossWeights(Settings):
    """Weights of the loss terms. A term of weight 0 is not computed.

    The first six terms are the paper's (method.md). ``tv`` is the total variation of f(x). ``anchor`` keeps f near
    what it was when training began. For ``bootstrap`` the reference result is blurred and made noisy again, and f
    must recover it. The last two terms need initial weights: `StartSettings.pretrained`, or a model to go on from.
    """

    called: ClassVar[str] = "loss weight "

    bsp: Weight = 0.0
    rec: Weight = 0.0
    inv: Weight = 0.0
    inv_d: Weight = 0.0
    bound: Weight = 0.0
    bound_d: Weight = 0.0
    tv: Weight = 0.0
    anchor: Weight = 0.0
    bootstrap: Weight = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bsp == 0 and self.rec == 0:
            raise ConfigError(
                "one of the loss weights bsp and rec must be above 0: nothing else looks at the data"
            )

    @property
    def holds_on(self) -> str:
        """The first of the active terms that needs initial weights, or ""."""
        return next((name for name in ("anchor", "bootstrap") if getattr(self, name) > 0), "")


LOSSES: Mapping[str, LossWeights] = {
    "noise2self": LossWeights(bsp=1.0),
    "noise2same": LossWeights(rec=1.0, inv=2.0),
    "noise2same_d": LossWeights(rec=1.0, inv_d=2.0),
}


def loss_weights(value: object) -> Any:
    """Return the weights that a name or a dictionary stands for; any other value as it is."""
    if isinstance(value, str):
        return LOSSES[check_choice("loss", value, tuple(LOSSES))]
    return LossWeights.from_dict(value) if isinstance(value, Mapping) else value


@dataclass(frozen=True, kw_only=True)
class LossSettings(Settings):
    """What the network is trained to minimise.

    Attributes
    ----------
    weights : weights of the loss terms.
    data_term : how bsp and rec compare with the data, by the square or by the Huber loss.
    huber_delta : where the Huber loss turns from square to linear, in standard deviations of the image.
    """

    weights: LossWeights = field(default_factory=lambda: LOSSES["noise2same_d"])
    data_term: DataTerm = "square"
    huber_delta: Annotated[float, Number(0.0, 1e6, open_low=True)] = 1.0

    @property
    def delta(self) -> float | None:
        """``huber_delta`` for the Huber loss, None for the square."""
        return self.huber_delta if self.data_term == "huber" else None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        if isinstance(values, Mapping) and "weights" in values:
            values = {**values, "weights": loss_weights(values["weights"])}
        return super().from_dict(values)
