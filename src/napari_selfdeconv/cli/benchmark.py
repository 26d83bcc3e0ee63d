"""The benchmark commands. They import what they measure inside their functions, because it loads torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_selfdeconv.cli.options import template_of
from napari_selfdeconv.cli.terminal import say, watch
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.stop_token import StopToken


def _check_out(args: argparse.Namespace, **inputs: Path | None) -> None:
    """Refuse a folder that cannot be written. The benchmark continues tables that it finds there."""
    from napari_selfdeconv.api import Output, check_outputs

    check_outputs([Output("--out", args.out, "folder")], {f"--{name}": path for name, path in inputs.items()})


def run_quality(args: argparse.Namespace, token: StopToken) -> None:
    if args.images is None and args.volume is None:
        raise ConfigError("there is nothing to measure: give --images DIR, --volume Z Y X, or both")
    _check_out(args, images=args.images, psf=args.psf)
    from napari_selfdeconv import benchmark

    benchmark.run_quality(
        args.images, args.psf, methods=args.methods, crop=args.crop, device=args.device, volume=args.volume,
        noise=args.noise, out=args.out, stop=token, say=say, drain=watch,
    )  # fmt: skip


def run_validation(args: argparse.Namespace, token: StopToken) -> None:
    _check_out(args, images=args.images, psf=args.psf)
    from napari_selfdeconv import benchmark

    benchmark.run_validation(
        args.images, args.psf, methods=args.methods, crop=args.crop, device_name=args.device, out=args.out,
        stop=token, say=say, drain=watch,
    )  # fmt: skip


def run_coverage(args: argparse.Namespace, token: StopToken) -> None:
    if args.images is None and not args.seeds:
        raise ConfigError("there is nothing to measure: give --images DIR, --seeds N, or both")
    _check_out(args, images=args.images, psf=args.psf)
    from napari_selfdeconv import benchmark

    benchmark.run_coverage(
        args.images, args.psf, noises=args.noise, seeds=args.seeds, method=args.method, crop=args.crop,
        device_name=args.device, out=args.out, stop=token, say=say, drain=watch,
    )  # fmt: skip


def run_real(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import benchmark

    template = template_of(args)
    psf = None if template.psf.file is None else Path(template.psf.file)
    _check_out(args, images=args.images, psf=psf, pairs=args.pairs, lines=args.lines, stack=args.stack)
    recorded = [] if args.pairs is None else list(benchmark.frame_pairs(args.pairs))
    for kind, path in (("lines", args.lines), ("stack", args.stack)):
        recorded += [] if path is None else [benchmark.Recorded(kind, path.stem, path)]
    if recorded:
        if args.images is not None or args.crop is not None:
            raise ConfigError("--pairs, --lines and --stack cannot be combined with --images or --crop")
        benchmark.run_references(
            recorded, template, methods=args.methods, device_name=args.device, out=args.out, stop=token, say=say,
            drain=watch,
        )  # fmt: skip
        return
    if args.images is None or psf is None:
        raise ConfigError("give --images and --psf, or images with a reference: --pairs, --lines or --stack")
    benchmark.run_real(
        args.images, psf, methods=args.methods, crop=args.crop, device_name=args.device, out=args.out,
        stop=token, say=say, drain=watch,
    )  # fmt: skip


def run_widefield(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import benchmark

    benchmark.run_widefield(
        args.seeds, methods=args.methods, microscope=args.microscope, field=args.field, defects=args.defects,
        device_name=args.device, out=args.out, stop=token, say=say, drain=watch,
    )  # fmt: skip


def run_trust(args: argparse.Namespace, token: StopToken) -> None:
    _check_out(args)
    from napari_selfdeconv import benchmark

    benchmark.run_trust(
        args.scenes, methods=args.methods, size=args.size, seed=args.seed, device_name=args.device, out=args.out,
        stop=token, say=say, drain=watch,
    )  # fmt: skip
