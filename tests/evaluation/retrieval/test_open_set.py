import json

import numpy as np
import pytest
from evaluation.examples import at_scores, labelled
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.evaluation.bootstrap.resampling import multiplicities
from cospair.evaluation.retrieval import open_set as file
from cospair.evaluation.retrieval.open_set import open_set_figures
from cospair.evaluation.verification.pairs import cosines


def judged(probes, labels, gallery, people):
    """(mated, best score, rank of the mate) of each probe, from the definitions."""
    lengths = [np.linalg.norm(part, axis=1, keepdims=True) for part in (probes, gallery)]
    units = [
        part / np.where(n > 0, n, 1) for part, n in zip((probes, gallery), lengths, strict=True)
    ]
    found = []
    for row, label in zip(cosines(*units), labels, strict=True):
        mates = [s for s, name in zip(row, people, strict=True) if name == label]
        others = [s for s, name in zip(row, people, strict=True) if name != label]
        if mates:
            found.append((True, max(mates), 1 + sum(s >= max(mates) for s in others)))
        else:
            found.append((False, max(others), 0))
    return found


def rates(found, threshold, k):
    """False alarm rate and DIR(t, k)."""
    alarms = [score >= threshold for mated, score, _ in found if not mated]
    hits = [score >= threshold and rank <= k for mated, score, rank in found if mated]
    return sum(alarms) / len(alarms), sum(hits) / len(hits)


def at_target(found, target, k):
    """(threshold, DIR) at the lowest threshold within a target."""
    scores = sorted({score for _, score, _ in found})
    kept = [t for t in [*scores, np.nextafter(scores[-1], 2)] if rates(found, t, k)[0] <= target]
    return kept[0], rates(found, kept[0], k)[1]


def awkward(seed, probes=30):
    """Probes of 8 people, the first 5 of whom are enrolled, on a coarse grid of many ties."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, size=(probes, 3)).astype(float)
    gallery = rng.integers(-2, 3, size=(12, 3)).astype(float)
    labels = np.append(rng.integers(8, size=probes - 2), [0, 7])
    return rows, labels, gallery, np.append(rng.integers(5, size=11), [0])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.25, 0.5, 1.0]), st.integers(1, 4))
def test_rates_are_their_definitions(seed, target, k):
    data = awkward(seed)
    found = judged(*data)
    result = open_set_figures(
        *data, false_alarm=[target], thresholds=[-0.3, 0.5, 0.99], ranks=[k], resamples=0
    )
    point, unmated = result["dir_at_false_alarm"][0], sum(not mated for mated, _, _ in found)
    assert (point["rank"], point["unmated"]) == (k, unmated)
    if 1 / unmated > target:
        assert point["dir"] is None
        assert point["note"].startswith(f"insufficient data: {unmated} unmated probes cannot show")
    else:
        assert (point["threshold"], point["dir"]) == at_target(found, target, k)
        assert point["achieved_false_alarm"] == rates(found, point["threshold"], k)[0]
    for fixed in result["at_thresholds"]:
        both = fixed["false_alarm"], fixed["dir"][str(k)]
        assert both == rates(found, fixed["threshold"], k)
    curve = result["curve"]
    for threshold, alarm, share in zip(
        curve["threshold"], curve["false_alarm"], curve["dir"][str(k)], strict=True
    ):
        assert (alarm, share) == rates(found, threshold, k)
    assert curve["threshold"] == sorted(curve["threshold"], reverse=True)
    assert (curve["false_alarm"][0], curve["false_alarm"][-1]) == (0.0, 1.0)


def test_mates_others_and_strangers_by_hand():
    gallery, people = at_scores([0.9, 0.6, 0.9, -0.5]), [1, 1, 2, 3]
    result = open_set_figures(
        at_scores([1.0, 1.0, 1.0]),
        [1, 2, 8],
        gallery,
        people,
        thresholds=[0.9, 0.91],
        ranks=(1, 2),
        resamples=0,
    )
    # both mates tie at 0.9 with an item of the other identity: rank 2 each
    assert result["at_thresholds"][0]["dir"] == {"1": 0.0, "2": 1.0}
    assert result["at_thresholds"][0]["false_alarm"] == 1.0
    assert result["at_thresholds"][1]["dir"] == {"1": 0.0, "2": 0.0}
    assert result["at_thresholds"][1]["false_alarm"] == 0.0
    counts = [result[name] for name in ("mated", "unmated", "mated_identities")]
    assert counts == [2, 1, 2]
    assert result["gallery"] == {"pictures": 4, "identities": 3, "junk": 0}


def test_junk_is_not_enrolled():
    result = open_set_figures(
        at_scores([1.0, 1.0]),
        [5, -1],
        at_scores([0.8, 0.9]),
        [5, -1],
        thresholds=[0.85],
        resamples=0,
    )
    assert result["gallery"]["junk"] == 1
    assert (result["mated"], result["unmated"]) == (1, 1)
    assert result["at_thresholds"][0]["false_alarm"] == 0.0


def test_more_items_of_strangers_raise_alarms_and_never_dir():
    rows, labels = labelled(12, 4, noise=1.2)
    enrolled = (labels < 8) & (np.arange(48) % 4 == 0)
    arguments = rows[~enrolled], labels[~enrolled]
    before = open_set_figures(
        *arguments, rows[enrolled], labels[enrolled], thresholds=[0.3, 0.6], resamples=0
    )
    extra = np.random.default_rng(0).normal(size=(40, 8))
    after = open_set_figures(
        *arguments,
        np.concatenate([rows[enrolled], extra]),
        np.append(labels[enrolled], np.full(40, 99)),
        thresholds=[0.3, 0.6],
        resamples=0,
    )
    for one, other in zip(before["at_thresholds"], after["at_thresholds"], strict=True):
        assert one["false_alarm"] < other["false_alarm"]
        assert one["dir"]["1"] >= other["dir"]["1"]
    assert before["at_thresholds"][0]["dir"]["1"] > after["at_thresholds"][0]["dir"]["1"]


def people_data():
    """12 people, 8 of them enrolled with one picture, all looked up with three."""
    rows, labels = labelled(12, 4, noise=1.4)
    enrolled = (labels < 8) & (np.arange(48) % 4 == 0)
    return rows[~enrolled], labels[~enrolled], rows[enrolled], labels[enrolled]


def test_intervals_draw_the_identities_of_probes():
    probes, labels, gallery, people = people_data()
    found = judged(probes, labels, gallery, people)
    drawn = []
    for times in multiplicities(12, 1, resamples=400, seed=7):
        for copies in times.astype(int):
            some = [
                one for one, name in zip(found, labels, strict=True) for _ in range(copies[name])
            ]
            if len({mated for mated, _, _ in some}) == 2:
                alarm, share = rates(some, 0.5, 1)
                drawn.append((at_target(some, 0.25, 1)[1], alarm, share))
    assert len(drawn) >= 380
    expected = np.quantile(drawn, [0.025, 0.975], axis=0).T.tolist()
    result = open_set_figures(
        probes, labels, gallery, people, false_alarm=[0.25], thresholds=[0.5], resamples=400, seed=7
    )
    fixed = result["at_thresholds"][0]
    intervals = [
        result["dir_at_false_alarm"][0]["dir_interval"],
        fixed["false_alarm_interval"],
        fixed["dir_interval"]["1"],
    ]
    np.testing.assert_allclose(intervals, expected, atol=1e-13)  # float64 quantiles
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_too_few_identities_have_a_reason_and_no_interval():
    result = open_set_figures(
        at_scores([1.0, 0.9, 0.8]), [1, 2, 9], at_scores([1.0, 0.5]), [1, 2], false_alarm=[1.0]
    )
    point = result["dir_at_false_alarm"][0]
    assert point["dir_interval"] is None
    assert "fewer than 2 identities with" in point["note"]


def test_blocks_change_nothing_and_report_progress(monkeypatch):
    data = people_data()
    expected, steps = open_set_figures(*data, resamples=100), []
    for name in ("probes", "match_ranks"):
        monkeypatch.setattr(f"cospair.evaluation.retrieval.{name}.BLOCK_CELLS", 30)
    found = open_set_figures(*data, resamples=100, progress=lambda *step: steps.append(step))
    assert found == expected
    assert steps[-1] == (40, 40)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_long_curves_are_thinned_and_exact(monkeypatch):
    data = people_data()
    whole = open_set_figures(*data, resamples=0)["curve"]
    monkeypatch.setattr(file, "DRAWN_POINTS", 12)
    thin = open_set_figures(*data, resamples=0)["curve"]
    assert len(thin["threshold"]) <= 12 < len(whole["threshold"])
    points = set(zip(whole["threshold"], whole["false_alarm"], whole["dir"]["1"], strict=True))
    kept = list(zip(thin["threshold"], thin["false_alarm"], thin["dir"]["1"], strict=True))
    assert points >= set(kept)
    assert (kept[0][1], kept[-1][1]) == (0.0, 1.0)


def test_close_thresholds_stay_apart():
    gallery = at_scores([0.5, 0.4])
    result = open_set_figures(
        at_scores([1.0, 1.0]), [1, 8], gallery, [1, 2], thresholds=[0.5, 0.5 + 1e-9], resamples=0
    )
    assert [one["false_alarm"] for one in result["at_thresholds"]] == [1.0, 0.0]
    assert [one["dir"]["1"] for one in result["at_thresholds"]] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"query_labels": [1, 2]}, "got 2 mated and 0 unmated; add probes of people outside"),
        ({"query_labels": [8, 9]}, "got 0 mated and 2 unmated; add probes of people in the"),
        ({"false_alarm": [0]}, r"each false_alarm must lie in \(0, 1\]; got 0; pass"),
        ({"ranks": ()}, r"ranks must hold ranks from 1 up; got \(\)"),
        ({"thresholds": [np.nan]}, "thresholds must be finite; got nan at position 0"),
        ({"resamples": 7}, "resamples must be 0 or at least 100; got 7"),
        ({"gallery": np.zeros((0, 2)), "gallery_labels": []}, "gallery must hold at least one row"),
        ({"query": [[np.inf, 0], [1, 0]]}, "query must be finite; got inf in row 0"),
    ],
)
def test_open_set_figures_refuse(changes, text):
    arguments = {
        "query": [[1.0, 0.0], [0.0, 1.0]],
        "query_labels": [1, 8],
        "gallery": [[1.0, 0.0], [0.0, 1.0]],
        "gallery_labels": [1, 2],
        **changes,
    }
    with pytest.raises(ValueError, match=text):
        open_set_figures(**arguments)
