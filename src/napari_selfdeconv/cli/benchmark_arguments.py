"""The arguments of ``selfdeconv benchmark``."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_selfdeconv.api import benchmark_names
from napari_selfdeconv.cli import benchmark
from napari_selfdeconv.cli.options import add_part


def add_benchmark(p: argparse.ArgumentParser) -> None:
    kinds = p.add_subparsers(required=True, metavar="KIND", parser_class=type(p))
    for name, add, text in (
        ("quality", _add_quality, "quality of methods on truth images that are degraded by the paper's protocol"),
        ("validation", _add_validation, "how well the held-out error predicts the error against the truth"),
        ("coverage", _add_coverage, "whether the 90 percent intervals contain 90 percent of the true values"),
        ("widefield", _add_widefield, "simulated stacks with haze: light from other planes and from outside"),
        ("real", _add_real, "how well results predict held-out pixels, on images without a truth"),
        (
            "trust",
            _add_trust,
            "structure that methods invent from noise, points, lines, camera faults and wrong PSFs",
        ),
    ):
        add(kinds.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))


def _add_quality(p: argparse.ArgumentParser) -> None:
    p.add_argument("--images", type=Path, metavar="DIR", help="truth images or volumes (PNG, TIFF or NPY)")
    p.add_argument(
        "--volume", type=int, nargs=3, metavar=("Z", "Y", "X"), help="also a generated volume of microtubules"
    )
    _add_blur(p)
    p.add_argument(
        "--methods", nargs="+", default=["input", "rl", "quick,even_border=true"],
        help=f"default: input rl quick,even_border=true. Of input, {', '.join(benchmark_names())}, tv-cg, "
        "or networks as preset[:loss[+bound]][@seed][,field=value...]: quick, standard@1, paper:noise2self+bound, "
        "quick,steps=50; those with fixed settings also as rl:30+50",
    )  # fmt: skip
    p.add_argument(
        "--noise", default="protocol", help="protocol (default), gaussian:SIGMA of the range, or poisson:PHOTONS"
    )
    _add_where(p)
    p.set_defaults(run=benchmark.run_quality, interrupt="keep")


def _add_validation(p: argparse.ArgumentParser) -> None:
    p.add_argument("--images", type=Path, required=True, metavar="DIR", help="truth images (PNG, TIFF or NPY)")
    _add_blur(p)
    p.add_argument("--methods", nargs="+", default=["quick"], help="networks, as for quality; default: quick")
    _add_where(p)
    p.set_defaults(run=benchmark.run_validation, interrupt="keep")


def _add_coverage(p: argparse.ArgumentParser) -> None:
    p.add_argument("--images", type=Path, metavar="DIR", help="truth images or volumes (PNG, TIFF or NPY)")
    _add_blur(p)
    p.add_argument(
        "--noise", nargs="+", default=["protocol"], help="as for quality, one or several; default: protocol"
    )
    p.add_argument("--seeds", type=int, nargs="+", default=[], metavar="N", help="of simulated widefield stacks")
    p.add_argument("--method", default="quick", help="network, as for quality; default: quick")
    _add_where(p)
    p.set_defaults(run=benchmark.run_coverage, interrupt="keep")


def _add_real(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="recorded images (PNG, TIFF or NPY) whose held-out pixels are predicted",
    )
    p.add_argument(
        "--pairs", type=Path, metavar="DIR",
        help="images NAME_1frame.tif, each beside the mean of many frames of the same field, NAME_400frames.tif",
    )  # fmt: skip
    p.add_argument(
        "--lines", type=Path, metavar="FILE", help="image of parallel lines; measures their contrast and the noise"
    )
    p.add_argument("--stack", type=Path, metavar="FILE", help="stack that is dark above and below the object")
    add_part(p, "image", "series", "axes", "voxel_um")
    add_part(p, "psf", "file")
    add_part(p, "optics")
    p.add_argument(
        "--methods", nargs="+", default=["input", "rl-auto", "tv-auto", "quick"],
        help="as for quality; default: input rl-auto tv-auto quick",
    )  # fmt: skip
    _add_where(p)
    p.set_defaults(run=benchmark.run_real, interrupt="keep")


def _add_widefield(p: argparse.ArgumentParser) -> None:
    p.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    p.add_argument("--microscope", choices=("widefield", "confocal"), default="widefield")
    p.add_argument(
        "--defects", nargs="+", choices=("star", "column", "quadrant"), default=[],
        help="also stacks with a saturated body, a dead column or a black quadrant; and the light beside them",
    )  # fmt: skip
    p.add_argument(
        "--field", type=int, nargs=3, default=(40, 112, 112), metavar=("Z", "Y", "X"), help="default: 40 112 112"
    )
    p.add_argument(
        "--methods", nargs="+", default=["input", "rl-auto", "tv-auto"],
        help="as for quality; default: input rl-auto tv-auto",
    )  # fmt: skip
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    p.add_argument("--out", type=Path, required=True, metavar="DIR")
    p.set_defaults(run=benchmark.run_widefield, interrupt="keep")


def _add_trust(p: argparse.ArgumentParser) -> None:
    p.add_argument("--scenes", nargs="+", metavar="NAME", help="default: all; a wrong name lists them")
    p.add_argument(
        "--methods", nargs="+", default=["quick", "instant", "rl-auto", "tv-auto", "rlgc-auto"],
        help="as for quality; default: quick instant rl-auto tv-auto rlgc-auto. RL, TV and RLGC also run at the "
        "settings at which they fit the image as well as the first method",
    )  # fmt: skip
    p.add_argument("--size", type=int, default=96, metavar="PIXELS", help="of the scenes, 64 or more; default: 96")
    p.add_argument("--seed", type=int, default=0, metavar="N")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    p.add_argument("--out", type=Path, required=True, metavar="DIR")
    p.set_defaults(run=benchmark.run_trust, interrupt="keep")


def _add_blur(p: argparse.ArgumentParser) -> None:
    p.add_argument("--psf", type=Path, help="the PSF that blurs the truths; default: the paper's kernel, computed")


def _add_where(p: argparse.ArgumentParser) -> None:
    p.add_argument("--crop", type=int, help="side of the centre crop; default: whole images")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    p.add_argument("--out", type=Path, required=True, metavar="DIR")
