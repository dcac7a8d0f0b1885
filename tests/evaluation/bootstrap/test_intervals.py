import numpy as np
import pytest
import torch
from evaluation.examples import scored_people
from sklearn import metrics

from cospair.evaluation import identity_bootstrap
from cospair.evaluation.bootstrap import resampling
from cospair.evaluation.bootstrap.intervals import mean_intervals, rate_intervals
from cospair.evaluation.verification.summary import resampled_figures


def figures(impostors, genuine):
    return resampled_figures(impostors, genuine, (0.1, 0.01))


def full_curve(scores, same, weights):
    """FAR and TAR at every distinct score, weighted, plus reject all."""
    thresholds = np.unique(scores)[::-1]
    accepted = scores[None] >= thresholds[:, None]
    far = (accepted & ~same) @ weights / (weights @ ~same)
    tar = (accepted & same) @ weights / (weights @ same)
    return np.append(0, far), np.append(0, tar)


def weighted_figures(scores, same, weights):
    """The same figures from the full weighted curve, one resample at a time."""
    far, tar = full_curve(scores, same, weights)
    gap = far - (1 - tar)
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    at = {f: tar[far <= f + 1e-12][-1] for f in (0.1, 0.01)}  # the slack is far below one pair
    return {
        "auc": metrics.roc_auc_score(same, scores, sample_weight=weights),
        "eer": far[after - 1] + share * (far[after] - far[after - 1]),
        "tar@far=0.1": at[0.1],
        "tar@far=0.01": at[0.01],
    }


@pytest.mark.parametrize("decimals", [1, 12])
def test_intervals_equal_resampling_one_by_one(decimals):
    scores, identities, same = scored_people(decimals=decimals)
    draws = np.random.default_rng(5).integers(7, size=(150, 7))
    each = []
    for drawn in draws:
        times = np.bincount(drawn, minlength=7)
        weights = np.where(
            same, times[identities[:, 0]], times[identities[:, 0]] * times[identities[:, 1]]
        )
        each.append(weighted_figures(scores, same, weights.astype(float)))
    found = identity_bootstrap(scores, identities, figures, resamples=150, seed=5)
    for name in each[0]:
        expected = np.quantile([one[name] for one in each], [0.025, 0.975])
        # the reference adds rounded rates; ours are whole numbers and one division
        np.testing.assert_allclose(found["intervals"][name], expected, atol=1e-12)
    assert found["notes"] == {}


@pytest.mark.parametrize("decimals", [1, 12])
def test_every_identity_once_gives_the_figures_themselves(decimals):
    scores, identities, same = scored_people(decimals=decimals)
    first_call = []

    def keep(impostors, genuine):
        first_call.append(figures(impostors, genuine))
        return first_call[-1]

    identity_bootstrap(scores, identities, keep, resamples=0)
    expected = weighted_figures(scores, same, np.ones(len(scores)))
    for name, value in expected.items():
        np.testing.assert_allclose(first_call[0][name], [value], atol=1e-12)


def test_seed_decides():
    scores, identities, _ = scored_people()
    runs = [
        identity_bootstrap(scores, identities, figures, resamples=100, seed=s) for s in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_names_of_identities_do_not_matter():
    scores, identities, _ = scored_people()
    expected = identity_bootstrap(scores, identities, figures, resamples=100)
    big = identities + 2**53
    assert identity_bootstrap(scores, big, figures, resamples=100) == expected
    words = np.char.add("person ", identities.astype(str))
    assert identity_bootstrap(scores, words, figures, resamples=100) == expected


def test_counts_stand_for_repeated_pairs():
    scores, identities, _ = scored_people(decimals=1)
    times = np.random.default_rng(0).integers(1, 5, size=len(scores))
    expected = identity_bootstrap(
        np.repeat(scores, times), np.repeat(identities, times, axis=0), figures, resamples=100
    )
    found = identity_bootstrap(scores, identities, figures, counts=times, resamples=100)
    assert found == expected
    assert found != identity_bootstrap(scores, identities, figures, resamples=100)


def test_progress_counts_the_resamples(monkeypatch):
    scores, identities, _ = scored_people()
    seen = []
    monkeypatch.setattr(resampling, "MOST_AT_ONCE", 64)
    identity_bootstrap(
        scores, identities, figures, resamples=150, progress=lambda *now: seen.append(now)
    )
    assert seen == [(64, 150), (128, 150), (150, 150)]


@pytest.mark.parametrize(
    ("counts", "error", "text"),
    [
        ([1.0, 2.0], TypeError, "counts must be whole numbers; got dtype float64"),
        ([1], ValueError, r"counts must be \[p\] from 1 up; got shape \(1,\) for 2 scores"),
        ([1, 0], ValueError, "or a count below 1; leave out pairs that do not occur"),
    ],
)
def test_counts_are_checked(counts, error, text):
    with pytest.raises(error, match=text):
        identity_bootstrap([0.1, 0.2], [[0, 0], [0, 1]], figures, counts=counts)


def test_tensors_are_accepted():
    scores, identities, _ = scored_people()
    expected = identity_bootstrap(scores, identities, figures, resamples=100)
    tensors = torch.tensor(scores, requires_grad=True), torch.tensor(identities)
    assert identity_bootstrap(*tensors, figures, resamples=100) == expected


def test_more_people_narrow_the_interval():
    widths = []
    for people in (5, 40):
        scores, identities, _ = scored_people(people=people)
        low, high = identity_bootstrap(scores, identities, figures)["intervals"]["auc"]
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_no_resamples_no_interval():
    scores, identities, _ = scored_people()
    found = identity_bootstrap(scores, identities, figures, resamples=0)
    assert set(found["intervals"].values()) == {None}
    assert set(found["notes"].values()) == {"no interval: no resamples were asked for"}


def test_one_identity_with_genuine_pairs_is_refused():
    identities = [[0, 0], [0, 1], [0, 2], [1, 2]]
    found = identity_bootstrap([0.9, 0.1, 0.2, 0.95], identities, figures)
    assert found["intervals"]["auc"] is None
    assert found["notes"]["auc"].startswith(
        "no interval: fewer than 2 identities with genuine pairs"
    )


def test_three_identities_leave_too_many_resamples_without_impostors():
    """One resample in 9 draws a single identity, though this figure would not notice."""
    scores, identities, _ = scored_people(people=3)

    def totals(impostors, genuine):
        return {"pairs": impostors[-1] + genuine[-1]}

    found = identity_bootstrap(scores, identities, totals)
    missing = sum(
        len(set(drawn)) == 1 for drawn in np.random.default_rng(0).integers(3, size=(1000, 3))
    )
    assert found["intervals"] == {"pairs": None}
    assert f"no interval: undefined in {missing} of 1000 resamples" in found["notes"]["pairs"]


def test_a_few_undefined_resamples_are_left_out():
    """Four identities: one resample in 64 draws a single one and holds no impostor pair."""
    scores, identities, same = scored_people(people=4)
    each = []
    for drawn in np.random.default_rng(0).integers(4, size=(1000, 4)):
        times = np.bincount(drawn, minlength=4)
        a, b = times[identities[:, 0]], times[identities[:, 1]]
        if times.max() < 4:
            each.append(weighted_figures(scores, same, np.where(same, a, a * b).astype(float)))
    assert 950 <= len(each) < 1000
    found = identity_bootstrap(scores, identities, figures)
    for name in each[0]:
        expected = np.quantile([one[name] for one in each], [0.025, 0.975])
        np.testing.assert_allclose(found["intervals"][name], expected, atol=1e-12)


def test_no_error_no_interval():
    scores = [1.0] * 5 + [0.0] * 10
    identities = [(a, a) for a in range(5)] + [(a, b) for a in range(5) for b in range(a)]
    found = identity_bootstrap(scores, identities, figures)
    assert found["intervals"]["auc"] is None
    assert "the same value" in found["notes"]["auc"]


@pytest.mark.parametrize(
    ("scores", "identities", "resamples", "error", "text"),
    [
        (
            [0.1, 0.2],
            [[0, 0]],
            0,
            ValueError,
            r"identities must be \[p, 2\].*got \(1, 2\) for \(2,\)",
        ),
        ([], np.zeros((0, 2), int), 0, ValueError, r"p > 0; got \(0, 2\)"),
        (
            [0.1, np.nan],
            [[0, 0], [0, 1]],
            0,
            ValueError,
            "scores must be finite; got nan at position 1",
        ),
        ([0.1, 0.2], [[0, 0], [1, 1]], 0, ValueError, "got 2 genuine among 2 pairs"),
        ([0.1, 0.2], [[0, 2], [1, 0]], 0, ValueError, "got 0 genuine among 2 pairs"),
        (
            [0.1, 0.2],
            [[0, 0], [1, 0]],
            50,
            ValueError,
            "resamples must be 0 or at least 100; got 50",
        ),
        (
            [0.1, 0.2],
            [[0, 0], [1, 0]],
            -1,
            ValueError,
            "resamples must be 0 or at least 100; got -1",
        ),
        ([0.1, 0.2], [[0, 0], [1, 0]], 1e3, TypeError, "resamples must be an integer; got 1000.0"),
        (
            [0.1],
            [[0.0, 1.0]],
            0,
            TypeError,
            "identities must be integers or strings; got dtype float",
        ),
    ],
)
def test_identity_bootstrap_refuses(scores, identities, resamples, error, text):
    with pytest.raises(error, match=text):
        identity_bootstrap(scores, identities, figures, resamples=resamples)


@pytest.mark.parametrize("threshold", [-2.0, 0.0, 0.3])
def test_rate_intervals_equal_resampling_one_by_one(threshold):
    scores, identities, same = scored_people()
    accepted = scores >= threshold
    found = rate_intervals(accepted, identities, resamples=120, seed=3)
    far, frr = [], []
    share = same.mean()
    for drawn in np.random.default_rng(3).integers(7, size=(120, 7)):
        times = np.bincount(drawn, minlength=7)
        a, b = times[identities[:, 0]], times[identities[:, 1]]
        far.append((a * b * (accepted & ~same)).sum() / (a * b * ~same).sum())
        frr.append((a * (same & ~accepted)).sum() / (a * same).sum())
    right = [1 - share * r - (1 - share) * a for a, r in zip(far, frr, strict=True)]
    for name, values in (("far", far), ("frr", frr), ("accuracy", right)):
        expected = np.quantile(values, [0.025, 0.975])
        if expected[0] == expected[1]:
            assert found["intervals"][name] is None
        else:
            np.testing.assert_allclose(found["intervals"][name], expected, atol=1e-14)


def test_mean_intervals_equal_resampling_one_by_one():
    rng = np.random.default_rng(0)
    people = np.array([4, 4, 4, 9, 9, 2, 7, 7])
    values = rng.random(8)
    found = mean_intervals({"map": values}, people, resamples=200, seed=1)
    means = []
    for drawn in np.random.default_rng(1).integers(4, size=(200, 4)):
        copies = np.concatenate([values[people == [2, 4, 7, 9][k]] for k in drawn])
        means.append(copies.mean())
    np.testing.assert_allclose(
        found["intervals"]["map"], np.quantile(means, [0.025, 0.975]), atol=1e-14
    )


def test_mean_intervals_need_two_identities():
    found = mean_intervals({"map": np.array([0.1, 0.9])}, np.array([3, 3]), resamples=100, seed=0)
    assert found["intervals"]["map"] is None
    assert found["notes"]["map"].startswith("no interval: fewer than 2 identities with queries")
