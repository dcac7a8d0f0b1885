import json

import numpy as np
import pytest

from cospair.evaluation import hardest_mistakes, pair_scores


def mistakes_of(threshold, **options):
    rows = [[1.0, 0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]  # scores .8 .6 .0 / .96 .6 / .8
    labels = np.array([2, 2, 0, 0])
    pairs = pair_scores(rows, labels)
    return hardest_mistakes(pairs, labels, ("ann", "bob", "cid"), threshold, **options)


def test_hardest_mistakes_come_first():
    found = mistakes_of(0.6)
    assert [(m["first"], m["second"], m["score"]) for m in found["false_matches"]] == [
        (1, 2, 0.96),
        (0, 2, 0.6),
        (1, 3, 0.6),
    ]
    assert found["false_matches"][0]["first_identity"] == "cid"
    assert found["false_matches"][0]["second_identity"] == "ann"
    assert found["false_non_matches"] == []
    assert len(mistakes_of(0.9)["false_non_matches"]) == 2
    assert json.loads(json.dumps(found)) == found


def test_hardest_mistakes_are_cut_to_the_length_asked_for():
    assert len(mistakes_of(0.6, most=1)["false_matches"]) == 1
    assert mistakes_of(0.6, most=0) == {"false_matches": [], "false_non_matches": []}


@pytest.mark.parametrize(
    ("labels", "threshold", "most", "error", "text"),
    [
        (
            [0, 0, 1],
            float("nan"),
            3,
            ValueError,
            "threshold must be finite and most at least 0; got nan",
        ),
        ([0, 0, 1], 0.5, -1, ValueError, "most at least 0; got 0.5 and -1"),
        (
            [0, 0, 2],
            0.5,
            3,
            ValueError,
            "labels must be the pairs' own labels and index 2 identities",
        ),
        ([0, 1, 1], 0.5, 3, ValueError, "labels must be the pairs' own labels"),
        ([0, 0], 0.5, 3, ValueError, "got shape .2,. for 3 pictures"),
        (["a", "a", "b"], 0.5, 3, TypeError, "labels must be integers; got dtype <U1"),
    ],
)
def test_hardest_mistakes_refuse(labels, threshold, most, error, text):
    pairs = pair_scores(np.eye(3), [0, 0, 1])
    with pytest.raises(error, match=text):
        hardest_mistakes(pairs, labels, ("ann", "bob"), threshold, most=most)
