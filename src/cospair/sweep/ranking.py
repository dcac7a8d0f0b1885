"""The best of every row: the k largest cosines with another set, tile by tile.

Decisions of this file:

- Scores are float64 cosines rounded to 12 decimals, as those of `cospair.evaluation` are, and the
  rounded scores decide the order: rows that are multiples of one another tie, and a tie goes to the
  lower index.
- Float32 products only find candidates. A product's error is at most `Rows.band`, so a pair more
  than the band under the k-th best score so far cannot enter; every other pair is evaluated in
  float64. Float64 rows, and rows of more than 65,536 features, have float64 products.
- Within a tile, groups of columns are looked at by their maxima; the k-th best of them is a bar
  too. A row that ties leave many candidates takes float64 products, whose band is narrow.
- NaN and infinite rows are refused: no place in a ranking would be right for them.
- Columns come in ascending order, so an earlier one never loses a tie to a later one.
"""

from __future__ import annotations

import math
from numbers import Integral

import torch
from torch import Tensor

from cospair import _checks
from cospair.kernels.products import exact_products
from cospair.sweep.tiles import (
    Progress,
    Rows,
    check_matrices,
    cosines,
    equal_pairs,
    spans,
)

_ROWS, _COLUMNS = 1024, 2048  # of a tile
_GROUP = 16  # columns looked at by their maximum
_DECIMALS = 12
_STEP = 10.0**-_DECIMALS


def top_k(
    x: Tensor,
    other: Tensor | None,
    k: int,
    *,
    exclude: Tensor | tuple[Tensor, Tensor] | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    r"""The k rows of `other` most alike to each row of `x`, highest cosine first.

    .. math::
        s(i, j) = \frac{\langle x_i, y_j \rangle}{|x_i| |y_j|}, \quad 0 \text{ if a row is zero}

    Scores are rounded to 12 decimals; equal ones are ordered by index. Nothing of size n x m is
    held. The device is synchronised in every tile, and no gradient is recorded.

    Args:
        x: Queries [n, d], float16, bfloat16, float32 or float64, finite.
        other: The gallery [m, d], x's dtype, finite; None: each row is ranked against all others,
            itself left out by its index.
        k: Places, at least 1; may exceed m.
        exclude: Integer codes ([n], [m]), or [n] without `other`: pairs of equal codes are left
            out. Re-identification gives a code to each identity and camera together.
        progress: Called as progress(done, of) after every tile.

    Returns:
        Scores [n, k], float64 (float32 on a device that has none), and indices [n, k], int64.
        Places that nobody is left for hold -inf and -1.

    Raises:
        TypeError: For embeddings, codes or a k of the wrong type.
        ValueError: For shapes that do not fit, k < 1, or a NaN or infinite row.

    Example:
        >>> import torch
        >>> gallery = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [6.0, 8.0]])
        >>> scores, indices = top_k(torch.tensor([[0.0, 1.0]]), gallery, 3)
        >>> scores.tolist(), indices.tolist()
        ([[1.0, 0.8, 0.8]], [[2, 1, 3]])
    """
    _check(x, other, k)
    codes = _checked_codes(x, other, exclude)
    rows = Rows("x", x)
    columns = rows if other is None else Rows("other", other)
    n, m = len(rows), len(columns)
    scores = torch.full((n, k), -torch.inf, dtype=rows.wide, device=x.device)
    indices = torch.full((n, k), -1, dtype=torch.int64, device=x.device)
    width = max(_COLUMNS, 4 * k)  # a merge sorts more than k places of every row
    height = max(1, _ROWS * _COLUMNS // width)
    of, done = -(-n // height) * -(-m // width), 0
    with exact_products(x.device):
        for top in spans(n, height):
            block = _Block(rows, columns, top, scores[top], indices[top], codes)
            for left in spans(m, width):
                block.meet(left)
                done += 1
                if progress:
                    progress(done, of)
    return scores, indices


class _Block:
    """Some rows of x and their best so far, which the columns are led past."""

    def __init__(
        self,
        rows: Rows,
        columns: Rows,
        top: slice,
        scores: Tensor,
        indices: Tensor,
        codes: tuple[Tensor, Tensor] | None,
    ) -> None:
        self.rows, self.columns, self.top, self.codes = rows, columns, top, codes
        self.scores, self.indices = scores, indices  # views [b, k] of the result
        self.k = scores.shape[1]
        self.crowd = 4 * self.k + 16
        self.narrow, self.wide = rows.narrow, rows.wide
        self.unit = rows.unit(top, self.narrow)
        self.local = torch.arange(top.stop - top.start, device=scores.device)

    def meet(self, left: slice) -> None:
        """Bring the best up to date with some columns that follow those met before."""
        tile = self._cosines(self.unit, self.local, left)
        found = self._candidates(tile, self.local)
        width = left.stop - left.start
        counts = torch.bincount(found // width, minlength=len(self.local))
        many = counts > self.crowd
        if self.narrow != self.wide and bool(many.any()):
            some = many.nonzero().view(-1)
            unit = self.rows.unit(some + self.top.start, self.wide)
            again = self._candidates(self._cosines(unit, some, left), some)
            again += (some - torch.arange(len(some), device=some.device))[again // width] * width
            found = torch.cat([found[~many[found // width]], again])
        if found.shape[0]:
            self._enter(found // width, found % width + left.start)

    def _candidates(self, tile: Tensor, local: Tensor) -> Tensor:
        """Places in a tile of pairs that may be among the best, flat and ascending."""
        b, width = tile.shape
        # groups of columns first: their maxima are a sixteenth of the tile
        size = math.gcd(width, min(_GROUP, 1 << (width // (4 * self.k)).bit_length() >> 1) or 1)
        groups = tile.view(b, size, width // size)
        maxima = groups.amax(dim=1)
        bar = self._bar(local, tile.dtype)
        hopeful = maxima >= bar[:, None]
        if self.k <= maxima.shape[1] and int(hopeful.count_nonzero()) > b * self.k:
            # the k-th best maximum is reached by k pairs, each of which errs by a band at most
            own = maxima.topk(self.k, dim=1).values[:, -1]
            own -= 2 * self.rows.band(tile.dtype) + 1.1 * _STEP
            bar = torch.maximum(bar, own)
            hopeful = maxima >= bar[:, None]
        row, group = hopeful.nonzero().unbind(1)
        hit, place = (groups[row, :, group] >= bar[row, None]).nonzero().unbind(1)
        return (row[hit] * width + place * maxima.shape[1] + group[hit]).sort().values

    def _cosines(self, unit: Tensor, local: Tensor, left: slice) -> Tensor:
        """Products of some of the block's rows with the columns, -inf where left out."""
        tile = unit @ self.columns.unit(left, unit.dtype).T
        if self.columns is self.rows:
            own = local + (self.top.start - left.start)
            inside = ((own >= 0) & (own < left.stop - left.start)).nonzero().view(-1)
            tile[inside, own[inside]] = -torch.inf
        if self.codes is not None:
            codes, others = self.codes[0][self.top][local], self.codes[1][left]
            tile[equal_pairs(codes, others)] = -torch.inf
        return tile

    def _bar(self, local: Tensor, dtype: torch.dtype) -> Tensor:
        """Products under it belong to pairs that would not be among the best; above -inf."""
        # a later column loses a tie, so it must round to more than the k-th score
        bar = self.scores[local, -1] + (0.49 * _STEP - self.rows.band(dtype))
        return bar.clamp_(min=-2.0).to(dtype)

    def _enter(self, row: Tensor, column: Tensor) -> None:
        """Evaluate candidates, row by row in ascending columns, and keep each row's best k."""
        score = cosines(self.rows, self.columns, row + self.top.start, column)
        score = score.round(decimals=_DECIMALS) + 0.0
        local, row, counts = row.unique_consecutive(return_inverse=True, return_counts=True)
        place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
        shape = (len(local), self.k + int(counts.max()))
        scores = score.new_full(shape, -torch.inf)
        indices = column.new_full(shape, -1)
        scores[:, : self.k], indices[:, : self.k] = self.scores[local], self.indices[local]
        scores[row, place + self.k], indices[row, place + self.k] = score, column
        order = scores.argsort(dim=1, descending=True, stable=True)[:, : self.k]
        self.scores[local], self.indices[local] = scores.gather(1, order), indices.gather(1, order)


def _check(x: Tensor, other: Tensor | None, k: int) -> None:
    check_matrices(x, other)
    if isinstance(k, bool) or not isinstance(k, Integral):
        raise TypeError(f"k must be an integer, got {type(k).__name__}; pass the number of places")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}; pass the number of places to fill")


def _checked_codes(
    x: Tensor, other: Tensor | None, exclude: Tensor | tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor] | None:
    """Codes of both sides, int64."""
    if exclude is None:
        return None
    if isinstance(exclude, tuple) != (other is not None) or (
        isinstance(exclude, tuple) and len(exclude) != 2
    ):
        came = f"a tuple of {len(exclude)}" if isinstance(exclude, tuple) else "one tensor"
        raise ValueError(
            "exclude must be a tuple ([n], [m]) with other and one tensor [n] without, got "
            f"{came}; give each row of each side its code"
        )
    codes = exclude if isinstance(exclude, tuple) else (exclude, exclude)
    for at, (side, given) in enumerate(zip((x, x if other is None else other), codes, strict=True)):
        name = f"exclude[{at}]" if isinstance(exclude, tuple) else "exclude"
        _checks.check_labels(name, given, side)
        _checks.check_devices(**{"x": x, name: given})
    return codes[0].to(torch.int64), codes[1].to(torch.int64)
