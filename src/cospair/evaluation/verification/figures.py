"""Verification: do two pictures show one identity? Every figure over all pairs, with intervals.

Decisions of this file:
- Up to HELD_PAIRS pairs are held in memory and resampled as they are. More are counted as they
  pass, and never held: the figures are the same, the intervals those of `all_pairs_figures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cospair.evaluation.bootstrap.draws import Progress
from cospair.evaluation.inputs import (
    Array,
    as_array,
    check_both_kinds,
    check_people_match,
    check_resamples,
    check_share,
    checked_pairs,
    identities_of_pairs,
)
from cospair.evaluation.verification.pairs import pair_scores
from cospair.evaluation.verification.summary import (
    figures_of_people,
    figures_of_strangers,
)

HELD_PAIRS = 20_000_000
FAR = (1e-1, 1e-2, 1e-3)


def verification_figures(
    embeddings: Array,
    labels: Array,
    *,
    far: Sequence[float] = FAR,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every verification figure over all pairs of a labelled set, with 95 % intervals.

    Above 20 million pairs (6,325 pictures) the scores are never held: `all_pairs_figures` counts
    them as they pass. The figures are the same; the intervals are of first order there.

    Args:
        embeddings: Real [n, d], finite.
        labels: Integer or string [n].
        far: Targets in (0, 1] for TAR@FAR.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap.
        progress: Called now and then with (done, of): resamples, or parts of a sweep over sets too
            large for their pairs to be held.

    Returns:
        A dict of plain numbers and lists: counts ("genuine_pairs", "impostor_pairs", "identities",
        "pictures"), "auc", "eer", "eer_threshold", "tar_at_far" (one dict per target), their
        "..._interval" as [low, high] or None, "interval" (method, and under "notes" the reason for
        each None), "roc" (at most 500 points of the exact curve) and "histogram" (counts). Rates
        are shares in [0, 1].

    Raises:
        TypeError: As `pair_scores`.
        ValueError: As `pair_scores`, or if genuine or impostor pairs are missing, or an option is
            out of range.

    Example:
        >>> rows = [[1, 0], [1, 1], [0, 1], [-1, 1]]
        >>> figures = verification_figures(rows, [0, 0, 1, 1], resamples=0)
        >>> figures["genuine_pairs"], figures["impostor_pairs"], figures["auc"]
        (2, 4, 0.875)
    """
    check_options(far, resamples)
    names = as_array(labels)
    if names.size * (names.size - 1) // 2 > HELD_PAIRS:
        from cospair.evaluation.all_pairs.figures import all_pairs_figures  # it stands on this file

        return all_pairs_figures(
            embeddings, names, far=far, resamples=resamples, seed=seed, progress=progress
        )
    pairs = pair_scores(embeddings, names)
    codes = np.unique(names, return_inverse=True)[1]
    genuine = int(pairs.same.sum())
    check_both_kinds(genuine, len(pairs) - genuine)
    found = figures_of_people(
        pairs.scores,
        pairs.same,
        np.stack([codes[pairs.first], codes[pairs.second]], axis=1),
        far=far,
        resamples=resamples,
        seed=seed,
        progress=progress,
    )
    return {**found, "pictures": len(codes)}


def pair_figures(
    scores: Array,
    same: Array,
    *,
    identities: Array | None = None,
    independent: bool = False,
    far: Sequence[float] = FAR,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every verification figure of pairs that come as scores.

    Args:
        scores: Real [p], finite, higher = more alike.
        same: Bool (or 0 and 1) [p], True = genuine.
        identities: Integer or string [p, 2], the identities of the two pictures of each pair; with
            them every figure gets its interval.
        independent: That no two pairs share a person, where identities are not known. Then TAR@FAR
            gets the Clopper-Pearson interval of its count, the threshold taken as given.
        far: Targets in (0, 1] for TAR@FAR.
        resamples: Resamples of the identity bootstrap: 0 (no intervals) or at least 100.
        seed: Seed of the bootstrap.
        progress: Called now and then with (resamples done, resamples).

    Returns:
        As `verification_figures`; "pictures" is None, "identities" too where they were not given.

    Raises:
        TypeError: If scores are not numbers, `same` holds neither truth values nor 0 and 1, or
            identities are floats.
        ValueError: If lengths differ, a score is not finite, a kind of pair is missing, identities
            contradict `same` or come with `independent`, or an option is out of range.

    Example:
        >>> scores, same = [0.9, 0.6, 0.5, 0.1], [True, False, True, False]
        >>> figures = pair_figures(scores, same, far=[0.5], independent=True)
        >>> figures["auc"], figures["tar_at_far"][0]["tar"], figures["auc_interval"]
        (0.75, 1.0, None)
        >>> figures["interval"]["notes"]["auc"]
        'no interval: Clopper-Pearson is of counts at one threshold'
    """
    check_options(far, resamples)
    values, flags = checked_pairs(scores, same)
    if identities is None:
        return figures_of_strangers(values, flags, far=far, independent=independent)
    if independent:
        raise ValueError(
            "independent must stand alone; got identities as well; leave one out, identities give "
            "the better interval."
        )
    people = identities_of_pairs(identities, len(values))
    check_people_match(flags, people)
    return figures_of_people(
        values, flags, people, far=far, resamples=resamples, seed=seed, progress=progress
    )


def check_options(far: Sequence[float], resamples: int) -> None:
    """Refuse targets and resamples before the work, not after it."""
    for target in far:
        check_share("each far", target)
    check_resamples(resamples)
