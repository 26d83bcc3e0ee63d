"""Pre-train the initial weights: ``python -m selfdeconv_tools.pretraining --out FILE``.

Beside FILE stand its checkpoint (``FILE`` with the ending ``.checkpoint``) and a CSV with the validation curve.
A run that was interrupted goes on from the checkpoint. A run that ended goes on with another cycle of ``--steps``,
so that hours can be added run after run.

On a graphics card: ``--patches 128``, and ``--drawn FILE`` with scenes of
``python -m selfdeconv_tools.pretraining.problems``.

Weights for widefield stacks: ``--ndim 3 --stacks DIR --begin unet3d.safetensors --learning-rate 1.5e-3``.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from napari_selfdeconv._version import __version__
from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.initial_weights import write_weights
from napari_selfdeconv.network.model import Deconvolver, build_network, place
from selfdeconv_tools.numeric_arguments import above_zero
from selfdeconv_tools.pretraining.deeper import deepened, widened
from selfdeconv_tools.pretraining.hazy import HazyProblems
from selfdeconv_tools.pretraining.on_card import CardProblems
from selfdeconv_tools.pretraining.problems import Problems
from selfdeconv_tools.pretraining.training import Schedule, Source, train


def main() -> None:
    """Read the arguments, train, and write the weights in half precision."""
    parser = _parser()
    args = parser.parse_args()
    if args.stacks and (args.drawn or args.patches):
        parser.error("--drawn and --patches are of scenes: leave them out with --stacks")
    config = preset("quick", args.ndim)
    config = config.replace(levels=args.levels or config.network.levels)
    choice = device.choose_device(args.device, config.compute.precision)
    network = _network(config, args)
    place(network, choice, args.ndim)
    schedule = Schedule(
        args.steps, args.learning_rate, args.out.with_suffix(".checkpoint"), 60 * args.validate_every_min,
        60 * args.minutes,
    )  # fmt: skip
    with retained_memory():
        position = train(network, _source(config, args, choice.device), choice, schedule)
    given = args.stacks or args.drawn
    about = {"version": __version__, "steps": str(position.step), "hours": f"{position.seconds / 3600:.2f}",
             "scenes": str(given.name if given else args.scenes), "seed": str(args.seed),
             "began_as": (args.begin or args.deepen or Path("random")).name}  # fmt: skip
    write_weights(args.out, network.state_dict(), config, about)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.pretraining")
    parser.add_argument("--ndim", type=int, choices=(2, 3), default=2)
    parser.add_argument("--steps", type=above_zero(int), default=12_000, help="of a cycle (default: 12000)")
    parser.add_argument(
        "--minutes", type=above_zero(float), default=math.inf, help="a cycle ends after these at the latest"
    )
    parser.add_argument("--scenes", type=above_zero(int), default=6000)
    parser.add_argument(
        "--drawn", type=Path, metavar="FILE", help="scenes drawn before, instead of --scenes new ones"
    )
    parser.add_argument("--kernels", type=above_zero(int), default=500)
    parser.add_argument(
        "--patches", type=above_zero(int), help="make batches of so many patches on the device itself"
    )
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument(
        "--levels", type=above_zero(int), help="resolutions of the network (default: those of the preset)"
    )
    parser.add_argument("--stacks", type=Path, metavar="DIR", help="learn from these widefield stacks (3D)")
    parser.add_argument("--begin", type=Path, metavar="FILE", help="begin with these weights")
    parser.add_argument("--deepen", type=Path, metavar="FILE", help="begin with weights of one level less")
    parser.add_argument(
        "--validate-every-min", type=above_zero(float), default=10.0, help="minutes between checkpoints"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    return parser


def _source(config: TrainConfig, args: argparse.Namespace, device: torch.device) -> Source:
    if args.stacks:
        return HazyProblems(config, args.stacks, args.seed)
    drawn = (config, args.ndim, args.scenes, args.kernels, args.seed, args.drawn)
    return CardProblems(*drawn, device, args.patches) if args.patches else Problems(*drawn)


def _network(config: TrainConfig, args: argparse.Namespace) -> Deconvolver:
    network = build_network(config, np.ones((1,) * args.ndim, np.float32), takes_estimate=bool(args.stacks))
    if args.deepen:
        learned = {name.removeprefix("unet."): value for name, value in load_file(args.deepen).items()}
        network.unet.load_state_dict(deepened(network.unet, learned))
    if args.begin:
        learned = {n: v.float() if v.is_floating_point() else v for n, v in load_file(args.begin).items()}
        network.load_state_dict(widened(learned, network.state_dict()))
    return network


if __name__ == "__main__":
    main()
