"""Measure the speed of everything, or compare two measurements.

``python -m selfdeconv_tools.speed measure --out DIR`` and ``python -m selfdeconv_tools.speed compare OLD NEW``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from napari_selfdeconv.cli.parser import Parser, run
from napari_selfdeconv.cli.terminal import say
from napari_selfdeconv.stop_token import StopToken

_SLOWER = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status; 1 if a figure became slower."""
    parser = Parser(prog="python -m selfdeconv_tools.speed", description=__doc__)
    kinds = parser.add_subparsers(required=True, metavar="KIND", parser_class=Parser)
    _add_measure(kinds.add_parser("measure", help="time every figure against a baseline in the same run"))
    _add_compare(kinds.add_parser("compare", help="whether a newer table is slower than an older one"))
    return run(parser, argv)


def _add_measure(p: argparse.ArgumentParser) -> None:
    p.add_argument("--only", nargs="+", default=[], metavar="NAME", help="figures, or how their names begin")
    p.add_argument("--repeats", type=int, default=5, metavar="N", help="pairs of measurements; default: 5")
    p.add_argument("--small", action="store_true", help="sizes that only show that it works")
    p.add_argument("--images", type=Path, metavar="DIR", help="truth images: how soon Richardson-Lucy is beaten")
    p.add_argument("--psf", type=Path, help="the PSF that blurs the truths; default: the paper's kernel, computed")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    p.add_argument("--out", type=Path, required=True, metavar="DIR")
    p.set_defaults(run=_measure, interrupt="keep")


def _add_compare(p: argparse.ArgumentParser) -> None:
    p.add_argument("old", type=Path, metavar="OLD.csv")
    p.add_argument("new", type=Path, metavar="NEW.csv")
    p.add_argument(
        "--tolerance", type=float, default=0.15, metavar="SHARE", help="allowed slowdown; default: 0.15"
    )
    p.set_defaults(run=_compare, interrupt=None)


def _measure(args: argparse.Namespace, token: StopToken) -> None:
    from selfdeconv_tools.speed.run import run_speed

    run_speed(
        args.out, device_name=args.device, only=args.only, repeats=args.repeats, small=args.small,
        images=args.images, psf_path=args.psf, stop=token, say=say,
    )  # fmt: skip


def _compare(args: argparse.Namespace, _token: StopToken) -> int:
    from selfdeconv_tools.speed.regressions import find_regressions

    slower, compared = find_regressions(args.old, args.new, args.tolerance)
    for line in slower:
        say(line)
    say(f"{len(slower)} of {compared} figures became more than {args.tolerance:.0%} slower")
    return _SLOWER if slower else 0


if __name__ == "__main__":
    sys.exit(main())
