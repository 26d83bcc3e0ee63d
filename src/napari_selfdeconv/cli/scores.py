"""The commands that blur a truth and score results. Scores that are not finite have names in JSON."""

from __future__ import annotations

import argparse
import json
import math

from napari_selfdeconv.cli.deconvolve import read_input, without_corrections
from napari_selfdeconv.cli.options import template_of
from napari_selfdeconv.cli.outputs import check_out
from napari_selfdeconv.cli.terminal import say
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.metrics.columns import COLUMNS
from napari_selfdeconv.stop_token import StopToken


def run_degrade(args: argparse.Namespace, _token: StopToken) -> None:
    from napari_selfdeconv import api

    template = template_of(args)
    check_out(args, kind="tiff", truth=args.truth, psf=args.psf)
    file = read_input(args, template, args.truth, chooses_psf=False)
    truth = api.check_one_image(file, args.truth)
    noisy = api.degrade(truth, api.read_psf(args.psf).data, seed=args.seed, salt=not args.no_salt)
    provenance = {"simulated": {"seed": args.seed, "salt": not args.no_salt, "truth": args.truth.name}}
    api.write_ome_tiff(args.out, noisy, voxel_um=file.voxel_um, provenance=provenance, record=file.record)


def run_evaluate(args: argparse.Namespace, _token: StopToken) -> None:
    scores = _scores(args)
    if args.json:
        print(json.dumps({name: json_number(value) for name, value in scores.items()}))  # noqa: T201
    else:
        for name, value in scores.items():
            column = COLUMNS[name]
            print(f"{column.title:12s} {column.show(value)} {column.unit}".rstrip())  # noqa: T201


def json_number(value: float) -> float | str | None:
    """Return a score as JSON can hold it: an infinite one by name, an undefined one as null.

    Examples
    --------
    >>> json_number(2.5), json_number(math.inf), json_number(-math.inf), json_number(math.nan)
    (2.5, 'infinite', '-infinite', None)
    """
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    return value


def _scores(args: argparse.Namespace) -> dict[str, float]:
    from napari_selfdeconv import api

    template = without_corrections(template_of(args), "evaluate")
    scored = api.read_selected(args.result)
    result = api.check_one_image(scored, args.result)
    if args.truth is not None and args.image is not None:
        raise ConfigError("a result is scored against a truth or against its --image: give one of them")
    if args.truth is not None:
        truth = api.check_one_image(read_input(args, template, args.truth), args.truth)
        return api.evaluate(result, truth, units=args.units)
    if args.image is None:
        raise ConfigError(
            "there is nothing to score against: give a truth, or --image and its PSF (--psf or the optics)"
        )
    file = read_input(args, template)
    image = api.check_one_image(file, args.image)
    chosen = api.choose_psf(file, template)
    for line in (*chosen.notes, *(f"warning: {warning}" for warning in chosen.warnings)):
        say(line)
    background = api.background_of(scored.provenance)
    return api.evaluate_without_truth(result, image, chosen.psf, file.voxel_um, background=background)
