"""``selfdeconv batch``: many files, one line for each."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from napari_selfdeconv.cli.options import template_of
from napari_selfdeconv.cli.outputs import check_out
from napari_selfdeconv.cli.terminal import say
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import Event, Progress, Warned, drain
from napari_selfdeconv.stop_token import StopToken


def run_batch(args: argparse.Namespace, token: StopToken) -> int:
    from napari_selfdeconv import api

    template = template_of(args)
    where = Path(args.images)
    items = api.find_images(where, recursive=args.recursive)
    if where.suffix.lower() != ".csv":
        # Results of an earlier run are no images, unless a table names them. They may lie beside the images.
        ending = "" if where.is_dir() else f"_deconvolved.{template.output.kind or 'ome.tif'}"
        out = args.out.resolve()
        items = [
            item
            for item in items
            if not (item.path.resolve().is_relative_to(out) and item.path.name.endswith(ending))
        ]
    check_out(args, kind="folder", images=where if where.is_dir() else None, psf=template.psf.file)
    work = api.iter_batch(
        items, template, args.out, sharing=args.sharing, reports=not args.no_reports, overwrite=args.overwrite,
        stop=token,
    )  # fmt: skip
    number, last = 0, 0.0

    def show(event: Event | api.FileStarted | api.FileFinished) -> None:
        nonlocal number, last
        if isinstance(event, api.FileStarted):
            number, last = event.number, 0.0
        elif isinstance(event, Warned):
            say(f"warning: {items[number - 1].path.name}: {event.message}")
        elif isinstance(event, Progress) and event.seconds - last > 10:
            last = event.seconds
            say(f"[{number}/{len(items)}] {event.stage} {event.step}/{event.steps}")
        elif isinstance(event, api.FileFinished):
            endings = {"failed": f": {event.message}", "done": f" after {event.seconds:.1f} s"}
            how = endings.get(event.status, "")
            say(f"[{number}/{len(items)}] {event.file}: {event.status}{how}")

    try:
        result = drain(work, show)
    except Cancelled:
        command = "the same command without --overwrite" if args.overwrite else "the same command"
        say(
            f"stopped; finished results are in {args.out}; {command} continues with the other files",
            always=True,
        )
        return 130
    failed = [row for row in result.rows if row.status == "failed"]
    counts = f"{result.count('done')} done, {result.count('there already')} there already, {len(failed)} failed"
    say(f"{counts}; the table is {result.table}")
    for row in failed:
        say(f"failed: {row.file}: {row.message}", always=True)
    if args.json:
        report = {
            "done": result.count("done"),
            "there already": result.count("there already"),
            "failed": {row.file: row.message for row in failed},
            "table": str(result.table),
        }
        print(json.dumps(report))  # noqa: T201
    return 1 if failed else 0
