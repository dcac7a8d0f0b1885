import numpy as np
import pytest
from evaluation.examples import at_scores, exact_ap, labelled

from cospair.evaluation import retrieval_figures

# float64 sums of some ten terms in [0, 1]
ROUNDING = 1e-14


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
        cameras=([1], cameras),
        top=(1, 2),
        resamples=0,
    )
    assert found["cmc"] == {"1": 0.0, "2": 1.0}
    assert found["map"] == 0.5
    assert found["gallery"] == {"pictures": 5, "junk": 1, "distractors": 2, "same_camera": 2}


def test_a_query_with_matches_in_its_own_camera_only_is_skipped():
    found = retrieval_figures(
        [[1.0, 0.0], [1.0, 0.0]],
        ["ann", "bob"],
        at_scores([0.9, 0.8]),
        ["ann", "bob"],
        cameras=(["left", "left"], ["left", "right"]),
        resamples=0,
    )
    assert (found["queries"], found["skipped_queries"], found["skipped_by_camera"]) == (1, 1, 1)
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
    rows, labels = labelled(8, 4, noise=1.2)
    cameras = np.random.default_rng(4).integers(3, size=len(rows))
    cameras[:4] = 1  # the first identity was seen by one camera only
    expected = market_reference(rows, labels, cameras, rule)
    found = retrieval_figures(rows, labels, cameras=cameras, average_precision=rule, resamples=0)
    assert found["queries"] == len(expected)
    assert found["skipped_queries"] == len(rows) - len(expected) >= 4
    assert found["skipped_by_camera"] == found["skipped_queries"]
    alike = (labels[:, None] == labels) & (cameras[:, None] == cameras)
    assert found["gallery"]["same_camera"] == alike.sum() - len(rows)  # itself is no drop
    np.testing.assert_allclose(found["map"], np.mean(expected), atol=ROUNDING)


def test_junk_and_distractors_are_ordinary_without_a_gallery():
    found = retrieval_figures(at_scores([0.9, 0.8, 0.1, 0.2]), [-1, -1, 0, 0], resamples=0)
    assert (found["queries"], found["map"]) == (4, 1.0)


def test_string_minus_one_is_a_name():
    found = retrieval_figures([[1.0, 0]], ["-1"], at_scores([0.9, 0.8]), ["-1", "5"], resamples=0)
    assert (found["queries"], found["gallery"]["junk"]) == (1, 0)


def test_labels_beyond_float32_stay_distinct():
    big = 2**24
    rows = at_scores([1.0, 0.9, 0.1])
    found = retrieval_figures(rows[:1], [big], rows[1:], [big + 1, big], resamples=0)
    assert found["cmc"]["1"] == 0.0
    assert found["cmc"]["5"] == 1.0


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"query": [[np.nan, 1.0]]}, ValueError, "query must be finite; got nan in row 0"),
        ({"gallery": [[0.0, np.inf]]}, ValueError, "gallery must be finite; got inf in row 0"),
        (
            {"gallery": [[1.0]]},
            ValueError,
            "gallery must have the queries' width; got 1 columns for 2",
        ),
        (
            {"gallery_labels": [1, 2]},
            ValueError,
            r"gallery_labels must be .* got shape \(2,\) for 1 rows",
        ),
        ({"gallery_labels": ["1"]}, TypeError, "gallery_labels must be of the queries' kind"),
        ({"query_labels": [1.0]}, TypeError, "query_labels must be integers or strings"),
        (
            {"query": np.zeros((0, 2)), "query_labels": []},
            ValueError,
            "query must hold at least one row",
        ),
        (
            {"gallery": np.zeros((0, 2)), "gallery_labels": []},
            ValueError,
            "gallery must hold at least one row that is not junk; got none; pass the pictures",
        ),
        (
            {"gallery": np.ones((2, 2)), "gallery_labels": [-1, -1]},
            ValueError,
            r"that is not junk; got 2 rows, all of them junk \(label -1\); pass the pictures",
        ),
        (
            {"gallery": np.ones((2, 2)), "gallery_labels": [1, 1]},
            ValueError,
            "gallery must hold at least two identities; got 2 pictures of one, any ranking",
        ),
        (
            {
                "gallery": None,
                "gallery_labels": None,
                "query": np.ones((2, 2)),
                "query_labels": [3, 3],
            },
            ValueError,
            "gallery must hold at least two identities; got 2 pictures of one, any ranking",
        ),
        (
            {"gallery_labels": None},
            ValueError,
            "gallery and gallery_labels must go together; got gallery alone; pass both",
        ),
        ({"gallery": None}, ValueError, "must go together; got gallery_labels alone; pass both"),
        ({"cameras": [1]}, ValueError, "cameras must be a tuple of two arrays.*; got list; pass"),
        ({"cameras": ([1],)}, ValueError, "cameras must be a tuple of two.*; got 1 of them; pass"),
        (
            {"cameras": ([1], None)},
            TypeError,
            r"cameras\[1\] must be integers or strings; got dtype object",
        ),
        (
            {"cameras": ([1, 2], [1])},
            ValueError,
            r"cameras\[0\] must be .* got shape \(2,\) for 1 rows",
        ),
        (
            {"cameras": ([1], [1, 2])},
            ValueError,
            r"cameras\[1\] must be .* got shape \(2,\) for 1 rows",
        ),
        ({"cameras": ([1], ["1"])}, TypeError, r"cameras\[1\] must be of the queries' kind"),
        (
            {"gallery": None, "gallery_labels": None, "cameras": ([1], [1])},
            ValueError,
            "cameras must be one array where there is no gallery; got a tuple; pass cameras=query",
        ),
        (
            {"gallery": None, "gallery_labels": None, "cameras": [1, 2]},
            ValueError,
            r"cameras must be .* got shape \(2,\) for 1 rows",
        ),
    ],
)
def test_sides_that_do_not_fit_are_refused(changes, error, text):
    arguments = {
        "query": [[1.0, 0.0]],
        "query_labels": [1],
        "gallery": [[1.0, 0.0]],
        "gallery_labels": [1],
        **changes,
    }
    with pytest.raises(error, match=text):
        retrieval_figures(**arguments)
