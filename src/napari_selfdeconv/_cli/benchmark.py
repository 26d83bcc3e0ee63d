"""What the benchmark commands do. Imports of what they measure are inside: each of them loads torch."""

from __future__ import annotations

import argparse

from napari_selfdeconv._cli.terminal import say, watch
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import StopToken

_SLOWER = 1


def run_quality(args: argparse.Namespace, token: StopToken) -> None:
    if args.images is None and args.volume is None:
        raise ConfigError("give --images DIR, --volume Z Y X, or both: something to measure on")
    from napari_selfdeconv import benchmark

    benchmark.run_quality(
        args.images, args.psf, methods=args.methods, crop=args.crop, device=args.device, volume=args.volume,
        noise=args.noise, out=args.out, stop=token, say=say, drain=watch,
    )  # fmt: skip


def run_validation(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import benchmark

    benchmark.run_validation(
        args.images, args.psf, methods=args.methods, crop=args.crop, device_name=args.device, out=args.out,
        stop=token, say=say, drain=watch,
    )  # fmt: skip


def run_real(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import benchmark

    benchmark.run_real(
        args.images, args.psf, methods=args.methods, crop=args.crop, device_name=args.device, out=args.out,
        stop=token, say=say, drain=watch,
    )  # fmt: skip


def run_speed(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import benchmark

    benchmark.run_speed(
        args.out, device_name=args.device, only=args.only, repeats=args.repeats, small=args.small,
        images=args.images, psf_path=args.psf, stop=token, say=say,
    )  # fmt: skip


def run_regressions(args: argparse.Namespace, _token: StopToken) -> int:
    """Return the exit status: 1 if a figure became slower."""
    from napari_selfdeconv import benchmark

    slower, compared = benchmark.find_regressions(args.old, args.new, args.tolerance)
    for line in slower:
        say(line)
    say(f"{len(slower)} of {compared} figures became more than {args.tolerance:.0%} slower")
    return _SLOWER if slower else 0
