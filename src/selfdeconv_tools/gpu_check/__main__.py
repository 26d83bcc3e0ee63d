"""Check a graphics card in at most eight minutes: ``python -m selfdeconv_tools.gpu_check --out DIR``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_selfdeconv.compute.device import choose_device
from selfdeconv_tools.gpu_check import rates, results
from selfdeconv_tools.gpu_check.table import Bench


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts of the check; a part that fails is a row, and the others go on."""
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.gpu_check", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for gpu_check.csv")
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:N, mps or cpu")
    parser.add_argument("--images", type=Path, metavar="DIR", help="truth images; default: generated ones")
    parser.add_argument("--budget-s", type=float, default=480.0, metavar="S", help="default: 480")
    parser.add_argument("--tiny", action="store_true", help="sizes that only test the code")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "gpu_check.csv"
    path.unlink(missing_ok=True)
    device = str(choose_device(args.device, "auto").device)
    bench = Bench(device, path, args.budget_s, args.tiny, lambda line: print(line, flush=True))  # noqa: T201
    rates.check_device(bench)
    tested = results.cases(bench, args.images)
    step_s = _part(bench, "step", lambda: rates.check_steps(bench)) or {}
    _part(bench, "convolution", lambda: rates.check_convolution(bench))
    _part(bench, "transfers", lambda: rates.check_transfers(bench))
    processor = results.Processor()
    _part(bench, "presets", lambda: results.check_presets(bench, tested, processor))
    _part(bench, "compile", lambda: rates.check_compiling(bench))
    _part(bench, "paper", lambda: results.check_paper(bench, tested, step_s))
    processor.compare(bench)
    bench.row("check", "whole", "time", bench.budget_s - bench.left_s, "s")
    return 0


def _part(bench: Bench, name: str, work: Callable[[], dict[int, float] | None]) -> dict[int, float] | None:
    """Run a part if there is time for it; an error in it is a row."""
    if bench.left_s <= 0:
        bench.row(name, "all", "status", "not run", note="no time left")
        return None
    try:
        return work()
    except Exception as error:
        lines = str(error).splitlines() or [""]
        bench.row(name, "all", "status", "failed", note=f"{type(error).__name__}: {lines[0]}")
        return None


if __name__ == "__main__":
    sys.exit(main())
