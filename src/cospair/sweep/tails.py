"""Counts of genuine and impostor pairs above thresholds and between edges, over all pairs.

Decisions of this file:

- On the CPU `tallied` counts, by the kernel that takes every pair in float64 once. What follows is
  for other devices, and where that kernel cannot run.
- A cosine within 1e-14 of an edge stands at it, and what stands at an edge counts as above it, as
  a score that equals a threshold is accepted. Only a histogram's last bin holds both of its ends.
- Counts are exact: float32 products settle the pairs that lie further than `Rows.band` from every
  edge, the others are evaluated in float64 one by one. Where those are more than one in 64, which
  hundreds of edges among the bulk of the scores make them, the sweep goes on in float64 products.
- A product becomes one of 32,768 cells of 16 bits from the lowest edge up, 0 below it. What is not
  0 is listed where it is rare, and counted cell by cell where it is not; only the cells that an
  edge's band touches are looked into.
- Both sides are sorted by label, so few tiles hold pairs of both kinds. Of those the genuine pairs
  are listed.
- NaN and infinite rows are refused: they would lie on no side of an edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cospair import _checks
from cospair.kernels.products import exact_products
from cospair.kernels.sweeps import TIE, wide_labels
from cospair.sweep import tallied
from cospair.sweep.tiles import (
    Progress,
    Rows,
    check_matrices,
    cosines,
    equal_pairs,
    spans,
)

_TILE = 1024
_CELLS = 1 << 15
_FINEST = 2.0**18  # cells a unit at most: finer ones would lie within the rounding of their numbers
_RARE = 16  # one in so many is rare
_CROWD = 64  # fewer than one in so many pairs may stand near an edge


class PairCounts(NamedTuple):
    """Whole numbers of pairs, by kind.

    Attributes:
        genuine: Pairs of equal labels, int64 [t] or [bins].
        impostor: Pairs of different labels, int64 [t] or [bins].
        genuine_pairs: Genuine pairs in all.
        impostor_pairs: Impostor pairs in all.
    """

    genuine: Tensor
    impostor: Tensor
    genuine_pairs: int
    impostor_pairs: int


def counts_above(
    x: Tensor,
    labels: Tensor,
    other: Tensor | None = None,
    other_labels: Tensor | None = None,
    *,
    thresholds: Tensor | Sequence[float],
    progress: Progress | None = None,
) -> PairCounts:
    r"""Pairs whose cosine is at least each threshold: false and true accepts over all pairs.

    .. math::
        \#\{(i, j) : s(i, j) \ge t\}, \quad
        s(i, j) = \frac{\langle x_i, y_j \rangle}{|x_i| |y_j|}, \quad 0 \text{ if a row is zero}

    The pairs are i < j of x, or every pair of x with other. A cosine within 1e-14 of a threshold
    counts. Nothing of size n x m is held; a device but the CPU is synchronised in every tile.

    Args:
        x: Embeddings [n, d], float16, bfloat16, float32 or float64, finite.
        labels: Integers [n].
        other: Embeddings [m, d], x's dtype, finite.
        other_labels: Integers [m], with other only.
        thresholds: Finite numbers [t], in any order; float64, so a float32 tensor's as they are.
        progress: Called as progress(done, of) after every tile, or part of the sweep.

    Returns:
        The counts [t], in the thresholds' order.

    Raises:
        TypeError: For embeddings or labels of the wrong type.
        ValueError: For shapes that do not fit, thresholds that are not finite numbers, or a NaN or
            infinite row.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
        >>> found = counts_above(x, torch.tensor([0, 0, 1]), thresholds=[0.6, 0.0])
        >>> found.genuine.tolist(), found.impostor.tolist()  # cosines .6; 0 and .8
        ([1, 1], [1, 2])
    """
    given = _numbers("thresholds", thresholds, 1, x)
    ordered, order = given.sort()
    genuine, impostor = _binned(_sides(x, labels, other, other_labels), ordered, progress)
    above = torch.empty((2, len(given)), dtype=torch.int64, device=order.device)
    above[:, order] = torch.stack([genuine, impostor])[:, 1:].flip(1).cumsum(1).flip(1)
    return PairCounts(above[0], above[1], *_pairs(labels, other_labels))


def histogram(
    x: Tensor,
    labels: Tensor,
    other: Tensor | None = None,
    other_labels: Tensor | None = None,
    *,
    edges: Tensor | Sequence[float],
    progress: Progress | None = None,
) -> PairCounts:
    r"""Pairs whose cosine lies between edges: the score distributions over all pairs.

    Bin b holds edges[b] <= s < edges[b + 1], the last one its upper end too. A cosine within 1e-14
    of an edge stands at it. Pairs outside the edges are in no bin.

    Args:
        x: As for `counts_above`.
        labels: As for `counts_above`.
        other: As for `counts_above`.
        other_labels: As for `counts_above`.
        edges: Finite numbers [bins + 1], ascending, float64.
        progress: Called as progress(done, of) after every tile, or part of the sweep.

    Returns:
        The counts [bins].

    Raises:
        TypeError: As `counts_above`.
        ValueError: As `counts_above`, and for edges that do not ascend.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
        >>> found = histogram(x, torch.tensor([0, 0, 1]), edges=[-1.0, 0.0, 0.6, 1.0])
        >>> found.genuine.tolist(), found.impostor.tolist()
        ([0, 0, 1], [0, 1, 1])
    """
    given = _numbers("edges", edges, 2, x)
    descent = (given.diff() <= 0).nonzero().view(-1)
    if descent.shape[0]:
        at = int(descent[0])
        raise ValueError(
            f"edges must ascend, got {given[at].item()!r} before {given[at + 1].item()!r}; sort "
            "them and drop repeated ones"
        )
    closed = torch.cat([given[:-1], given[-1:] + 2 * TIE])  # the last bin holds its upper end
    counts = _binned(_sides(x, labels, other, other_labels), closed, progress)
    genuine, impostor = (each[1:-1].clone() for each in counts)
    return PairCounts(genuine, impostor, *_pairs(labels, other_labels))


class _Side(NamedTuple):
    """Rows, the order that sorts them by label, and their labels in that order."""

    rows: Rows
    order: Tensor
    labels: Tensor


class _Tile(NamedTuple):
    """Sorted positions of a tile, and which kinds it holds."""

    top: slice
    left: slice
    genuine: bool
    impostor: bool


def _binned(
    sides: tuple[_Side, _Side], edges: Tensor, progress: Progress | None
) -> tuple[Tensor, Tensor]:
    """Genuine and impostor pairs [edges + 1] by the number of edges under them; none at 0."""
    if not tallied.refuses(sides[0].rows.x):
        columns = None if sides[1] is sides[0] else sides[1]
        return tallied.binned(sides[0], columns, edges, progress)
    counter = _Counter(*sides, edges.clamp(-1.5, 1.5))
    counts = torch.zeros((2, len(edges) + 1), dtype=torch.int64, device=edges.device)
    tiles = list(_tiles(*sides))
    with exact_products(edges.device):
        for done, tile in enumerate(tiles, 1):
            counter.take(tile, counts)
            if progress:
                progress(done, len(tiles))
    return counts[0], counts[1]


def _tiles(rows: _Side, columns: _Side) -> Iterator[_Tile]:
    """Tiles of all pairs, or of those at and above the diagonal within one side."""
    ends = [
        [
            (span, int(low), int(high))
            for span, low, high in zip(
                spans(len(side.labels), _TILE),
                side.labels[::_TILE].tolist(),
                [*side.labels[_TILE - 1 :: _TILE].tolist(), *side.labels[-1:].tolist()],
                strict=False,
            )
        ]
        for side in (rows, columns)
    ]
    for top, low, high in ends[0]:
        for left, least, most in ends[1]:
            if rows is columns and left.start < top.start:
                continue
            yield _Tile(top, left, low <= most and least <= high, not low == high == least == most)


class _Counter:
    """Puts the pairs of tiles into the bins between edges."""

    def __init__(self, rows: _Side, columns: _Side, edges: Tensor) -> None:
        self.rows, self.columns, self.edges = rows, columns, edges
        self.wide = rows.rows.wide
        self.dtype = rows.rows.narrow
        self.cells = _Cells(edges, rows.rows.band(self.dtype), self.dtype)
        self.lower = edges.new_empty(0)
        self.held: tuple[slice | None, torch.dtype, Tensor] = (None, self.dtype, edges)

    def take(self, tile: _Tile, counts: Tensor) -> None:
        """Add a tile's pairs to the counts [2, edges + 1] of genuine and impostor pairs."""
        added = self._counted(tile)
        if added is None:
            # too many pairs are near an edge to be evaluated one by one
            self.dtype = self.wide
            self.cells = _Cells(self.edges, self.rows.rows.band(self.wide), self.wide)
            added = self._counted(tile)
        assert added is not None
        for count, more in zip(counts, added, strict=True):
            count += more
        counts[:, 0] = 0  # what was left out lies there too

    def _counted(self, tile: _Tile) -> tuple[Tensor, Tensor] | None:
        """Genuine and impostor pairs of a tile, or None if too many of them are near edges."""
        products = self._products(tile)
        if self.rows is self.columns and tile.top == tile.left:
            products += self._left_out(len(products))
        flat = products.view(-1)
        none = torch.zeros(len(self.edges) + 1, dtype=torch.int64, device=flat.device)
        listed = none
        if tile.genuine and tile.impostor:
            row, column = equal_pairs(self.rows.labels[tile.top], self.columns.labels[tile.left])
            places = row * products.shape[1] + column
            found = self._looked_into(tile, flat, places)
            if found is None:
                return None
            listed = found
            flat[places] = -torch.inf
        settled, places = self.cells.sorted_out(flat)
        found = self._looked_into(tile, flat, places)
        if found is None:
            return None
        rest = settled + found
        return (listed, rest) if tile.impostor else (rest, none)

    def _products(self, tile: _Tile) -> Tensor:
        """Cosines of a tile to the band; the rows' side is kept while its tiles pass."""
        if self.held[:2] != (tile.top, self.dtype):
            unit = self.rows.rows.unit(self.rows.order[tile.top], self.dtype)
            self.held = (tile.top, self.dtype, unit)
        columns = self.columns.rows.unit(self.columns.order[tile.left], self.dtype)
        return self.held[2] @ columns.T

    def _left_out(self, size: int) -> Tensor:
        """What takes a row's pair with itself, and every second copy of a pair, out of a tile."""
        if len(self.lower) != size or self.lower.dtype != self.dtype:
            self.lower = self.edges.new_full((size, size), -torch.inf, dtype=self.dtype).tril_()
        return self.lower

    def _looked_into(self, tile: _Tile, flat: Tensor, places: Tensor) -> Tensor | None:
        """Counts [edges + 1] of the pairs at some places, by float64 cosines near edges."""
        near = self.cells.band + TIE
        found = flat[places].to(self.wide)
        bins = torch.searchsorted(self.edges, found - near, right=True)
        unsure = bins != torch.searchsorted(self.edges, found + near, right=True)
        some = places[unsure]
        if self.dtype != self.wide and len(some) * _CROWD > flat.shape[0]:
            return None
        exact = self._evaluated(tile, some) + TIE
        bins[unsure] = torch.searchsorted(self.edges, exact, right=True)
        return torch.bincount(bins, minlength=len(self.edges) + 1)

    def _evaluated(self, tile: _Tile, places: Tensor) -> Tensor:
        """Float64 cosines at some places of a tile."""
        width = tile.left.stop - tile.left.start
        first = self.rows.order[places // width + tile.top.start]
        second = self.columns.order[places % width + tile.left.start]
        return cosines(self.rows.rows, self.columns.rows, first, second)

    def _paired(self, tile: _Tile, genuine: bool) -> Tensor:
        """The tile's pairs of a kind, bool."""
        same = self.rows.labels[tile.top, None] == self.columns.labels[None, tile.left]
        paired = same if genuine else ~same
        return paired.triu_(1) if self.rows is self.columns and tile.top == tile.left else paired


class _Cells:
    """Cells of 16 bits from the lowest edge up, and the bins that they lie in."""

    def __init__(self, edges: Tensor, band: float, dtype: torch.dtype) -> None:
        self.band = band
        low, high = edges[0].item() - band - TIE, edges[-1].item() + band + TIE
        self.scale = min((_CELLS - 768) / (high - low), _FINEST)
        self.offset = 2.0 - low * self.scale
        # roundings of the scale, the product, the offset and the sum, in cells
        slack = 2.0**-21 * self.scale + 2.0**-8
        cell = torch.arange(_CELLS, dtype=edges.dtype, device=edges.device)
        least = (cell - slack - self.offset) / self.scale - (band + TIE)
        most = (cell + 1 + slack - self.offset) / self.scale + (band + TIE)
        self.bins = torch.searchsorted(edges, least, right=True)
        self.torn = self.bins != torch.searchsorted(edges, most, right=True)
        # nothing at or above the lowest edge's band is in cell 0, nothing in reach of an edge last
        self.bins[0], self.torn[0] = 0, False
        self.torn_byte = self.torn.to(torch.uint8)
        self.bottom = low
        self.size = len(edges) + 1
        self.numbers = torch.empty(0, dtype=dtype, device=edges.device)
        self.keys = torch.empty(0, dtype=torch.int16, device=edges.device)

    def sorted_out(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Counts [edges + 1] of the products that their cells settle, and places of the others."""
        counts = torch.zeros(self.size, dtype=torch.int64, device=flat.device)
        if flat.amax() < self.bottom:
            return counts, counts[:0]
        keys = self._keys(flat)
        words = keys.view(torch.int64)
        if int(words.count_nonzero()) * _RARE < len(words):
            listed = (words.nonzero() * 4 + torch.arange(4, device=flat.device)).view(-1)
            return counts, listed[keys[listed] != 0]
        cells = torch.bincount(keys, minlength=_CELLS).masked_fill_(self.torn, 0)
        counts.index_add_(0, self.bins, cells)
        return counts, self._torn_places(keys)

    def _keys(self, flat: Tensor) -> Tensor:
        """The cell of each product, int16; some zeros at the end make whole words of 64 bits."""
        size = len(flat)
        if len(self.numbers) != size:
            self.numbers = torch.empty_like(flat)
            self.keys = torch.zeros(-(-size // 8) * 8, dtype=torch.int16, device=flat.device)
        torch.mul(flat, self.scale, out=self.numbers).add_(self.offset).clamp_(0, _CELLS - 1)
        self.keys[:size].copy_(self.numbers)
        return self.keys

    def _torn_places(self, keys: Tensor) -> Tensor:
        """Where an edge's band touches the cell; eight places are looked at as one."""
        torn = self.torn_byte.index_select(0, keys.to(torch.int32))
        words = torn.view(torch.int64).nonzero()
        listed = (words * 8 + torch.arange(8, device=keys.device)).view(-1)
        return listed[torn[listed] != 0]


def _sides(
    x: Tensor, labels: Tensor, other: Tensor | None, other_labels: Tensor | None
) -> tuple[_Side, _Side]:
    """Both sides, checked and sorted by label; the same one twice for the pairs within x."""
    check_matrices(x, other)
    _checks.check_labels("labels", labels, x)
    _checks.check_other_side(x, other, labels, other_labels, None)
    _checks.check_devices(x=x, labels=labels, other=other, other_labels=other_labels)
    rows = _side("x", x, labels)
    if other is None or other_labels is None:
        return rows, rows
    _checks.check_labels("other_labels", other_labels, other)
    return rows, _side("other", other, other_labels)


def _side(name: str, x: Tensor, labels: Tensor) -> _Side:
    labels, order = wide_labels(labels).sort()
    return _Side(Rows(name, x), order, labels)


def _pairs(labels: Tensor, other_labels: Tensor | None) -> tuple[int, int]:
    """Genuine and impostor pairs in all."""
    n = len(labels)
    own = wide_labels(labels)
    others = (own if other_labels is None else wide_labels(other_labels)).sort().values
    ends = torch.searchsorted(others, own, right=True)
    genuine = int((ends - torch.searchsorted(others, own)).sum())
    pairs = n * len(others)
    if other_labels is None:
        genuine, pairs = (genuine - n) // 2, n * (n - 1) // 2
    return genuine, pairs - genuine


def _numbers(name: str, given: Tensor | Sequence[float], least: int, x: Tensor) -> Tensor:
    """Thresholds or edges [t], at least so many, on x's device."""
    _checks.check_embeddings("x", x)
    dtype = torch.float32 if x.device.type == "mps" else torch.float64
    numbers = torch.as_tensor(given, dtype=dtype).detach().to(x.device)
    if numbers.ndim != 1 or numbers.shape[0] < least:
        raise ValueError(
            f"{name} must be at least {least} numbers in one dimension, got shape "
            f"{tuple(numbers.shape)}; pass a list of cosines"
        )
    wrong = (~numbers.isfinite()).nonzero().view(-1)
    if wrong.shape[0]:
        raise ValueError(
            f"{name} must be finite, got {numbers[wrong[0]].item()!r} at position {int(wrong[0])}; "
            "-1 and 1 hold every cosine"
        )
    return numbers
