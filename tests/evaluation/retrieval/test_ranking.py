import itertools
from fractions import Fraction

import numpy as np
import pytest
from evaluation.examples import exact_ap
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    coverage_error,
    label_ranking_average_precision_score,
)

from cospair.evaluation.retrieval import ranking
from cospair.evaluation.retrieval.match_ranks import MatchRanks
from cospair.evaluation.retrieval.ranking import (
    first_match,
    groups_of,
    inverse_last_ranks,
    matches_within,
    precision_per_match_within,
    precision_sums,
)

# float64 sums of some ten terms in [0, 10]
ROUNDING = 1e-13
KINDS = ("expected", "optimistic", "pessimistic")


def ranks_of(rankings):
    """What `match_ranks` finds for rankings, each the scores and the matches of its items."""
    offsets, found = [0], []
    for scores, matches in rankings:
        hits = [score for score, match in zip(scores, matches, strict=True) if match]
        for score in sorted(set(hits), reverse=True):
            higher, alike = sum(s > score for s in scores), sum(s == score for s in scores)
            found.append((float(score), higher, alike, hits.count(score)))
        offsets.append(len(found))
    score, above, tied, count = (np.array(part) for part in zip(*found, strict=True))
    return MatchRanks(np.arange(len(rankings)), np.array(offsets), score, above, tied, count)


def orders(scores, matches):
    """Every ranking that is consistent with the scores, as lists of matches, all equally likely."""
    levels = [
        [match for score, match in zip(scores, matches, strict=True) if score == level]
        for level in sorted(set(scores), reverse=True)
    ]
    for parts in itertools.product(*(set(itertools.permutations(level)) for level in levels)):
        yield list(itertools.chain(*parts))


def by_name(scores, matches, ties):
    """The rankings that `ties` means."""
    if ties == "expected":
        return list(orders(scores, matches))
    sign = -1 if ties == "optimistic" else 1
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], sign * matches[i]))
    return [[matches[i] for i in order]]


def mean(figure, rankings):
    """The exact mean of a figure over rankings."""
    return float(sum(Fraction(figure(ranked)) for ranked in rankings) / len(rankings))


def precisions(ranked, depth):
    """Precision at each match within the first places, by definition."""
    return [Fraction(sum(ranked[:k]), k) for k in range(1, depth + 1) if ranked[k - 1 : k] == [1]]


def last_rank(ranked):
    return max(rank for rank, match in enumerate(ranked, 1) if match)


tied_rankings = st.integers(1, 6).flatmap(
    lambda m: st.tuples(
        st.lists(st.integers(-2, 1), min_size=m, max_size=m),
        st.lists(st.integers(0, 1), min_size=m, max_size=m).filter(any),
    )
)
several = st.lists(tied_rankings, min_size=1, max_size=3)


def check(found, rankings, ties, figure):
    expected = [mean(figure, by_name(scores, matches, ties)) for scores, matches in rankings]
    np.testing.assert_allclose(found, expected, atol=ROUNDING)


@settings(max_examples=60, deadline=None)
@given(several, st.sampled_from(KINDS), st.integers(1, 8))
def test_first_match_is_the_share_of_orders(rankings, ties, k):
    found = first_match(groups_of(ranks_of(rankings)), ties, 8)[:, k - 1]
    check(found, rankings, ties, lambda ranked: int(any(ranked[:k])))


@settings(max_examples=60, deadline=None)
@given(several, st.sampled_from(KINDS), st.sampled_from(["step", "trapezoid"]))
def test_average_precision_is_the_mean_over_orders(rankings, ties, rule):
    groups = groups_of(ranks_of(rankings))
    depth = np.full(len(rankings), 6)
    found = precision_sums(groups, ties, depth, rule) / groups.relevant
    check(found, rankings, ties, lambda ranked: exact_ap(ranked, rule))


@settings(max_examples=60, deadline=None)
@given(several, st.sampled_from(KINDS), st.integers(1, 8))
def test_precision_and_matches_within_are_the_mean_over_orders(rankings, ties, k):
    groups, depth = groups_of(ranks_of(rankings)), np.full(len(rankings), k)
    check(
        precision_sums(groups, ties, depth),
        rankings,
        ties,
        lambda ranked: sum(precisions(ranked, k)),
    )
    check(matches_within(groups, ties, depth), rankings, ties, lambda ranked: sum(ranked[:k]))


@settings(max_examples=80, deadline=None)
@given(several, st.sampled_from(KINDS), st.integers(1, 8))
def test_precision_per_match_within_is_the_mean_over_orders(rankings, ties, k):
    found = precision_per_match_within(groups_of(ranks_of(rankings)), ties, k)

    def figure(ranked):
        here = precisions(ranked, k)
        return sum(here) / len(here) if here else 0

    check(found, rankings, ties, figure)


@settings(max_examples=60, deadline=None)
@given(several, st.sampled_from(KINDS))
def test_inverse_of_the_last_rank_is_the_mean_over_orders(rankings, ties):
    found = inverse_last_ranks(groups_of(ranks_of(rankings)), ties)
    check(found, rankings, ties, lambda ranked: Fraction(1, last_rank(ranked)))


@settings(max_examples=60, deadline=None)
@given(several, st.sampled_from(KINDS))
def test_a_depth_of_its_own_for_each_query(rankings, ties):
    groups = groups_of(ranks_of(rankings))
    relevant = groups.relevant
    assert relevant.tolist() == [sum(matches) for _, matches in rankings]
    check(
        precision_sums(groups, ties, relevant) / relevant,
        rankings,
        ties,
        lambda ranked: sum(precisions(ranked, sum(ranked))) / sum(ranked),
    )
    check(
        matches_within(groups, ties, relevant) / relevant,
        rankings,
        ties,
        lambda ranked: Fraction(sum(ranked[: sum(ranked)]), sum(ranked)),
    )


@pytest.mark.parametrize("ties", KINDS)
def test_matches_at_ranks_1_2_4_7_of_10(ties):
    scores = list(range(10, 0, -1))
    groups = groups_of(ranks_of([(scores, [int(rank in (1, 2, 4, 7)) for rank in range(1, 11)])]))
    ten, five = np.array([10]), np.array([5])
    assert round(float(precision_sums(groups, ties, ten)[0]) / 4, 4) == 0.8304
    assert round(float(precision_sums(groups, ties, ten, "trapezoid")[0]) / 4, 4) == 0.8110
    assert precision_sums(groups, ties, five)[0] / 4 == 0.6875
    assert round(float(precision_per_match_within(groups, ties, 5)[0]), 4) == 0.9167
    assert matches_within(groups, ties, five)[0] == 3
    assert inverse_last_ranks(groups, ties)[0] == 1 / 7


@pytest.mark.parametrize("cells", [1, 7, 100])
def test_chunks_change_nothing(monkeypatch, cells):
    rng = np.random.default_rng(0)
    rankings = []
    for size in (3, 40, 200, 8, 1000):
        matches = rng.integers(2, size=size)
        matches[0] = 1
        rankings.append((rng.integers(size // 8 + 1, size=size).tolist(), matches.tolist()))
    groups, depth = groups_of(ranks_of(rankings)), np.array([3, 9, 100, 8, 500])

    def figures():
        return [
            precision_sums(groups, "expected", depth, "trapezoid"),
            inverse_last_ranks(groups, "expected"),
        ]

    expected = figures()
    monkeypatch.setattr(ranking, "CHUNK_CELLS", cells)
    # how many places a sum has beside it, all zero, changes the order of its additions
    np.testing.assert_allclose(figures(), expected, rtol=1e-13)


def test_large_rankings_without_ties_are_scikit_learns():
    rng = np.random.default_rng(1)
    scores, matches = rng.normal(size=(20, 3000)), rng.random((20, 3000)) < 0.02
    groups = groups_of(
        ranks_of([(s.tolist(), m.tolist()) for s, m in zip(scores, matches, strict=True)])
    )
    found = precision_sums(groups, "expected", np.full(20, 3000)) / groups.relevant
    expected = [average_precision_score(m, s) for s, m in zip(scores, matches, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # sums of 3,000 terms
    whole = label_ranking_average_precision_score(matches, scores)
    np.testing.assert_allclose(found.mean(), whole, rtol=1e-12)
    last = 1 / inverse_last_ranks(groups, "expected")
    np.testing.assert_allclose(last.mean(), coverage_error(matches, scores), rtol=1e-12)


def test_pessimistic_first_ranks_of_ties_are_scikit_learns_last_ranks():
    rng = np.random.default_rng(2)
    scores, matches = rng.integers(20, size=(30, 50)), rng.random((30, 50)) < 0.1
    matches[:, 0] = True
    groups = groups_of(
        ranks_of([(s.tolist(), m.tolist()) for s, m in zip(scores, matches, strict=True)])
    )
    last = 1 / inverse_last_ranks(groups, "pessimistic")
    np.testing.assert_allclose(last.mean(), coverage_error(matches, scores), rtol=1e-12)


def test_everything_tied_is_the_chance_of_a_random_order():
    m, r = 20_000, 40
    groups = groups_of(
        MatchRanks(*(np.array(part) for part in ([0], [0, 1], [0.0], [0], [m], [r])))
    )
    first = first_match(groups, "expected", 50)[0]
    chance = [1 - float(_none_of(m, r, k)) for k in range(1, 51)]
    np.testing.assert_allclose(first, chance, atol=ROUNDING)
    np.testing.assert_allclose(
        inverse_last_ranks(groups, "expected"), _random_last(m, r), rtol=1e-12
    )
    per_hit = precision_per_match_within(groups, "expected", 300)[0]
    np.testing.assert_allclose(per_hit, _random_per_match(m, r, 300), rtol=1e-11)


def _none_of(m, r, k):
    """P(none of the first k of m places holds one of r matches)."""
    chance = Fraction(1)
    for p in range(k):
        chance *= Fraction(m - r - p, m - p)
    return chance


def _random_last(m, r):
    """Mean of 1 / rank of the last of r matches in m places, place by place from the end."""
    none, total = 1.0, 0.0
    for place in range(m, r - 1, -1):
        total += none * r / place / place
        none *= (place - r) / place
    return total


def _random_per_match(m, r, k):
    """Mean precision per match in the first k of m places, from a walk over places, in floats.

    `share[x]` is P(x matches so far), `total[x]` the mean sum of precisions on that event.
    """
    share, total = np.zeros(r + 2), np.zeros(r + 2)
    share[0] = 1.0
    x = np.arange(r + 2)
    for p in range(k):
        hit = (r - x).clip(0) / (m - p)
        gain = hit * (total + share * (x + 1) / (p + 1))
        share, total = (
            share * (1 - hit) + np.roll(share * hit, 1),
            total * (1 - hit) + np.roll(gain, 1),
        )
    return float((total[1:] / x[1:]).sum())
