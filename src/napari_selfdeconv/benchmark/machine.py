"""The machine that a row of a table was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from napari_selfdeconv.compute.device import fast_bfloat16


def describe_machine() -> str:
    """Return the processor, its cores, and whether it computes in bfloat16 (AVX512-BF16).

    Examples
    --------
    >>> describe_machine().endswith("AVX512-BF16")
    True
    """
    fast = "" if fast_bfloat16(torch.device("cpu")) else "no "
    return f"{cpu_name()}, {os.cpu_count()} cores, {fast}AVX512-BF16"


def cpu_name() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
