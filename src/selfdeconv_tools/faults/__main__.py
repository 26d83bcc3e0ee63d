"""Cause faults, check the promises, print the counts: ``python -m selfdeconv_tools.faults --kills 100``.

Run it with ``OMP_NUM_THREADS=1``: the killed processes are forks of this one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the faults that are asked for; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="SIGKILL at random moments of a command")
    parser.add_argument("--cycles", type=int, default=0, metavar="N", help="starts and stops in one process")
    parser.add_argument("--closes", type=int, default=0, metavar="N", help="viewers closed during training")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments; default: 0")
    args = parser.parse_args(argv)
    problems: list[str] = []
    if args.kills:
        from selfdeconv_tools.faults.kills import kill_at_random

        problems += _said(kill_at_random(args.kills, args.seed))
    if args.cycles:
        from selfdeconv_tools.faults.cycles import start_and_stop

        problems += _said(start_and_stop(args.cycles, args.seed))
    if args.closes:
        from selfdeconv_tools.faults.closes import close_viewers

        problems += _said(close_viewers(args.closes, args.seed))
    return 1 if problems else 0


def _said(outcome: tuple[str, list[str]]) -> list[str]:
    summary, problems = outcome
    print(summary)  # noqa: T201
    for problem in problems:
        print(f"BROKEN: {problem}", file=sys.stderr)  # noqa: T201
    return problems


if __name__ == "__main__":
    sys.exit(main())
