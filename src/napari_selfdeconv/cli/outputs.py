"""What the commands write: checked files, results with their record, and one report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_selfdeconv.cli.terminal import say

if TYPE_CHECKING:
    from napari_selfdeconv.api import Output, OutputKind


def check_out(
    args: argparse.Namespace,
    *more: Output,
    kind: OutputKind = "image",
    continues: bool = False,
    **inputs: Path | str | None,
) -> None:
    """Refuse outputs that cannot be written or would replace a file, before anything is computed.

    Until the command ends, other commands refuse to write them.
    """
    from napari_selfdeconv.api import Output, check_outputs, claim_outputs

    called = {"psf": "--psf", "config": "--config", "mask": "--mask"}
    read = {
        called.get(name, f"the {name}"): Path(path) if path is not None else None for name, path in inputs.items()
    }
    outputs = [Output("--out", args.out, kind, continues), *more]
    check_outputs(outputs, read, overwrite=args.overwrite)
    args.until_end.enter_context(claim_outputs(outputs))
    # Again, because a run that has ended since the first check has written its result.
    check_outputs(outputs, read, overwrite=args.overwrite)


def say_stored(provenance: dict[str, Any]) -> None:
    """Print how whole numbers were scaled, if they were."""
    stored = provenance.get("stored")
    if stored and (stored["scale"], stored["offset"]) == (1.0, 0.0):
        say("stored as uint16: rounded, not scaled")
    elif stored:
        say(f"stored as uint16: value = number x {stored['scale']:.6g} + {stored['offset']:.6g}")
    if stored and (lost := stored.get("not_finite")):
        say(f"warning: {lost} values are NaN or infinite, which whole numbers cannot hold: NaN is stored as 0")


def finish(args: argparse.Namespace, report: dict[str, Any]) -> None:
    """Print the report of a run: one JSON object, or a line."""
    if args.json:
        print(json.dumps(report))  # noqa: T201
    else:
        output = report["output"]
        names = ", ".join(output.values()) if isinstance(output, dict) else output
        say(f"wrote {names} after {report['seconds']:.1f} s")
