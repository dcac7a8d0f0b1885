import sys

import numpy as np
import pytest
import torch

from cospair.report import embedding_map

NAMES = ["ann", "bob", "eve"]


def _groups(each=20, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), each)
    return 4 * np.eye(3, 16)[labels] + 0.3 * rng.normal(size=(3 * each, 16)), labels


@pytest.fixture
def principal(monkeypatch):
    """As where scikit-learn is not installed."""
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)


def _places(drawn):
    return np.stack([drawn["x"], drawn["y"]], axis=1)


def test_groups_stay_together():
    rows, labels = _groups()
    drawn = embedding_map(rows, labels, NAMES)
    assert drawn["method"].startswith("t-SNE (perplexity 20): neighbours")
    assert "distances between groups, and their sizes, mean little" in drawn["method"]
    away = np.linalg.norm(_places(drawn)[:, None] - _places(drawn)[None], axis=2)
    np.fill_diagonal(away, np.inf)
    assert (labels[away.argmin(axis=1)] == labels).all()


def test_principal_components_where_scikit_learn_is_missing(principal):
    from sklearn.decomposition import PCA

    rows, labels = _groups()
    drawn = embedding_map(rows, labels, NAMES)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = PCA(2).fit(unit)
    truth = found.transform(unit)
    ours = _places(drawn) - _places(drawn).mean(axis=0)
    for axis in (0, 1):
        # equal up to sign and the one scale; places are rounded to 4 decimals
        match = abs(np.corrcoef(ours[:, axis], truth[:, axis])[0, 1])
        assert match == pytest.approx(1, abs=1e-6)
    share = 100 * found.explained_variance_ratio_.sum()
    assert f"hold {share:.0f} % of the variance" in drawn["method"]


def test_few_pictures_take_principal_components():
    drawn = embedding_map([[1, 0], [0, 1], [0, 2]], [0, 1, 1], NAMES)
    assert drawn["method"].startswith("Principal components: the two axes hold 100 %")
    assert drawn["identity"] == ["ann", "bob", "bob"]
    assert drawn["row"] == [0, 1, 2]


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_the_length_of_a_row_does_not_matter(principal, scale):
    rows, labels = _groups()
    longer = rows * np.linspace(0.5, 2, len(rows))[:, None] * scale
    # rounded places may differ by one in the last decimal
    np.testing.assert_allclose(
        _places(embedding_map(longer, labels, NAMES)),
        _places(embedding_map(rows, labels, NAMES)),
        atol=1.1e-4,
    )


def test_places_are_plain_numbers_inside_the_square():
    rows, labels = _groups()
    drawn = embedding_map(torch.tensor(rows, requires_grad=True), torch.tensor(labels), NAMES)
    assert {type(value) for key in ("x", "y") for value in drawn[key]} == {float}
    assert {type(row) for row in drawn["row"]} == {int}
    assert _places(drawn).min() == 0
    assert _places(drawn).max() == 1


def test_the_same_seed_gives_the_same_map():
    rows, labels = _groups()
    assert embedding_map(rows, labels, NAMES) == embedding_map(rows, labels, NAMES)


def test_of_a_large_set_whole_identities_are_drawn(principal):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(50), 10)
    drawn = embedding_map(rng.normal(size=(500, 4)), labels, [f"p{i}" for i in range(50)], most=100)
    assert len(drawn["row"]) == 100
    assert drawn["row"] == sorted(drawn["row"])
    assert len(set(drawn["identity"])) == 10
    assert [f"p{labels[row]}" for row in drawn["row"]] == drawn["identity"]
    assert "100 of 500 pictures are drawn: identities chosen at random." in drawn["method"]


@pytest.mark.parametrize("rows", [np.zeros((30, 4)), np.ones((30, 4)), np.ones((30, 1))])
def test_equal_rows_lie_on_one_point(rows):
    drawn = embedding_map(rows, np.zeros(30, int), NAMES)
    assert set(drawn["x"]) == set(drawn["y"]) == {0.5}


def test_one_dimension_is_enough(principal):
    drawn = embedding_map([[1.0], [-1.0], [2.0]], [0, 1, 2], NAMES)
    assert set(drawn["y"]) == {0.0}
    assert drawn["x"] == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("rows", "labels", "options", "error", "words"),
    [
        ([["a"], ["b"]], [0, 1], {}, TypeError, "embeddings must be real numbers, got dtype"),
        ([[1.0], [2.0]], [0.0, 1.0], {}, TypeError, "labels must be integers, got dtype float64"),
        ([[1.0], [2.0]], [0], {}, ValueError, r"got \[2, 1\] and \[1\]; pass one label a row"),
        ([[1.0]], [0], {}, ValueError, r"with n at least 2"),
        ([1.0, 2.0], [0, 1], {}, ValueError, r"embeddings must be \[n, d\]"),
        ([[1.0], [np.nan]], [0, 1], {}, ValueError, "got NaN or inf in row 1; leave it out"),
        ([[1.0], [2.0]], [0, 3], {}, ValueError, "labels must index 3 identities, got 0 to 3"),
        ([[1.0], [2.0]], [0, -1], {}, ValueError, "labels must index 3 identities, got -1 to 0"),
        ([[1.0], [2.0]], [0, 1], {"most": 1}, ValueError, "most must be at least 2, got 1; pass"),
    ],
)
def test_wrong_input(rows, labels, options, error, words):
    with pytest.raises(error, match=words):
        embedding_map(rows, labels, NAMES, **options)
