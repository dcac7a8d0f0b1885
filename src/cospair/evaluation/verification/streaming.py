"""Verification figures of pairs that come in portions, from one process or several.

Decisions of this file:
- Nothing is estimated: what is kept are the distinct (score, people) seen so far, with counts, so
  portions, their order and the order of merges change no bit of a figure.
- Portions are put aside and made one with the rest when they are as many, so that sorting costs
  little and memory stays within a few times that of the distinct pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.bootstrap.draws import Progress
from cospair.evaluation.inputs import (
    Array,
    as_array,
    check_both_kinds,
    check_people_match,
    flagged_scores,
    identity_labels,
)
from cospair.evaluation.verification.figures import FAR, check_options
from cospair.evaluation.verification.summary import figures_of_people, figures_of_strangers
from cospair.evaluation.verification.tally import Tally, joined, state_of, tally_of, tally_of_state

SMALL = 1 << 16  # pairs that may wait whatever was seen before


class VerificationMetric:
    """Every verification figure of all pairs seen, exact, whatever the portions they came in.

    Pairs between the pictures of two portions are not seen: this metric takes scores. For all pairs
    of a set of embeddings use `verification_figures`.

    Args:
        far: Targets in (0, 1] for TAR@FAR.

    Raises:
        ValueError: If a target is out of range.

    Example:
        >>> metric = VerificationMetric(far=[0.5])
        >>> metric.update([0.9, 0.6], [True, False])
        >>> metric.update([0.5, 0.1], [True, False])
        >>> len(metric), metric.compute()["auc"]
        (4, 0.75)
    """

    def __init__(self, *, far: Sequence[float] = FAR) -> None:
        """Start with no pairs."""
        check_options(far, 0)
        self._far = tuple(far)
        self.reset()

    def __len__(self) -> int:
        """Number of pairs seen."""
        return self._pairs

    def update(self, scores: Array, same: Array, identities: Array | None = None) -> None:
        """Take in scored pairs; one kind alone, or none at all, is fine.

        Args:
            scores: Real [p], finite, higher = more alike.
            same: Bool (or 0 and 1) [p], True = genuine.
            identities: Integer or string [p, 2], the identities of the two pictures of each pair:
                in every update or in none. With them the figures get intervals.

        Raises:
            TypeError: If scores are not numbers, `same` holds neither truth values nor 0 and 1, or
                identities are floats or of another kind than before.
            ValueError: If lengths differ, a score is not finite, identities contradict `same`, or
                came before and do not now, or the other way round.
        """
        values, flags = flagged_scores(scores, same)
        self._add(tally_of(values, flags, _labels(identities, flags)))

    def merge(self, other: VerificationMetric) -> None:
        """Take in all pairs that another metric has seen; the other stays as it is.

        Args:
            other: Metric of pairs whose people are known if and only if they are here.

        Raises:
            TypeError: If `other` is no metric, or its identities are of another kind.
            ValueError: If people are known on one side alone.
        """
        if not isinstance(other, VerificationMetric):
            raise TypeError(
                f"other must be a VerificationMetric; got {type(other).__name__}; load a state "
                "into a metric first."
            )
        self._add(other._compacted())

    def compute(
        self, *, resamples: int = 1000, seed: int = 0, progress: Progress | None = None
    ) -> dict[str, Any]:
        """The figures of all pairs seen so far; more may follow.

        Args:
            resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
            seed: Seed of the bootstrap.
            progress: Called now and then with (resamples done, resamples).

        Returns:
            As `pair_figures` of all the pairs at once, bit for bit.

        Raises:
            ValueError: If a kind of pair is missing or `resamples` is out of range.
        """
        check_options(self._far, resamples)
        seen = self._compacted()
        genuine = int(seen.counts[seen.same].sum())
        check_both_kinds(genuine, self._pairs - genuine)
        if seen.people is None:
            return figures_of_strangers(
                seen.scores, seen.same, seen.counts, far=self._far, independent=False
            )
        return figures_of_people(
            seen.scores,
            seen.same,
            seen.people,
            seen.counts,
            far=self._far,
            resamples=resamples,
            seed=seed,
            progress=progress,
        )

    def reset(self) -> None:
        """Forget all pairs."""
        self._pairs = 0
        self._distinct: Tally | None = None
        self._waiting: list[Tally] = []
        self._waiting_rows = 0

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What was seen, as plain arrays to save or to send to another process.

        Returns:
            "scores" float64 [r], "same" bool [r], "counts" int64 [r]; where identities are known
            also "names" [k] and "people" int64 [r, 2], their places in `names`. Two metrics that
            saw the same pairs hold the same arrays.
        """
        return state_of(self._compacted())

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Put what a `state_dict` holds in the place of all pairs seen.

        Args:
            state: Arrays as `state_dict` gives them.

        Raises:
            TypeError: If an array is of another type.
            ValueError: If an array is missing or arrays do not fit together.
        """
        part = tally_of_state(state)
        self.reset()
        self._add(part)

    def _add(self, part: Tally) -> None:
        """Put a part aside, and compact where more wait than are compact."""
        if not len(part.scores):
            return
        if self._pairs:
            _check_alike(self._distinct or self._waiting[0], part)
        self._waiting.append(part)
        self._waiting_rows += len(part.scores)
        self._pairs += int(part.counts.sum())
        if self._waiting_rows > max(SMALL, len(self._distinct.scores) if self._distinct else 0):
            self._compacted()

    def _compacted(self) -> Tally:
        """All that was seen as one tally."""
        if self._waiting:
            parts = [] if self._distinct is None else [self._distinct]
            self._distinct = joined([*parts, *self._waiting])
            self._waiting, self._waiting_rows = [], 0
        return self._distinct or tally_of(np.zeros(0), np.zeros(0, bool), None)


def _labels(identities: Array | None, same: NDArray[np.bool_]) -> NDArray[Any] | None:
    """Checked identities [p, 2]."""
    if identities is None:
        return None
    people = as_array(identities)
    if people.shape != (len(same), 2) and people.size + same.size:
        raise ValueError(
            f"identities must be [p, 2] for scores [p]; got {people.shape} for {same.shape}; pass "
            "the identities of both pictures of every pair."
        )
    people = identity_labels("identities", people.ravel(), 2 * len(same)).reshape(-1, 2)
    check_people_match(same, people)
    return people


def _check_alike(seen: Tally, part: Tally) -> None:
    """Refuse people of another kind, or known here and not there."""
    if seen.names is None or part.names is None:
        if seen.names is not part.names:
            was, came = ("with", "without") if part.names is None else ("without", "with")
            raise ValueError(
                f"identities must come with all pairs or with none; got pairs {came} them after "
                f"pairs {was} them; pass them always or never."
            )
    elif seen.names.dtype.kind != part.names.dtype.kind:
        raise TypeError(
            f"identities must be of one kind; got {part.names.dtype} after {seen.names.dtype}; use "
            "integers or strings throughout."
        )
