import json
import math

import numpy as np
import pytest
from evaluation.calibration.test_logistic import some_pairs
from evaluation.examples import scored_pairs, scored_people
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from cospair.evaluation.calibration.artefact import calibrate
from cospair.evaluation.calibration.cllr import calibration_figures, cllr, min_cllr


def bits(ratio):
    return math.log2(1 + math.exp(ratio))


@pytest.mark.parametrize(
    ("ratios", "same", "expected"),
    [
        ([0.0] * 5, [True, False, False, False, False], 1.0),  # no evidence costs one bit
        ([math.log(3), -math.log(3)], [True, False], math.log2(4 / 3)),
        ([-math.log(3), math.log(3)], [True, False], 2.0),  # misleads
        ([800.0, -800.0], [True, False], 0.0),
        ([-800.0, 800.0], [True, False], 800 / math.log(2)),
        # two genuine pairs, one impostor: each kind counts half
        ([1.0, 2.0, 0.5], [1, 1, 0], ((bits(-1) + bits(-2)) / 2 + bits(0.5)) / 2),
    ],
)
def test_cllr_by_hand(ratios, same, expected):
    assert cllr(ratios, same) == pytest.approx(expected, rel=1e-14, abs=1e-14)


@settings(deadline=None)
@given(scored_pairs())
def test_least_cost_is_scikit_learns_isotonic_map(pairs):
    scores, same = pairs
    weights = np.where(same, 1 / same.sum(), 1 / (~same).sum())
    shares = IsotonicRegression().fit(scores, same, weights).predict(scores)
    shares = np.clip(shares, 1e-300, 1 - 1e-16)  # infinite ratios of the right sign cost nothing
    with np.errstate(divide="ignore"):
        ratios = np.log(shares) - np.log1p(-shares)
    assert min_cllr(scores, same) == pytest.approx(cllr(ratios, same), abs=1e-9)


@settings(deadline=None)
@given(scored_pairs(), st.integers(-3, 3))
def test_least_cost_ignores_the_scale_and_the_order(pairs, shift):
    scores, same = pairs
    expected = min_cllr(scores, same)
    assert 0 <= expected <= 1
    assert min_cllr(scores + shift, same) == expected
    assert min_cllr(scores**3, same) == expected
    assert min_cllr(np.exp(scores), same) == expected
    assert min_cllr(scores[::-1], same[::-1]) == pytest.approx(expected, abs=1e-15)


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from(["platt", "isotonic"]), st.floats(-2, 2), st.floats(0, 9))
def test_no_rising_map_beats_the_least_cost(pairs, method, offset, slope):
    scores, same = pairs
    least = min_cllr(scores, same)
    assert least <= cllr(offset + slope * scores, same) + 1e-12
    assume(scores.min() < scores.max())
    calibration = calibrate(scores, same, method=method)
    if "falls" not in calibration.note:
        assert least <= cllr(calibration.log_likelihood_ratio(scores), same) + 1e-12


def test_figures():
    scores, identities, same = scored_people(people=12)
    calibration = calibrate(*some_pairs(), prior=0.2)
    found = calibration_figures(calibration, scores, same, identities=identities)
    ratios = calibration.log_likelihood_ratio(scores)
    assert (found["method"], found["prior"]) == ("platt", 0.2)
    assert found["cllr"] == cllr(ratios, same)
    assert found["min_cllr"] == min_cllr(scores, same)
    for name in ("cllr", "min_cllr"):
        low, high = found[f"{name}_interval"]
        assert low < found[name] < high
    assert found["interval"]["resamples"] == 1000
    assert found["interval"]["notes"] == {}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_intervals_equal_resampling_one_by_one():
    scores, identities, same = scored_people(people=7, decimals=1)
    calibration = calibrate(*some_pairs())
    ratios = calibration.log_likelihood_ratio(scores)
    drawn = []
    for people in np.random.default_rng(3).integers(7, size=(120, 7)):
        times = np.bincount(people, minlength=7)
        a, b = times[identities[:, 0]], times[identities[:, 1]]
        copies = np.where(same, a, a * b)
        again = np.repeat(np.arange(len(scores)), copies)
        drawn.append([cllr(ratios[again], same[again]), min_cllr(scores[again], same[again])])
    found = calibration_figures(
        calibration, scores, same, identities=identities, resamples=120, seed=3
    )
    expected = np.quantile(drawn, [0.025, 0.975], axis=0)
    # sums in another order
    np.testing.assert_allclose(found["cllr_interval"], expected[:, 0], atol=1e-12)
    np.testing.assert_allclose(found["min_cllr_interval"], expected[:, 1], atol=1e-12)


def test_without_identities():
    scores, _, same = scored_people()
    found = calibration_figures(calibrate(*some_pairs()), scores, same)
    assert (found["cllr_interval"], found["min_cllr_interval"]) == (None, None)
    why = "no interval: the identities of the pairs were not given"
    assert found["interval"]["notes"] == {"cllr": why, "min_cllr": why}


def test_no_resamples():
    scores, identities, same = scored_people()
    found = calibration_figures(
        calibrate(*some_pairs()), scores, same, identities=identities, resamples=0
    )
    assert found["cllr_interval"] is None
    assert set(found["interval"]["notes"].values()) == {"no interval: no resamples were asked for"}
    assert set(found["reliability"]["low"]) == {None}


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"identities": [[0, 1]]}, ValueError, r"identities must be \[p, 2\]"),
        ({"identities": [[0, 1], [1, 1], [0, 1]]}, ValueError, "identities must be equal where"),
        ({"resamples": 7}, ValueError, "resamples must be 0 or at least 100; got 7"),
        ({"resamples": 1e3}, TypeError, "resamples must be an integer"),
    ],
)
def test_figures_refuse(options, error, text):
    with pytest.raises(error, match=text):
        calibration_figures(
            calibrate(*some_pairs()), [0.3, 0.1, 0.5], [True, False, False], **options
        )


@pytest.mark.parametrize("function", [cllr, min_cllr])
def test_bad_pairs_are_refused(function):
    with pytest.raises(ValueError, match="got 1 genuine and 0 impostor pairs"):
        function([0.1], [True])
    with pytest.raises(ValueError, match="scores must be finite; got inf at position 1"):
        function([0.1, np.inf], [True, False])
