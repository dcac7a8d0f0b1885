"""What a difference between two models comes to, in words.

Decisions of this file:
- A difference is shown where its interval lies on one side of 0, and not otherwise: "no difference
  shown" says that these people do not decide, not that the models are equal.
"""

from __future__ import annotations

from typing import Any


def compared(
    a: float | None,
    b: float | None,
    interval: list[float] | None,
    reason: str,
    *,
    lower_is_better: bool = False,
) -> dict[str, Any]:
    """One figure of both models, b - a with its interval, and the verdict.

    Args:
        a: The first model's figure, or None.
        b: The second model's, or None.
        interval: 95 % interval of b - a, or None.
        reason: Why something is None, or "".
        lower_is_better: Whether the lower figure is the better one.

    Returns:
        {"a", "b", "difference", "difference_interval", "better", "verdict"}.
    """
    if a is None or b is None:
        return _told(a, b, None, None, None, reason)
    gap = b - a
    if interval is None:
        words = "no difference on these pairs" if gap == 0 else f"b - a is {_short(gap)}; {reason}"
        return _told(a, b, gap, None, None, words)
    low, high = interval
    if low <= 0 <= high:
        words = f"no difference shown (95 % interval of b - a {_short(low)} to {_short(high)})"
        return _told(a, b, gap, interval, None, words)
    better = "b" if (low > 0) != lower_is_better else "a"
    near, far = sorted((abs(low), abs(high)))
    size = f"{_short(abs(gap))} (95 % interval {_short(near)} to {_short(far)})"
    return _told(a, b, gap, interval, better, f"{better} is better by {size}")


def many_figures(figures: int) -> str:
    """How to read several verdicts at once."""
    return (
        f"{figures} figures, each with a 95 % interval of its own: of twenty comparisons of equal "
        "models about one shows a difference by chance. Choose the deciding figure before looking."
    )


def _told(
    a: float | None,
    b: float | None,
    gap: float | None,
    interval: list[float] | None,
    better: str | None,
    words: str,
) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "difference": gap,
        "difference_interval": interval,
        "better": better,
        "verdict": words,
    }


def _short(value: float) -> str:
    return f"{value:.3g}"
