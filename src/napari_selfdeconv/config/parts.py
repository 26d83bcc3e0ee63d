"""The parts of `TrainConfig`: each holds the settings that one stage of a run reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_selfdeconv.config.rules import Each, Number, Text, Whole
from napari_selfdeconv.config.settings import Settings

Precision = Literal["auto", "float32", "bfloat16"]
Schedule = Literal["halving", "one-cycle"]
Skip = Literal["concat", "add"]
RefineBorder = Literal["open", "network"]


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Settings):
    """The network, a U-Net, and its input.

    Attributes
    ----------
    features : channels at full resolution. More represent more kinds of structure, and cost time and memory.
    levels : number of resolutions (3 means two down-samplings). One more sees twice as far around a pixel.
    skip : how the two halves of the U-Net are joined.
    bn_momentum : how fast the statistics of batch normalisation follow the patches, 0 to 1. With 0 the statistics
        of the initial weights are used unchanged, in training and afterwards.
    inverse_channels : regularisations of the Wiener-filtered copies of the image given to the network beside it;
        () means the image alone. At most 16.

    Examples
    --------
    >>> NetworkSettings(features=16, levels=2).inverse_channels
    ()
    """

    features: Annotated[int, Whole(1, 1024)] = 24
    levels: Annotated[int, Whole(1, 6)] = 3
    skip: Skip = "concat"
    bn_momentum: Annotated[float, Number(0.0, 1.0)] = 0.05
    inverse_channels: Annotated[tuple[float, ...], Each(Number(1e-6, 1e6), most=16)] = ()


@dataclass(frozen=True, kw_only=True)
class BlindSpotSettings(Settings):
    """Which pixels are hidden from the network.

    Attributes
    ----------
    mask_percent : share of masked pixels in a patch, in percent, spread evenly. More learn faster from an image of
        which the network sees less.
    mask_percent_start : share at the first step. It falls by half every 138 steps until it reaches
        ``mask_percent`` (SSI). None means ``mask_percent`` throughout.
    mask_sigma : standard deviation of the noise put into masked pixels, in standard deviations of the image.
    held_out_percent : share of pixels that training never sees and that measure its error, in percent.

    Examples
    --------
    >>> BlindSpotSettings(mask_percent=5, held_out_percent=2).mask_sigma
    0.2
    """

    mask_percent: Annotated[float, Number(0.0, 50.0, open_low=True)] = 0.5
    mask_percent_start: Annotated[float | None, Number(0.0, 50.0, open_low=True)] = None
    mask_sigma: Annotated[float, Number(0.0, 100.0)] = 0.2
    held_out_percent: Annotated[float, Number(0.0, 20.0)] = 0.0


@dataclass(frozen=True, kw_only=True)
class OptimiserSettings(Settings):
    """How the weights are optimised (Adam).

    Attributes
    ----------
    steps : number of optimiser steps; 0 uses the initial weights as they are. More fit the image more closely, at
        the end also its noise.
    batch_size : number of patches in a step.
    patch : side of a patch in voxels, several times the PSF; less on an axis that is shorter.
    learning_rate : learning rate of Adam; the highest one of the schedule.
    schedule : "halving" every ``halve_every`` steps, or "one-cycle".
    augment : flip and rotate patches in the ways that leave the PSF unchanged.
    auto_stop : end when the error of the held-out pixels no longer falls, and use the best weights.

    Examples
    --------
    >>> OptimiserSettings(steps=100, learning_rate=5e-4).schedule
    'one-cycle'
    """

    steps: Annotated[int, Whole(0, 10_000_000)] = 300
    batch_size: Annotated[int, Whole(1, 4096)] = 8
    patch: Annotated[int, Whole(8, 4096)] = 128
    learning_rate: Annotated[float, Number(0.0, 1.0, open_low=True)] = 1e-3
    schedule: Schedule = "one-cycle"
    halve_every: Annotated[int, Whole(1, 10_000_000)] = 500
    augment: bool = True
    auto_stop: bool = False


@dataclass(frozen=True, kw_only=True)
class StartSettings(Settings):
    """The weights that training starts from, and the choices that these allow.

    Attributes
    ----------
    pretrained : start from initial weights learned on generated scenes, not from random ones.
    weight_interpolation : when training ends, go back to the initial weights unless the trained ones predict the
        held-out pixels better.
    trial : share of the steps after which training ends if held-out pixels are predicted clearly worse than by the
        initial weights; these give the result then. 0 makes all steps.
    model_clipping : if the image is clipped at its lowest value, compare the data with the expected clipped value
        of g(f(x)). Without this the network learns the clipping bias as background. Clipping is detected from the
        residual of the initial weights.
    far_light_training : whether the initial weights are trained on a widefield stack that is refined with its
        whole PSF. On average the refined results of simulated stacks were no better with training, which took
        ten times as long.

    Examples
    --------
    >>> StartSettings(pretrained=True, weight_interpolation=True).trial
    0.0
    """

    pretrained: bool = False
    weight_interpolation: bool = False
    trial: Annotated[float, Number(0.0, 1.0)] = 0.0
    model_clipping: bool = False
    far_light_training: bool = False


@dataclass(frozen=True, kw_only=True)
class ResultSettings(Settings):
    """How the result is computed from the image with the trained network.

    Attributes
    ----------
    average_symmetries : average over the flips and rotations that leave the PSF unchanged. The result has less
        noise and no checkerboard.
    views : average over at most this many of these views, spread evenly; 0 means all of them. A symmetric PSF has
        8 in 2D and 16 in 3D. The time of the prediction grows with them.
    calibrate : give the result the gain and offset with which the reblurred result fits the image best.
    refine : continue with Richardson-Lucy from the result while held-out pixels are predicted better. The result
        is sharper if the image has little noise.
    refine_border : where light comes from in the refinement. "open": light from outside the image is part of the
        estimate and is cropped at the end. "network": the image continues as it does for the network.
    even_border : if the image gets dark towards its border, brighten the border before all other steps.

    Examples
    --------
    >>> ResultSettings(average_symmetries=True, views=4).refine
    False
    """

    average_symmetries: bool = False
    views: Annotated[int, Whole(0, 64)] = 0
    calibrate: bool = False
    refine: bool = False
    refine_border: RefineBorder = "network"
    even_border: bool = False


@dataclass(frozen=True, kw_only=True)
class ComputeSettings(Settings):
    """Device and precision. "auto" chooses the device, and bfloat16 if the device computes fast in it.

    Attributes
    ----------
    device : "auto", "cpu", "cuda", "cuda:N" or "mps".
    precision : "auto", "float32" or "bfloat16".

    Examples
    --------
    >>> ComputeSettings(device="cpu").precision
    'auto'
    """

    device: Annotated[str, Text("auto, cpu, cuda, cuda:N or mps")] = "auto"
    precision: Precision = "auto"
