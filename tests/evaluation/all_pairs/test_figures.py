"""Figures of counted pairs against those of pairs held one by one, which they must equal."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.evaluation.all_pairs import crossings, score_axis
from cospair.evaluation.all_pairs import figures as all_pairs
from cospair.evaluation.all_pairs.figures import all_pairs_figures
from cospair.evaluation.verification.figures import verification_figures
from cospair.evaluation.verification.hard_pairs import hardest_pairs
from cospair.evaluation.verification.pairs import pair_scores
from cospair.kernels import reference_tally

KINDS = ["random", "trained", "few values", "copies", "zeros", "collapsed", "one big identity"]
FAR = [1e-3, 0.01, 0.05, 0.1, 0.25, 0.5, 0.9, 1.0]


def labelled(kind: str, n: int, d: int, identities: int, seed: int):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, identities, n)
    x = rng.normal(size=(n, d))
    if kind == "trained":
        x = rng.normal(size=(identities, d))[labels] + 0.5 * x
    if kind == "few values":
        x = rng.integers(-1, 2, (n, d)).astype(float)
    if kind == "copies":
        x = x[rng.integers(0, max(1, n // 5), n)]
    if kind == "zeros":
        x[::3] = 0
    if kind == "collapsed":
        x[:] = x[0]
    if kind == "one big identity":
        labels = np.where(rng.random(n) < 0.7, 0, labels)
    return x, labels


@pytest.fixture(params=[(1 << 23, 1 << 22, 4096), (50, 40, 5), (1, 3, 4096)])
def _memory(request, monkeypatch):
    """As it is, and so little that genuine scores and crossings take many sweeps."""
    limit(monkeypatch, *request.param)


def limit(monkeypatch, held: int, capacity: int, lattice: int) -> None:
    monkeypatch.setattr(score_axis, "SAMPLE_CELLS", 1 << 14)
    for module in (score_axis, all_pairs):
        monkeypatch.setattr(module, "HELD", held)
    for module in (all_pairs, crossings):
        monkeypatch.setattr(module, "CAPACITY", capacity)
    for module in (score_axis, all_pairs, crossings):
        monkeypatch.setattr(module, "LATTICE", lattice)


def check(x, labels, far) -> None:
    expected = verification_figures(x, labels, far=far, resamples=0)
    found = all_pairs_figures(x, labels, far=far, resamples=0)
    json.dumps(found, allow_nan=False)
    assert set(found) == set(expected)
    for name in ("roc", "histogram", "interval"):
        assert set(found[name]) == set(expected[name])
    for name in set(expected) - {"roc", "histogram", "interval"}:
        assert found[name] == expected[name], name
    pairs = pair_scores(x, labels)
    kinds = {"genuine": pairs.scores[pairs.same], "impostor": pairs.scores[~pairs.same]}
    edges = found["histogram"]["edges"]
    assert len(edges) <= 61
    for kind, scores in kinds.items():
        assert found["histogram"][kind] == np.histogram(scores, edges)[0].tolist()
        assert sum(found["histogram"][kind]) == len(scores)
    points = list(zip(*(found["roc"][name] for name in ("far", "tar", "threshold")), strict=True))
    assert len(points) <= 502
    assert points[0][:2] == (0, 0)
    assert points[-1][:2] == (1, 1)
    assert all(a[2] > b[2] for a, b in pairwise(points))
    for false, true, threshold in points[:: max(1, len(points) // 40)]:
        assert false == (kinds["impostor"] >= threshold).mean()
        assert true == (kinds["genuine"] >= threshold).mean()


@pytest.mark.usefixtures("_memory")
@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_pairs_held_one_by_one(kind):
    for seed, (n, d, identities) in enumerate([(40, 3, 12), (75, 8, 9), (12, 2, 3)]):
        check(*labelled(kind, n, d, identities, seed), far=FAR)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(4, 70),
    d=st.integers(1, 9),
    identities=st.integers(1, 60),
    seed=st.integers(0, 2**20),
    far=st.lists(st.floats(1e-4, 1), max_size=3, unique=True),
    held=st.sampled_from([1, 9, 1 << 23]),
    capacity=st.sampled_from([1, 12, 1 << 22]),
)
def test_random_sets(kind, n, d, identities, seed, far, held, capacity):
    x, labels = labelled(kind, n, d, identities, seed)
    _, counts = np.unique(labels, return_counts=True)
    if counts.max() == 1 or len(counts) == 1:
        with pytest.raises(ValueError, match="scores must come from genuine and impostor pairs"):
            all_pairs_figures(x, labels, far=far, resamples=0)
        return
    with pytest.MonkeyPatch.context() as patch:
        limit(patch, held, capacity, 64)
        check(x, labels, far)


def test_the_crossing_may_stand_at_the_highest_score(monkeypatch):
    limit(monkeypatch, 1, 1, 64)
    check(*labelled("trained", 4, 3, 3, 0), far=[])  # the one genuine pair is above all others


def test_plain_torch_counts_the_same(monkeypatch):
    x, labels = labelled("trained", 120, 16, 20, 0)
    fast = all_pairs_figures(x, labels, resamples=100)
    monkeypatch.setattr(score_axis.cpu_tally, "unavailable", lambda: "not here")
    counted = []
    plain = reference_tally.tally
    monkeypatch.setattr(
        reference_tally, "tally", lambda *given: (counted.append(1), plain(*given))[1]
    )
    assert all_pairs_figures(x, labels, resamples=100) == fast
    assert counted


def test_more_pairs_than_are_held_are_handed_over(monkeypatch):
    from cospair.evaluation.verification import figures as verification

    x, labels = labelled("trained", 90, 8, 20, 0)
    held = verification_figures(x, labels, resamples=0)
    monkeypatch.setattr(verification, "HELD_PAIRS", 100)
    counted = verification_figures(x, labels, resamples=0)
    assert counted["interval"]["method"] != held["interval"]["method"]
    assert counted["tar_at_far"] == held["tar_at_far"]


def test_the_hardest_pairs_keep_their_order_among_ties():
    for kind in ("trained", "few values", "collapsed"):
        x, labels = labelled(kind, 60, 3, 12, 1)
        names = [str(i) for i in range(12)]
        expected = hardest_pairs(pair_scores(x, labels), labels, names, most=25)
        found = all_pairs_figures(x, labels, resamples=0, hardest=25)["hardest"]
        for pairs, wanted in ((found[k], expected[k]) for k in ("impostor", "genuine")):
            assert pairs == [{k: p[k] for k in ("first", "second", "score")} for p in wanted]


def test_a_sample_spares_the_second_sweep():
    x, labels = labelled("trained", 1500, 16, 150, 0)
    calls = []
    all_pairs_figures(x, labels, resamples=0, progress=lambda done, of: calls.append((done, of)))
    assert calls[-1] == (1000, 1000)
    assert calls == sorted(calls)


def test_progress_grows_by_the_sweeps_that_are_needed(monkeypatch):
    limit(monkeypatch, 50, 3, 5)
    x, labels = labelled("random", 80, 4, 20, 0)
    calls = []
    all_pairs_figures(x, labels, resamples=0, progress=lambda done, of: calls.append((done, of)))
    assert calls[-1][0] == calls[-1][1] > 1000
    assert all(a <= b for a, b in pairwise(calls))


def test_labels_may_be_strings_and_rows_of_any_length():
    x, labels = labelled("trained", 60, 5, 12, 3)
    expected = all_pairs_figures(x, labels, resamples=0)
    assert all_pairs_figures(x, [f"p{i:02}" for i in labels], resamples=0) == expected
    scaled = x * np.array([1e-200, 1e200, 4.0])[np.arange(60) % 3, None]
    assert all_pairs_figures(scaled, labels, resamples=0)["auc"] == expected["auc"]


def test_intervals_come_near_those_of_resampled_pairs():
    x, labels = labelled("trained", 600, 12, 60, 5)
    expected = verification_figures(x, labels, resamples=300, far=[0.1, 0.01])
    found = all_pairs_figures(x, labels, resamples=300, far=[0.1, 0.01])
    rates = [("auc_interval", found, expected), ("eer_interval", found, expected)]
    rates += [
        ("tar_interval", a, b)
        for a, b in zip(found["tar_at_far"], expected["tar_at_far"], strict=True)
    ]
    for name, own, other in rates:
        width = other[name][1] - other[name][0]
        # a quarter of the width: the terms left out, and the grid
        assert np.allclose(own[name], other[name], rtol=0, atol=width / 4), name
    assert found["interval"]["method"].startswith("identity bootstrap, first order")


def test_without_resamples_every_interval_has_its_reason():
    found = all_pairs_figures(*labelled("trained", 60, 5, 12, 3), resamples=0)
    assert found["auc_interval"] is None
    assert found["interval"]["notes"]["auc"] == "no interval: no resamples were asked for"
    assert found["tar_at_far"][0]["note"] == "no interval: no resamples were asked for"


@pytest.mark.parametrize(
    ("x", "labels", "options", "error", "words"),
    [
        ([[1.0], [np.nan]], [0, 0], {}, ValueError, "embeddings must be finite; got nan in row 1"),
        ([[1.0], [1.0]], [0.0, 0.0], {}, TypeError, "labels must be integers or strings"),
        ([[1.0], [1.0]], [0], {}, ValueError, "labels must be .n. with one label per row"),
        ([1.0, 1.0], [0, 0], {}, ValueError, r"embeddings must be \[n, d\]"),
        ([["a"], ["b"]], [0, 0], {}, TypeError, "embeddings must be real numbers"),
        ([[1.0], [1.0]], [0, 0], {}, ValueError, "got 1 genuine and 0 impostor pairs"),
        ([[1.0], [1.0]], [0, 1], {"far": [0]}, ValueError, "each far must lie in"),
        ([[1.0], [1.0]], [0, 1], {"resamples": 7}, ValueError, "resamples must be 0 or at least"),
    ],
)
def test_what_cannot_be_counted(x, labels, options, error, words):
    with pytest.raises(error, match=words):
        all_pairs_figures(x, labels, **options)


def test_progress_ends_at_its_end_and_lists_have_a_length(monkeypatch):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 5)), np.repeat(np.arange(3), 20)
    monkeypatch.setattr(score_axis, "HELD", 70)
    steps = []
    all_pairs_figures(rows, labels, resamples=0, progress=lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1]
    found = all_pairs_figures(rows, labels, resamples=0, hardest=10**11)["hardest"]
    assert [len(found["genuine"]), len(found["impostor"])] == [570, 1200]
    with pytest.raises(ValueError, match="hardest must be at least 0; got -1; pass a list"):
        all_pairs_figures(rows, labels, hardest=-1)
    with pytest.raises(ValueError, match=r"embeddings must have features; got shape \(60, 0\)"):
        all_pairs_figures(rows[:, :0], labels)
