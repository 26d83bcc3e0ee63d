"""The command ``selfdeconv``: its arguments and its exit status. What the commands do lives beside this file."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import napari_selfdeconv
from napari_selfdeconv.api import METHODS, benchmark_names, describe_default
from napari_selfdeconv.cli import batch, benchmark, deconvolve, info, psf, scores, settings
from napari_selfdeconv.cli.options import add_config, add_part, add_training
from napari_selfdeconv.cli.terminal import interruptible, say, set_verbosity, warnings_as_lines
from napari_selfdeconv.errors import Cancelled, SelfDeconvError, reason_of
from napari_selfdeconv.stop_token import StopToken

_INTERRUPTED = 130
_READING = ("series", "axes", "voxel_um", "channel", "time", "z", "crop")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"selfdeconv: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``selfdeconv``; return its exit status (`run`)."""
    return run(make_parser(), argv)


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Run what ``parser`` finds in the arguments; return the exit status.

    0 is success. 1 says that something of many failed: files of a folder, a benchmark that became slower, a PSF
    with problems. 2 is bad input, 130 is an interruption.
    """
    # Spinning OpenMP threads collapse on a busy machine; this must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = parser.parse_args(argv)
    verbosity = getattr(args, "verbosity", 0)
    set_verbosity(verbosity)
    token = StopToken()
    try:
        with interruptible(token, args.interrupt), warnings_as_lines():
            status: int | None = args.run(args, token)
    except (Cancelled, KeyboardInterrupt):
        say("stopped; nothing was written", always=True)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe had enough; Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SelfDeconvError, OSError, MemoryError) as error:
        if verbosity > 0:
            traceback.print_exc(file=sys.stderr)
        say(reason_of(error), always=True)
        return 2
    return _INTERRUPTED if token.stopped else status or 0


class Command(NamedTuple):
    """A row of the table of commands."""

    name: str
    add: Callable[[argparse.ArgumentParser], None]
    summary: str
    example: str


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command ``selfdeconv``."""
    parser = Parser(prog="selfdeconv", description=napari_selfdeconv.__doc__)
    parser.add_argument("--version", action="version", version=napari_selfdeconv.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        text = command.summary[0].upper() + command.summary[1:] + "."
        added = commands.add_parser(
            command.name,
            help=command.summary,
            description=text,
            epilog=f"example:\n  selfdeconv {command.name} {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add(added)
        said = added.add_mutually_exclusive_group()
        said.add_argument(
            "-q", "--quiet", dest="verbosity", action="store_const", const=-1, default=0,
            help="print warnings and errors only",
        )  # fmt: skip
        said.add_argument(
            "-v", "--verbose", dest="verbosity", action="store_const", const=1,
            help="print the progress every second, and where an error arose",
        )  # fmt: skip
    return parser


def _add_info(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path)
    add_part(p, "image", "series", "axes")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=info.run_info, interrupt=None)


def _add_light(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path, help="a series or a stack")
    add_part(p, "image", *_READING)
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=info.run_light, interrupt=None)


def _add_template(p: argparse.ArgumentParser) -> None:
    add_config(p)
    _add_all_parts(p)
    p.add_argument("--out", type=Path, metavar="FILE.toml", help="default: print it")
    p.add_argument("--overwrite", action="store_true", help="replace a file that is there already")
    p.set_defaults(run=settings.run_template, interrupt=None)


def _add_completion(p: argparse.ArgumentParser) -> None:
    p.add_argument("shell", choices=("bash", "zsh", "tcsh", "fish"))
    p.set_defaults(run=settings.run_completion, interrupt=None, make_parser=make_parser)


def _add_psf(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--image", type=Path, help="image that the PSF is for: voxel size, optics and size come from it"
    )
    p.add_argument(
        "--shape", type=int, nargs="+", metavar="N", help="[NZ] NY NX, voxels; default: compact, for the image"
    )
    add_config(p)
    add_part(p, "image", *_READING)
    add_part(p, "optics")
    _add_files(p)
    p.set_defaults(run=psf.run_psf, interrupt=None)


def _add_prepare_psf(p: argparse.ArgumentParser) -> None:
    p.add_argument("psf", type=Path)
    p.add_argument("--image", type=Path, help="image that it is for: its voxel size and its size count")
    p.add_argument("--leave", nargs="+", metavar="KEY", help="findings that are not repaired, such as centre")
    add_part(p, "image", "series", "axes", "voxel_um")
    p.add_argument("--out", type=Path, metavar="OUT.ome.tif", help="the repaired PSF; without it, only the report")
    p.add_argument("--overwrite", action="store_true", help="replace a file that is there already")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=psf.run_prepare_psf, interrupt=None)


def _add_beads(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path, help="image of single beads, smaller than the PSF")
    add_part(p, "image", *_READING)
    p.add_argument(
        "--window-um",
        type=float,
        nargs="+",
        metavar="UM",
        help="size of the PSF, [Z] Y X; default: from the beads",
    )
    p.add_argument(
        "--threshold", type=float, help="least height of a bead, in the image's units; default: from the image"
    )
    p.add_argument("--rotational", action="store_true", help="average over all angles about the optical axis")
    _add_out(p)
    p.set_defaults(run=psf.run_beads, interrupt="discard")


def _add_shifts(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path, help="beads that are seen in all channels")
    add_part(p, "image", "series", "axes", "voxel_um", "time", "z", "crop")
    p.add_argument("--reference", type=int, default=0, metavar="N", help="channel that the others are put onto")
    p.add_argument(
        "--within-um", type=float, default=1.5, metavar="UM", help="largest shift of a bead, um; default: 1.5"
    )
    p.add_argument("--save", type=Path, metavar="FILE.toml", help="file of the microscope to store the shifts in")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.set_defaults(run=psf.run_shifts, interrupt="discard")


def _add_deconvolve(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path)
    add_config(p)
    add_part(p, "image")
    add_part(p, "psf")
    add_part(p, "optics")
    add_training(p)
    add_part(p, "method", "mask", "device")
    p.add_argument("--save-model", type=Path, metavar="FILE.safetensors")
    _add_result(p)
    _add_resume(p)
    p.set_defaults(run=deconvolve.run_deconvolve, interrupt="keep")


def _add_series(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path, help="with time points, channels or both")
    add_config(p)
    _add_all_parts(p, output=False)
    p.add_argument(
        "--train-on", choices=("sampled", "current"), default="sampled",
        help="time points to train on: several, spread evenly (default), or the first alone",
    )  # fmt: skip
    p.add_argument("--frames", type=int, default=4, metavar="N", help="how many are sampled; default: 4")
    p.add_argument(
        "--save-model",
        type=Path,
        metavar="FILE.safetensors",
        help="models of further channels end in _c1, _c2, ...",
    )
    _add_result(p)
    _add_resume(p)
    p.set_defaults(run=deconvolve.run_series, interrupt="keep")


def _add_apply(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path)
    p.add_argument("image", type=Path)
    add_config(p)
    add_part(p, "image")
    add_part(p, "method", "mask", "device")
    _add_result(p)
    p.set_defaults(run=deconvolve.run_apply, interrupt="discard")


def _add_uncertainty(p: argparse.ArgumentParser) -> None:
    p.add_argument("model", type=Path, help="trained on this image, by deconvolve --save-model")
    p.add_argument("image", type=Path)
    add_part(p, "image")
    p.add_argument(
        "--samples", type=int, default=3, metavar="N", help="other recordings that are simulated; default: 3"
    )
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of their noise; default: 0")
    p.add_argument(
        "--other",
        type=Path,
        nargs="+",
        default=[],
        metavar="MODEL",
        help="models for the same image, such as of another seed: where they disagree the mask is set",
    )
    add_part(p, "method", "mask", "device")
    _add_result(p)
    p.set_defaults(run=deconvolve.run_uncertainty, interrupt="discard")


def _add_rl(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path)
    add_config(p)
    add_part(p, "image")
    add_part(p, "psf")
    add_part(p, "optics")
    p.add_argument(
        "--iterations", type=int, nargs="+", default=[2, 5, 10, 20], metavar="N", help="default: 2 5 10 20"
    )
    add_part(p, "method", "boundary", "background", "mask", "device")
    _add_result(p, "DIR")
    p.set_defaults(run=deconvolve.run_rl, interrupt="keep")


def _add_classical(p: argparse.ArgumentParser) -> None:
    p.add_argument("image", type=Path)
    add_config(p)
    add_part(p, "image")
    add_part(p, "psf")
    add_part(p, "optics")
    add_part(p, "method")
    p.epilog = f"{_about_methods()}\n\n{p.epilog}"
    _add_result(p)
    p.set_defaults(run=deconvolve.run_classical, interrupt="keep")


def _about_methods() -> str:
    names = "\n".join(f"  {key}: {method.title}" for key, method in METHODS.items())
    defaults = "\n".join(f"  --{name}: {describe_default(name)}" for name in ("iterations", "regularisation"))
    return f"methods:\n{names}\n\nwhat is not given:\n{defaults}"


def _add_batch(p: argparse.ArgumentParser) -> None:
    p.add_argument("images", help="a folder, a pattern such as 'day1/*.czi', or a CSV with the column file")
    p.add_argument(
        "--template", "--config", dest="config", type=Path, metavar="FILE.toml",
        help="settings of all runs; options beside it replace what it holds",
    )  # fmt: skip
    p.add_argument(
        "--model", dest="sharing", choices=("file", "all", "channel"), default="file",
        help="a network for each file (default), one for all files, or one for each channel of all files; trained "
        "on the first file that can be used",
    )  # fmt: skip
    p.add_argument("--recursive", action="store_true", help="also files in folders of the folder")
    p.add_argument("--no-reports", action="store_true", help="no page for each file")
    _add_all_parts(p)
    p.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="results that are there are not made again"
    )
    p.add_argument("--overwrite", action="store_true", help="make all results again")
    p.add_argument("--json", action="store_true", help="print one JSON object last")
    p.set_defaults(run=batch.run_batch, interrupt="keep")


def _add_degrade(p: argparse.ArgumentParser) -> None:
    p.add_argument("truth", type=Path)
    add_part(p, "image", *_READING)
    p.add_argument("--psf", type=Path, required=True, help="PSF file")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise; default: 0")
    p.add_argument("--no-salt", action="store_true", help="no salt-and-pepper pixels (as in 3D)")
    _add_files(p)
    p.set_defaults(run=scores.run_degrade, interrupt=None)


def _add_evaluate(p: argparse.ArgumentParser) -> None:
    p.add_argument("result", type=Path)
    p.add_argument("truth", type=Path, nargs="?")
    p.add_argument(
        "--units", choices=("auto", "truth", "unit"), default="auto",
        help="unit of the result: intensities of the truth, or 0 and 1 for its lowest and highest; default: auto, "
        "from the numbers",
    )  # fmt: skip
    p.add_argument("--image", type=Path, help="without a truth: the recorded image")
    add_config(p)
    add_part(p, "image")
    add_part(p, "psf")
    add_part(p, "optics")
    p.add_argument(
        "--json", action="store_true", help="print one JSON object; a score may be 'infinite', or null (undefined)"
    )
    p.set_defaults(run=scores.run_evaluate, interrupt=None)


def _add_benchmark(p: argparse.ArgumentParser) -> None:
    kinds = p.add_subparsers(required=True, metavar="KIND", parser_class=Parser)
    for name, add, text in (
        ("quality", _add_quality, "how good: methods on truth images, degraded by the paper's protocol"),
        ("validation", _add_validation, "how well the held-out error predicts the error against the truth"),
        ("coverage", _add_coverage, "whether the intervals of the uncertainty cover nine of ten true pixels"),
        ("widefield", _add_widefield, "simulated stacks with haze: light from other planes and from outside"),
        ("real", _add_real, "how well results predict pixels that no method saw, on images without a truth"),
        ("trust", _add_trust, "what methods invent: noise, points, lines, camera faults and wrong PSFs"),
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
        help="recorded images (PNG, TIFF or NPY), to predict held-out pixels of",
    )
    p.add_argument(
        "--pairs", type=Path, metavar="DIR",
        help="images NAME_1frame.tif, each beside the mean of many frames of the same field, NAME_400frames.tif",
    )  # fmt: skip
    p.add_argument(
        "--lines", type=Path, metavar="FILE", help="image of parallel lines: their contrast against grain"
    )
    p.add_argument("--stack", type=Path, metavar="FILE", help="stack with darkness above and below the object")
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
        help="also stacks with a saturated body, a dead column, or a black quadrant, and the light beside it",
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


def _add_all_parts(p: argparse.ArgumentParser, *, output: bool = True) -> None:
    for part in ("image", "psf", "optics", "method"):
        add_part(p, part)
    add_training(p)
    if output:
        add_part(p, "output")


def _add_result(p: argparse.ArgumentParser, metavar: str = "OUT.ome.tif") -> None:
    """Add where a result goes and how it is stored."""
    add_part(p, "output", "dtype", "compression", "align")
    _add_out(p, metavar)


def _add_resume(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--resume", action="store_true",
        help="go on with a training that was killed, from OUT.checkpoint, which is written every 30 seconds; "
        "begin if there is no such file",
    )  # fmt: skip


def _add_out(p: argparse.ArgumentParser, metavar: str = "OUT.ome.tif") -> None:
    _add_files(p, metavar)
    p.add_argument("--json", action="store_true", help="print one JSON object last")


def _add_files(p: argparse.ArgumentParser, metavar: str = "OUT.ome.tif") -> None:
    about = "folder for the results" if metavar == "DIR" else "result; its ending is .tif, .tiff or .zarr"
    p.add_argument("--out", type=Path, required=True, metavar=metavar, help=about)
    p.add_argument("--overwrite", action="store_true", help="replace files that are there already; never an input")


_OPTICS = "--na 1.4 --wavelength-um 0.52 --refractive-index 1.515"
COMMANDS = (
    Command(
        "info", _add_info, "print what a file states about image and microscope, and what is missing",
        "cells.czi",
    ),
    Command("light", _add_light, "show bleaching and flicker, in time and from plane to plane", "movie.ome.tif"),
    Command(
        "template", _add_template, "write a settings file, for --config of the other commands",
        f"{_OPTICS} --steps 200 --out run.toml",
    ),
    Command("psf", _add_psf, "compute a PSF from the optics", f"{_OPTICS} --voxel-um 0.3 0.1 0.1 --out psf.tif"),
    Command(
        "prepare-psf", _add_prepare_psf, "say what is wrong with a measured PSF, and repair it",
        "bead.tif --image cells.tif --out psf.tif",
    ),
    Command(
        "beads", _add_beads, "average the beads of an image to a PSF",
        "beads.tif --voxel-um 0.3 0.1 0.1 --out psf.tif"
    ),
    Command(
        "shifts", _add_shifts, "measure the chromatic shift of each channel on beads, for a microscope's file",
        "beads.ome.tif --reference 1 --save microscope.toml",
    ),
    Command(
        "deconvolve", _add_deconvolve, "train on one image and write it deconvolved",
        f"cells.tif {_OPTICS} --out result.ome.tif",
    ),
    Command(
        "series", _add_series, "deconvolve time points and channels, each channel with its own PSF",
        "movie.czi --frames 4 --out result.ome.tif",
    ),
    Command(
        "apply", _add_apply, "deconvolve an image with a saved model",
        "model.safetensors cells2.tif --out r2.ome.tif"
    ),
    Command(
        "uncertainty", _add_uncertainty, "how sure each pixel is, and what the data do not support",
        "model.safetensors cells.tif --out interval.ome.tif",
    ),
    Command(
        "rl", _add_rl, "Richardson-Lucy at several iteration counts",
        "cells.tif --psf psf.tif --iterations 10 20 --out results",
    ),
    Command(
        "classical", _add_classical, "a classical method that chooses the settings that are not given",
        "cells.tif --psf psf.tif --method tv --out tv.ome.tif",
    ),
    Command(
        "batch", _add_batch, "deconvolve many files, with a page for each and one table; goes on where it stopped",
        "day1 --template run.toml --out results",
    ),
    Command(
        "degrade", _add_degrade, "blur and corrupt a truth as the benchmark does",
        "truth.tif --psf psf.tif --out noisy.tif",
    ),
    Command(
        "evaluate", _add_evaluate, "score a result against the truth, or against its image and PSF",
        "result.ome.tif truth.tif --json",
    ),
    Command(
        "benchmark", _add_benchmark, "measure how good the methods are, and how fast",
        "quality --volume 32 96 96 --out bench",
    ),
    Command("completion", _add_completion, "print the completion of a shell", "bash >> ~/.bash_completion"),
)  # fmt: skip
