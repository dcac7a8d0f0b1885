import itertools
from fractions import Fraction

import numpy as np
import pytest
from evaluation.examples import at_scores, exact_ap
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.evaluation import retrieval_figures

# float64 sums of some ten terms in [0, 1]
ROUNDING = 1e-14


def one_query(scores, matches, **options):
    """Figures of one query against a gallery of given scores."""
    options = {"resamples": 0, **options}
    labels = np.where(matches, 7, 8)
    return retrieval_figures([[1.0, 0.0]], [7], at_scores(scores), labels, **options)


def orders(scores, matches):
    """Every ranking that is consistent with the scores, as lists of matches."""
    for permuted in itertools.permutations(range(len(scores))):
        ranked = [scores[i] for i in permuted]
        if ranked == sorted(ranked, reverse=True):
            yield [matches[i] for i in permuted]


tied_rankings = st.integers(1, 6).flatmap(
    lambda m: st.tuples(
        st.lists(st.integers(-2, 1), min_size=m, max_size=m),
        st.lists(st.booleans(), min_size=m, max_size=m).filter(any),
    )
)


@pytest.mark.parametrize(("rule", "value"), [("step", 0.8304), ("trapezoid", 0.8110)])
@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_matches_at_ranks_1_2_4_7_of_10(rule, value, ties):
    matches = [rank in (1, 2, 4, 7) for rank in range(1, 11)]
    scores = np.linspace(0.9, -0.9, 10)
    found = one_query(scores, matches, average_precision=rule, ties=ties)
    assert round(found["map"], 4) == value
    assert found["average_precision"] == rule


@settings(max_examples=150, deadline=None)
@given(tied_rankings, st.sampled_from(["step", "trapezoid"]))
def test_expected_ties_are_the_mean_over_all_orders(ranking, rule):
    levels, matches = ranking
    every = list(orders(levels, matches))
    found = one_query(np.array(levels) / 4, matches, average_precision=rule, top=range(1, 8))
    mean = sum(exact_ap(order, rule) for order in every) / len(every)
    np.testing.assert_allclose(found["map"], float(mean), atol=ROUNDING)
    for k in range(1, 8):
        share = Fraction(sum(any(order[:k]) for order in every), len(every))
        np.testing.assert_allclose(found["cmc"][str(k)], float(share), atol=ROUNDING)


@settings(max_examples=100, deadline=None)
@given(tied_rankings, st.sampled_from(["step", "trapezoid"]))
def test_optimistic_and_pessimistic_ties_put_matches_first_and_last(ranking, rule):
    levels, matches = ranking
    for ties, sign in (("optimistic", -1), ("pessimistic", 1)):
        order = sorted(range(len(levels)), key=lambda i: (-levels[i], sign * matches[i]))
        ranked = [matches[i] for i in order]
        found = one_query(np.array(levels) / 4, matches, average_precision=rule, ties=ties)
        np.testing.assert_allclose(found["map"], float(exact_ap(ranked, rule)), atol=ROUNDING)
        for k in (1, 5, 10):
            assert found["cmc"][str(k)] == float(any(ranked[:k]))


@settings(deadline=None)
@given(tied_rankings)
def test_optimistic_expected_pessimistic_in_this_order(ranking):
    levels, matches = ranking
    maps = [
        one_query(np.array(levels) / 4, matches, ties=ties)["map"]
        for ties in ("optimistic", "expected", "pessimistic")
    ]
    assert maps[0] >= maps[1] - ROUNDING
    assert maps[1] >= maps[2] - ROUNDING


def test_top_beyond_the_gallery():
    assert one_query([0.9, 0.5], [False, True], top=(1, 1000))["cmc"] == {"1": 0.0, "1000": 1.0}
