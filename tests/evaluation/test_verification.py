import json
import re
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from cospair import evaluation
from cospair.evaluation import (
    auc,
    equal_error_rate,
    hardest_mistakes,
    pair_scores,
    roc_curve,
    tar_at_far,
    verification,
    verification_figures,
)

# one rounding to 12 decimals, and the rounding of the product before it
SCORE_ERROR = 6e-13
# a handful of float64 roundings on shares in [0, 1]
ROUNDING = 1e-15


@st.composite
def scored_pairs(draw, most=24):
    """Scores on a coarse grid around 0, so that ties are common, with both kinds present."""
    flags = [True, False, *draw(st.lists(st.booleans(), max_size=most - 2))]
    size = len(flags)
    grid = draw(st.lists(st.integers(-6, 6), min_size=size, max_size=size))
    return np.array(grid) / 8, np.array(flags)


def exact_points(scores, same):
    """(threshold, FAR, TAR) as fractions, highest threshold first, by counting each one afresh."""
    genuine, impostors = scores[same], scores[~same]
    points = [(None, Fraction(0), Fraction(0))]
    for t in sorted(set(scores.tolist()), reverse=True):
        far = Fraction(int((impostors >= t).sum()), len(impostors))
        tar = Fraction(int((genuine >= t).sum()), len(genuine))
        points.append((t, far, tar))
    return points


def exact_auc(scores, same):
    """P(genuine > impostor) + P(equal) / 2 over all combinations."""
    wins = [Fraction(2 * int(g > i) + int(g == i), 2) for g in scores[same] for i in scores[~same]]
    return sum(wins, Fraction(0)) / len(wins)


def exact_eer(scores, same):
    """Where the polyline through (FAR, FRR) meets FAR = FRR."""
    points = exact_points(scores, same)
    for (_, far0, tar0), (_, far1, tar1) in pairwise(points):
        gap0, gap1 = far0 - (1 - tar0), far1 - (1 - tar1)
        if gap0 < 0 <= gap1:
            return far0 + (far1 - far0) * (-gap0) / (gap1 - gap0)
    raise AssertionError("the two ends lie on both sides")


def labelled(people, each, seed=0, noise=1.0, features=8):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), each)
    rows = rng.normal(size=(people, features))[labels]
    return rows + noise * rng.normal(size=rows.shape), labels


def test_pair_scores_are_cosines_of_angles():
    angles = np.deg2rad([0, 30, 90, 180])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[1], [2], [30], [0.1]]
    pairs = pair_scores(rows, [0, 0, 1, 1])
    expected = [np.sqrt(3) / 2, 0, -1, 0.5, -np.sqrt(3) / 2, 0]
    np.testing.assert_allclose(pairs.scores, expected, rtol=0, atol=SCORE_ERROR)
    np.testing.assert_array_equal(pairs.same, [True, False, False, False, False, True])
    assert len(pairs) == 6


@pytest.mark.parametrize("cells", [1, 7, 40, 1 << 20])
def test_pair_scores_order_and_tiles(monkeypatch, cells):
    rows, labels = labelled(5, 3)
    whole = pair_scores(rows, labels)
    monkeypatch.setattr(verification, "TILE_CELLS", cells)
    pairs = pair_scores(rows, labels)
    first, second = np.triu_indices(15, 1)
    np.testing.assert_array_equal(pairs.first, first)
    np.testing.assert_array_equal(pairs.second, second)
    np.testing.assert_array_equal(pairs.scores, whole.scores)
    np.testing.assert_array_equal(pairs.same, labels[first] == labels[second])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(pairs.scores, (unit @ unit.T)[first, second], atol=SCORE_ERROR)


def test_pair_scores_types():
    pairs = pair_scores([[1, 0], [0, 1], [1, 1]], [0, 1, 1])
    assert (pairs.scores.dtype, pairs.same.dtype) == (np.float64, np.bool_)
    assert (pairs.first.dtype, pairs.second.dtype) == (np.int64, np.int64)


@pytest.mark.parametrize("scale", [1e-320, 1e-160, 1.0, 1e160, 1e300])
def test_pair_scores_at_every_scale(scale):
    pairs = pair_scores(np.array([[3.0, 4.0], [4.0, 3.0]]) * scale, [0, 1])
    # a subnormal 3e-320 carries 12 bits
    np.testing.assert_allclose(pairs.scores, [0.96], rtol=1e-3 if scale < 1e-300 else 1e-12)


def test_zero_rows_score_zero_and_equal_rows_tie():
    rows = np.random.default_rng(3).normal(size=(40, 33))
    rows[[5, 17, 39]] = rows[5] * np.array([[1.0], [2.0], [0.5]])
    rows[8] = 0
    pairs = pair_scores(rows, np.arange(40))
    table = np.zeros((40, 40))
    table[pairs.first, pairs.second] = table[pairs.second, pairs.first] = pairs.scores
    assert table[5, 17] == table[17, 39] == 1.0
    others = np.setdiff1d(np.arange(40), [5, 17, 39])
    np.testing.assert_array_equal(table[5, others], table[17, others])
    np.testing.assert_array_equal(table[5, others], table[39, others])
    np.testing.assert_array_equal(table[8], 0)


def test_tensors_are_accepted():
    rows, labels = labelled(4, 3)
    tensor = torch.tensor(rows, dtype=torch.bfloat16, requires_grad=True)
    exact = pair_scores(tensor.detach().double().numpy(), labels)
    pairs = pair_scores(tensor, torch.tensor(labels))
    np.testing.assert_array_equal(pairs.scores, exact.scores)
    scores, same = torch.tensor(pairs.scores), torch.tensor(pairs.same)
    assert auc(scores, same) == auc(pairs.scores, pairs.same)


def test_labels_beyond_float32_stay_distinct():
    big = np.array([2**24, 2**24 + 1, 2**53, 2**53 + 1, 2**24], dtype=np.int64)
    pairs = pair_scores(np.eye(5), big)
    assert pairs.same.nonzero()[0].tolist() == [3]  # rows 0 and 4
    assert (pairs.first[3], pairs.second[3]) == (0, 4)


@pytest.mark.parametrize("dtype", [None, object])
def test_string_labels(dtype):
    pairs = pair_scores(np.eye(3), np.array(["ann", "bob", "ann"], dtype=dtype))
    np.testing.assert_array_equal(pairs.same, [False, True, False])


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_for_a_pair(rows):
    assert len(pair_scores(np.ones((rows, 3)), np.zeros(rows, np.int64))) == 0


@pytest.mark.parametrize(
    ("rows", "labels", "error", "text"),
    [
        ([[1.0, 2], [np.nan, 1]], [0, 1], ValueError, "finite; got nan in row 1;"),
        ([[1.0, 2], [1, 1], [np.inf, 0]], [0, 1, 1], ValueError, "finite; got inf in row 2;"),
        ([1.0, 2.0], [0, 1], ValueError, r"embeddings must be \[n, d\]; got shape \(2,\)"),
        ([["a"], ["b"]], [0, 1], TypeError, "embeddings must be real numbers; got dtype <U1"),
        ([[1j]], [0], TypeError, "embeddings must be real numbers; got dtype complex128"),
        ([[1.0], [2.0]], [0], ValueError, r"one label per row; got shape \(1,\) for 2 rows"),
        ([[1.0], [2.0]], [[0, 1]], ValueError, r"one label per row; got shape \(1, 2\)"),
        ([[1.0], [2.0]], [0.0, 1.0], TypeError, "integers or strings; got dtype float64"),
        (
            [[1.0]],
            np.array([2**63], np.uint64),
            ValueError,
            "must fit int64; got 9223372036854775808",
        ),
    ],
)
def test_pair_scores_refuses(rows, labels, error, text):
    with pytest.raises(error, match=text):
        pair_scores(rows, labels)


@pytest.mark.parametrize(
    "figure", [auc, equal_error_rate, roc_curve, lambda s, y: tar_at_far(s, y, 0.1)]
)
@pytest.mark.parametrize(
    ("scores", "same", "error", "text"),
    [
        (
            [0.1, np.nan],
            [1, 0],
            ValueError,
            "scores must be finite; got nan at position 1",
        ),
        ([0.1, 0.2], [True], ValueError, r"one truth value per score; got shape \(1,\) for \(2,\)"),
        ([0.1, 0.2], [1, -1], TypeError, "same must hold True and False.*pass target > 0"),
        ([0.1, 0.2], [False, False], ValueError, "got 0 genuine and 2 impostor pairs"),
        ([0.1, 0.2], [True, True], ValueError, "got 2 genuine and 0 impostor pairs"),
        ([], [], ValueError, "got 0 genuine and 0 impostor pairs"),
        ([[0.1]], [[True]], ValueError, r"scores must be \[p\]; got shape \(1, 1\)"),
        ([True], [True], TypeError, "scores must be real numbers; got dtype bool"),
    ],
)
def test_figures_refuse(figure, scores, same, error, text):
    with pytest.raises(error, match=text):
        figure(scores, same)


@settings(deadline=None)
@given(scored_pairs())
def test_roc_is_scikit_learns(pairs):
    scores, same = pairs
    curve = roc_curve(scores, same)
    far, tar, thresholds = metrics.roc_curve(same, scores, drop_intermediate=False)
    np.testing.assert_array_equal(curve["far"], far)
    np.testing.assert_array_equal(curve["tar"], tar)
    np.testing.assert_array_equal(curve["threshold"][1:], thresholds[1:])
    assert curve["threshold"][0] == np.nextafter(scores.max(), np.inf)


@settings(deadline=None)
@given(scored_pairs())
def test_auc_is_exact(pairs):
    assert auc(*pairs) == float(exact_auc(*pairs))
    # scikit-learn adds trapezoids of rounded rates
    np.testing.assert_allclose(auc(*pairs), metrics.roc_auc_score(pairs[1], pairs[0]), atol=1e-14)


@settings(deadline=None)
@given(scored_pairs())
def test_equal_error_rate_is_exact(pairs):
    np.testing.assert_allclose(
        equal_error_rate(*pairs)["eer"], float(exact_eer(*pairs)), atol=ROUNDING
    )


@pytest.mark.parametrize(
    ("scores", "same", "eer", "threshold"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 0.0, 0.8),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 1.0, 0.8),
        ([0.5, 0.5, 0.5], [1, 0, 0], 0.5, 0.5),  # one group: half way from reject all
        ([0.9, 0.6, 0.5, 0.1], [1, 0, 1, 0], 0.5, 0.6),
        # (FAR, FRR) runs (0, 1/2), (1/2, 0) between 0.75 and 0.25: it meets FAR = FRR half way
        ([0.75, 0.25, 0.25, 0.0], [1, 1, 0, 0], 0.25, 0.5),
    ],
)
def test_equal_error_rate_by_hand(scores, same, eer, threshold):
    found = equal_error_rate(scores, same)
    np.testing.assert_allclose(found["eer"], eer, atol=ROUNDING)
    np.testing.assert_allclose(found["threshold"], threshold, atol=ROUNDING)


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from([0.05, 0.1, 0.25, 1 / 3, 0.5, 0.75, 1.0]))
def test_tar_at_far_by_counting(pairs, far):
    scores, same = pairs
    found = tar_at_far(scores, same, far)
    impostors = int((~same).sum())
    if Fraction(1, impostors) > Fraction(far).limit_denominator(1000):
        assert (found["tar"], found["threshold"], found["achieved_far"]) == (None, None, None)
        assert found["note"].startswith("insufficient data: ")
        return
    allowed = Fraction(far).limit_denominator(1000)
    t, reached, tar = [p for p in exact_points(scores, same) if p[1] <= allowed][-1]
    assert (found["tar"], found["achieved_far"], found["note"]) == (float(tar), float(reached), "")
    assert found["threshold"] == (np.nextafter(scores.max(), np.inf) if t is None else t)
    assert found["impostor_pairs"] == impostors


@pytest.mark.parametrize(
    ("far", "impostors", "enough"),
    [
        (0.01, 99, False),
        (0.01, 100, True),
        (0.001, 999, False),
        (0.001, 1000, True),
        (1, 1, True),
        (1 / 49, 49, True),
    ],
)
def test_tar_at_far_needs_one_false_accept(far, impostors, enough):
    scores = np.append(0.5, np.linspace(-1, 1, impostors))
    same = np.append(True, np.zeros(impostors, bool))
    assert (tar_at_far(scores, same, far)["tar"] is not None) == enough


@pytest.mark.parametrize("accepted", range(1, 100))
def test_a_share_that_is_met_exactly_counts_as_met(accepted):
    scores = np.append(np.arange(100, 0, -1.0), 0.5)
    same = np.append(np.zeros(100, bool), True)
    assert tar_at_far(scores, same, float(f"0.{accepted:02d}"))["achieved_far"] == accepted / 100


def test_ties_at_the_top_leave_reject_all():
    found = tar_at_far([0.9, 0.9, 0.9, 0.1], [True, False, False, False], 0.5)
    assert (found["tar"], found["achieved_far"]) == (0.0, 0.0)
    assert found["threshold"] == np.nextafter(0.9, 1)


@pytest.mark.parametrize("far", [0, -0.1, 1.5, float("nan")])
def test_tar_at_far_refuses(far):
    with pytest.raises(ValueError, match=r"far must lie in \(0, 1\]; got"):
        tar_at_far([0.1, 0.2], [True, False], far)
    with pytest.raises(ValueError, match=r"far must hold shares in \(0, 1\]; got"):
        verification_figures(np.eye(2), [0, 1], far=(0.1, far))


def rates(scores, same):
    points = [tar_at_far(scores, same, f) for f in (0.1, 0.3, 0.5)]
    return [
        roc_curve(scores, same)["far"].tolist(),
        roc_curve(scores, same)["tar"].tolist(),
        auc(scores, same),
        equal_error_rate(scores, same)["eer"],
        [(p["tar"], p["achieved_far"]) for p in points],
    ]


@settings(deadline=None)
@given(scored_pairs(), st.integers(-5, 5), st.randoms(use_true_random=False))
def test_shift_monotone_map_and_order_change_nothing(pairs, shift, random):
    scores, same = pairs
    figures = rates(scores, same)
    assert rates(scores + shift, same) == figures  # eighths and integers add without rounding
    assert rates(np.exp(3 * scores), same) == figures
    assert rates(scores**3 - 1, same) == figures
    order = np.array(random.sample(range(len(scores)), len(scores)))
    assert rates(scores[order], same[order]) == figures


def test_minus_zero_is_zero():
    assert auc([-0.0, 0.0], [True, False]) == 0.5
    assert not np.signbit(pair_scores([[1.0, 0], [0, -1.0]], [0, 1]).scores).any()


def test_verification_figures_agree_with_the_single_ones():
    rows, labels = labelled(12, 5, noise=1.2)
    found = verification_figures(rows, labels, far=(0.1, 0.01, 1e-4), resamples=200)
    pairs = pair_scores(rows, labels)
    assert (found["genuine_pairs"], found["impostor_pairs"]) == (120, 1650)
    assert (found["identities"], found["pictures"]) == (12, 60)
    assert found["auc"] == auc(pairs.scores, pairs.same)
    single = equal_error_rate(pairs.scores, pairs.same)
    assert (found["eer"], found["eer_threshold"]) == (single["eer"], single["threshold"])
    for entry, far in zip(found["tar_at_far"], (0.1, 0.01, 1e-4), strict=True):
        point = tar_at_far(pairs.scores, pairs.same, far)
        assert {key: entry[key] for key in point} == point
    assert found["tar_at_far"][2]["tar_interval"] is None
    assert found["auc_interval"][0] < found["auc"] < found["auc_interval"][1]
    assert found["eer_interval"][0] < found["eer"] < found["eer_interval"][1]
    low, high = found["tar_at_far"][0]["tar_interval"]
    assert low < found["tar_at_far"][0]["tar"] < high
    interval = found["interval"]
    assert (interval["method"], interval["confidence"]) == ("identity bootstrap", 0.95)
    assert (interval["resamples"], interval["seed"]) == (200, 0)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_verification_figures_do_not_depend_on_the_order_of_rows():
    rows, labels = labelled(6, 4)
    order = np.random.default_rng(1).permutation(len(rows))
    a = verification_figures(rows, labels, resamples=100)
    assert verification_figures(rows[order], labels[order], resamples=100) == a


@pytest.mark.parametrize("people", [4, 30])
def test_drawn_curve_holds_points_of_the_exact_curve(people):
    rows, labels = labelled(people, 5, noise=1.5)
    drawn = verification_figures(rows, labels, resamples=0)["roc"]
    pairs = pair_scores(rows, labels)
    curve = roc_curve(pairs.scores, pairs.same)
    exact = set(zip(*(curve[key].tolist() for key in ("far", "tar", "threshold")), strict=True))
    points = list(zip(drawn["far"], drawn["tar"], drawn["threshold"], strict=True))
    assert len(points) == min(len(exact), len(points)) <= 500
    assert set(points) <= exact
    assert (points[0][:2], points[-1][:2]) == ((0.0, 0.0), (1.0, 1.0))
    if len(exact) > 500:
        step = np.diff(curve["far"] + curve["tar"]).max()  # one pair at the least
        assert np.diff(np.add(drawn["far"], drawn["tar"])).max() < 2 / 249 + 1.001 * step
        first = min(far for far in drawn["far"] if far > 0)
        assert first == 1 / int((~pairs.same).sum())  # the log axis starts at one false accept


def test_histogram_counts_every_pair_once():
    rows, labels = labelled(6, 4)
    found = verification_figures(rows, labels, resamples=0)
    histogram = found["histogram"]
    assert sum(histogram["genuine"]) == found["genuine_pairs"]
    assert sum(histogram["impostor"]) == found["impostor_pairs"]
    assert len(histogram["edges"]) == len(histogram["genuine"]) + 1


def test_perfect_separation_has_no_interval_but_a_reason():
    rows = np.repeat(np.eye(6), 4, axis=0)
    found = verification_figures(rows, np.repeat(np.arange(6), 4), far=(0.1,), resamples=100)
    assert (found["auc"], found["eer"], found["auc_interval"]) == (1.0, 0.0, None)
    assert "the same value" in found["interval"]["notes"]["auc"]
    assert found["tar_at_far"][0]["tar_interval"] is None
    assert "the same value" in found["tar_at_far"][0]["note"]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([3, 3, 3], "got 3 genuine and 0 impostor pairs; add pictures"),
        ([1, 2, 3], "got 0 genuine and 3 impostor pairs; add pictures"),
    ],
)
def test_verification_figures_refuse_a_missing_kind(labels, text):
    with pytest.raises(ValueError, match=text):
        verification_figures(np.eye(3), labels)


def test_verification_figures_refuse_nothing_at_all():
    with pytest.raises(ValueError, match="got 0 genuine and 0 impostor pairs"):
        verification_figures(np.zeros((0, 3)), [])


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


def test_public_names_are_sorted_and_exist():
    assert evaluation.__all__ == sorted(evaluation.__all__)
    for name in evaluation.__all__:
        assert re.match(r"\w", getattr(evaluation, name).__doc__)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scikit_learn_agrees_on_many_distinct_scores(seed):
    rng = np.random.default_rng(seed)
    same = rng.random(3000) < 0.2
    same[:2] = True, False
    scores = np.tanh(rng.normal(size=3000) + same)
    # the trapezoids of 3,000 rounded rates
    np.testing.assert_allclose(auc(scores, same), metrics.roc_auc_score(same, scores), atol=1e-13)
