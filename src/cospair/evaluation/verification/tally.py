"""Scored pairs as they pile up: how often each distinct one was seen, in one order for all.

Decisions of this file:
- Distinct pairs stand in ascending order of score, then kind, and people are numbered in the order
  of their names. So the same pairs give the same arrays, whatever the order and the portions they
  came in.
- A pair's kind is one whole number: 1 genuine and 0 impostor where people are unknown, else the
  place of (lower person, higher person) in the table of all people with all. (ann, bob) is (bob,
  ann).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.inputs import (
    Array,
    as_array,
    check_people_match,
    flagged_scores,
    identity_labels,
)


class Tally(NamedTuple):
    """Pairs [r] with how often each was seen; `names` [k] of the people, ascending, or None."""

    scores: NDArray[np.float64]
    kinds: NDArray[np.int64]
    counts: NDArray[np.int64]
    names: NDArray[Any] | None

    @property
    def people(self) -> NDArray[np.int64] | None:
        """Places in `names` of both people of each pair [r, 2], the lower first."""
        if self.names is None:
            return None
        return np.stack(np.divmod(self.kinds, max(1, len(self.names))), axis=1)

    @property
    def same(self) -> NDArray[np.bool_]:
        """Which pairs are genuine [r]."""
        people = self.people
        return self.kinds == 1 if people is None else people[:, 0] == people[:, 1]


def tally_of(
    scores: NDArray[np.float64], same: NDArray[np.bool_], labels: NDArray[Any] | None
) -> Tally:
    """Pairs as they came, each once; labels [p, 2] or None."""
    once = np.ones(len(scores), np.int64)
    if labels is None:
        return Tally(scores, same.astype(np.int64), once, None)
    names, codes = np.unique(labels, return_inverse=True)
    return Tally(scores, kinds_of(codes.reshape(-1, 2), len(names)), once, names)


def kinds_of(people: NDArray[np.int64], names: int) -> NDArray[np.int64]:
    """Kinds [r] of pairs of people [r, 2]."""
    return people.min(axis=1) * names + people.max(axis=1)


def joined(parts: Sequence[Tally]) -> Tally:
    """All of the parts as one, in order, with equal pairs made one."""
    parts = _of_the_same_people(parts)
    scores = np.concatenate([part.scores for part in parts])
    kinds = np.concatenate([part.kinds for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    order = _order(scores, kinds)
    scores, kinds = scores[order], kinds[order]
    new = (scores[1:] != scores[:-1]) | (kinds[1:] != kinds[:-1])
    starts = np.flatnonzero(np.append(np.ones(len(scores[:1]), bool), new))
    counts = np.add.reduceat(counts[order], starts) if len(starts) else counts
    return Tally(scores[starts], kinds[starts], counts, parts[0].names)


def state_of(tally: Tally) -> dict[str, NDArray[Any]]:
    """Plain arrays, to save or to send."""
    state: dict[str, NDArray[Any]] = {
        "scores": tally.scores.copy(),
        "same": tally.same,
        "counts": tally.counts.copy(),
    }
    if tally.names is not None and tally.people is not None:
        state |= {"names": tally.names.copy(), "people": tally.people}
    return state


def tally_of_state(state: Mapping[str, Array]) -> Tally:
    """The tally of a state that may have come from a file, and so is checked."""
    _check_state("scores" in state and "same" in state and "counts" in state, "an array missing")
    _check_state(("names" in state) == ("people" in state), "names or people alone")
    scores, same = flagged_scores(state["scores"], state["same"])
    counts = as_array(state["counts"])
    _check_state(counts.shape == scores.shape, f"{counts.shape} counts of {scores.shape} scores")
    _check_state(
        counts.dtype.kind in "iu" and bool((counts > 0).all()), "counts that count nothing"
    )
    labels = None
    if "names" in state:
        names, people = as_array(state["names"]), as_array(state["people"])
        fits = people.shape == (len(scores), 2) and people.dtype.kind in "iu"
        fits = fits and bool(((people >= 0) & (people < names.size)).all())
        _check_state(fits, "people that are no places in names")
        labels = identity_labels("names", names, names.size)[people]
        check_people_match(same, labels)
    return tally_of(scores, same, labels)._replace(counts=counts.astype(np.int64))


def _check_state(fits: bool, came: str) -> None:
    if not fits:
        raise ValueError(
            f"state must be that of a VerificationMetric; got {came}; pass what state_dict "
            "returned."
        )


def _of_the_same_people(parts: Sequence[Tally]) -> Sequence[Tally]:
    """The parts with their people numbered together."""
    if any(part.names is None for part in parts):
        return parts
    names = np.unique(np.concatenate([part.names for part in parts if part.names is not None]))
    return [_renumbered(part, names) for part in parts]


def _renumbered(part: Tally, names: NDArray[Any]) -> Tally:
    """The part with its people as places in more names."""
    if part.names is None or part.people is None:
        raise AssertionError("people are known in every part or in none")
    places = np.searchsorted(names, part.names)
    return part._replace(kinds=kinds_of(places[part.people], len(names)), names=names)


def _order(scores: NDArray[np.float64], kinds: NDArray[np.int64]) -> NDArray[np.intp]:
    """The order by score, then kind."""
    order = np.argsort(scores)
    ranked = scores[order]
    equal = ranked[1:] == ranked[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    among = order[tied]  # sorting ties alone is four times as fast where scores seldom tie
    order[tied] = among[np.lexsort((kinds[among], scores[among]))]
    return order
