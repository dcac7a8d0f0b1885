import numpy as np
import pytest
from jobs.sources import embeddings, people, scores

from cospair.evaluation.comparison import compare_models
from cospair.jobs import EvaluationPlan, evaluate

PLAN = EvaluationPlan(resamples=100, far=(0.1,))


@pytest.fixture
def two(tmp_path):
    """Two files of the same people, the second of a worse model, and their rows."""
    rows, labels, names = people()
    worse = rows + 2 * np.random.default_rng(5).normal(size=rows.shape)
    a = embeddings(tmp_path / "a.npz", rows, labels, names)
    b = embeddings(tmp_path / "b.npz", worse, labels, names)
    return a, b, rows, worse, labels


def test_two_files_of_the_same_people(two):
    a, b, rows, worse, labels = two
    result = evaluate(a, b, plan=PLAN, command="cospair evaluate a.npz b.npz")
    assert result["comparison"] == compare_models(rows, worse, labels, far=(0.1,), resamples=100)
    assert result["comparison"]["figures"]["auc"]["better"] == "a"
    assert result["a"] == {**evaluate(a, plan=PLAN), **_when(result["a"])}
    assert result["b"]["data"]["name"] == "b.npz"
    itself = evaluate(a, a, plan=PLAN)["comparison"]["figures"]
    assert {entry["difference"] for entry in itself.values()} == {0}


def _when(result):
    return {key: result[key] for key in ("created", "command")}


def test_two_files_of_scores(two, tmp_path):
    _, _, rows, worse, labels = two
    a = scores(tmp_path / "a.csv", rows, labels)
    bare = scores(tmp_path / "b.csv", worse, labels, with_people=False)
    result = evaluate(a, bare, plan=PLAN)["comparison"]
    models = compare_models(rows, worse, labels, far=(0.1,), resamples=100)
    assert list(result["figures"]) == ["auc", "eer", "tar@far=0.1"]
    assert result["figures"].items() <= models["figures"].items()
    with pytest.raises(ValueError, match=r"scores must come with identities where two files are"):
        evaluate(bare, bare, plan=PLAN)


def test_others_are_refused(two, tmp_path):
    a, _, rows, _, labels = two
    other = embeddings(tmp_path / "o.npz", rows, np.char.replace(labels, "p3", "x"))
    with pytest.raises(ValueError, match=r"same labels in the same order; got 'p3' and 'x' in row"):
        evaluate(a, other, plan=PLAN)
    fewer = embeddings(tmp_path / "f.npz", rows[:-1], labels[:-1])
    with pytest.raises(ValueError, match=r"same labels in the same order; got 40 and 39 rows"):
        evaluate(a, fewer, plan=PLAN)
    renamed = embeddings(tmp_path / "r.npz", rows, labels, np.arange(40).astype(str))
    with pytest.raises(ValueError, match=r"same names of the pictures .* got 'p0/p0_0001.png' and"):
        evaluate(a, renamed, plan=PLAN)
    with pytest.raises(ValueError, match=r"two sources must be of one kind; got scores and embed"):
        evaluate(a, scores(tmp_path / "s.csv", rows, labels), plan=PLAN)
    with pytest.raises(ValueError, match=r"compared over all pairs; got --gallery or --pairs"):
        evaluate(a, a, plan=EvaluationPlan(gallery=a))


def test_the_page_stands_side_by_side(two, tmp_path):
    a, b, *_ = two
    evaluate(a, b, plan=PLAN, report=tmp_path / "c.html", save=tmp_path / "c.json")
    assert (tmp_path / "c.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "c.json").exists()
