"""The commands about settings: a settings file to edit, and completion for the shell."""

from __future__ import annotations

import argparse

from napari_selfdeconv.cli.options import template_of
from napari_selfdeconv.cli.outputs import check_out
from napari_selfdeconv.cli.terminal import say
from napari_selfdeconv.stop_token import StopToken


def run_template(args: argparse.Namespace, _token: StopToken) -> None:
    from napari_selfdeconv import api

    template = template_of(args)
    if args.out is None:
        print(api.template_text(template), end="")  # noqa: T201
        return
    check_out(args, kind="settings", config=args.config)
    api.save_template(args.out, template)
    say(f"wrote {args.out}; use it with --config {args.out}")


def run_completion(args: argparse.Namespace, _token: StopToken) -> None:
    import shtab

    print(shtab.complete(args.make_parser(), args.shell))  # noqa: T201
