"""A picture of a stack and its results side by side: a plane, and below it a section along z.

``python -m selfdeconv_tools.sections OUT.png --seed 0``
``python -m selfdeconv_tools.sections OUT.png --stack FILE --voxel-um Z Y X --na NA --wavelength-um UM
--refractive-index N --methods input rl-auto quick``
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from napari_selfdeconv.api import (
    check_one_image,
    choose_psf,
    open_input,
    psf_for_stack,
    read_image,
    report_camera,
)
from napari_selfdeconv.benchmark.methods import measure
from napari_selfdeconv.cli.options import add_part, template_of
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import drain
from napari_selfdeconv.simulate.widefield import simulate_stack
from napari_selfdeconv.stop_token import StopToken

_LABEL, _GAP = 16, 4
_BRIGHTEST = 0.999
_DEFAULT = ("input", "rl-auto", "tv-auto", "quick")

Stack = NDArray[np.float32]


def draw_sections(
    stacks: Mapping[str, NDArray[Any]],
    voxel_um: Sequence[float],
    *,
    plane: int | None = None,
    row: int | None = None,
    zoom: int = 2,
) -> Image.Image:
    """Draw a plane and a section along z of each stack, side by side.

    Parameters
    ----------
    stacks : by their labels, all of one shape, (z, y, x); light above the background.
    voxel_um : voxel size along z, y and x; the section is drawn to scale.
    plane, row : the plane that is shown, and where the section lies along y; None takes those with the most light
        in the last stack.
    zoom : pixels of the picture for a voxel.

    Returns
    -------
    Grey picture. Black is no light, and white the brightest thousandth of each stack.

    Examples
    --------
    >>> draw_sections({"a": np.ones((4, 8, 10)), "b": np.zeros((4, 8, 10))}, (0.2, 0.1, 0.1)).size
    (44, 52)
    """
    shape = next(iter(stacks.values())).shape
    if len(shape) != 3 or any(stack.shape != shape for stack in stacks.values()):
        raise ConfigError(f"stacks of one shape are needed, got {[stack.shape for stack in stacks.values()]}")
    last = list(stacks.values())[-1]
    plane = int(np.argmax(last.sum(axis=(1, 2)))) if plane is None else plane
    row = int(np.argmax(last.sum(axis=(0, 2)))) if row is None else row
    width, height = shape[2] * zoom, shape[1] * zoom
    depth = round(shape[0] * voxel_um[0] / voxel_um[2] * zoom)
    sheet = Image.new("L", ((width + _GAP) * len(stacks) - _GAP, _LABEL + height + _GAP + depth), 255)
    draw = ImageDraw.Draw(sheet)
    for number, (label, stack) in enumerate(stacks.items()):
        left = number * (width + _GAP)
        draw.text((left + 2, 2), label, fill=0)
        white = float(np.quantile(stack, _BRIGHTEST)) or 1.0
        for part, top, size in (
            (stack[plane], _LABEL, (width, height)),
            (stack[:, row], _LABEL + height + _GAP, (width, depth)),
        ):
            grey = np.round(255 * np.clip(part / white, 0, 1)).astype(np.uint8)
            sheet.paste(Image.fromarray(grey).resize(size, Image.Resampling.NEAREST), (left, top))
    return sheet


def deconvolved(image: Stack, psf: NDArray[Any], methods: Sequence[str], device: str) -> dict[str, Stack]:
    """Return the results of methods, light above the background of the image.

    ``psf`` is as large as the light of the stack.
    """
    background = np.float32(report_camera(image, weights="auto").offset)
    found: dict[str, Stack] = {}
    for method in methods:
        for one in drain(measure(method, image, psf, device, StopToken(), border="open", weights="auto")):
            found["image" if one.label == "input" else one.label] = (
                one.image + np.float32(one.background) - background
            )
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Make the picture that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("--seed", type=int, help="of a simulated widefield stack, which is shown with its truth")
    parser.add_argument("--field", type=int, nargs=3, default=(40, 112, 112), metavar=("Z", "Y", "X"))
    parser.add_argument("--stack", type=Path, help="a recorded stack, with its optics")
    add_part(parser, "image", "series", "axes", "voxel_um")
    add_part(parser, "psf", "file")
    add_part(parser, "optics")
    parser.add_argument("--methods", nargs="*", default=list(_DEFAULT), help="as for selfdeconv benchmark quality")
    parser.add_argument(
        "--saved", nargs="*", default=[], metavar="LABEL=FILE", help="results that are there already"
    )
    parser.add_argument("--plane", type=int, help="default: that with the most light")
    parser.add_argument("--row", type=int, help="default: that with the most light")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args(argv)
    if (args.seed is None) == (args.stack is None):
        parser.error("give either --seed or --stack")
    if args.seed is not None:
        sample = simulate_stack(args.seed, field=args.field)
        image, voxel = sample.image, sample.voxel_um
        whole, _ = psf_for_stack(sample.optics, voxel, image.shape)
        stacks = deconvolved(image, whole, args.methods, args.device)
        light = float(np.mean([stack.sum(dtype=np.float64) for stack in stacks.values()]))
        stacks["truth"] = sample.truth * np.float32(light / sample.truth.sum(dtype=np.float64))
    else:
        template = template_of(args)
        file = open_input(args.stack, template)
        image = np.asarray(check_one_image(file, args.stack), np.float32)
        if file.voxel_um is None or len(file.voxel_um) != 3:
            parser.error("a stack with three voxel sizes is needed: give --voxel-um")
        voxel = (file.voxel_um[0], file.voxel_um[1], file.voxel_um[2])
        stacks = deconvolved(image, choose_psf(file, template).psf, args.methods, args.device)
    for word in args.saved:
        label, _, path = word.partition("=")
        stacks[label] = np.asarray(read_image(path).data, np.float32)
    draw_sections(stacks, voxel, plane=args.plane, row=args.row).save(args.out)


if __name__ == "__main__":
    main()
