"""What the network is trained to minimise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from napari_selfdeconv.config.checks import check_choice
from napari_selfdeconv.config.loss_terms import LOSSES, LossWeights
from napari_selfdeconv.config.rules import Number
from napari_selfdeconv.config.settings import Settings

DataTerm = Literal["square", "huber"]


def loss_weights(value: object) -> Any:
    """Return the weights that a name or a dictionary stands for; any other value as it is."""
    if isinstance(value, str):
        return LOSSES[check_choice("loss", value, tuple(LOSSES))].weights
    return LossWeights.from_dict(value) if isinstance(value, Mapping) else value


@dataclass(frozen=True, kw_only=True)
class LossSettings(Settings):
    """What the network is trained to minimise.

    Attributes
    ----------
    weights : weights of the loss terms.
    data_term : how bsp and rec compare with the data, by the square or by the Huber loss.
    huber_delta : where the Huber loss turns from square to linear, in standard deviations of the image.

    Examples
    --------
    >>> LossSettings(data_term="huber", huber_delta=1.5).weights.active
    {'rec': 1.0, 'inv_d': 2.0}
    """

    weights: LossWeights = field(default_factory=lambda: LOSSES["noise2same_d"].weights)
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
