"""Pairs of pictures with their target: +1 for one identity (genuine), -1 for two (impostor).

Decisions:
- Pairs are numbered, not listed: with rows sorted by identity, the row at place q has as genuine
  partners the places before it in its own group and as impostor partners the places before its
  group. A drawn number is turned into its pair by one binary search, so memory grows with the
  rows and the pairs drawn, not with all pairs.
- Every genuine pair is equally likely, and so is every impostor pair. An identity with one
  picture has impostor pairs only.
- A pair is written with the smaller row first.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from cospair.data.inputs import random_generator, rows_by_identity, whole_number
from cospair.data.samplers import EpochSampler, walk

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def all_pairs(labels: ArrayLike) -> Pairs:
    """List every pair i < j of the rows, in the order (0, 1), (0, 2), ..., (n-2, n-1).

    Args:
        labels: Integer [n], the identity of each row. All three results take 12 n^2 bytes together.

    Returns:
        (first, second, target), int64 [n (n - 1) / 2]; target is +1 where the labels are equal,
        else -1. Fewer than two rows give empty arrays.

    Raises:
        TypeError: If labels are not integers.
        ValueError: If labels are not one-dimensional.

    Example:
        >>> [column.tolist() for column in all_pairs([5, 5, 9])]
        [[0, 0, 1], [1, 2, 2], [1, -1, -1]]
    """
    groups = rows_by_identity(labels)
    identity = np.empty(sum(len(rows) for rows in groups), dtype=np.int64)
    for number, rows in enumerate(groups):
        identity[rows] = number
    first, second = np.triu_indices(len(identity), 1)
    return first, second, np.where(identity[first] == identity[second], 1, -1)


def sample_pairs(
    labels: ArrayLike, *, genuine: int, impostor: int, seed: int | np.random.Generator
) -> Pairs:
    """Draw random genuine and impostor pairs, mixed in random order.

    Args:
        labels: Integer [n], the identity of each row; any integers.
        genuine: Number of genuine pairs, at least 0. None is repeated where there are as many;
            else all are taken equally often, or once more.
        impostor: Number of impostor pairs, at least 0, drawn by the same rule.
        seed: At least 0, or a generator to go on drawing from.

    Returns:
        (first, second, target), int64 [genuine + impostor].

    Raises:
        TypeError: If labels are not integers, or an option is not an int.
        ValueError: If both numbers are 0, one is negative, or the labels hold no pair of a kind
            asked for.

    Example:
        >>> first, second, target = sample_pairs([0, 0, 1, 1], genuine=2, impostor=3, seed=0)
        >>> int(target.sum())
        -1
    """
    table = _PairTable(labels, genuine=genuine, impostor=impostor)
    generator = seed if isinstance(seed, np.random.Generator) else random_generator(seed)
    return next(table.batches(1, generator))


class PairSampler(EpochSampler[Pairs]):
    """Batches of (first, second, target) for a Siamese network, similar and dissimilar pairs mixed.

    Every batch holds the same number of each kind, in random order. An epoch repeats no pair
    before all of its kind have come, and a batch repeats none unless it asks for more than there
    are. Iterate over it, or give it to a DataLoader as `sampler` with `batch_size=None`, whose
    data set is then indexed with such a triple.

    Args:
        labels: Integer [n], the identity of each row; any integers.
        genuine: Genuine pairs a batch, at least 0.
        impostor: Impostor pairs a batch, at least 0.
        batches: Batches an epoch, at least 1.
        seed: At least 0.

    Raises:
        TypeError: If labels are not integers, or an option is not an int.
        ValueError: If both numbers are 0, an option is outside its range, or the labels hold no
            pair of a kind asked for.

    Example:
        >>> sampler = PairSampler([0, 0, 1, 1], genuine=1, impostor=2, batches=2, seed=0)
        >>> [sorted(target.tolist()) for first, second, target in sampler]
        [[-1, -1, 1], [-1, -1, 1]]
    """

    def __init__(
        self, labels: ArrayLike, *, genuine: int, impostor: int, batches: int, seed: int
    ) -> None:
        """Check the options and number the pairs."""
        super().__init__(batches=batches, seed=seed)
        self._table = _PairTable(labels, genuine=genuine, impostor=impostor)

    def batches_of(self, epoch: int) -> Iterator[Pairs]:
        """Return the epoch's triples of int64 [genuine + impostor]."""
        return self._table.batches(self.batches, random_generator(self.seed, epoch))

    def settings(self) -> dict[str, int]:
        """Return genuine, impostor, batches, seed and the number of rows and identities."""
        return {
            "genuine": self._table.genuine,
            "impostor": self._table.impostor,
            "batches": self.batches,
            "seed": self.seed,
            "pictures": len(self._table.order),
            "identities": self._table.identities,
        }


class _PairTable:
    """The numbering of the genuine and impostor pairs, and how many of each a batch takes."""

    def __init__(self, labels: ArrayLike, *, genuine: int, impostor: int) -> None:
        self.genuine = whole_number("genuine", genuine, least=0)
        self.impostor = whole_number("impostor", impostor, least=0)
        groups = rows_by_identity(labels)
        self.identities = len(groups)
        self.order = np.concatenate([np.empty(0, np.int64), *groups])
        sizes = np.array([len(rows) for rows in groups], dtype=np.int64)
        self._start = np.repeat(np.cumsum(sizes) - sizes, sizes)  # [n] place where q's group begins
        places = np.arange(len(self.order), dtype=np.int64)
        self._genuine_ends = np.cumsum(places - self._start)
        self._impostor_ends = np.cumsum(self._start)
        self._check_enough()

    def batches(self, batches: int, generator: np.random.Generator) -> Iterator[Pairs]:
        """Yield batches of the two kinds, shuffled together."""
        genuine = self._draw(self._genuine_ends, self.genuine, batches, generator)
        impostor = self._draw(self._impostor_ends, self.impostor, batches, generator)
        kinds = np.repeat(np.array([1, -1], dtype=np.int64), [self.genuine, self.impostor])
        for near, far in zip(genuine, impostor, strict=True):
            mixed = generator.permutation(len(kinds))
            first, second = np.concatenate(
                [self._genuine_pair(near), self._impostor_pair(far)], axis=1
            )
            yield first[mixed], second[mixed], kinds[mixed]

    def _draw(
        self, ends: np.ndarray, block: int, blocks: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Draw pair numbers of one kind, [blocks, block]."""
        if block == 0:
            return np.empty((blocks, 0), dtype=np.int64)
        return walk(int(ends[-1]), block=block, blocks=blocks, generator=generator)

    def _genuine_pair(self, numbers: np.ndarray) -> np.ndarray:
        """Turn numbers of genuine pairs into rows, [2, len(numbers)]."""
        place = np.searchsorted(self._genuine_ends, numbers, side="right")
        # Numbers of q end at ends[q]: counting back from there names the partners q - 1, q - 2, ...
        return self._rows(place, place - (self._genuine_ends[place] - numbers))

    def _impostor_pair(self, numbers: np.ndarray) -> np.ndarray:
        """Turn numbers of impostor pairs into rows, [2, len(numbers)]."""
        place = np.searchsorted(self._impostor_ends, numbers, side="right")
        return self._rows(place, self._start[place] - (self._impostor_ends[place] - numbers))

    def _rows(self, place: np.ndarray, partner: np.ndarray) -> np.ndarray:
        """Return the rows at two places, the smaller one first."""
        return np.sort(np.stack([self.order[place], self.order[partner]]), axis=0)

    def _check_enough(self) -> None:
        """Raise where nothing is asked for, or a kind that the labels do not hold."""
        if self.genuine + self.impostor == 0:
            raise ValueError(
                "genuine and impostor must not both be 0; got 0 and 0; ask for at least one pair"
            )
        if self.genuine and not self._genuine_ends[-1:].any():
            raise ValueError(
                f"genuine must be 0 where no identity has two pictures; got {self.genuine}; "
                f"give an identity a second picture"
            )
        if self.impostor and not self._impostor_ends[-1:].any():
            raise ValueError(
                f"impostor must be 0 where there are fewer than two identities; "
                f"got {self.impostor}; give pictures of a second identity"
            )
