import json

import numpy as np
import pytest
import torch
from evaluation.bootstrap.test_intervals import weighted_figures
from evaluation.examples import labelled, scored_people

from cospair.evaluation import comparison
from cospair.evaluation.bootstrap.intervals import mean_intervals
from cospair.evaluation.comparison import compare_models, compare_scores
from cospair.evaluation.retrieval.figures import retrieval_figures
from cospair.evaluation.verification.figures import verification_figures

FAR = (0.1, 0.01)


def two_scorings(people=8):
    """Two scorings of the same pairs; the second with more noise and on another scale."""
    scores, identities, same = scored_people(people=people)
    noise = np.random.default_rng(1).normal(size=len(scores))
    return scores, np.exp(scores + 0.3 * noise), same, identities


def test_differences_equal_resampling_one_by_one():
    first, second, same, identities = two_scorings()
    each = []
    for drawn in np.random.default_rng(4).integers(8, size=(150, 8)):
        times = np.bincount(drawn, minlength=8)
        a, b = times[identities[:, 0]], times[identities[:, 1]]
        weights = np.where(same, a, a * b).astype(float)
        one, other = (weighted_figures(scores, same, weights) for scores in (first, second))
        each.append({name: other[name] - one[name] for name in one})
    found = compare_scores(first, second, same, identities, far=FAR, resamples=150, seed=4)
    for name, figure in found["figures"].items():
        expected = np.quantile([one[name] for one in each], [0.025, 0.975])
        # the reference adds rounded rates; ours are whole numbers and one division
        np.testing.assert_allclose(figure["difference_interval"], expected, atol=1e-12)
    assert list(found["figures"]) == ["auc", "eer", "tar@far=0.1", "tar@far=0.01"]


def test_figures_are_those_of_each_model_alone():
    rows, people = labelled(8, 4)
    others = rows + np.random.default_rng(1).normal(size=rows.shape)
    found = compare_models(rows, others, people, far=FAR)
    for side, embeddings in (("a", rows), ("b", others)):
        alone = verification_figures(embeddings, people, far=FAR, resamples=0)
        ranked = retrieval_figures(embeddings, people, resamples=0)
        expected = {
            "auc": alone["auc"],
            "eer": alone["eer"],
            "tar@far=0.1": alone["tar_at_far"][0]["tar"],
            "tar@far=0.01": alone["tar_at_far"][1]["tar"],
            "cmc_1": ranked["cmc"]["1"],
            "map": ranked["map"],
            "map_at_r": ranked["map_at_r"],
        }
        assert {name: figure[side] for name, figure in found["figures"].items()} == expected
    assert (found["pictures"], found["identities"]) == (32, 8)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_ranking_differences_are_paired_by_query():
    rows, people = labelled(8, 4)
    others = rows + np.random.default_rng(1).normal(size=rows.shape)
    per_query = []
    for embeddings in (rows, others):
        scores = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        scores = scores @ scores.T
        np.fill_diagonal(scores, -np.inf)
        per_query.append((people[scores.argmax(axis=1)] == people).astype(float))
    expected = mean_intervals({"cmc_1": per_query[1] - per_query[0]}, people, resamples=300, seed=2)
    found = compare_models(rows, others, people, resamples=300, seed=2)
    assert found["figures"]["cmc_1"]["difference_interval"] == expected["intervals"]["cmc_1"]


def test_a_model_beside_itself():
    first, _, same, identities = two_scorings()
    found = compare_scores(first, first * 2 + 1, same, identities, far=FAR)
    for name, figure in found["figures"].items():
        assert figure["difference"] == 0
        assert figure["difference_interval"] is None
        assert figure["verdict"] == "no difference on these pairs"
        assert "the same value in (nearly) every resample" in found["interval"]["notes"][name]


def test_order_of_the_models_turns_the_sign():
    first, second, same, identities = two_scorings()
    forth, back = (
        compare_scores(*pair, same, identities, far=FAR)["figures"]
        for pair in ((first, second), (second, first))
    )
    for name, figure in forth.items():
        low, high = back[name]["difference_interval"]
        np.testing.assert_allclose(figure["difference_interval"], [-high, -low], atol=1e-15)
        turned = {"a": "b", "b": "a", None: None}
        assert figure["better"] == turned[back[name]["better"]]


def test_pairing_narrows_the_interval():
    """Paired, the difference of two like scorings varies less than either of them."""
    scores, identities, same = scored_people(people=20)
    near = scores + 0.02 * np.random.default_rng(1).normal(size=len(scores))
    low, high = compare_scores(scores, near, same, identities)["figures"]["auc"][
        "difference_interval"
    ]
    rows, people = labelled(20, 4, noise=1.3, features=6)
    alone = verification_figures(rows, people)["auc_interval"]
    assert high - low < 0.3 * (alone[1] - alone[0])


def test_a_clear_difference_is_said():
    rows, people = labelled(15, 4, noise=0.7)
    noise = np.random.default_rng(1).normal(size=rows.shape)
    found = compare_models(rows, rows + 2 * noise, people)["figures"]
    for name in ("auc", "eer", "cmc_1", "map", "map_at_r"):
        assert found[name]["better"] == "a", name
        assert found[name]["verdict"].startswith("a is better by")


def simulated(rng, people, shift):
    """Pairs of people that differ: score = shift where genuine + both people's effects + noise."""
    first, second = np.triu_indices(people)
    first, second = np.repeat(first, 6), np.repeat(second, 6)
    same = first == second
    scores = []
    shared = rng.normal(size=people)
    for gain in shift:
        effect = 0.2 * shared + 0.4 * rng.normal(size=people)
        noise = 0.3 * rng.normal(size=len(first))
        scores.append(gain * same + effect[first] + effect[second] + noise)
    return scores, same, np.stack([first, second], axis=1)


def known_auc(gain, people):
    """AUC of these normal scores: how often a genuine score is above an impostor one."""
    noise, effects = 2 * 0.3**2, 0.2**2 + 0.4**2
    normal = torch.distributions.Normal(0.0, 1.0)
    # a genuine pair has its person's effect twice, an impostor pair those of two people, of whom
    # one may be that person
    apart, one_shared = (
        float(normal.cdf(torch.tensor(gain / (noise + times * effects) ** 0.5))) for times in (6, 2)
    )
    share = 2 / people
    return (1 - share) * apart + share * one_shared


def test_intervals_cover_a_known_difference():
    shift, rng, covered = (1.0, 1.4), np.random.default_rng(0), 0
    known = known_auc(shift[1], 40) - known_auc(shift[0], 40)
    for _ in range(60):
        scores, same, people = simulated(rng, 40, shift)
        found = compare_scores(scores[0], scores[1], same, people, far=[], resamples=200)
        low, high = found["figures"]["auc"]["difference_interval"]
        covered += low <= known <= high
    # 92 to 95 % of 60, with a standard deviation of 2; resampling pairs covers some 43
    assert 50 <= covered <= 60


def test_too_few_impostors():
    people = [(a, b) for a in range(4) for b in range(a, 4)]
    scores = np.arange(10.0)
    found = compare_scores(scores, scores**2, [a == b for a, b in people], people, far=[0.01])
    figure = found["figures"]["tar@far=0.01"]
    assert (figure["a"], figure["b"], figure["difference"]) == (None, None, None)
    assert figure["verdict"] == "insufficient data: 6 impostor pairs cannot show a FAR of 0.01"


def test_no_resamples():
    first, second, same, identities = two_scorings()
    found = compare_scores(first, second, same, identities, resamples=0)
    assert found["figures"]["auc"]["better"] is None
    assert found["figures"]["auc"]["verdict"].endswith("no interval: no resamples were asked for")


def test_progress_counts_both_rounds():
    first, second, same, identities = two_scorings()
    seen = []
    compare_scores(
        first, second, same, identities, resamples=100, progress=lambda *now: seen.append(now)
    )
    assert seen == [(100, 200), (200, 200)]


def test_tensors_are_accepted():
    rows, people = labelled(5, 3)
    others = rows + 1
    expected = compare_models(rows, others, people, resamples=100)
    tensors = [torch.tensor(part) for part in (rows, others, people)]
    assert compare_models(*tensors, resamples=100) == expected


def test_too_many_pairs_are_refused(monkeypatch):
    monkeypatch.setattr(comparison, "HELD_PAIRS", 100)
    rows, people = labelled(5, 3)
    with pytest.raises(
        ValueError, match="labels must give at most 100 pairs; got 105 from 15 rows"
    ):
        compare_models(rows, rows, people)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"scores_b": [0.1]}, ValueError, "same must hold one truth value per score"),
        ({"scores_a": [0.1, 0.2, np.nan]}, ValueError, "scores must be finite; got nan"),
        ({"same": [True, True, True]}, ValueError, "got 3 genuine and 0 impostor pairs"),
        ({"same": [True, True, False]}, ValueError, "identities must be equal where same is True"),
        ({"identities": [[0, 0]]}, ValueError, r"identities must be \[p, 2\]"),
        ({"identities": [[0.5, 0.5]] * 3}, TypeError, "identities must be integers or strings"),
        ({"far": [0.0]}, ValueError, r"each far must lie in \(0, 1\]"),
        ({"resamples": 3}, ValueError, "resamples must be 0 or at least 100; got 3"),
    ],
)
def test_refused(change, error, text):
    good = {
        "scores_a": [0.9, 0.1, 0.2],
        "scores_b": [0.9, 0.2, 0.1],
        "same": [True, False, False],
        "identities": [[0, 0], [0, 1], [1, 2]],
    }
    with pytest.raises(error, match=text):
        compare_scores(**{**good, **change})


def test_rows_of_two_numbers_are_refused():
    rows, people = labelled(5, 3)
    with pytest.raises(ValueError, match="labels must be"):
        compare_models(rows, rows[1:], people)
