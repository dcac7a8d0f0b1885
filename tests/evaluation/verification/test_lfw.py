import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.model_selection import KFold

from cospair.evaluation import tar_at_far
from cospair.evaluation.verification.lfw import lfw_protocol


def listed(folds=10, each=20, seed=0, far_apart=1.0):
    """Scores in the order of LFW's list: each fold's genuine pairs, then its impostors."""
    rng = np.random.default_rng(seed)
    same = np.tile(np.repeat([True, False], each), folds)
    return np.round(rng.normal(size=len(same)) + far_apart * same, 1), same


def accuracy_of_folds(scores, same, folds):
    """The protocol by scikit-learn's folds and a count for every threshold."""
    found = []
    for train, test in KFold(folds).split(scores):
        best, threshold = -1, np.inf
        # strictest first, so the first maximum is the strictest
        for t in [np.nextafter(scores[train].max(), np.inf), *np.unique(scores[train])[::-1]]:
            right = int(((scores[train] >= t) == same[train]).sum())
            if right > best:
                best, threshold = right, t
        found.append((np.mean((scores[test] >= threshold) == same[test]), threshold))
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 10]), st.sampled_from([0.0, 1.0, 3.0]))
def test_accuracy_is_that_of_folds_taken_by_hand(seed, folds, far_apart):
    scores, same = listed(folds, 6, seed, far_apart)
    found = lfw_protocol(scores, same, folds=folds)
    expected = accuracy_of_folds(scores, same, folds)
    assert found["fold_accuracy"] == [share for share, _ in expected]
    assert found["fold_threshold"] == [threshold for _, threshold in expected]
    assert found["accuracy"] == np.mean(found["fold_accuracy"])
    assert found["accuracy_std"] == np.std(found["fold_accuracy"])  # ddof 0


def test_two_folds_by_hand():
    scores = [0.9, 0.6, 0.7, 0.1, 0.8, 0.5, 0.4, 0.3]
    found = lfw_protocol(scores, [1, 1, 0, 0] * 2, folds=2, far=0.5)
    # fold 1 is separated from 0.5 up; in fold 0 thresholds 0.9 and 0.6 decide 3 of 4 right
    assert found["fold_threshold"] == [0.5, 0.9]
    assert found["fold_accuracy"] == [0.75, 0.5]
    assert (found["accuracy"], found["accuracy_std"]) == (0.625, 0.125)
    # one of the two impostors of fold 1 may pass: 0.4; of fold 0: 0.6, below 0.7
    val = found["val"]
    assert val["fold_threshold"] == [0.4, 0.6]
    assert (val["val"], val["achieved_far"]) == (0.75, 0.25)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_val_pools_the_folds_and_has_the_binomial_interval():
    scores, same = listed(far_apart=2.0)
    found = lfw_protocol(scores, same, far=0.05)["val"]
    accepted = np.concatenate(
        [
            part >= tar_at_far(np.delete(scores, fold), np.delete(same, fold), 0.05)["threshold"]
            for fold, part in (
                (np.arange(40) + 40 * k, scores[40 * k : 40 * k + 40]) for k in range(10)
            )
        ]
    )
    for name, kind in (("val", same), ("achieved_far", ~same)):
        hits = int(accepted[kind].sum())
        assert found[name] == hits / 200
        exact = binomtest(hits, 200).proportion_ci(0.95, method="exact")
        interval = found["val_interval" if name == "val" else "far_interval"]
        np.testing.assert_allclose(interval, [exact.low, exact.high], rtol=0, atol=1e-9)  # scipy's


def test_val_where_the_other_folds_cannot_show_the_far():
    found = lfw_protocol(*listed(), far=1e-3)["val"]
    assert found["val"] is found["val_interval"] is found["achieved_far"] is None
    assert found["note"] == "insufficient data: 180 impostor pairs cannot show a FAR of 0.001"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-3, 3))
def test_shift_monotone_map_and_order_within_folds_change_nothing(seed, shift):
    scores, same = listed(5, 8, seed)
    figures = [lfw_protocol(scores, same, folds=5, far=0.1)]
    order = np.concatenate(
        [16 * k + np.random.default_rng(seed + k).permutation(16) for k in range(5)]
    )
    figures.append(lfw_protocol(scores[order], same[order], folds=5, far=0.1))
    assert figures[0] == figures[1]
    for mapped in (np.round(scores * 10) + shift, np.exp(scores)):
        found = lfw_protocol(mapped, same, folds=5, far=0.1)
        assert found["fold_accuracy"] == figures[0]["fold_accuracy"]
        assert found["val"]["val"] == figures[0]["val"]["val"]


@pytest.mark.parametrize(
    ("scores", "same", "options", "error", "text"),
    [
        (
            [0.1] * 6,
            [1, 0] * 3,
            {},
            ValueError,
            "folds must be 2 or more and divide the pairs; got 10 ",
        ),
        (
            [0.1] * 6,
            [1, 0] * 3,
            {"folds": 1},
            ValueError,
            "got 1 folds of 6 pairs; pass every pair",
        ),
        ([0.1] * 6, [1, 0] * 3, {"folds": 4}, ValueError, "got 4 folds of 6 pairs"),
        ([0.1] * 6, [1, 0] * 3, {"folds": 2.0}, TypeError, "folds must be an integer; got 2.0"),
        ([0.1] * 6, [1, 0] * 3, {"folds": True}, TypeError, "folds must be an integer; got True"),
        (
            [0.1] * 6,
            [1, 1, 1, 0, 0, 0],
            {"folds": 2},
            ValueError,
            "got 3 genuine among the 3 pairs of fold 0",
        ),
        (
            [0.1] * 6,
            [1, 0, 1, 0, 0, 0],
            {"folds": 3},
            ValueError,
            "got 0 genuine among the 2 pairs of fold 2",
        ),
        (
            [0.1] * 6,
            [1, 0] * 3,
            {"folds": 3, "far": 0},
            ValueError,
            r"far must lie in \(0, 1\]; got 0",
        ),
        ([0.1] * 4, [1, 1, 1, 1], {"folds": 2}, ValueError, "got 4 genuine and 0 impostor pairs"),
    ],
)
def test_what_cannot_be_folded_is_refused(scores, same, options, error, text):
    with pytest.raises(error, match=text):
        lfw_protocol(scores, same, **options)
