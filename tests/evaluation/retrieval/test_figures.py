import json

import numpy as np
import pytest
import torch
from evaluation.examples import at_scores, exact_ap, labelled
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from cospair.evaluation import retrieval_figures
from cospair.evaluation.bootstrap.intervals import mean_intervals
from cospair.evaluation.retrieval import match_ranks

# float64 sums of some ten terms in [0, 1]
ROUNDING = 1e-14


def one_query(scores, matches, **options):
    """Figures of one query against a gallery of given scores."""
    labels = np.where(matches, 7, 8)
    return retrieval_figures(
        [[1.0, 0.0]], [7], at_scores(scores), labels, **{"resamples": 0, **options}
    )


def by_hand(rows, labels, cameras, k):
    """Every figure of each row among all others, item by item; no ties."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = []
    for i in range(len(rows)):
        met = [
            j
            for j in range(len(rows))
            if j != i and not (labels[j] == labels[i] and cameras[j] == cameras[i])
        ]
        ranked = [labels[j] == labels[i] for j in sorted(met, key=lambda j: -unit[i] @ unit[j])]
        ranks = [rank for rank, match in enumerate(ranked, 1) if match]
        if not ranks:
            continue
        r = len(ranks)

        def precisions(depth, ranks=ranks):
            return [(h + 1) / rank for h, rank in enumerate(ranks) if rank <= depth]

        found.append(
            {
                "map": float(exact_ap(ranked, "step")),
                "map_at_r": sum(precisions(r)) / r,
                "r_precision": len(precisions(r)) / r,
                "minp": r / ranks[-1],
                "cmc": float(ranks[0] <= k),
                "recall": len(precisions(k)) / r,
                "R": sum(precisions(k)) / r,
                "min(k, R)": sum(precisions(k)) / min(k, r),
                "hits": sum(precisions(k)) / max(len(precisions(k)), 1),
            }
        )
    return {name: np.mean([one[name] for one in found]) for name in found[0]}


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_every_figure_is_its_definition(k):
    rows, labels = labelled(9, 5, seed=5, noise=1.5)
    cameras = np.random.default_rng(6).integers(3, size=len(rows))
    expected = by_hand(rows, labels, cameras, k)
    found = retrieval_figures(rows, labels, cameras=cameras, top=(k,), map_at=(k,), resamples=0)
    flat = {**found, **found["map_at"][str(k)]}
    flat |= {"cmc": found["cmc"][str(k)], "recall": found["recall"][str(k)]}
    for name, value in expected.items():
        np.testing.assert_allclose(flat[name], value, atol=ROUNDING, err_msg=name)
    assert found["cmc_curve"][min(k, 44) - 1] == found["cmc"][str(k)]


@pytest.mark.parametrize(
    ("k", "denominators"),
    [(5, (0.6875, 0.6875, 0.9167)), (3, (0.5, 0.6667, 1.0)), (99, (0.8304, 0.8304, 0.8304))],
)
def test_matches_at_ranks_1_2_4_7_of_10(k, denominators):
    matches = [rank in (1, 2, 4, 7) for rank in range(1, 11)]
    found = one_query(np.linspace(0.9, -0.9, 10), matches, map_at=(k,), top=(k,))
    values = tuple(round(found["map_at"][str(k)][name], 4) for name in ("R", "min(k, R)", "hits"))
    assert values == denominators
    assert round(found["map_at_r"], 4) == 0.6875
    assert (found["r_precision"], round(found["minp"], 4)) == (0.75, 0.5714)
    assert found["recall"][str(k)] == {5: 0.75, 3: 0.5, 99: 1.0}[k]
    assert found["cmc_curve"] == [1.0] * 10
    trapezoid = one_query(np.linspace(0.9, -0.9, 10), matches, average_precision="trapezoid")
    assert (round(found["map"], 4), round(trapezoid["map"], 4)) == (0.8304, 0.8110)


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_ties_by_name(ties):
    # ranks 1, then three tied with one match among them, then another match
    found = one_query(
        [0.9, 0.5, 0.5, 0.5, 0.1],
        [False, True, False, False, True],
        ties=ties,
        top=(2, 3),
        map_at=(3,),
    )
    first = {"expected": (2, 3, 4), "optimistic": (2,), "pessimistic": (4,)}[ties]
    share = len(first)
    assert found["ties"] == ties
    ap = sum((1 / rank + 2 / 5) / 2 for rank in first) / share
    np.testing.assert_allclose(found["map"], ap, atol=ROUNDING)
    np.testing.assert_allclose(found["cmc"]["3"], sum(r <= 3 for r in first) / share, atol=ROUNDING)
    np.testing.assert_allclose(found["recall"]["2"], (2 in first) / share / 2, atol=ROUNDING)
    hits = sum(1 / rank for rank in first if rank <= 3) / share
    np.testing.assert_allclose(found["map_at"]["3"]["hits"], hits, atol=ROUNDING)
    assert found["minp"] == 2 / 5


def test_no_k_of_map_at_and_k_beyond_the_gallery():
    found = one_query([0.9, 0.5], [False, True], top=(1, 1000), map_at=())
    assert found["cmc"] == {"1": 0.0, "1000": 1.0}
    assert found["cmc_curve"] == [0.0, 1.0]
    assert found["recall"] == {"1": 0.0, "1000": 1.0}
    assert found["map_at"] == {}


def test_the_curve_ends_at_rank_50():
    rows, labels = labelled(20, 4, noise=1.2)
    curve = retrieval_figures(rows, labels, resamples=0)["cmc_curve"]
    assert len(curve) == 50
    assert curve == sorted(curve)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 50))
def test_rotation_and_scales_change_nothing(seed, scale):
    rng = np.random.default_rng(seed)
    rows, labels = labelled(5, 4, noise=1.2)
    turned = rows @ np.linalg.qr(rng.normal(size=(8, 8)))[0]
    turned *= scale * rng.uniform(0.5, 2, size=(len(rows), 1))
    expected = retrieval_figures(rows, labels, resamples=100)
    assert retrieval_figures(turned, labels, resamples=100) == expected


def test_distractors_change_figures_as_they_must():
    rows, labels = labelled(6, 4, noise=1.2)
    query, query_labels = rows[::4], labels[::4] + 1
    rest = np.arange(24) % 4 > 0
    gallery, gallery_labels = rows[rest], labels[rest] + 1

    def beside(extra):
        return retrieval_figures(
            query,
            query_labels,
            np.concatenate([gallery, extra]),
            np.concatenate([gallery_labels, np.zeros(len(extra), int)]),
            resamples=0,
        )

    # opposite to one query is not below all matches of others; a 9th axis keeps them below
    far = np.zeros((5, 9))
    far[:, 8] = -1
    lifted = [np.hstack([part, np.full((len(part), 1), 9.0)]) for part in (query, gallery)]
    query, gallery = lifted
    plain = retrieval_figures(query, query_labels, gallery, gallery_labels, resamples=0)
    assert beside(far)["map"] == plain["map"]
    assert beside(far)["gallery"]["distractors"] == 5
    near = beside(query)  # a copy of each query, under another name, stands at rank 1
    assert near["cmc"]["1"] == 0.0
    assert near["map"] < plain["map"]
    assert near["cmc_curve"][1:] != plain["cmc_curve"]
    assert [near[name] < plain[name] for name in ("map_at_r", "minp")] == [True, True]


def test_queries_split_in_two_give_the_weighted_mean():
    rows, labels = labelled(6, 4, seed=2, noise=1.2)
    halves = [
        retrieval_figures(rows[part], labels[part], rows[::-1] + 0.1, labels[::-1], resamples=0)
        for part in (slice(0, 9), slice(9, 24))
    ]
    whole = retrieval_figures(rows, labels, rows[::-1] + 0.1, labels[::-1], resamples=0)
    for name in ("map", "map_at_r", "r_precision", "minp"):
        mean = (9 * halves[0][name] + 15 * halves[1][name]) / 24
        np.testing.assert_allclose(whole[name], mean, atol=ROUNDING)


def test_progress_counts_queries():
    rows, labels = labelled(5, 4)
    seen = []
    retrieval_figures(rows, labels, resamples=0, progress=lambda *step: seen.append(step))
    assert seen == [(20, 20)]


def test_every_headline_figure_has_an_interval_from_one_resampling():
    rows, labels = labelled(12, 4, noise=1.5)
    found = retrieval_figures(rows, labels, resamples=300, seed=1)
    for name in ("map", "map_at_r", "r_precision", "minp"):
        low, high = found[f"{name}_interval"]
        assert low < found[name] < high
    for k in (1, 5, 10):
        low, high = found[f"cmc_{k}_interval"]
        assert low <= found["cmc"][str(k)] <= high
    assert found["interval"]["notes"] == {}


def test_step_ap_is_scikit_learns_without_ties():
    rows, labels = labelled(6, 4, noise=1.2)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = unit @ unit.T
    expected = []
    for i in range(len(rows)):
        others = np.arange(len(rows)) != i
        expected.append(average_precision_score(labels[others] == labels[i], scores[i, others]))
    found = retrieval_figures(rows, labels, resamples=0)
    np.testing.assert_allclose(found["map"], np.mean(expected), atol=ROUNDING)
    assert (found["queries"], found["skipped_queries"]) == (24, 0)


def test_without_a_gallery_a_row_is_left_out_by_its_index():
    rows = np.array([[1.0, 0], [1.0, 0], [0, 1.0]])  # a duplicate of a row is still found
    found = retrieval_figures(rows, ["ann", "ann", "bob"], resamples=0)
    assert (found["queries"], found["skipped_queries"]) == (2, 1)
    assert (found["cmc"]["1"], found["map"]) == (1.0, 1.0)


def test_without_a_gallery_equals_one_gallery_per_query():
    rows, labels = labelled(6, 4, seed=2, noise=1.2)
    maps, first = [], []
    for i in range(len(rows)):
        rest = np.arange(len(rows)) != i
        one = retrieval_figures(
            rows[i : i + 1], labels[i : i + 1] + 1, rows[rest], labels[rest] + 1, resamples=0
        )
        maps.append(one["map"])
        first.append(one["cmc"]["1"])
    found = retrieval_figures(rows, labels, resamples=0)
    np.testing.assert_allclose(found["map"], np.mean(maps), atol=ROUNDING)
    assert found["cmc"]["1"] == np.mean(first)


@pytest.mark.parametrize("cells", [1, 50, 100])
def test_block_size_changes_nothing(monkeypatch, cells):
    rows, labels = labelled(6, 4, noise=1.2)
    cameras = np.tile([0, 1], 12)
    expected = retrieval_figures(rows, labels, cameras=cameras, resamples=100)
    monkeypatch.setattr(match_ranks, "BLOCK_CELLS", cells)
    assert retrieval_figures(rows, labels, cameras=cameras, resamples=100) == expected


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.floats(0.01, 100))
def test_order_of_the_gallery_and_scale_change_nothing(random, scale):
    rows, labels = labelled(6, 4, noise=1.2)
    query, query_labels = rows[:6], labels[:6]
    order = np.array(random.sample(range(24), 24))
    expected = retrieval_figures(query, query_labels, rows, labels, resamples=0)
    found = retrieval_figures(query * scale, query_labels, rows[order], labels[order], resamples=0)
    # the places of ties inside the sum move
    np.testing.assert_allclose(found["map"], expected["map"], atol=ROUNDING)
    assert found["cmc"] == expected["cmc"]


def test_zero_rows_score_zero():
    found = retrieval_figures(
        [[1.0, 0]], [1], [[0.0, 0], [-1.0, 0], [0.0, 1]], [1, 2, 3], resamples=0
    )
    assert found["map"] == 0.75  # tied with the orthogonal row, above the opposite one


def test_result_is_plain_and_holds_intervals():
    rows, labels = labelled(10, 4, noise=1.2)
    found = retrieval_figures(torch.tensor(rows), torch.tensor(labels), resamples=200, seed=3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["cmc"]) == ["1", "5", "10"]
    assert found["map_interval"][0] < found["map"] < found["map_interval"][1]
    assert found["cmc_1_interval"][0] <= found["cmc"]["1"] <= found["cmc_1_interval"][1]
    assert found["interval"]["method"] == "bootstrap over query identities"
    again = retrieval_figures(rows, labels, resamples=200, seed=3)
    assert again["map_interval"] == found["map_interval"]


def test_intervals_resample_identities_of_queries():
    rows, labels = labelled(5, 4, noise=1.2)
    values, people = [], []
    for i in range(len(rows)):
        rest = np.arange(len(rows)) != i
        one = [rows[i : i + 1], labels[i : i + 1] + 1, rows[rest], labels[rest] + 1]
        values.append(retrieval_figures(*one, resamples=0)["map"])
        people.append(labels[i])
    expected = mean_intervals({"map": np.array(values)}, np.array(people), resamples=300, seed=0)
    found = retrieval_figures(rows, labels, resamples=300)["map_interval"]
    np.testing.assert_allclose(found, expected["intervals"]["map"], atol=ROUNDING)


def test_interval_of_cmc_1_needs_no_1_in_top():
    rows, labels = labelled(10, 4, noise=1.2)
    all_top = retrieval_figures(rows, labels, resamples=100)
    found = retrieval_figures(rows, labels, top=(3,), resamples=100)
    assert found["cmc_1_interval"] == all_top["cmc_1_interval"]
    assert list(found["cmc"]) == ["3"]


def test_one_query_identity_has_no_interval_but_a_reason():
    found = retrieval_figures([[1.0, 0.0]], [7], at_scores([0.9, 0.5]), [7, 8], resamples=100)
    assert found["map_interval"] is None
    assert found["interval"]["notes"]["map"].startswith(
        "no interval: fewer than 2 identities with queries"
    )


def test_one_picture_has_nobody_to_match():
    with pytest.raises(ValueError, match="got 1 queries without a match"):
        retrieval_figures([[1.0, 0.0]], [1])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"average_precision": "area"}, "average_precision must be one of step, trapezoid"),
        ({"ties": "random"}, "ties must be one of expected, optimistic, pessimistic"),
        ({"top": ()}, r"top must hold ranks from 1 up; got \(\)"),
        ({"top": (0,)}, r"top must hold ranks from 1 up; got \(0,\)"),
        ({"top": (1.5,)}, r"top must hold ranks from 1 up; got \(1.5,\)"),
        ({"map_at": (5, 0)}, r"map_at must hold ranks from 1 up; got \(5, 0\)"),
        ({"query_labels": [3]}, "got 1 queries without a match"),
        ({"resamples": 7}, "resamples must be 0 or at least 100; got 7"),
    ],
)
def test_retrieval_figures_refuse(changes, text):
    arguments = {
        "query": [[1.0, 0.0]],
        "query_labels": [1],
        "gallery": [[1.0, 0.0], [0.0, 1.0]],
        "gallery_labels": [1, 2],
        **changes,
    }
    with pytest.raises(ValueError, match=text):
        retrieval_figures(**arguments)
