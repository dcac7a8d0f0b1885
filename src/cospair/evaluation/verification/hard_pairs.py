"""The hardest pairs of each kind: the ones a person should look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.inputs import Array, as_array
from cospair.evaluation.verification.pairs import PairScores


def hardest_pairs(
    pairs: PairScores,
    labels: Array,
    identities: Sequence[str],
    *,
    most: int = 12,
) -> dict[str, list[dict[str, Any]]]:
    """Impostor pairs that score highest and genuine pairs that score lowest.

    Args:
        pairs: Pairs of the pictures, from `pair_scores`.
        labels: Integer [n], index of each picture's identity in `identities`.
        identities: Name of each label.
        most: Length of each list at most.

    Returns:
        {"impostor": highest score first, "genuine": lowest first}; each entry holds "first",
        "second" (rows of the pictures), "score", "first_identity" and "second_identity". Ties keep
        the pairs' order.

    Raises:
        TypeError: If `labels` are not integers.
        ValueError: If `most` is negative, or `labels` are not those of the pairs.
    """
    if most < 0:
        raise ValueError(f"most must be at least 0; got {most!r}; pass a list's length.")
    index = as_array(labels)
    _check_index(pairs, index, len(identities))
    impostor, genuine = np.flatnonzero(~pairs.same), np.flatnonzero(pairs.same)
    impostor = impostor[_lowest(-pairs.scores[impostor], most)]
    genuine = genuine[_lowest(pairs.scores[genuine], most)]

    def entry(p: int) -> dict[str, Any]:
        i, j = int(pairs.first[p]), int(pairs.second[p])
        return {
            "first": i,
            "second": j,
            "score": float(pairs.scores[p]),
            "first_identity": str(identities[index[i]]),
            "second_identity": str(identities[index[j]]),
        }

    return {
        "impostor": [entry(p) for p in impostor],
        "genuine": [entry(p) for p in genuine],
    }


def _lowest(values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Places of the lowest values, ascending, the earliest of equals first; without a full sort."""
    if most >= len(values):
        return np.argsort(values, kind="stable")
    if most == 0:
        return np.zeros(0, np.int64)
    edge = np.partition(values, most - 1)[most - 1]
    below = np.flatnonzero(values < edge)
    tied = np.flatnonzero(values == edge)[: most - len(below)]
    return np.append(below[np.argsort(values[below], kind="stable")], tied)


def _check_index(pairs: PairScores, index: NDArray[Any], identities: int) -> None:
    """Refuse labels that are no indices of identities, or not those that the pairs were made of."""
    if index.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers; got dtype {index.dtype}; pass indices into identities."
        )
    pictures = int(pairs.second.max(initial=-1)) + 1
    fits = index.ndim == 1 and len(index) >= pictures and index.size * identities > 0
    if (
        not fits
        or index.min() < 0
        or index.max() >= identities
        or not np.array_equal(index[pairs.first] == index[pairs.second], pairs.same)
    ):
        raise ValueError(
            f"labels must be the pairs' own labels and index {identities} identities; got shape "
            f"{index.shape} for {pictures} pictures; pass the labels that pair_scores was given."
        )
