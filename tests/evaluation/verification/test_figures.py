import json

import numpy as np
import pytest
from evaluation.examples import labelled, scored_pairs, scored_people
from hypothesis import given, settings

from cospair.evaluation import auc, equal_error_rate, pair_scores, tar_at_far, verification_figures
from cospair.evaluation.verification import figures as verification
from cospair.evaluation.verification.figures import pair_figures


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


@pytest.mark.parametrize("decimals", [1, 12])
def test_pairs_that_come_as_scores_have_the_same_figures(decimals):
    rows, labels = labelled(9, 4, noise=1.3)
    names = np.array([f"person {label}" for label in labels])
    found = verification_figures(rows, names, resamples=100, seed=2)
    pairs = pair_scores(rows, labels)
    people = np.stack([names[pairs.first], names[pairs.second]], axis=1)
    given = pair_figures(pairs.scores, pairs.same, identities=people, resamples=100, seed=2)
    assert given["pictures"] is None
    assert given | {"pictures": 36} == found


@settings(max_examples=30, deadline=None)
@given(scored_pairs())
def test_pairs_of_unknown_people_have_figures_and_no_intervals(pairs):
    scores, same = pairs
    found = pair_figures(scores, same, far=(0.25, 0.1))
    assert found["auc"] == auc(scores, same)
    assert found["eer"] == equal_error_rate(scores, same)["eer"]
    assert (found["identities"], found["pictures"]) == (None, None)
    assert found["genuine_pairs"] + found["impostor_pairs"] == len(scores)
    reason = "no interval: the identities of the pairs were not given"
    assert found["interval"]["notes"] == dict.fromkeys(
        ("auc", "eer", "tar@far=0.25", "tar@far=0.1"), reason
    )
    assert found["interval"]["method"] == "none"
    for point, far in zip(found["tar_at_far"], (0.25, 0.1), strict=True):
        expected = tar_at_far(scores, same, far)
        assert point == expected | {"tar_interval": None, "note": expected["note"] or reason}
    assert found["auc_interval"] is found["eer_interval"] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_order_and_sides_of_pairs_change_nothing():
    scores, people, same = scored_people(7, 4, decimals=1)
    order = np.random.default_rng(0).permutation(len(scores))
    found = pair_figures(scores, same, identities=people, resamples=100)
    turned = pair_figures(scores[order], same[order], identities=people[order, ::-1], resamples=100)
    assert turned == found


@pytest.mark.parametrize("mapped", [lambda s: s + 1, lambda s: s - 3, np.exp, lambda s: s**3])
def test_shift_and_monotone_map_change_neither_figures_nor_intervals(mapped):
    scores, people, same = scored_people(7, 4, decimals=1)
    found = pair_figures(scores, same, identities=people, resamples=100)
    moved = pair_figures(mapped(scores), same, identities=people, resamples=100)
    for name in ("auc", "auc_interval", "eer", "eer_interval", "interval"):
        assert moved[name] == found[name]
    for point, other in zip(moved["tar_at_far"], found["tar_at_far"], strict=True):
        assert point | {"threshold": None} == other | {"threshold": None}
    assert found["auc_interval"] is not None


def test_an_auc_below_one_is_not_one():
    """One of 3e4 genuine pairs below one of 3e4 impostors costs 1.1e-9: it must be seen."""
    scores = np.repeat([0.9, 0.3, 0.2, 0.1], [29_999, 1, 1, 29_999])
    same = np.repeat([True, False, True, False], [29_999, 1, 1, 29_999])
    found = pair_figures(scores, same, far=(0.1,))
    assert found["auc"] == 1 - 1 / 30_000**2 < 1
    assert found["eer"] == 1 / 30_000


@pytest.mark.parametrize(("pictures", "held"), [(36, True), (37, False)])
def test_sets_of_more_pairs_are_counted_as_they_pass(monkeypatch, pictures, held):
    rows, labels = labelled(10, 4, noise=1.3)
    rows, labels = rows[:pictures], labels[:pictures]
    expected = verification_figures(rows, labels, far=(0.3, 0.01), resamples=100)
    monkeypatch.setattr(verification, "HELD_PAIRS", 36 * 35 // 2)
    found = verification_figures(rows, labels, far=(0.3, 0.01), resamples=100)
    assert (found["interval"]["method"] == "identity bootstrap") == held
    figures = ("auc", "eer", "eer_threshold", "genuine_pairs", "impostor_pairs", "pictures")
    assert [found[name] for name in figures] == [expected[name] for name in figures]
    assert list(found) == list(expected)
    for point, other in zip(found["tar_at_far"], expected["tar_at_far"], strict=True):
        for name in ("tar", "threshold", "achieved_far", "impostor_pairs"):
            assert point[name] == other[name]


def test_progress_tells_the_resamples():
    rows, labels = labelled(6, 4, noise=1.3)
    steps = []
    verification_figures(rows, labels, resamples=150, progress=lambda *step: steps.append(step))
    assert steps == sorted(steps)
    assert steps[-1] == (150, 150)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"identities": [[0, 0], [1, 2]], "independent": True},
            "independent must stand alone; got",
        ),
        ({"identities": [[0, 1], [1, 2]]}, "identities must be equal where same is True and only"),
        ({"identities": [0, 1]}, r"identities must be \[p, 2\] for scores"),
        ({"far": [0.1, 2]}, r"each far must lie in \(0, 1\]; got 2"),
        ({"resamples": 7}, "resamples must be 0 or at least 100; got 7"),
    ],
)
def test_pair_figures_refuse(options, text):
    with pytest.raises(ValueError, match=text):
        pair_figures([0.9, 0.1], [True, False], **options)
