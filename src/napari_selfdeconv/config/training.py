"""Every setting, validated once, where it is made. Lengths in micrometres, never pixels of unknown size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from napari_selfdeconv.config.checks import Settings, check_choice, check_number, check_whole
from napari_selfdeconv.errors import ConfigError

Device = str
Precision = Literal["auto", "float32", "bfloat16"]
Boundary = Literal["reflect", "replicate"]
Schedule = Literal["halving", "one-cycle"]
DataTerm = Literal["square", "huber"]
Skip = Literal["concat", "add"]
LossName = Literal["noise2self", "noise2same", "noise2same_d"]


@dataclass(frozen=True, kw_only=True)
class LossWeights(Settings):
    """Weights of the paper's six terms (method.md) and of three of ours. Zero = not computed.

    ``tv`` is the total variation of f(x); ``anchor`` keeps f near what it was when training began; ``bootstrap``
    has f recover its own first result from that result, blurred and made noisy anew. The last two need weights to
    begin with (`TrainConfig.pretrained`, or a model to go on from).
    """

    bsp: float = 0.0
    rec: float = 0.0
    inv: float = 0.0
    inv_d: float = 0.0
    bound: float = 0.0
    bound_d: float = 0.0
    tv: float = 0.0
    anchor: float = 0.0
    bootstrap: float = 0.0

    @property
    def holds_on(self) -> str:
        """The first of the active terms that needs weights to begin with, or ""."""
        return next((name for name in ("anchor", "bootstrap") if getattr(self, name) > 0), "")

    def __post_init__(self) -> None:
        for f in fields(self):
            check_number(f"loss weight {f.name}", getattr(self, f.name), 0.0, 1e6)
        if self.bsp == 0 and self.rec == 0:
            raise ConfigError(
                "one of the loss weights bsp and rec must be above 0: nothing else looks at the data"
            )


LOSSES: Mapping[str, LossWeights] = {
    "noise2self": LossWeights(bsp=1.0),
    "noise2same": LossWeights(rec=1.0, inv=2.0),
    "noise2same_d": LossWeights(rec=1.0, inv_d=2.0),
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """Everything that decides what a training run computes. Make one with `preset`.

    Attributes
    ----------
    loss : weights of the loss terms.
    steps, batch_size, patch : optimiser steps, patches a step, patch side in voxels (less on a short axis).
    learning_rate, schedule, halve_every : Adam; "halving" every ``halve_every`` steps, or "one-cycle".
    mask_percent : share of masked pixels in percent, stratified; mask_sigma : noise put there, in standard units.
    mask_percent_start : share at the first step, from which it falls to ``mask_percent`` by half every 138 steps
        (SSI); None = the same throughout.
    data_term, huber_delta : square or Huber loss for bsp and rec; delta in standard units.
    features, levels, skip : the U-Net; ``levels`` counts resolutions (3 = two down-samplings).
    bn_momentum : how fast batch norm's statistics follow the patches, 0 to 1; with 0 those that came with the
        weights are kept, in training as afterwards.
    inverse_channels : regularisations of the Wiener-filtered copies given to the network; () = image only.
    augment : flips and rotations in training, those that leave the PSF unchanged.
    pretrained : start from weights learned on generated scenes in place of random ones.
    blend_start : when training ends, go back towards the weights it began with as far as held-out pixels are not
        predicted measurably worse by it; all the way where training gained nothing.
    model_cut_off : where noise is cut off at black, compare the image with what that makes of g(f(x)), brighter in
        the dark, or f would learn that light. Whether it is, the weights that training begins with tell.
    average_symmetries : average the result over the same flips and rotations.
    held_out_percent : share of pixels held out of training to measure its blind-spot error, in percent; 0 = none.
    calibrate : give the result the gain and offset with which, blurred again, it fits the image best.
    refine : put back what the residual x - g(f(x)) still holds, as long as held-out pixels gain (`refinement`).
    even_border : make an image that ends in darkness as bright at its border as further in, before anything else.
    auto_stop : end when the held-out error no longer falls, and keep the best weights.
    boundary : how the image continues outside its border.
    seed, device, precision : "auto" picks the device, and bfloat16 where the processor has it.
    """

    name: str = "custom"
    loss: LossWeights = field(default_factory=lambda: LOSSES["noise2same_d"])
    steps: int = 300
    batch_size: int = 8
    patch: int = 128
    learning_rate: float = 1e-3
    schedule: Schedule = "one-cycle"
    halve_every: int = 500
    mask_percent: float = 0.5
    mask_percent_start: float | None = None
    mask_sigma: float = 0.2
    data_term: DataTerm = "square"
    huber_delta: float = 1.0
    features: int = 24
    levels: int = 3
    skip: Skip = "concat"
    bn_momentum: float = 0.05
    inverse_channels: tuple[float, ...] = ()
    augment: bool = True
    pretrained: bool = False
    blend_start: bool = False
    model_cut_off: bool = False
    average_symmetries: bool = False
    calibrate: bool = False
    refine: bool = False
    even_border: bool = False
    held_out_percent: float = 0.0
    auto_stop: bool = False
    boundary: Boundary = "reflect"
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        check_whole("steps", self.steps, 1, 10_000_000)
        check_whole("batch_size", self.batch_size, 1, 4096)
        check_whole("patch", self.patch, 8, 4096)
        check_number("learning_rate", self.learning_rate, 0.0, 1.0, open_low=True)
        check_choice("schedule", self.schedule, get_args(Schedule))
        check_whole("halve_every", self.halve_every, 1, 10_000_000)
        check_number("mask_percent", self.mask_percent, 0.0, 50.0, open_low=True)
        if self.mask_percent_start is not None:
            check_number("mask_percent_start", self.mask_percent_start, 0.0, 50.0, open_low=True)
        check_number("mask_sigma", self.mask_sigma, 0.0, 100.0)
        check_choice("data_term", self.data_term, get_args(DataTerm))
        check_number("huber_delta", self.huber_delta, 0.0, 1e6, open_low=True)
        check_whole("features", self.features, 1, 1024)
        check_whole("levels", self.levels, 1, 6)
        check_choice("skip", self.skip, get_args(Skip))
        check_number("bn_momentum", self.bn_momentum, 0.0, 1.0)
        for value in self.inverse_channels:
            check_number("inverse_channels", value, 1e-6, 1e6)
        check_number("held_out_percent", self.held_out_percent, 0.0, 20.0)
        for name in ("auto_stop", "blend_start", "model_cut_off"):
            if getattr(self, name) and self.held_out_percent == 0:
                raise ConfigError(f"{name} needs held-out pixels: held_out_percent must be above 0, got 0")
        check_choice("boundary", self.boundary, get_args(Boundary))
        check_whole("seed", self.seed, 0, 2**31 - 1)
        if not isinstance(self.device, str) or not self.device:
            raise ConfigError(f"device must be auto, cpu, cuda, cuda:N or mps, got {self.device!r}")
        check_choice("precision", self.precision, get_args(Precision))

    @property
    def first_cell(self) -> tuple[int, int]:
        """Side of the cells that the first result is computed in, and how far each sees around itself, voxels.

        Two patches, and 8 voxels (a patch sees nothing beyond its border), both on the grid of the down-sampling.
        """
        grid = 2 ** (self.levels - 1)
        return -(-2 * self.patch // grid) * grid, -(-8 // grid) * grid

    @property
    def recorded_anew(self) -> int:
        """How many patches of a batch are recorded anew for the bootstrap: half, which does as well as all."""
        return -(-self.batch_size // 2) if self.loss.bootstrap > 0 else 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        values = dict(values)
        if isinstance(values.get("loss"), Mapping):
            values["loss"] = LossWeights.from_dict(values["loss"])
        return super().from_dict(values)


#: What decides the shape and the input of the network; weights fit only where all of it is the same.
ARCHITECTURE = ("features", "levels", "skip", "inverse_channels")
