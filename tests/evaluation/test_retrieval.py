import json

import numpy as np
import pytest
import torch
from evaluation.examples import at_scores, labelled
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from cospair.evaluation import retrieval, retrieval_figures
from cospair.evaluation.intervals import mean_intervals

# float64 sums of some ten terms in [0, 1]
ROUNDING = 1e-14


def test_step_ap_is_scikit_learns_without_ties():
    rows, labels = labelled(6, 4, noise=1.2)
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
    rows, labels = labelled(6, 4, seed=2, noise=1.2)
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
    rows, labels = labelled(6, 4, noise=1.2)
    cameras = np.tile([0, 1], 12)
    expected = retrieval_figures(rows, labels, cameras=cameras, resamples=100)
    monkeypatch.setattr(retrieval, "BLOCK_CELLS", cells)
    assert retrieval_figures(rows, labels, cameras=cameras, resamples=100) == expected


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.floats(0.01, 100))
def test_order_of_the_gallery_and_scale_change_nothing(random, scale):
    rows, labels = labelled(6, 4, noise=1.2)
    query, query_labels = rows[:6], labels[:6]
    order = np.array(random.sample(range(24), 24))
    expected = retrieval_figures(query, query_labels, rows, labels, resamples=0)
    found = retrieval_figures(query * scale, query_labels, rows[order], labels[order], resamples=0)
    # the places of ties inside the sum move
    np.testing.assert_allclose(found["map"], expected["map"], atol=ROUNDING)
    assert found["cmc"] == expected["cmc"]


def test_zero_rows_score_zero():
    found = retrieval_figures(
        [[1.0, 0]], [1], [[0.0, 0], [-1.0, 0], [0.0, 1]], [1, 2, 3], resamples=0
    )
    assert found["map"] == 0.75  # tied with the orthogonal row, above the opposite one


def test_result_is_plain_and_holds_intervals():
    rows, labels = labelled(10, 4, noise=1.2)
    found = retrieval_figures(torch.tensor(rows), torch.tensor(labels), resamples=200, seed=3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["cmc"]) == ["1", "5", "10"]
    assert found["map_interval"][0] < found["map"] < found["map_interval"][1]
    assert found["cmc_1_interval"][0] <= found["cmc"]["1"] <= found["cmc_1_interval"][1]
    assert found["interval"]["method"] == "bootstrap over query identities"
    again = retrieval_figures(rows, labels, resamples=200, seed=3)
    assert again["map_interval"] == found["map_interval"]


def test_intervals_resample_identities_of_queries():
    rows, labels = labelled(5, 4, noise=1.2)
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
    rows, labels = labelled(10, 4, noise=1.2)
    all_top = retrieval_figures(rows, labels, resamples=100)
    found = retrieval_figures(rows, labels, top=(3,), resamples=100)
    assert found["cmc_1_interval"] == all_top["cmc_1_interval"]
    assert list(found["cmc"]) == ["3"]


def test_one_query_identity_has_no_interval_but_a_reason():
    found = retrieval_figures([[1.0, 0.0]], [7], at_scores([0.9, 0.5]), [7, 8], resamples=100)
    assert found["map_interval"] is None
    assert found["interval"]["notes"]["map"].startswith(
        "no interval: fewer than 2 identities with queries"
    )


def test_one_picture_has_nobody_to_match():
    with pytest.raises(ValueError, match="got 1 queries without a match"):
        retrieval_figures([[1.0, 0.0]], [1])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"average_precision": "area"}, "average_precision must be one of step, trapezoid"),
        ({"ties": "random"}, "ties must be one of expected, optimistic, pessimistic"),
        ({"top": ()}, r"top must hold ranks from 1 up; got \(\)"),
        ({"top": (0,)}, r"top must hold ranks from 1 up; got \(0,\)"),
        ({"top": (1.5,)}, r"top must hold ranks from 1 up; got \(1.5,\)"),
        ({"query_labels": [2]}, "got 1 queries without a match"),
        ({"gallery": np.zeros((0, 2)), "gallery_labels": []}, "without a match"),
        ({"resamples": 7}, "resamples must be 0 or at least 100; got 7"),
    ],
)
def test_retrieval_figures_refuse(changes, text):
    arguments = {
        "query": [[1.0, 0.0]],
        "query_labels": [1],
        "gallery": [[1.0, 0.0]],
        "gallery_labels": [1],
        **changes,
    }
    with pytest.raises(ValueError, match=text):
        retrieval_figures(**arguments)
