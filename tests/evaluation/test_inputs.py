import numpy as np
import pytest
import torch
from evaluation.examples import labelled

from cospair.evaluation import auc, equal_error_rate, pair_scores, roc_curve, tar_at_far


def test_tensors_are_accepted():
    rows, labels = labelled(4, 3)
    tensor = torch.tensor(rows, dtype=torch.bfloat16, requires_grad=True)
    exact = pair_scores(tensor.detach().double().numpy(), labels)
    pairs = pair_scores(tensor, torch.tensor(labels))
    np.testing.assert_array_equal(pairs.scores, exact.scores)
    scores, same = torch.tensor(pairs.scores), torch.tensor(pairs.same)
    assert auc(scores, same) == auc(pairs.scores, pairs.same)


@pytest.mark.parametrize("dtype", [None, object])
def test_string_labels(dtype):
    pairs = pair_scores(np.eye(3), np.array(["ann", "bob", "ann"], dtype=dtype))
    np.testing.assert_array_equal(pairs.same, [False, True, False])


@pytest.mark.parametrize(
    ("rows", "labels", "error", "text"),
    [
        ([[1.0, 2], [np.nan, 1]], [0, 1], ValueError, "finite; got nan in row 1;"),
        ([[1.0, 2], [1, 1], [np.inf, 0]], [0, 1, 1], ValueError, "finite; got inf in row 2;"),
        ([1.0, 2.0], [0, 1], ValueError, r"embeddings must be \[n, d\]; got shape \(2,\)"),
        ([["a"], ["b"]], [0, 1], TypeError, "embeddings must be real numbers; got dtype <U1"),
        ([[1j]], [0], TypeError, "embeddings must be real numbers; got dtype complex128"),
        ([[1.0], [2.0]], [0], ValueError, r"one label per row; got shape \(1,\) for 2 rows"),
        ([[1.0], [2.0]], [[0, 1]], ValueError, r"one label per row; got shape \(1, 2\)"),
        ([[1.0], [2.0]], [0.0, 1.0], TypeError, "integers or strings; got dtype float64"),
        (
            [[1.0]],
            np.array([2**63], np.uint64),
            ValueError,
            "must fit int64; got 9223372036854775808",
        ),
    ],
)
def test_pair_scores_refuses(rows, labels, error, text):
    with pytest.raises(error, match=text):
        pair_scores(rows, labels)


@pytest.mark.parametrize(
    "figure", [auc, equal_error_rate, roc_curve, lambda s, y: tar_at_far(s, y, 0.1)]
)
@pytest.mark.parametrize(
    ("scores", "same", "error", "text"),
    [
        (
            [0.1, np.nan],
            [1, 0],
            ValueError,
            "scores must be finite; got nan at position 1",
        ),
        ([0.1, 0.2], [True], ValueError, r"one truth value per score; got shape \(1,\) for \(2,\)"),
        ([0.1, 0.2], [1, -1], TypeError, "same must hold True and False.*pass target > 0"),
        ([0.1, 0.2], [False, False], ValueError, "got 0 genuine and 2 impostor pairs"),
        ([0.1, 0.2], [True, True], ValueError, "got 2 genuine and 0 impostor pairs"),
        ([], [], ValueError, "got 0 genuine and 0 impostor pairs"),
        ([[0.1]], [[True]], ValueError, r"scores must be \[p\]; got shape \(1, 1\)"),
        ([True], [True], TypeError, "scores must be real numbers; got dtype bool"),
    ],
)
def test_figures_refuse(figure, scores, same, error, text):
    with pytest.raises(error, match=text):
        figure(scores, same)


def test_minus_zero_is_zero():
    assert auc([-0.0, 0.0], [True, False]) == 0.5
    assert not np.signbit(pair_scores([[1.0, 0], [0, -1.0]], [0, 1]).scores).any()
