"""All settings of a training run, in parts for the stages that read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self

from napari_selfdeconv.config import flat_names
from napari_selfdeconv.config.loss import LossSettings
from napari_selfdeconv.config.loss_terms import Needs
from napari_selfdeconv.config.parts import (
    BlindSpotSettings,
    ComputeSettings,
    NetworkSettings,
    OptimiserSettings,
    ResultSettings,
    StartSettings,
)
from napari_selfdeconv.config.rules import Text, Whole
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.errors import ConfigError

Boundary = Literal["reflect", "replicate"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """All settings of a training run. Make them with `preset`, and change them with `replace`.

    Attributes
    ----------
    name : name of the preset.
    boundary : how the image continues outside its border.
    seed : seed of all random numbers.
    network : the U-Net and its input.
    blind_spot : the pixels that are hidden from the network.
    loss : what training minimises.
    optimiser : number of steps, size of patches, learning rate.
    start : the weights that training starts from.
    result : how the result is computed with the trained network.
    compute : device and precision.

    Examples
    --------
    >>> config = TrainConfig(optimiser=OptimiserSettings(steps=50))
    >>> config.replace(learning_rate=0.01, device="cpu").optimiser.learning_rate
    0.01
    """

    name: Annotated[str, Text()] = "custom"
    boundary: Boundary = "reflect"
    seed: Annotated[int, Whole(0, 2**31 - 1)] = 0
    network: NetworkSettings = field(default_factory=NetworkSettings)
    blind_spot: BlindSpotSettings = field(default_factory=BlindSpotSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    start: StartSettings = field(default_factory=StartSettings)
    result: ResultSettings = field(default_factory=ResultSettings)
    compute: ComputeSettings = field(default_factory=ComputeSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        need = {
            "auto_stop": self.optimiser.auto_stop,
            "weight_interpolation": self.start.weight_interpolation,
            "trial": self.start.trial > 0,
            "model_clipping": self.start.model_clipping,
        }
        for name, wanted in need.items():
            if wanted and self.blind_spot.held_out_percent == 0:
                raise ConfigError(f"{name} needs held-out pixels: held_out_percent must be above 0, got 0")

    @property
    def reference_cell(self) -> tuple[int, int]:
        """Side of the cells in which the reference result is computed, and the context of each, in voxels.

        Two patches, and 8 voxels (a patch sees nothing beyond its border), both on the grid of the down-sampling.
        """
        grid = 2 ** (self.network.levels - 1)
        return -(-2 * self.optimiser.patch // grid) * grid, -(-8 // grid) * grid

    @property
    def refinement_boundary(self) -> Boundary | Literal["open"]:
        """Where light comes from in the refinement: "open", or how the image continues for the network."""
        return "open" if self.result.refine_border == "open" else self.boundary

    @property
    def trains_refined_stacks(self) -> bool:
        """Whether there is training on a widefield stack that is refined with its whole PSF."""
        return self.optimiser.steps > 0 and (not self.start.pretrained or self.start.far_light_training)

    @property
    def simulated_patches(self) -> int:
        """The number of patches of a batch that are blurred and made noisy again for the bootstrap: half of them.

        All of them did not give a better result.
        """
        return -(-self.optimiser.batch_size // 2) if Needs.SIMULATED in self.loss.weights.needs else 0

    def replace(self, **changes: Any) -> Self:
        """Return the same settings with some of them changed, by their flat names.

        Parameters
        ----------
        **changes : names such as ``steps``, ``features`` or ``device``, wherever they are in the parts; ``loss``
            is a `LossWeights`, a dictionary of weights or the name of one of the paper's losses.

        Raises
        ------
        ConfigError
            For an unknown name or a value that is not allowed.
        """
        parts: dict[str, Any] = flat_names.placed(changes)
        for part in flat_names.PARTS & set(parts):
            parts[part] = replace(getattr(self, part), **parts[part])
        return replace(self, **parts)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build settings from the output of `to_dict`, or from the flat dictionaries of version 0.1.

        Raises
        ------
        ConfigError
            If a name does not exist or occurs twice, or a value is not allowed.
        """
        return super().from_dict(flat_names.nested(values) if isinstance(values, Mapping) else values)


#: The settings of the shape and the input of the network. Weights fit only if all of them are equal.
ARCHITECTURE = ("features", "levels", "skip", "inverse_channels")
