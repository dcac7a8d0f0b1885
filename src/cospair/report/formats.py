"""How numbers are written: never rounded into a claim that the number does not make.

A share above 0 is never printed as 0 %, one below 1 never as 100 %, and a figure that is missing or
not finite reads "not available". The page's script writes shares by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from math import isfinite, isinf
from typing import TypeGuard

NOT_AVAILABLE = "not available"
NO_INTERVAL = "no interval"


def percent(share: float | None) -> str:
    """Write a share in 0..1 as per cent: 0.0123 gives '1.2 %', 0.00084 gives '0.08 %'."""
    if share is None or not isfinite(share):
        return NOT_AVAILABLE
    if share in (0, 1):
        return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
    # Small rates are compared with small targets: 0.04 % and 0.1 % must not both read 0.1 %.
    places = 2 if abs(share) < 0.01 else 1
    return f"{_inside(100 * share, top=100, places=places)}\N{NO-BREAK SPACE}%"


def limit(share: float) -> str:
    """Write a share that was asked for, not measured, without padding: 0.1 gives '10 %'."""
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def decimal(share: float | None) -> str:
    """Write a share in 0..1 with four decimals, as AUC is quoted: '0.9812', '> 0.9999'."""
    if share is None or not isfinite(share):
        return NOT_AVAILABLE
    written = f"{share:.4f}"
    if written == "1.0000" and share < 1:
        return ">\N{NO-BREAK SPACE}0.9999"
    if written == "0.0000" and share > 0:
        return "<\N{NO-BREAK SPACE}0.0001"
    return written


def plain(value: float | None) -> str:
    """Write a figure that is no share, such as a cost in bits: '0.1234'."""
    if value is None or not isfinite(value):
        return NOT_AVAILABLE
    if 0 < value < 0.00005:
        return "<\N{NO-BREAK SPACE}0.0001"
    return f"{value:.4f}".replace("-", "\N{MINUS SIGN}")


def score(value: float | None) -> str:
    """Write a score or threshold: '0.412', '−0.050'; an infinite threshold in words."""
    if value is None or value != value:
        return NOT_AVAILABLE
    if isinf(value):
        return "above every score" if value > 0 else "below every score"
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def count(number: int | None) -> str:
    """Write a count with thousands apart: '4,500'."""
    return NOT_AVAILABLE if number is None else f"{number:,}"


def interval(
    ends: Sequence[float] | None, write: Callable[[float | None], str], note: str = ""
) -> str:
    """Write both ends by `write`: '91.0 % to 95.2 %'; without ends, the note or 'no interval'."""
    if not has_ends(ends):
        return note or NO_INTERVAL
    return f"{write(ends[0])} to {write(ends[1])}"


def has_ends(ends: Sequence[float] | None) -> TypeGuard[Sequence[float]]:
    """Whether an interval has two finite ends."""
    return ends is not None and len(ends) == 2 and all(isfinite(end) for end in ends)


def moment(iso: str) -> str:
    """Write an ISO date-time for people; what cannot be read is given back unchanged."""
    try:
        # Python 3.10 does not read the suffix Z.
        when = datetime.fromisoformat(iso.replace("Z", "+00:00"))
    except ValueError:
        return iso
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".rstrip()


def finite(value: float | None) -> float | None:
    """Give a number as JSON takes it: what is missing or not finite becomes None."""
    return float(value) if value is not None and isfinite(value) else None


def _inside(value: float, *, top: float, places: int) -> str:
    """Print with as many places as keep a value between 0 and `top` from reading as an end."""
    written = f"{value:.{places}f}"
    while float(written) in (0, top) and value not in (0, top) and places < 12:
        places += 1
        written = f"{value:.{places}f}"
    return written
