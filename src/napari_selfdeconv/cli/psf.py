"""The commands that make PSFs: computed from the optics, prepared from a measured one, averaged from beads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_selfdeconv.cli.deconvolve import read_input
from napari_selfdeconv.cli.options import template_of
from napari_selfdeconv.cli.outputs import check_out
from napari_selfdeconv.cli.terminal import say, watch
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_selfdeconv.api import Context, Finding

# How often a PSF is examined and repaired.
_LOOKS = 3


def run_psf(args: argparse.Namespace, _token: StopToken) -> None:
    from napari_selfdeconv import api

    template = template_of(args)
    voxel, record, shape = template.image.voxel_um, None, tuple(args.shape or ())
    check_out(args, kind="tiff", image=args.image)
    image_shape: tuple[int, ...] = ()
    if args.image is not None:
        file = read_input(args, template, chooses_psf=False)
        record = None if file.record is None else api.channel_record(file.record, 0)
        voxel = voxel or file.voxel_um
        image_shape = tuple(n for n, axis in zip(file.data.shape, file.axes, strict=True) if axis in "ZYX")
    if voxel is None:
        raise ConfigError("the voxel size is needed: --voxel-um [DZ] DY DX, or --image FILE that states it")
    if shape and len(voxel) != len(shape):
        raise ConfigError(
            f"--shape and --voxel-um need 2 or 3 numbers each, as many of one as of the other, got "
            f"{len(shape)} and {len(voxel)}"
        )
    optics, stated, doubts = api.complete_optics(template.optics, record)
    for one in stated:
        if one.source != "given":
            say(str(one))
    for doubt in doubts:
        say(f"warning: {doubt}")
    if not shape:
        # Without an image, the size is that for a large image.
        shape = api.suggest_psf_shape(optics, voxel, image_shape or (129,) * len(voxel))
        say(f"size: {' x '.join(map(str, shape))} voxels (--shape gives another)")
    psf = api.richards_wolf_psf(shape, voxel, optics)
    told = api.told_optics(optics, {one.name: one.source for one in stated})
    api.write_ome_tiff(args.out, psf, voxel_um=voxel, provenance=api.psf_record({"optics": told}))


def run_prepare_psf(args: argparse.Namespace, _token: StopToken) -> int:
    from napari_selfdeconv import api

    template = template_of(args)
    if args.out is not None:
        check_out(args, kind="tiff", psf=args.psf, image=args.image)
    file = api.read_psf(args.psf)
    voxel = template.image.voxel_um or file.voxel_um
    context = api.Context(voxel_um=voxel)
    if args.image is not None:
        record = api.read_record(args.image, series=template.image.series, axes=template.image.axes)
        shape = tuple(n for n, axis in zip(record.shape, record.axes, strict=True) if axis in "ZYX")
        sizes = record.voxel_um
        if voxel is not None and len(voxel) == len(record.stated_um):
            # Axes along which the image states no size are not compared.
            sizes = tuple(own if size is None else size for own, size in zip(voxel, record.stated_um, strict=True))
        context = api.Context(voxel_um=voxel, image_shape=shape, image_voxel_um=sizes)
    found = api.examine_psf(file.data, context)
    did: list[str] = []
    if args.out is not None:
        psf, voxel, did = _repaired(file.data, found, context, tuple(args.leave or ()))
        provenance = api.psf_record({"prepared": {"from": Path(args.psf).name, "did": did}})
        api.write_ome_tiff(args.out, psf, voxel_um=voxel, provenance=provenance)
    problems = [finding for finding in found if finding.severity == "problem"]
    if args.json:
        report = {
            "findings": [
                {"key": one.key, "severity": one.severity, "text": one.text, "fix": one.fix} for one in found
            ],
            "did": did,
            "output": None if args.out is None else str(args.out),
        }
        print(json.dumps(report))  # noqa: T201
    else:
        for finding in found:
            fix = f" -> {finding.fix} ({finding.key})" if finding.fix else ""
            print(f"{finding.severity}: {finding.text}{fix}")  # noqa: T201
        if not found:
            print("this PSF can be used as it is")  # noqa: T201
        for sentence in did:
            print(f"did: {sentence}")  # noqa: T201
    return 1 if problems and args.out is None else 0


def _repaired(
    psf: NDArray[Any], found: list[Finding], context: Context, leave: tuple[str, ...]
) -> tuple[NDArray[Any], tuple[float, ...] | None, list[str]]:
    """Repair what can be repaired. A second examination finds faults that the first ones hid."""
    from napari_selfdeconv import api

    did: list[str] = []
    for _ in range(_LOOKS):
        keys = [finding.key for finding in found if finding.fix and finding.key not in leave]
        if not keys:
            break
        psf, voxel, more = api.repair_psf(psf, keys, context)
        did += more
        context = api.Context(
            voxel_um=voxel, image_shape=context.image_shape, image_voxel_um=context.image_voxel_um
        )
        found = api.examine_psf(psf, context)
    return psf, context.voxel_um, did


def run_shifts(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import api

    template = template_of(args)
    if args.save is not None:
        api.load_microscope(args.save)
    file = read_input(args, template, chooses_psf=False)
    shifts = watch(api.iter_measure_shifts(file, args.reference, within_um=args.within_um, stop=token))
    if args.save is not None:
        api.add_shifts(args.save, shifts)
        say(f"stored in {args.save}; --align {args.save} corrects them in results")
    if args.json:
        print(json.dumps([shift.to_dict() for shift in shifts]))  # noqa: T201
        return
    for one in shifts:
        print(  # noqa: T201
            f"{1000 * one.wavelength_um:.0f} nm beside {1000 * one.reference_um:.0f} nm: z {one.z_um:+.3f}, "
            f"y {one.y_um:+.3f}, x {one.x_um:+.3f} um; rotation {one.rotation_deg:+.4f} degrees; "
            f"zoom {one.zoom:.5f}; {one.beads} beads, {one.residual_um:.3f} um left"
        )


def run_beads(args: argparse.Namespace, token: StopToken) -> None:
    from napari_selfdeconv import api

    template = template_of(args)
    check_out(args, kind="tiff", image=args.image)
    file = read_input(args, template, chooses_psf=False)
    image = api.check_one_image(file, args.image)
    if file.voxel_um is None:
        raise ConfigError(f"the voxel size of {args.image} is not in the file: give --voxel-um [DZ] DY DX")
    chosen = {
        "window_um": tuple(args.window_um) if args.window_um else None,
        "threshold": args.threshold,
        "rotational": args.rotational or None,
    }
    settings = api.BeadSettings(**{name: value for name, value in chosen.items() if value is not None})
    result = watch(api.iter_beads_psf(image, file.voxel_um, settings=settings, stop=token))
    api.write_ome_tiff(args.out, result.psf, voxel_um=result.voxel_um, provenance=dict(result.provenance))
    if args.json:
        report = {
            "used": result.used,
            "rejected": result.rejected,
            "fwhm_um": list(result.fwhm_um),
            "output": str(args.out),
        }
        print(json.dumps(report))  # noqa: T201
        return
    left_out = ", ".join(f"{count} {why}" for why, count in result.rejected.items()) or "none"
    say(f"{result.used} beads averaged, left out: {left_out}")
    say(f"width at half maximum: {' x '.join(f'{width:.3g}' for width in result.fwhm_um)} um; wrote {args.out}")
