import hashlib
from datetime import datetime, timezone
from fractions import Fraction

import numpy as np
import pytest
import torch
from evaluation.examples import labelled, scored_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

import cospair
from cospair.evaluation import choose_threshold, pair_scores, rates_at, tar_at_far

SCORES = np.array([0.9, 0.7, 0.7, 0.4, -0.2, -0.2, -0.5])
SAME = np.array([True, True, False, True, False, False, False])


def merit(rule, scores, same, threshold):
    """What a rule maximises, as a fraction, counted afresh."""
    accepted = scores >= threshold
    far = Fraction(int((accepted & ~same).sum()), int((~same).sum()))
    frr = Fraction(int((~accepted & same).sum()), int(same.sum()))
    return {
        "accuracy": Fraction(int((accepted == same).sum()), len(same)),
        "balanced": 1 - (far + frr) / 2,
        "eer": -abs(far - frr),
    }[rule]


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from(["accuracy", "balanced", "eer"]))
def test_best_of_all_candidates_and_the_strictest_of_equals(pairs, rule):
    scores, same = pairs
    candidates = [np.nextafter(scores.max(), np.inf), *sorted(set(scores.tolist()), reverse=True)]
    merits = [merit(rule, scores, same, t) for t in candidates]
    best = merits.index(max(merits))
    chosen = choose_threshold(scores, same, rule=rule)
    assert chosen.threshold == candidates[best]
    below = candidates[best + 1] if best + 1 < len(candidates) else None
    assert chosen.next_score_below == below
    if rule == "accuracy":
        assert chosen.accuracy == float(max(merits))
    if rule == "balanced":
        np.testing.assert_allclose(chosen.balanced_accuracy, float(max(merits)), atol=1e-15)


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_far_rule_is_tar_at_far(pairs, far):
    scores, same = pairs
    point = tar_at_far(scores, same, far)
    if point["tar"] is None:
        with pytest.raises(ValueError, match="far_target must allow at least one false accept"):
            choose_threshold(scores, same, rule="far", far_target=far)
        return
    chosen = choose_threshold(scores, same, rule="far", far_target=far)
    assert (chosen.threshold, chosen.far) == (point["threshold"], point["achieved_far"])
    assert chosen.far <= far


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from(["accuracy", "balanced", "eer"]), st.integers(-3, 3))
def test_shift_monotone_map_and_order_change_no_decision(pairs, rule, shift):
    scores, same = pairs
    chosen = choose_threshold(scores, same, rule=rule)
    moved = choose_threshold(scores + shift, same, rule=rule)
    mapped = choose_threshold(scores**3, same, rule=rule)
    turned = choose_threshold(scores[::-1], same[::-1], rule=rule)
    assert chosen.calibration == moved.calibration == mapped.calibration == turned.calibration
    if chosen.threshold in scores:
        assert moved.threshold == chosen.threshold + shift
        assert mapped.threshold == chosen.threshold**3


def test_accuracy_by_hand():
    # 0.9 makes 5 of 7 decisions right, 0.7 makes 5, 0.4 makes 6, -0.2 makes 4
    chosen = choose_threshold(SCORES, SAME)
    assert (chosen.threshold, chosen.accuracy, chosen.next_score_below) == (0.4, 6 / 7, -0.2)
    assert (chosen.false_accepts, chosen.false_rejects) == (1, 0)
    assert (chosen.far, chosen.frr) == (0.25, 0.0)
    assert (chosen.genuine_pairs, chosen.impostor_pairs) == (3, 4)


def test_first_maximum_is_the_strictest():
    chosen = choose_threshold([0.9, 0.8, 0.7, 0.1], [True, False, True, False])
    assert (chosen.threshold, chosen.accuracy) == (0.9, 0.75)


@pytest.mark.parametrize("top", [0.9, 0.0, -0.3, 1.0])
def test_reject_all_is_a_finite_candidate(top):
    chosen = choose_threshold([top, top, top, -0.9], [True, False, False, True])
    assert chosen.threshold == np.nextafter(top, np.inf)
    assert (chosen.far, chosen.frr, chosen.next_score_below) == (0.0, 1.0, top)


def test_accuracy_is_blind_where_impostors_abound_and_balanced_is_not():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(0.6, 0.2, 50), rng.normal(0, 0.2, 50_000)])
    same = np.arange(len(scores)) < 50
    plain = choose_threshold(scores, same)
    balanced = choose_threshold(scores, same, rule="balanced")
    assert plain.accuracy > 0.999
    assert plain.frr > 0.5
    assert balanced.frr < 0.1
    assert balanced.far < 0.1


@settings(deadline=None)
@given(scored_pairs(), st.integers(-9, 9))
def test_rates_by_counting(pairs, threshold):
    scores, same = pairs
    found = rates_at(scores, same, threshold / 8)
    accepted = [s >= threshold / 8 for s in scores]
    accepts = sum(a and not g for a, g in zip(accepted, same, strict=True))
    rejects = sum(g and not a for a, g in zip(accepted, same, strict=True))
    genuine, impostors = int(same.sum()), int((~same).sum())
    assert (found["false_accepts"], found["false_rejects"]) == (accepts, rejects)
    assert (found["far"], found["frr"]) == (accepts / impostors, rejects / genuine)
    assert found["accuracy"] == (len(same) - accepts - rejects) / len(same)
    assert (found["genuine_pairs"], found["impostor_pairs"]) == (genuine, impostors)


def test_an_equal_score_is_accepted():
    assert rates_at([0.5, 0.5], [True, False], 0.5)["far"] == 1.0
    assert rates_at([0.5, 0.5], [True, False], np.nextafter(0.5, 1))["frr"] == 1.0


def test_provenance():
    chosen = choose_threshold(
        torch.tensor(SCORES), torch.tensor(SAME), chosen_on="7 pairs", model_sha256="ab12"
    )
    expected = hashlib.sha256(SCORES.tobytes() + SAME.tobytes()).hexdigest()
    assert chosen.calibration_sha256 == expected
    assert (chosen.chosen_on, chosen.model_sha256) == ("7 pairs", "ab12")
    assert set(chosen.versions) == {"cospair", "torch", "numpy", "python"}
    assert chosen.versions["cospair"] == cospair.__version__
    age = datetime.now(timezone.utc) - datetime.fromisoformat(chosen.created)
    assert age.total_seconds() >= 0
    changed = choose_threshold(SCORES, ~SAME).calibration_sha256
    assert changed != expected


def test_intervals_need_identities():
    chosen = choose_threshold(SCORES, SAME)
    assert (chosen.far_interval, chosen.frr_interval) == (None, None)
    assert "identities of the pairs were not given" in chosen.interval_note


def test_intervals_hold_the_rates():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 4)
    rows = rng.normal(size=(12, 6))[labels] + rng.normal(size=(48, 6))
    pairs = pair_scores(rows, labels)
    people = np.stack([labels[pairs.first], labels[pairs.second]], axis=1)
    chosen = choose_threshold(pairs.scores, pairs.same, rule="eer", identities=people)
    assert chosen.far_interval is not None
    assert chosen.frr_interval is not None
    assert chosen.far_interval[0] < chosen.far < chosen.far_interval[1]
    assert chosen.frr_interval[0] < chosen.frr < chosen.frr_interval[1]
    assert chosen.interval_note == ""
    assert chosen.interval_method == "identity bootstrap, 95%, 1000 resamples, seed 0"
    tensor = choose_threshold(pairs.scores, pairs.same, rule="eer", identities=torch.tensor(people))
    assert tensor.far_interval == chosen.far_interval


def test_rates_of_known_people_have_intervals():
    rows, labels = labelled(12, 4)
    pairs = pair_scores(rows, labels)
    people = np.stack([labels[pairs.first], labels[pairs.second]], axis=1)
    plain = rates_at(pairs.scores, pairs.same, 0.4)
    found = rates_at(pairs.scores, pairs.same, 0.4, identities=people, resamples=200, seed=3)
    assert {name: found[name] for name in plain} == plain
    for name in ("far", "frr", "accuracy"):
        low, high = found[f"{name}_interval"]
        assert low < found[name] < high
    assert found["interval"] == {
        "method": "identity bootstrap",
        "confidence": 0.95,
        "resamples": 200,
        "seed": 3,
        "notes": {},
    }
    none = rates_at(pairs.scores, pairs.same, 0.4, identities=people, resamples=0)
    assert none["far_interval"] is None
    assert none["interval"]["notes"]["far"] == "no interval: no resamples were asked for"


def test_a_rate_without_errors_has_no_interval():
    people = [(a, b) for a in range(6) for b in range(a, 6)]
    same = [a == b for a, b in people]
    scores = [0.9 if a == b else (a + b) / 12 for a, b in people]
    found = rates_at(scores, same, 0.6, identities=people)
    assert found["far_interval"] is not None
    assert found["frr_interval"] is None
    assert "no variation was seen" in found["interval"]["notes"]["frr"]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"identities": [[0, 1]]}, ValueError, r"identities must be \[p, 2\]"),
        ({"identities": [[0, 1], [1, 1]]}, ValueError, "identities must be equal where same is"),
        ({"identities": [[0, 0], [0, 1]], "resamples": 5}, ValueError, "at least 100; got 5"),
    ],
)
def test_rates_refuse(options, error, text):
    with pytest.raises(error, match=text):
        rates_at([0.9, 0.1], [True, False], 0.5, **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rule": "best"}, "rule must be one of accuracy, balanced, eer, far; got 'best'"),
        ({"rule": "far"}, "far_target must be given with rule 'far' and only then; got None"),
        ({"far_target": 0.1}, "far_target must be given with rule 'far' and only then; got 0.1"),
        ({"rule": "far", "far_target": 0.0}, r"far_target must lie in \(0, 1\]; got 0.0"),
        ({"rule": "far", "far_target": 0.1}, "got 0.1 with 4 impostor pairs; calibrate on more"),
        ({"identities": [[0, 1]]}, r"identities must be \[p, 2\]"),
        (
            {"identities": [[0, 1]] * 4 + [[0, 0]] * 3},
            "identities must be equal where same is True and only there",
        ),
    ],
)
def test_choose_threshold_refuses_options(options, text):
    with pytest.raises(ValueError, match=text):
        choose_threshold(SCORES, SAME, **options)


@pytest.mark.parametrize("function", [choose_threshold, lambda s, y: rates_at(s, y, 0.5)])
@pytest.mark.parametrize(
    ("scores", "same", "error", "text"),
    [
        ([], [], ValueError, "got 0 genuine and 0 impostor pairs"),
        ([0.1, 0.2], [False, False], ValueError, "got 0 genuine and 2 impostor pairs"),
        ([0.1, np.nan], [True, False], ValueError, "scores must be finite; got nan at position 1"),
        ([0.1], [True, False], ValueError, "one truth value per score"),
        ([0.1, 0.2], [1, -1], TypeError, "same must hold True and False"),
    ],
)
def test_bad_pairs_are_refused(function, scores, same, error, text):
    with pytest.raises(error, match=text):
        function(scores, same)
