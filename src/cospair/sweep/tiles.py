"""Unit rows for tiles of cosines, with a proved error, and float64 cosines of pairs of them.

What `ranking` and `tails` share: float32 products find the pairs that might matter, `Rows.band`
says how far such a product may be off, and `cosines` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cospair import _checks
from cospair.kernels.reference_sweep import wide_dtype

_CHUNK = 1 << 18  # elements that are evaluated in float64 at once
_MOST_FEATURES = 1 << 16  # of float32 products: beyond them the band is wide
_LEAST, _MOST = 2.0**-90, 2.0**90  # lengths of rows that float32 can scale

Progress = Callable[[int, int], object]  # (tiles done, tiles in all)


class Rows:
    """Rows [n, d] that become unit rows tile by tile; a zero row stays zero."""

    def __init__(self, name: str, x: Tensor) -> None:
        """Measure the rows; refuse NaN and infinite ones."""
        self.x = x.detach()
        self.wide = wide_dtype(x)
        n, d = x.shape
        narrow = x.dtype != torch.float64 and d <= _MOST_FEATURES
        self.narrow = torch.float32 if narrow else self.wide  # dtype of the tiles' products
        self.largest, self.lengths = (
            torch.empty(n, dtype=self.wide, device=x.device) for _ in range(2)
        )
        for some in spans(n, max(1, _CHUNK // d)):
            self._measure(some)
        if not bool(self.largest.isfinite().all()):
            _checks.check_finite_rows(name, self.x)
        whole = self.largest * self.lengths
        self.ordinary = n > 0 and bool(((whole >= _LEAST) & (whole <= _MOST)).all())
        self.inverse = (1.0 / whole).to(torch.float32)

    def __len__(self) -> int:
        """Number of rows."""
        return self.x.shape[0]

    def _measure(self, some: slice) -> None:
        """Largest entries, and lengths of the rows divided by them; ones for zero rows."""
        wide = self.x[some].to(self.wide)
        largest = wide.abs().amax(dim=1)
        largest = torch.where(largest == 0, 1.0, largest)
        length = (wide / largest[:, None]).square_().sum(dim=1).sqrt_()
        self.largest[some], self.lengths[some] = largest, torch.where(length == 0, 1.0, length)

    def unit(self, some: slice | Tensor, dtype: torch.dtype) -> Tensor:
        """Unit rows [b, d] of some rows."""
        if dtype == torch.float32 and self.ordinary:
            return self.x[some].to(dtype) * self.inverse[some, None]
        return self.scaled(some).div_(self.lengths[some, None]).to(dtype)

    def scaled(self, some: slice | Tensor) -> Tensor:
        """Rows divided by their largest entry, which makes multiples of a row equal to the bit."""
        return self.x[some].to(self.wide) / self.largest[some, None]

    def band(self, dtype: torch.dtype) -> float:
        """How far a product of unit rows may lie from the float64 cosine of `cosines`.

        With u = eps / 2: d products and sums, in whatever order, err by d u; each side's unit rows
        by 3 u, from the rounded inverse, its product and the conversion; the rest of the 24 u is
        for the rounding of the bar, entries that underflow and squares of u. The float64 cosine
        errs in the same way.
        """
        d = self.x.shape[1]
        units = sum(torch.finfo(each).eps / 2 for each in (dtype, self.wide))
        return 1.01 * (d + 24) * units


def cosines(rows: Rows, columns: Rows, first: Tensor, second: Tensor) -> Tensor:
    """Cosines [p] of pairs of rows, float64; they do not depend on what is evaluated with them."""
    parts = [torch.empty(0, dtype=rows.wide, device=first.device)]
    for some in spans(len(first), max(1, _CHUNK // rows.x.shape[1])):
        i, j = first[some], second[some]
        products = rows.scaled(i).mul_(columns.scaled(j)).sum(dim=1)
        parts.append((products / (rows.lengths[i] * columns.lengths[j])).clamp_(-1.0, 1.0))
    return torch.cat(parts)


def spans(count: int, each: int) -> Iterator[slice]:
    """Slices of `each` that cover `count`."""
    for start in range(0, count, each):
        yield slice(start, min(start + each, count))


def equal_pairs(codes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of the pairs of equal codes."""
    ordered, order = others.sort()
    first = torch.searchsorted(ordered, codes)
    counts = torch.searchsorted(ordered, codes, right=True) - first
    row = torch.arange(len(codes), device=codes.device).repeat_interleave(counts)
    start = first - (counts.cumsum(0) - counts)
    return row, order[torch.arange(len(row), device=codes.device) + start[row]]


def check_matrices(x: Tensor, other: Tensor | None) -> None:
    """Refuse sides that are not [n, d] and [m, d] of one dtype and device."""
    for name, side in (("x", x), ("other", other)):
        if side is None:
            continue
        _checks.check_embeddings(name, side)
        if side.ndim != 2:
            raise ValueError(
                f"{name} must be [n, d], got shape {tuple(side.shape)}; give one row each"
            )
    if other is None:
        return
    if other.shape[1] != x.shape[1]:
        raise ValueError(
            f"x and other must have the same number of features, got {tuple(x.shape)} and "
            f"{tuple(other.shape)}; embed both with the same encoder"
        )
    if other.dtype != x.dtype:
        raise TypeError(
            f"x and other must have the same dtype, got {x.dtype} and {other.dtype}; convert one"
        )
    _checks.check_devices(x=x, other=other)
