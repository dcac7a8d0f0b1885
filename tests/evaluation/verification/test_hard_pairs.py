import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cospair.evaluation import PairScores, hardest_pairs, pair_scores


def hardest(**options):
    rows = [[1.0, 0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]  # scores .8 .6 .0 / .96 .6 / .8
    labels = np.array([2, 2, 0, 0])
    pairs = pair_scores(rows, labels)
    return hardest_pairs(pairs, labels, ("ann", "bob", "cid"), **options)


def test_the_hardest_come_first():
    found = hardest()
    assert [(m["first"], m["second"], m["score"]) for m in found["impostor"]] == [
        (1, 2, 0.96),
        (0, 2, 0.6),
        (1, 3, 0.6),
        (0, 3, 0.0),
    ]
    assert found["impostor"][0]["first_identity"] == "cid"
    assert found["impostor"][0]["second_identity"] == "ann"
    assert [m["score"] for m in found["genuine"]] == [0.8, 0.8]
    assert json.loads(json.dumps(found)) == found


def test_the_lists_are_cut_to_the_length_asked_for():
    assert len(hardest(most=1)["impostor"]) == 1
    assert hardest(most=0) == {"impostor": [], "genuine": []}


@given(st.lists(st.integers(-2, 2), min_size=15, max_size=15), st.integers(0, 16))
def test_the_order_is_that_of_a_full_sort_and_ties_keep_the_pairs_order(grid, most):
    labels = np.array([0, 1, 0, 2, 1, 0])
    first, second = np.triu_indices(6, 1)
    scores, same = np.array(grid) / 2, labels[first] == labels[second]
    found = hardest_pairs(PairScores(scores, same, first, second), labels, "abc", most=most)
    for kind, name, sign in ((False, "impostor", -1), (True, "genuine", 1)):
        pairs = [(sign * scores[p], p) for p in range(15) if same[p] == kind]
        expected = [(first[p], second[p]) for _, p in sorted(pairs)[:most]]
        assert [(entry["first"], entry["second"]) for entry in found[name]] == expected


@pytest.mark.parametrize(
    ("labels", "most", "error", "text"),
    [
        ([0, 0, 1], -1, ValueError, "most must be at least 0; got -1"),
        ([0, 0, 2], 3, ValueError, "labels must be the pairs' own labels and index 2 identities"),
        ([0, 1, 1], 3, ValueError, "labels must be the pairs' own labels"),
        ([0, 0], 3, ValueError, "got shape .2,. for 3 pictures"),
        (["a", "a", "b"], 3, TypeError, "labels must be integers; got dtype <U1"),
    ],
)
def test_what_does_not_fit_is_refused(labels, most, error, text):
    pairs = pair_scores(np.eye(3), [0, 0, 1])
    with pytest.raises(error, match=text):
        hardest_pairs(pairs, labels, ("ann", "bob"), most=most)
