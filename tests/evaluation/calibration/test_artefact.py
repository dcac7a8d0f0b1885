import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from evaluation.calibration.test_logistic import some_pairs
from evaluation.examples import scored_pairs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from cospair.evaluation.calibration.artefact import Calibration, calibrate
from cospair.evaluation.calibration.cllr import cllr, min_cllr

METHODS = ["platt", "isotonic"]


def test_platt_is_logistic_regression_of_balanced_kinds():
    scores, same = some_pairs()
    reference = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-12, max_iter=10_000)
    reference.fit(scores[:, None], same)
    grid = np.linspace(-2, 2, 9)
    calibration = calibrate(scores, same)
    expected = reference.predict_proba(grid[:, None])[:, 1]
    # lbfgs stops some 1e-6 short of the optimum
    np.testing.assert_allclose(calibration.probability(grid), expected, atol=1e-5)
    assert calibration.note == ""


def test_isotonic_is_scikit_learns_with_a_pair_of_each_kind_beyond_both_ends():
    scores, same = some_pairs()
    scores = np.round(scores, 1)
    end = [1.0, 0.0]
    padded = np.concatenate([[-9, -8], scores, [8, 9]])
    fitted = IsotonicRegression().fit(padded, np.concatenate([end, same, end]))
    shares = fitted.predict(scores)
    genuine, impostors = same.sum() + 2, (~same).sum() + 2
    expected = np.log(shares / (1 - shares)) - np.log(genuine / impostors)
    calibration = calibrate(scores, same, method="isotonic")
    np.testing.assert_allclose(calibration.log_likelihood_ratio(scores), expected, atol=1e-9)


def test_isotonic_by_hand():
    scores, same = [0.9, 0.6, 0.5, 0.4, 0.4, 0.1], [True, True, False, True, False, False]
    calibration = calibrate(scores, same, method="isotonic")
    # by score, one of each kind added at both ends: [G I I] 1/3, [GI I] 1/3, [G G G I] 3/4
    np.testing.assert_allclose(
        np.array(calibration.knots),
        [
            [0.1, np.log(1 / 2)],
            [0.5, np.log(1 / 2)],
            [0.6, np.log(3)],
            [0.9, np.log(3)],
        ],
        atol=1e-15,
    )
    middle = (np.log(1 / 2) + np.log(3)) / 2
    np.testing.assert_allclose(
        calibration.log_likelihood_ratio([-5.0, 0.55, 5.0]),
        [np.log(1 / 2), middle, np.log(3)],
        atol=1e-12,
    )


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from(METHODS), st.sampled_from([0.5, 0.01]))
def test_maps_are_finite_and_rise(pairs, method, prior):
    scores, same = pairs
    assume(method == "isotonic" or scores.min() < scores.max())
    calibration = calibrate(scores, same, method=method, prior=prior)
    grid = np.linspace(-2, 2, 41)
    ratios = calibration.log_likelihood_ratio(grid)
    assert np.isfinite(ratios).all()
    steps = np.diff(ratios)
    if "falls" in calibration.note:
        assert (steps < 0).all()
    else:
        assert (steps >= 0).all()
    shares = calibration.probability(grid)
    assert ((shares >= 0) & (shares <= 1)).all()
    near = np.abs(ratios) < 12  # further out 1 - p has lost the digits
    np.testing.assert_allclose(
        np.log(shares[near] / (1 - shares[near])),
        ratios[near] + np.log(prior / (1 - prior)),
        atol=1e-9,
    )


@settings(deadline=None)
@given(scored_pairs())
def test_isotonic_ratios_follow_a_monotone_map_of_the_scores(pairs):
    scores, same = pairs
    plain, mapped = (calibrate(s, same, method="isotonic") for s in (scores, scores**3 + 5))
    expected = plain.log_likelihood_ratio(scores)
    np.testing.assert_array_equal(mapped.log_likelihood_ratio(scores**3 + 5), expected)


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_the_impostors_leave_the_evidence_alone(method):
    scores, same = some_pairs(impostors=200)
    many = np.concatenate([scores, *[scores[~same]] * 4])
    flags = np.concatenate([same, np.zeros(4 * 200, bool)])
    grid = np.linspace(-0.1, 0.3, 7)
    once, often = (
        calibrate(s, f, method=method).log_likelihood_ratio(grid)
        for s, f in ((scores, same), (many, flags))
    )
    # Laplace's added pairs weigh less among more pairs
    np.testing.assert_allclose(once, often, atol=1e-8 if method == "platt" else 0.25)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("prior", [0.5, 0.02])
def test_probabilities_hold_on_other_pairs_of_the_same_kind(method, prior):
    """Two normal distributions: the log likelihood ratio is known, and it is a line."""
    scores, same = some_pairs(3, genuine=20_000, impostors=60_000)
    calibration = calibrate(scores, same, method=method, prior=prior)
    grid = np.linspace(-0.2, 0.5, 8)
    exact = 1.5 * (5 * grid) - 1.5**2 / 2
    # a standard error of 0.02 for the line, of about 0.1 for a step of some thousand pairs
    tolerance = 0.1 if method == "platt" else 0.5
    np.testing.assert_allclose(calibration.log_likelihood_ratio(grid), exact, atol=tolerance)
    found = cllr(calibration.log_likelihood_ratio(scores), same)
    assert min_cllr(scores, same) <= found <= min_cllr(scores, same) + 0.002


def test_notes():
    parted = calibrate([0.9, 0.8, 0.1], [True, True, False])
    assert parted.note.startswith("one threshold parts the calibration pairs")
    falling = calibrate([0.1, 0.5, 0.4, 0.9], [True, True, False, False])
    assert falling.note.startswith("the line falls")
    assert calibrate([0.9, 0.1], [True, False], method="isotonic").note == ""


def test_provenance():
    scores, same = some_pairs()
    made = calibrate(torch.tensor(scores), torch.tensor(same), chosen_on="people", model_sha256="a")
    expected = hashlib.sha256(scores.tobytes() + same.tobytes()).hexdigest()
    assert made.calibration_sha256 == expected
    assert (made.chosen_on, made.model_sha256) == ("people", "a")
    assert (made.genuine_pairs, made.impostor_pairs) == (60, 400)
    assert set(made.versions) == {"cospair", "torch", "numpy", "python"}


@pytest.mark.parametrize("method", METHODS)
def test_file_round_trip(tmp_path, method):
    path = tmp_path / "calibration.json"
    made = calibrate(*some_pairs(), method=method, prior=0.1, calibration_identities=["ann", "bob"])
    made.to_json(path)
    read = Calibration.from_json(path)
    assert read == made
    assert hash(read) == hash(made)
    grid = np.linspace(-2, 2, 9)
    np.testing.assert_array_equal(read.probability(grid), made.probability(grid))
    assert [file.name for file in tmp_path.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("method", "beta", "method must be one of platt, isotonic; got 'beta'"),
        ("prior", 1.0, "prior must lie between 0 and 1; got 1.0"),
        ("knots", [], "knots must be finite points by ascending score"),
        ("knots", [[0.5, 1.0]], "knots must be finite points by ascending score"),
        ("knots", [[0.5, 1.0], [0.5, 2.0]], "knots must be finite points by ascending score"),
        ("knots", [[0.5, 1.0, 2.0]], "knots must be pairs of numbers"),
        ("knots", 3, "knots must be pairs of numbers; got 3"),
        ("calibration_identities", "ann", "calibration_identities must be a list of hashes"),
        (
            "format",
            "cospair threshold 2",
            "calibration must be a file of format 'cospair calibration 1'",
        ),
        ("other", 1, "must be a file of format"),
    ],
)
def test_impossible_files_are_refused(tmp_path, name, value, text):
    path = tmp_path / "calibration.json"
    calibrate(*some_pairs()).to_json(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(ValueError, match=text):
        Calibration.from_json(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text("nothing")
    with pytest.raises(
        ValueError, match=r"calibration must be a file like run/calibration.json; got"
    ):
        Calibration.from_json(path)


def test_a_calibration_is_frozen():
    made = calibrate(*some_pairs())
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.prior = 0.1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("scores", "same", "options", "error", "text"),
    [
        ([0.5, 0.5], [True, False], {}, ValueError, "scores must differ to be fitted; got 0.5"),
        ([0.1, 0.2], [True, False], {"method": "beta"}, ValueError, "method must be one of"),
        ([0.1, 0.2], [True, False], {"prior": 0}, ValueError, "prior must lie between 0 and 1"),
        ([0.1, 0.2], [True, True], {}, ValueError, "got 2 genuine and 0 impostor pairs"),
        ([0.1, np.inf], [True, False], {}, ValueError, "scores must be finite; got inf"),
        (["a", "b"], [True, False], {}, TypeError, "scores must be real numbers"),
    ],
)
def test_calibrate_refuses(scores, same, options, error, text):
    with pytest.raises(error, match=text):
        calibrate(scores, same, **options)


def test_scores_to_map_are_checked():
    with pytest.raises(ValueError, match="scores must be finite; got nan at position 1"):
        calibrate(*some_pairs()).probability([0.1, np.nan])
