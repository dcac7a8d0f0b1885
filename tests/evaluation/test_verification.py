import json

import numpy as np
import pytest
from evaluation.examples import labelled

from cospair.evaluation import (
    auc,
    equal_error_rate,
    pair_scores,
    roc_curve,
    tar_at_far,
    verification_figures,
)


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
