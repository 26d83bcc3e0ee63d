"""The command ``selfdeconv``: its arguments and its exit status. The other files of this folder do the work."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import napari_selfdeconv
from napari_selfdeconv.cli import arguments, benchmark_arguments, settings
from napari_selfdeconv.cli.terminal import interruptible, say, set_verbosity, warnings_as_lines
from napari_selfdeconv.errors import Cancelled, NotFinite, SelfDeconvError, reason_of
from napari_selfdeconv.stop_token import StopToken

_INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser that prints an error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"selfdeconv: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``selfdeconv``; return its exit status (`run`)."""
    return run(make_parser(), argv)


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Run the command that ``parser`` finds in the arguments; return the exit status.

    0 means success. 1 means that some files failed, that a benchmark became slower, or that a PSF has problems.
    2 means bad input, 130 an interruption.
    """
    # Spinning OpenMP threads collapse on a busy machine; this must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = parser.parse_args(argv)
    verbosity = getattr(args, "verbosity", 0)
    set_verbosity(verbosity)
    token = StopToken()
    try:
        with interruptible(token, args.interrupt), warnings_as_lines(), contextlib.ExitStack() as args.until_end:
            status: int | None = args.run(args, token)
    except (Cancelled, KeyboardInterrupt):
        say("stopped; nothing was written", always=True)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has closed it. Python would report this again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SelfDeconvError, OSError, MemoryError) as error:
        if verbosity > 0:
            traceback.print_exc(file=sys.stderr)
        told = reason_of(error)
        if isinstance(error, NotFinite) and hasattr(args, "method.mask"):
            told += ", or leave them out with --mask auto+nan"
        say(told, always=True)
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
    about = "Deconvolve a microscope image with its PSF. selfdeconv COMMAND --help says what a command takes."
    parser = Parser(prog="selfdeconv", description=about)
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


def _add_completion(p: argparse.ArgumentParser) -> None:
    p.add_argument("shell", choices=("bash", "zsh", "tcsh", "fish"))
    p.set_defaults(run=settings.run_completion, interrupt=None, make_parser=make_parser)


_OPTICS = "--na 1.4 --wavelength-um 0.52 --refractive-index 1.515"
COMMANDS = (
    Command(
        "info",
        arguments.add_info,
        "print what a file states about image and microscope, and what is missing",
        "cells.czi",
    ),
    Command(
        "light",
        arguments.add_light,
        "show bleaching and flicker, in time and from plane to plane",
        "movie.ome.tif",
    ),
    Command(
        "template",
        arguments.add_template,
        "write a settings file, for --config of the other commands",
        f"{_OPTICS} --steps 200 --out run.toml",
    ),
    Command(
        "psf",
        arguments.add_psf,
        "compute a PSF from the optics",
        f"{_OPTICS} --voxel-um 0.3 0.1 0.1 --out psf.tif",
    ),
    Command(
        "prepare-psf",
        arguments.add_prepare_psf,
        "check a measured PSF for problems, and repair it",
        "bead.tif --image cells.tif --out psf.tif",
    ),
    Command(
        "beads",
        arguments.add_beads,
        "average the beads of an image to a PSF",
        "beads.tif --voxel-um 0.3 0.1 0.1 --out psf.tif",
    ),
    Command(
        "shifts",
        arguments.add_shifts,
        "measure the chromatic shift of each channel on beads, for a microscope's file",
        "beads.ome.tif --reference 1 --save microscope.toml",
    ),
    Command(
        "deconvolve",
        arguments.add_deconvolve,
        "train on one image and write it deconvolved",
        f"cells.tif {_OPTICS} --out result.ome.tif",
    ),
    Command(
        "series",
        arguments.add_series,
        "deconvolve time points and channels, each channel with its own PSF",
        "movie.czi --frames 4 --out result.ome.tif",
    ),
    Command(
        "apply",
        arguments.add_apply,
        "deconvolve an image with a saved model",
        "model.safetensors cells2.tif --out r2.ome.tif",
    ),
    Command(
        "uncertainty",
        arguments.add_uncertainty,
        "estimate a 90 percent interval of each pixel, and mask places that the data do not support",
        "model.safetensors cells.tif --out interval.ome.tif",
    ),
    Command(
        "rl",
        arguments.add_rl,
        "Richardson-Lucy at several iteration counts",
        "cells.tif --psf psf.tif --iterations 10 20 --out results",
    ),
    Command(
        "classical",
        arguments.add_classical,
        "run a classical method; settings that are not given have a default, or are chosen on held-out pixels",
        "cells.tif --psf psf.tif --method tv --out tv.ome.tif",
    ),
    Command(
        "batch",
        arguments.add_batch,
        "deconvolve many files, with a page for each and one table; continues where it stopped",
        "day1 --config run.toml --out results",
    ),
    Command(
        "degrade",
        arguments.add_degrade,
        "blur and corrupt a truth as the benchmark does",
        "truth.tif --psf psf.tif --out noisy.tif",
    ),
    Command(
        "evaluate",
        arguments.add_evaluate,
        "score a result against the truth, or against its image and PSF",
        "result.ome.tif truth.tif --json",
    ),
    Command(
        "benchmark",
        benchmark_arguments.add_benchmark,
        "measure how good the methods are",
        "quality --volume 32 96 96 --out bench",
    ),
    Command("completion", _add_completion, "print the completion of a shell", "bash >> ~/.bash_completion"),
)
