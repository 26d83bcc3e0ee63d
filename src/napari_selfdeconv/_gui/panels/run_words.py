"""What the panel of a run says of times, layers and weights."""

from __future__ import annotations

from collections.abc import Sequence


def clock(seconds: float) -> str:
    """Return a duration as people say it: 8 s, 2 min 05 s, 3 h 10 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def pace(step: int, seconds: float) -> str:
    """Return how fast it goes: 5.9 steps/s, or 8.1 s a step."""
    if step == 0 or seconds <= 0:
        return ""
    rate = step / seconds
    return f"{rate:.1f} steps/s" if rate >= 1 else f"{1 / rate:.1f} s a step"


def describe_staying(names: Sequence[str]) -> str:
    """Say which layers stay after a run without a result."""
    if not names:
        return ""
    return f"{'This layer stays' if len(names) == 1 else 'These layers stay'}: {', '.join(names)}."


def describe_share(share: float) -> str:
    """Say how much of the training was kept, and why."""
    if share == 0:
        return "Fine-tuning did not improve the prediction of held-out pixels: the initial weights were used"
    return f"Light from far planes was subtracted, so the weights are {share:.0%} of the way to the trained ones"
