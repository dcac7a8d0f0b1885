import numpy as np
import pytest
from evaluation.examples import labelled, scored_pairs
from hypothesis import given, settings

from cospair.evaluation import pair_scores, roc_curve, verification_figures
from cospair.evaluation.verification.curves import counted_curve
from cospair.evaluation.verification.drawing import histogram


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


@settings(deadline=None)
@given(scored_pairs())
def test_histogram_is_numpys(pairs):
    scores, same = pairs
    found = histogram(counted_curve(scores, same))
    edges = np.histogram_bin_edges(scores, bins=60)
    assert found["edges"] == edges.tolist()
    assert found["genuine"] == np.histogram(scores[same], edges)[0].tolist()
    assert found["impostor"] == np.histogram(scores[~same], edges)[0].tolist()


@pytest.mark.parametrize("high", [1.0, 1e-300, -0.5])
def test_scores_with_no_float_between_them_have_a_histogram(high):
    low = np.nextafter(high, -np.inf)
    curve = counted_curve(np.array([high, low, low]), np.array([True, True, False]))
    found = histogram(curve)
    assert sum(found["genuine"]) == 2
    assert sum(found["impostor"]) == 1
    assert (np.diff(found["edges"]) > 0).all()
