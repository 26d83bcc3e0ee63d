"""Print the peak memory of one side of a figure, bytes: ``python -m ...one_side NAME ours|baseline DEVICE``."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from selfdeconv_tools.speed.catalogue import figures
from selfdeconv_tools.speed.figure import Pair, Setting
from selfdeconv_tools.speed.memory import peak_of_call


def main() -> None:
    """Prepare the side, then measure its calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("side", choices=["ours", "baseline"])
    parser.add_argument("device")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    (figure,) = [f for f in figures(Setting(device=args.device, small=args.small)) if f.name == args.name]
    assert isinstance(figure, Pair)
    call = figure.side(args.side, args.device)
    with figure.around() if figure.around is not None and args.side == "ours" else nullcontext():
        sys.stdout.write(f"{peak_of_call(call, args.device)}\n")


if __name__ == "__main__":
    main()
