"""The command ``selfdeconv``: its arguments and its exit status. What it does lives in `cli.commands`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, get_args

import napari_selfdeconv
from napari_selfdeconv.api import METHODS, MODELS, Border, Parameter, benchmark_names, describe_default
from napari_selfdeconv.cli import benchmark, commands, info
from napari_selfdeconv.cli.terminal import interruptible, say, warnings_as_lines
from napari_selfdeconv.config.loss_terms import LOSSES
from napari_selfdeconv.config.presets import preset_names
from napari_selfdeconv.errors import Cancelled, SelfDeconvError, reason_of
from napari_selfdeconv.stop_token import StopToken

_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"selfdeconv: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``selfdeconv``; return its exit status (`run`)."""
    return run(_parser(), argv)


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Run what ``parser`` finds in the arguments; return the exit status.

    0 is success, 1 is a benchmark that became slower, 2 is bad input, 130 is an interruption.
    """
    # Spinning OpenMP threads collapse on a busy machine; this must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = parser.parse_args(argv)
    token = StopToken()
    try:
        with interruptible(token, args.interrupt), warnings_as_lines():
            status: int | None = args.run(args, token)
    except (Cancelled, KeyboardInterrupt):
        say("stopped; nothing was written")
        return _INTERRUPTED
    except (SelfDeconvError, OSError, MemoryError) as error:
        say(reason_of(error))
        return 2
    return _INTERRUPTED if token.stopped else status or 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="selfdeconv", description=napari_selfdeconv.__doc__)
    parser.add_argument("--version", action="version", version=napari_selfdeconv.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name, add, text in (
        ("info", _add_info, "print what a file states about image and microscope, and what is missing"),
        ("psf", _add_psf, "compute a PSF from the optics"),
        ("deconvolve", _add_deconvolve, "train on one image and write it deconvolved"),
        ("apply", _add_apply, "deconvolve an image with a saved model"),
        ("rl", _add_rl, "Richardson-Lucy at several iteration counts"),
        ("classical", _add_classical, "a classical method that chooses the settings that are not given"),
        ("degrade", _add_degrade, "blur and corrupt a truth as the benchmark does"),
        ("evaluate", _add_evaluate, "score a result against the truth, or against its image and PSF"),
        ("benchmark", _add_benchmark, "measure how good the methods are, and how fast"),
    ):
        add(commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))
    return parser


def _add_info(p: argparse.ArgumentParser) -> None:
    _add_image(p)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=info.run_info, interrupt=None)


def _add_image(p: argparse.ArgumentParser, name: str = "image") -> None:
    p.add_argument(name, type=Path)
    _add_which(p)


def _add_which(p: argparse.ArgumentParser) -> None:
    """Add what says which image of a file is meant, and how its axes are to be read."""
    p.add_argument("--series", type=int, metavar="N", help="number of the image in a file of several, from 0")
    p.add_argument("--axes", metavar="ZYX", help="names of the axes, where the file names them wrongly")


def _add_psf(p: argparse.ArgumentParser) -> None:
    _add_optics(p, required=True)
    p.add_argument("--voxel-um", type=float, nargs="+", required=True, metavar="UM", help="[DZ] DY DX")
    p.add_argument("--shape", type=int, nargs="+", required=True, metavar="N", help="[NZ] NY NX")
    _add_files(p)
    p.set_defaults(run=commands.run_psf, interrupt=None)


def _add_deconvolve(p: argparse.ArgumentParser) -> None:
    _add_image(p)
    p.add_argument("--psf", type=Path, help="PSF file; used as it is, but for resampling and its sum")
    _add_optics(p, required=False)
    p.add_argument("--voxel-um", type=float, nargs="+", metavar="UM", help="[DZ] DY DX; default: the file's")
    p.add_argument("--preset", choices=preset_names(), help="default: quick")
    p.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="all settings of an earlier run; no other settings beside it",
    )
    p.add_argument(
        "--loss", choices=tuple(LOSSES), help="one of the paper's losses; training starts from random weights"
    )
    p.add_argument("--steps", type=int)
    p.add_argument("--random-start", action="store_true", help="not from the pre-trained weights")
    p.add_argument("--no-refine", action="store_true", help="leave the network's result as it is")
    p.add_argument("--even-border", action="store_true", help="brighten an image that is dark at its border")
    p.add_argument("--seed", type=int, help="default: 0")
    p.add_argument("--device", help="auto (the default), cpu, cuda, cuda:N or mps")
    p.add_argument("--save-model", type=Path, metavar="FILE.safetensors")
    _add_out(p)
    p.set_defaults(run=commands.run_deconvolve, interrupt="keep")


def _add_apply(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path)
    _add_image(p)
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    _add_out(p)
    p.set_defaults(run=commands.run_apply, interrupt="discard")


def _add_rl(p: argparse.ArgumentParser) -> None:
    _add_image(p)
    _add_psf_choice(p)
    p.add_argument("--iterations", type=int, nargs="+", default=[2, 5, 10, 20], metavar="N")
    _add_border(p)
    _add_mask(p)
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    _add_out(p, "DIR")
    p.set_defaults(run=commands.run_rl, interrupt="keep")


def _add_classical(p: argparse.ArgumentParser) -> None:
    _add_image(p)
    _add_psf_choice(p)
    p.add_argument("--method", choices=tuple(METHODS), required=True, help=_names_of_methods())
    p.add_argument("--iterations", type=int, help=f"default: {describe_default('iterations')}")
    p.add_argument("--regularisation", type=float, help=f"default: {describe_default('regularisation')}")
    p.add_argument("--median-guard", action="store_true", help="replace lone bright or dark pixels first")
    _add_border(p)
    _add_mask(p)
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    _add_out(p)
    p.set_defaults(run=commands.run_classical, interrupt="keep")


def _add_psf_choice(p: argparse.ArgumentParser) -> None:
    p.add_argument("--psf", type=Path, help="PSF file; or give the optics, for a PSF as large as its light")
    _add_optics(p, required=False)
    p.add_argument("--voxel-um", type=float, nargs="+", metavar="UM", help="[DZ] DY DX; default: the file's")


def _add_border(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--boundary",
        choices=get_args(Border),
        help="open: light from outside the image is free; reflect: the image continues as its mirror image; zero: "
        "no light comes from outside. Default: open where the method knows it",
    )
    p.add_argument(
        "--background",
        type=float,
        metavar="LEVEL",
        help="light that comes from no object, such as the camera's offset; default: estimated with open, else 0",
    )


def _add_mask(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--mask",
        metavar="FILE",
        help="image that is not 0 where a pixel is no measurement; auto finds saturated pixels, dead rows and "
        "columns, black areas and NaN",
    )


def _names_of_methods() -> str:
    return ", ".join(f"{key}: {method.title}" for key, method in METHODS.items())


def _add_degrade(p: argparse.ArgumentParser) -> None:
    _add_image(p, "truth")
    p.add_argument("--psf", type=Path, required=True)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--no-salt", action="store_true", help="no salt-and-pepper pixels (as in 3D)")
    _add_files(p)
    p.set_defaults(run=commands.run_degrade, interrupt=None)


def _add_evaluate(p: argparse.ArgumentParser) -> None:
    p.add_argument("result", type=Path)
    p.add_argument("truth", type=Path, nargs="?")
    p.add_argument(
        "--units", choices=("auto", "truth", "unit"), default="auto",
        help="unit of the result: intensities of the truth, or 0 and 1 for its lowest and highest; default: auto, "
        "from the numbers",
    )  # fmt: skip
    p.add_argument("--image", type=Path, help="without a truth: the recorded image")
    _add_which(p)
    p.add_argument("--psf", type=Path, help="without a truth: its PSF")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=commands.run_evaluate, interrupt=None)


def _add_benchmark(p: argparse.ArgumentParser) -> None:
    kinds = p.add_subparsers(required=True, metavar="KIND", parser_class=Parser)
    for name, add, text in (
        ("quality", _add_quality, "how good: methods on truth images, degraded by the paper's protocol"),
        ("validation", _add_validation, "whether the held-out error knows what the truth knows"),
        ("widefield", _add_widefield, "stacks as a microscope records them: light from everywhere, and haze"),
        ("real", _add_real, "how well results predict pixels that no method saw, on images without a truth"),
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


def _add_real(p: argparse.ArgumentParser) -> None:
    p.add_argument("--images", type=Path, required=True, metavar="DIR", help="recorded images (PNG, TIFF or NPY)")
    p.add_argument("--psf", type=Path, required=True, help="the PSF they were recorded with")
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
        "--field", type=int, nargs=3, default=(40, 112, 112), metavar=("Z", "Y", "X"), help="default: 40 112 112"
    )
    p.add_argument(
        "--methods", nargs="+", default=["input", "rl-auto", "tv-auto"],
        help="as for quality; default: input rl-auto tv-auto",
    )  # fmt: skip
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    p.add_argument("--out", type=Path, required=True, metavar="DIR")
    p.set_defaults(run=benchmark.run_widefield, interrupt="keep")


def _add_blur(p: argparse.ArgumentParser) -> None:
    p.add_argument("--psf", type=Path, help="the PSF that blurs the truths; default: the paper's kernel, computed")


def _add_where(p: argparse.ArgumentParser) -> None:
    p.add_argument("--crop", type=int, help="side of the centre crop; default: whole images")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    p.add_argument("--out", type=Path, required=True, metavar="DIR")


def _add_optics(p: argparse.ArgumentParser, *, required: bool) -> None:
    p.add_argument("--na", type=float, required=required, help="numerical aperture")
    p.add_argument("--wavelength-um", type=float, required=required, help="emission wavelength, um")
    p.add_argument("--refractive-index", type=float, required=required, help="of the immersion")
    p.add_argument("--defocus-um", type=float, default=0.0, help="shift of the focus, um")
    p.add_argument("--psf-model", choices=tuple(MODELS), help="default: the one that has the parameters given")
    for parameter, titles in _parameters_of_models().values():
        p.add_argument(parameter.flag, type=float, help=f"{', '.join(titles)}: {parameter.summary}")


def _parameters_of_models() -> dict[str, tuple[Parameter, list[str]]]:
    """Return each parameter once, with the titles of the models that have it."""
    found: dict[str, tuple[Parameter, list[str]]] = {}
    for model in MODELS.values():
        for parameter in model.parameters:
            found.setdefault(parameter.name, (parameter, []))[1].append(model.title.lower())
    return found


def _add_out(p: argparse.ArgumentParser, metavar: str = "OUT.ome.tif") -> None:
    _add_files(p, metavar)
    p.add_argument("--json", action="store_true", help="print one JSON object last")


def _add_files(p: argparse.ArgumentParser, metavar: str = "OUT.ome.tif") -> None:
    p.add_argument("--out", type=Path, required=True, metavar=metavar)
    p.add_argument("--overwrite", action="store_true", help="replace files that are there already")
