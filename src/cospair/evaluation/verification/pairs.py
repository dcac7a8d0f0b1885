"""Scores of pairs of pictures: cosine similarities, of any two and of every two in a set.

Decisions of this file:
- Scores are float64, clipped to [-1, 1] and rounded to 12 decimals. A product of matrices gives
  equal rows scores that differ in the last bit, by their place in the block; rounding makes them
  tie again.
- All pairs are built in tiles of rows; only the result is of size n (n - 1) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.inputs import Array, identity_labels, unit_rows

SCORE_DECIMALS = 12
TILE_CELLS = 1 << 20


@dataclass(frozen=True, eq=False)
class PairScores:
    """All pairs i < j of a set of pictures, ordered by i, then j.

    Attributes:
        scores: float64 [p], cosine similarity in [-1, 1].
        same: bool [p], True = genuine pair.
        first: int64 [p], row i of the embeddings.
        second: int64 [p], row j of the embeddings.
    """

    scores: NDArray[np.float64]
    same: NDArray[np.bool_]
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.scores)


def pair_scores(embeddings: Array, labels: Array) -> PairScores:
    """Cosine similarity of every pair of rows.

        score(i, j) = <x_i, x_j> / (|x_i| |x_j|),   0 if a row is zero

    Args:
        embeddings: Real [n, d], finite; an array or a tensor on any device.
        labels: Integer or string [n], the identity of each row.

    Returns:
        The pairs; none for fewer than two rows.

    Raises:
        TypeError: If labels are floats (they collide above 2^24 in float32) or embeddings are not
            numbers.
        ValueError: If a row is not finite (the first such row is named) or shapes disagree.

    Example:
        >>> pair_scores([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], ["ann", "ann", "bob"]).scores
        array([1., 0., 0.])
    """
    rows = unit_rows("embeddings", embeddings)
    codes = np.unique(identity_labels("labels", labels, len(rows)), return_inverse=True)[1]
    n = len(rows)
    count = n * (n - 1) // 2
    scores, same = np.empty(count), np.empty(count, np.bool_)
    first, second = np.empty(count, np.int64), np.empty(count, np.int64)
    step, done, places = max(1, TILE_CELLS // max(1, n)), 0, np.arange(n)
    for start in range(0, n, step):
        tile = cosines(rows[start : start + step], rows[start:])
        for i, row in enumerate(tile, start):
            part = slice(done, done + n - i - 1)
            scores[part], same[part] = row[i - start + 1 :], codes[i + 1 :] == codes[i]
            first[part], second[part] = i, places[i + 1 :]
            done = part.stop
    return PairScores(scores, same, first, second)


def cosines(rows: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine similarities [n, m] of unit rows, rounded so that equal rows tie."""
    product = rows @ others.T
    np.clip(product, -1.0, 1.0, out=product)
    np.round(product, SCORE_DECIMALS, out=product)
    product += 0.0  # -0.0 and 0.0 become one score
    return product
