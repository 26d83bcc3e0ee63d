"""The inputs of every classical method. Nothing here imports torch before a method runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_selfdeconv.physics.camera import Background
    from napari_selfdeconv.physics.pixel_weights import PixelWeights
    from napari_selfdeconv.restoration.forward_operator import ForwardOperator

#: Called with the count and the estimate after every iteration; the run ends when it returns True.
Each = Callable[[int, "Tensor"], bool]
#: "open": light from outside the image is part of the estimate. "reflect": the image continues as its mirror
#: image. "zero": no light comes from beyond the border.
Border = Literal["open", "reflect", "zero"]


class SolverSettings(Protocol):
    """The part of the settings (`Classical`) that a method reads."""

    @property
    def regularisation(self) -> float | None: ...
    @property
    def boundary(self) -> Border | None: ...
    @property
    def gain(self) -> float | None: ...
    @property
    def read_noise(self) -> float | None: ...


@dataclass(frozen=True)
class MethodInputs:
    """The inputs of a method.

    Attributes
    ----------
    image : finite float32.
    operator : its blur, with the border.
    device, stop : where to compute, and how to stop.
    weights : how much each pixel counts; None is 1 everywhere.
    background : background of the image. None means that it is not modelled.
    """

    image: NDArray[np.float32]
    operator: ForwardOperator
    device: torch.device
    stop: StopToken
    weights: PixelWeights | None = None
    background: Background | None = None
