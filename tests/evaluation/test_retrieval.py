import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from cospair.evaluation import retrieval, retrieval_figures
from cospair.evaluation.intervals import mean_intervals

# float64 sums of some ten terms in [0, 1]
ROUNDING = 1e-14


def at_scores(scores):
    """Rows whose cosine with [1, 0] is each score."""
    scores = np.asarray(scores, dtype=float)
    return np.stack([scores, np.sqrt(1 - scores**2)], axis=1)


def one_query(scores, matches, **options):
    """Figures of one query against a gallery of given scores."""
    options = {"resamples": 0, **options}
    labels = np.where(matches, 7, 8)
    return retrieval_figures([[1.0, 0.0]], [7], at_scores(scores), labels, **options)


def exact_ap(order, rule):
    """AP of a list of True and False in rank order, from its definition."""
    ranks = [rank for rank, match in enumerate(order, 1) if match]
    total = Fraction(0)
    for hits, rank in enumerate(ranks, 1):
        now = Fraction(hits, rank)
        before = Fraction(hits - 1, rank - 1) if rank > 1 else Fraction(1)
        total += now if rule == "step" else (now + before) / 2
    return total / len(ranks)


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


def labelled(people=6, each=4, seed=0, noise=1.2):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), each)
    rows = rng.normal(size=(people, 5))[labels]
    return rows + noise * rng.normal(size=rows.shape), labels


def test_step_ap_is_scikit_learns_without_ties():
    rows, labels = labelled()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = unit @ unit.T
    expected = []
    for i in range(len(rows)):
        others = np.arange(len(rows)) != i
        expected.append(average_precision_score(labels[others] == labels[i], scores[i, others]))
    found = retrieval_figures(rows, labels, resamples=0)
    np.testing.assert_allclose(found["map"], np.mean(expected), atol=ROUNDING)
    assert (found["queries"], found["skipped_queries"]) == (24, 0)


def test_without_a_gallery_a_row_is_left_out_by_its_index():
    rows = np.array([[1.0, 0], [1.0, 0], [0, 1.0]])  # a duplicate of a row is still found
    found = retrieval_figures(rows, ["ann", "ann", "bob"], resamples=0)
    assert (found["queries"], found["skipped_queries"]) == (2, 1)
    assert (found["cmc"]["1"], found["map"]) == (1.0, 1.0)


def test_without_a_gallery_equals_one_gallery_per_query():
    rows, labels = labelled(seed=2)
    maps, first = [], []
    for i in range(len(rows)):
        rest = np.arange(len(rows)) != i
        one = retrieval_figures(
            rows[i : i + 1], labels[i : i + 1] + 1, rows[rest], labels[rest] + 1, resamples=0
        )
        maps.append(one["map"])
        first.append(one["cmc"]["1"])
    found = retrieval_figures(rows, labels, resamples=0)
    np.testing.assert_allclose(found["map"], np.mean(maps), atol=ROUNDING)
    assert found["cmc"]["1"] == np.mean(first)


@pytest.mark.parametrize("cells", [1, 50, 100])
def test_block_size_changes_nothing(monkeypatch, cells):
    rows, labels = labelled()
    cameras = np.tile([0, 1], 12)
    expected = retrieval_figures(rows, labels, query_cameras=cameras, resamples=100)
    monkeypatch.setattr(retrieval, "BLOCK_CELLS", cells)
    assert retrieval_figures(rows, labels, query_cameras=cameras, resamples=100) == expected


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.floats(0.01, 100))
def test_order_of_the_gallery_and_scale_change_nothing(random, scale):
    rows, labels = labelled()
    query, query_labels = rows[:6], labels[:6]
    order = np.array(random.sample(range(24), 24))
    expected = retrieval_figures(query, query_labels, rows, labels, resamples=0)
    found = retrieval_figures(query * scale, query_labels, rows[order], labels[order], resamples=0)
    # the places of ties inside the sum move
    np.testing.assert_allclose(found["map"], expected["map"], atol=ROUNDING)
    assert found["cmc"] == expected["cmc"]


def test_market_rule_by_hand():
    gallery = at_scores([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    labels = [5, 6, -1, 5, 0, 5]
    cameras = [1, 1, 2, 2, 2, 1]
    # camera 1 of identity 5 is dropped (ranks 1 and 6), junk is dropped: 6, [5], 0 remain
    found = retrieval_figures(
        [[1.0, 0.0]],
        [5],
        gallery,
        labels,
        query_cameras=[1],
        gallery_cameras=cameras,
        top=(1, 2),
        resamples=0,
    )
    assert found["cmc"] == {"1": 0.0, "2": 1.0}
    assert found["map"] == 0.5


def test_a_query_with_matches_in_its_own_camera_only_is_skipped():
    found = retrieval_figures(
        [[1.0, 0.0], [1.0, 0.0]],
        ["ann", "bob"],
        at_scores([0.9, 0.8]),
        ["ann", "bob"],
        query_cameras=["left", "left"],
        gallery_cameras=["left", "right"],
        resamples=0,
    )
    assert (found["queries"], found["skipped_queries"]) == (1, 1)
    # ann's picture stays in bob's gallery, ahead of bob's own: same camera, other identity
    assert (found["cmc"]["1"], found["map"]) == (0.0, 0.5)


def market_reference(rows, labels, cameras, rule):
    """The rule item by item, each row against all others."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    values = []
    for i in range(len(rows)):
        kept = [
            j
            for j in range(len(rows))
            if j != i and not (labels[j] == labels[i] and cameras[j] == cameras[i])
        ]
        ranked = sorted(kept, key=lambda j: -float(unit[i] @ unit[j]))
        matches = [labels[j] == labels[i] for j in ranked]
        if any(matches):
            values.append(float(exact_ap(matches, rule)))
    return values


@pytest.mark.parametrize("rule", ["step", "trapezoid"])
def test_camera_rule_without_a_gallery(rule):
    rows, labels = labelled(people=8)
    cameras = np.random.default_rng(4).integers(3, size=len(rows))
    cameras[:4] = 1  # the first identity was seen by one camera only
    expected = market_reference(rows, labels, cameras, rule)
    found = retrieval_figures(
        rows, labels, query_cameras=cameras, average_precision=rule, resamples=0
    )
    assert found["queries"] == len(expected)
    assert found["skipped_queries"] == len(rows) - len(expected) >= 4
    np.testing.assert_allclose(found["map"], np.mean(expected), atol=ROUNDING)


def test_junk_and_distractors_are_ordinary_without_a_gallery():
    found = retrieval_figures(at_scores([0.9, 0.8, 0.1, 0.2]), [-1, -1, 0, 0], resamples=0)
    assert (found["queries"], found["map"]) == (4, 1.0)


def test_string_minus_one_is_a_name():
    found = retrieval_figures([[1.0, 0]], ["-1"], at_scores([0.9]), ["-1"], resamples=0)
    assert found["queries"] == 1


def test_labels_beyond_float32_stay_distinct():
    big = 2**24
    rows = at_scores([1.0, 0.9, 0.1])
    found = retrieval_figures(rows[:1], [big], rows[1:], [big + 1, big], resamples=0)
    assert found["cmc"]["1"] == 0.0
    assert found["cmc"]["5"] == 1.0


def test_zero_rows_score_zero():
    found = retrieval_figures(
        [[1.0, 0]], [1], [[0.0, 0], [-1.0, 0], [0.0, 1]], [1, 2, 3], resamples=0
    )
    assert found["map"] == 0.75  # tied with the orthogonal row, above the opposite one


def test_result_is_plain_and_holds_intervals():
    rows, labels = labelled(people=10)
    found = retrieval_figures(torch.tensor(rows), torch.tensor(labels), resamples=200, seed=3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["cmc"]) == ["1", "5", "10"]
    assert found["map_interval"][0] < found["map"] < found["map_interval"][1]
    assert found["cmc_1_interval"][0] <= found["cmc"]["1"] <= found["cmc_1_interval"][1]
    assert found["interval"]["method"] == "bootstrap over query identities"
    again = retrieval_figures(rows, labels, resamples=200, seed=3)
    assert again["map_interval"] == found["map_interval"]


def test_intervals_resample_identities_of_queries():
    rows, labels = labelled(people=5)
    values, people = [], []
    for i in range(len(rows)):
        rest = np.arange(len(rows)) != i
        one = [rows[i : i + 1], labels[i : i + 1] + 1, rows[rest], labels[rest] + 1]
        values.append(retrieval_figures(*one, resamples=0)["map"])
        people.append(labels[i])
    expected = mean_intervals({"map": np.array(values)}, np.array(people), resamples=300, seed=0)
    found = retrieval_figures(rows, labels, resamples=300)["map_interval"]
    np.testing.assert_allclose(found, expected["intervals"]["map"], atol=ROUNDING)


def test_interval_of_cmc_1_needs_no_1_in_top():
    rows, labels = labelled(people=10)
    all_top = retrieval_figures(rows, labels, resamples=100)
    found = retrieval_figures(rows, labels, top=(3,), resamples=100)
    assert found["cmc_1_interval"] == all_top["cmc_1_interval"]
    assert list(found["cmc"]) == ["3"]


def test_one_query_identity_has_no_interval_but_a_reason():
    found = one_query([0.9, 0.5], [True, False], resamples=100)
    assert found["map_interval"] is None
    assert found["interval"]["notes"]["map"].startswith(
        "no interval: fewer than 2 identities with queries"
    )


def test_top_beyond_the_gallery():
    assert one_query([0.9, 0.5], [False, True], top=(1, 1000))["cmc"] == {"1": 0.0, "1000": 1.0}


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        (
            {"average_precision": "area"},
            ValueError,
            "average_precision must be one of step, trapezoid",
        ),
        ({"ties": "random"}, ValueError, "ties must be one of expected, optimistic, pessimistic"),
        ({"top": ()}, ValueError, r"top must hold ranks from 1 up; got \(\)"),
        ({"top": (0,)}, ValueError, r"top must hold ranks from 1 up; got \(0,\)"),
        ({"top": (1.5,)}, ValueError, r"top must hold ranks from 1 up; got \(1.5,\)"),
        ({"query": [[np.nan, 1.0]]}, ValueError, "query must be finite; got nan in row 0"),
        ({"gallery": [[0.0, np.inf]]}, ValueError, "gallery must be finite; got inf in row 0"),
        (
            {"gallery": [[1.0]]},
            ValueError,
            "gallery must have the queries' width; got 1 columns for 2",
        ),
        ({"gallery_labels": None}, ValueError, "gallery_labels must be given with a gallery"),
        (
            {"gallery_labels": [1, 2]},
            ValueError,
            r"gallery_labels must be .* got shape \(2,\) for 1 rows",
        ),
        ({"gallery_labels": ["1"]}, TypeError, "gallery_labels must be of the queries' kind"),
        ({"query_labels": [1.0]}, TypeError, "query_labels must be integers or strings"),
        ({"gallery": None}, ValueError, "gallery must be given with gallery_labels"),
        ({"query_cameras": [1]}, ValueError, "query_cameras and gallery_cameras must go together"),
        (
            {"query_cameras": [1], "gallery_cameras": ["1"]},
            TypeError,
            "gallery_cameras must be of the queries' kind",
        ),
        ({"query_labels": [2]}, ValueError, "got 1 queries without a match"),
        (
            {"query": np.zeros((0, 2)), "query_labels": []},
            ValueError,
            "query must hold at least one row",
        ),
        ({"gallery": np.zeros((0, 2)), "gallery_labels": []}, ValueError, "without a match"),
        ({"resamples": 7}, ValueError, "resamples must be 0 or at least 100; got 7"),
    ],
)
def test_retrieval_figures_refuse(changes, error, text):
    arguments = {
        "query": [[1.0, 0.0]],
        "query_labels": [1],
        "gallery": [[1.0, 0.0]],
        "gallery_labels": [1],
        **changes,
    }
    with pytest.raises(error, match=text):
        retrieval_figures(**arguments)


def test_one_picture_has_nobody_to_match():
    with pytest.raises(ValueError, match="got 1 queries without a match"):
        retrieval_figures([[1.0, 0.0]], [1])
