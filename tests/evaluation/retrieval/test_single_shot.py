import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from evaluation.examples import at_scores, labelled

from cospair.evaluation import retrieval_figures
from cospair.evaluation.retrieval import single_shot as file
from cospair.evaluation.retrieval.single_shot import single_gallery_shot
from cospair.evaluation.verification.pairs import cosines

# float64 means of some hundred terms in [0, 1]
ROUNDING = 1e-13


def mean_over_all_galleries(rows, labels, met, k):
    """CMC@k of each query over every choice of one picture of each identity that it may meet."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = cosines(unit, unit)
    shares = []
    for i in range(len(rows)):
        choices = [[j for j in met(i) if labels[j] == name] for name in np.unique(labels)]
        hits = []
        for gallery in itertools.product(*choices):
            mate = next(j for j in gallery if labels[j] == labels[i])
            higher = sum(scores[i, j] > scores[i, mate] for j in gallery)
            tied = sum(scores[i, j] == scores[i, mate] for j in gallery)
            hits.append(sum(Fraction(int(higher + p < k), int(tied)) for p in range(tied)))
        shares.append(float(sum(hits) / len(hits)))
    return float(np.mean(shares))


@pytest.mark.parametrize("with_cameras", [False, True])
@pytest.mark.parametrize("k", [1, 2])
def test_many_draws_tend_to_the_mean_over_all_galleries(k, with_cameras):
    rows, labels = labelled(4, 4, seed=3, noise=1.5, features=3)
    rows[5], rows[9] = rows[0], rows[4]  # ties
    cameras = np.tile([0, 1, 1, 0], 4)

    def met(i):
        same = labels == labels[i]
        left_out = same & (cameras == cameras[i]) if with_cameras else np.arange(16) == i
        return np.flatnonzero(~left_out)

    found = single_gallery_shot(
        rows, labels, cameras=cameras if with_cameras else None, draws=1500, top=(k,), resamples=0
    )
    error = found["cmc_deviation"][str(k)] / np.sqrt(1500)
    expected = mean_over_all_galleries(rows, labels, met, k)
    assert 0 < error < 0.004
    assert abs(found["cmc"][str(k)] - expected) < 4 * error  # 4 standard errors


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_one_picture_an_identity_is_the_plain_cmc(ties):
    rng = np.random.default_rng(0)
    query, gallery = rng.integers(-2, 3, size=(2, 30, 3)).astype(float)
    labels = np.arange(30)
    options = {"ties": ties, "top": (1, 3, 10), "resamples": 100}
    found = single_gallery_shot(query, labels, gallery, labels, draws=3, **options)
    plain = retrieval_figures(query, labels, gallery, labels, **options)
    for k in ("1", "3", "10"):
        np.testing.assert_allclose(found["cmc"][k], plain["cmc"][k], atol=ROUNDING)
        np.testing.assert_allclose(
            found[f"cmc_{k}_interval"], plain[f"cmc_{k}_interval"], atol=ROUNDING
        )
    np.testing.assert_allclose(found["cmc_curve"], plain["cmc_curve"], atol=ROUNDING)
    np.testing.assert_allclose(list(found["cmc_deviation"].values()), 0, atol=ROUNDING)
    assert found["identities"] == 30


def test_a_match_is_drawn_among_other_cameras_alone():
    gallery = at_scores([1.0, 0.3, 0.2, 0.5])
    arguments = ([[1.0, 0.0]], [5], gallery, [5, 5, 5, 6])
    found = single_gallery_shot(*arguments, cameras=([1], [1, 2, 3, 1]), draws=20, resamples=0)
    assert found["cmc"]["1"] == 0.0  # the perfect one is of the query's camera
    free = single_gallery_shot(*arguments, draws=300, resamples=0)
    assert 0.2 < free["cmc"]["1"] < 0.47  # one picture of three: 1/3, five deviations of 0.027


def test_queries_without_a_match_are_counted():
    rows, labels = labelled(5, 3)
    labels[0] = 99
    cameras = np.array([0, 1, 1] + 12 * [0])
    cameras[3:] = np.tile([0, 1, 2], 4)
    found = single_gallery_shot(rows, labels, cameras=cameras, resamples=0)
    assert (found["queries"], found["skipped_queries"], found["skipped_by_camera"]) == (12, 3, 2)


def test_seed_makes_the_draws_and_blocks_change_nothing(monkeypatch):
    rows, labels = labelled(12, 4, noise=1.5)
    steps = []
    found = single_gallery_shot(
        torch.tensor(rows), labels, seed=4, progress=lambda *step: steps.append(step)
    )
    assert steps == [(draw, 10) for draw in range(1, 11)]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["cmc_deviation"]["1"] > 0
    assert found["cmc_1_interval"][0] < found["cmc"]["1"] < found["cmc_1_interval"][1]
    monkeypatch.setattr(file, "BLOCK_CELLS", 30)
    assert single_gallery_shot(rows, labels, seed=4) == found
    assert single_gallery_shot(rows, labels, seed=5)["cmc"] != found["cmc"]


def test_string_labels_and_no_1_in_top():
    found = single_gallery_shot(
        at_scores([1.0, 0.9, 0.1, 0.2]), ["ann", "ann", "bob", "bob"], top=(2,), resamples=0
    )
    assert found["cmc"] == {"2": 1.0}
    assert found["cmc_curve"] == [1.0, 1.0]
    assert found["cmc_1_interval"] is None


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"draws": 0}, ValueError, "draws must be at least 1; got 0; pass"),
        ({"draws": 2.0}, TypeError, "draws must be an integer; got 2.0; pass"),
        ({"draws": True}, TypeError, "draws must be an integer; got True; pass"),
        ({"ties": "none"}, ValueError, "ties must be one of expected"),
        ({"top": ()}, ValueError, "top must hold ranks from 1 up"),
        ({"query_labels": [3]}, ValueError, "got 1 queries without a match"),
        ({"gallery_labels": [1, 1]}, ValueError, "gallery must hold at least two identities"),
        ({"resamples": 7}, ValueError, "resamples must be 0 or at least 100"),
    ],
)
def test_single_gallery_shot_refuses(changes, error, text):
    arguments = {
        "query": [[1.0, 0.0]],
        "query_labels": [1],
        "gallery": [[1.0, 0.0], [0.0, 1.0]],
        "gallery_labels": [1, 2],
        **changes,
    }
    with pytest.raises(error, match=text):
        single_gallery_shot(**arguments)
