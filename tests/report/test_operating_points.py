from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cospair.report.operating_points import (
    curve_points,
    det_points,
    is_whole,
    slider_range,
    stops,
)


def _result(genuine, impostor, keep=None):
    """The exact curve of scores, or its points `keep`."""
    genuine, impostor = np.array(genuine), np.array(impostor)
    thresholds = np.unique(np.concatenate([genuine, impostor]))[::-1].tolist()
    thresholds = [np.inf, *thresholds]
    kept = thresholds if keep is None else [thresholds[i] for i in keep]
    return {
        "verification": {
            "genuine_pairs": len(genuine),
            "impostor_pairs": len(impostor),
            "roc": {
                "threshold": kept,
                "far": [float((impostor >= t).mean()) for t in kept],
                "tar": [float((genuine >= t).mean()) for t in kept],
            },
        }
    }


def test_known_points_join_the_curve_in_their_places():
    result = _result([0.9, 0.8, 0.3], [0.5, 0.2, 0.1], keep=[0, 1, 6])
    result["threshold"] = {"threshold": 0.8, "test": {"far": 0.0, "frr": 1 / 3}}
    result["verification"]["tar_at_far"] = [
        {"far": 0.5, "tar": 1.0, "threshold": 0.3, "achieved_far": 1 / 3},
        {"far": 0.01, "tar": None, "threshold": None, "achieved_far": None},
    ]
    points = curve_points(result)
    assert points == {
        "threshold": [None, 0.9, 0.8, 0.3, 0.1],
        "far": [0, 0, 0, 1 / 3, 1],
        "tar": [0, 1 / 3, 1 - 1 / 3, 1, 1],
    }


def test_a_point_that_is_drawn_already_stays_as_it_was():
    result = _result([0.9, 0.8], [0.5])
    whole = curve_points(result)
    result["threshold"] = {"threshold": 0.8, "test": {"far": 0.0, "frr": 0.0}}
    assert curve_points(result) == whole


@pytest.mark.parametrize(
    "chosen",
    [
        None,
        {"threshold": 0.7},
        {"threshold": 0.7, "test": None},
        {"threshold": float("nan"), "test": {"far": 0.1, "frr": 0.1}},
        {"threshold": 0.7, "test": {"far": 0.1, "frr": None}},
    ],
)
def test_points_without_rates_do_not_join(chosen):
    result = _result([0.9, 0.8], [0.5]) | {"threshold": chosen}
    points = curve_points(result)
    assert points is not None
    assert points["threshold"] == [None, 0.9, 0.8, 0.5]


def test_rates_of_other_pairs_do_not_join():
    """A point off the curve would turn it back on itself."""
    result = _result([0.9, 0.8, 0.7], [0.5, 0.2], keep=[0, 1, 3, 4, 5])
    whole = curve_points(result)
    result["threshold"] = {"threshold": 0.8, "test": {"far": 0.5, "frr": 1 / 3}}
    assert curve_points(result) == whole
    result["threshold"]["test"]["far"] = 0.0
    assert curve_points(result) != whole


@pytest.mark.parametrize("roc", [None, {"far": [], "tar": [], "threshold": []}])
def test_without_a_curve_there_is_nothing(roc):
    result = {"verification": {"roc": roc, "genuine_pairs": 3, "impostor_pairs": 3}}
    assert curve_points(result) is det_points(result) is slider_range(result) is None
    assert not is_whole(result)


def test_a_thinned_curve_is_told_from_a_whole_one():
    genuine, impostor = [0.9, 0.8, 0.3], [0.5, 0.2, 0.1]
    assert is_whole(_result(genuine, impostor))
    assert not is_whole(_result(genuine, impostor, keep=[0, 2, 3, 4, 5, 6]))


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8),
    st.sampled_from([1e-6, 1e-3, 1.0, 1e3]),
)
def test_the_slider_reaches_every_threshold(scores, scale):
    scores = [score * scale for score in scores]
    ends = slider_range(_result(scores, scores))
    assert ends is not None
    steps = (ends["high"] - ends["low"]) / ends["step"]
    # Rounding to the step's decimals moves an end by half of that at most.
    slack = 1e-6 * ends["step"] + 1e-9 * max(map(abs, scores))
    assert ends["low"] <= min(scores) + slack
    assert ends["high"] > max(scores) - slack
    assert steps == pytest.approx(round(steps), abs=1e-2)
    assert 0.99 < steps < 4003


def test_the_slider_of_cosines_has_steps_of_a_thousandth():
    ends = slider_range(_result([0.871, 0.3333], [-0.2072, 0.1]))
    assert ends == {"low": -0.208, "high": 0.872, "step": 0.001}


def test_each_known_threshold_has_a_button():
    result = _result([0.9], [0.1]) | {"threshold": {"threshold": 0.25}}
    result["verification"] |= {
        "eer_threshold": 0.5,
        "tar_at_far": [{"far": 0.01, "threshold": 0.7}, {"far": 0.001, "threshold": None}],
    }
    assert stops(result) == [
        {"name": "Chosen", "threshold": 0.25},
        {"name": "EER", "threshold": 0.5},
        {"name": "FAR 1\N{NO-BREAK SPACE}%", "threshold": 0.7},
    ]


def test_deviates_by_the_normal_distribution():
    rng = np.random.default_rng(0)
    impostor, genuine = rng.normal(size=200), rng.normal(2, 1, size=100)
    result = _result(genuine, impostor)
    drawn, curve = det_points(result), result["verification"]["roc"]
    assert drawn is not None
    normal = NormalDist()
    for axis, rates, least in (
        (drawn["x"], curve["far"], 0.5 / 200),
        (drawn["y"], [1 - tar for tar in curve["tar"]], 0.5 / 100),
    ):
        # cdf and inv_cdf undo each other to about 1e-9
        assert axis["ends"] == pytest.approx([normal.inv_cdf(least), normal.inv_cdf(0.6)])
        for rate, place in zip(rates, axis["at"], strict=True):
            assert normal.cdf(place) == pytest.approx(min(max(rate, least), 0.6), abs=1e-9)


def test_det_ticks_carry_their_rates():
    drawn = det_points(_result([0.9] * 40, np.linspace(0, 0.8, 1000)))
    assert drawn is not None
    axis = drawn["x"]
    named = dict(zip(axis["words"], axis["ticks"], strict=True))
    assert list(named) == [
        word.replace(" ", "\N{NO-BREAK SPACE}") for word in ["0", "1 %", "5 %", "20 %", "50 %"]
    ]
    assert NormalDist().cdf(named["5\N{NO-BREAK SPACE}%"]) == pytest.approx(0.05, abs=1e-9)
    assert named["0"] == axis["ends"][0]


def test_without_pairs_of_a_kind_there_is_no_det():
    result = _result([0.5], [0.1])
    result["verification"]["genuine_pairs"] = 0
    assert det_points(result) is None
