import numpy as np
import pytest
import torch

from cospair import (
    AllPairsCosineEmbeddingLoss,
    CosineEmbeddingLoss,
    CosineEmbeddingLossOptions,
    all_pairs_cosine_embedding_loss,
    cosine_embedding_loss,
)

X = torch.ones(4, 8)
Y = torch.ones(4)


@pytest.mark.parametrize(
    "build", [CosineEmbeddingLoss, AllPairsCosineEmbeddingLoss, CosineEmbeddingLossOptions]
)
@pytest.mark.parametrize("value", [2, -1.5, float("inf"), float("nan")])
def test_margin_outside_its_range(build, value):
    with pytest.raises(
        ValueError, match=rf"^margin must be a cosine in \[-1, 1\], got {value!r}; "
    ):
        build(margin=value)
    with pytest.raises(ValueError, match=r"^positive_margin must be a cosine in \[-1, 1\], got "):
        build(positive_margin=value)


@pytest.mark.parametrize("value", ["0.5", None, True, torch.tensor(0.5)])
def test_margin_that_is_no_number(value):
    with pytest.raises(
        TypeError, match=r"^margin must be a number in \[-1, 1\], got \w+; pass a float"
    ):
        CosineEmbeddingLoss(margin=value)


def test_margins_of_numpy_and_integers_are_numbers():
    assert CosineEmbeddingLoss(np.float32(0.5)).options.margin == 0.5  # type: ignore[arg-type]
    assert CosineEmbeddingLoss(1).options.margin == 1


def test_unknown_reduction():
    with pytest.raises(
        ValueError, match=r"^reduction must be one of 'none', 'mean', 'sum', got 'bogus'"
    ):
        CosineEmbeddingLoss(reduction="bogus")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'balanced', 'active', got 'avg'; choose one of them"):
        AllPairsCosineEmbeddingLoss(reduction="avg")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"^reduction must be one of 'none', 'mean', 'sum', got 'active'"
    ):
        cosine_embedding_loss(X, X, Y, reduction="active")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.complex64]
)
def test_embeddings_of_other_types(dtype):
    wrong = X.to(dtype)
    with pytest.raises(
        TypeError, match=rf"^x1 must be float16, .*got {dtype}; convert it with x1.float\(\)"
    ):
        cosine_embedding_loss(wrong, X, Y)
    with pytest.raises(TypeError, match=r"^x2 must be float16"):
        cosine_embedding_loss(X, wrong, Y)
    with pytest.raises(TypeError, match=r"^x must be float16"):
        all_pairs_cosine_embedding_loss(wrong, torch.zeros(4, dtype=torch.long))


def test_sparse_embeddings():
    with pytest.raises(
        TypeError, match=r"^x2 must be dense, got torch.sparse_coo; convert it with"
    ):
        cosine_embedding_loss(X, X.to_sparse(), Y)


def test_embeddings_that_are_no_tensors():
    with pytest.raises(TypeError, match=r"^x1 must be a torch.Tensor, got ndarray; convert"):
        cosine_embedding_loss(np.ones((4, 8)), X, Y)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^target must be a torch.Tensor of \+1 and -1, got list"):
        cosine_embedding_loss(X, X, [1, 1, 1, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("x1", "x2", "target", "message"),
    [
        (
            X,
            torch.ones(4, 1),
            Y,
            r"same number of features, got x1 \(4, 8\), x2 \(4, 1\), target \(4,\)",
        ),
        (X, torch.ones(3, 8), Y, r"same number of rows, or one of them a single row"),
        (X, X, torch.ones(1), r"target must have shape \(4,\) for these embeddings"),
        (X, X, torch.tensor(1), r"target must have shape \(4,\)"),
        (X[:1], X[:1], torch.ones(8), r"target must have shape \(1,\)"),
        (X[0], X[0], torch.ones(1), r"target must have shape \(\)"),
        (X[0], X, torch.ones(8), r"target must have shape \(4,\)"),
        (X, X, torch.ones(4, 1), r"target must have shape \(4,\)"),
        (torch.ones(2, 2, 8), X, Y, r"must be \(D\) or \(N, D\)"),
        (torch.tensor(1.0), X, Y, r"must be \(D\) or \(N, D\)"),
        (torch.ones(4, 0), torch.ones(4, 0), Y, r"at least one feature, got shape \(4, 0\)"),
    ],
)
def test_shapes(x1, x2, target, message):
    with pytest.raises(ValueError, match=message):
        cosine_embedding_loss(x1, x2, target)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (torch.tensor([1, 0, 1, 1]), "0 at row 1"),
        (torch.tensor([1, 1, 0.5, 1]), "0.5 at row 2"),
        (torch.tensor([1, 1, 1, 2]), "2 at row 3"),
        (torch.tensor([1, 1, float("nan"), 1]), "nan at row 2"),
        (torch.tensor([1, 1, 255, 1], dtype=torch.uint8), "255.0 at row 2"),
        (torch.tensor([-1, 1, 2**32 + 1, 1]), "4294967297 at row 2"),
        (torch.tensor([1, 0, 1, 1], dtype=torch.int16), "0 at row 1"),
        (torch.tensor([1, 0, 1, 1], dtype=torch.float16), "0.0 at row 1"),
    ],
)
@pytest.mark.parametrize("grad", [True, False])
def test_target_values(target, found, grad):
    x = X.clone().requires_grad_(grad)
    message = (
        rf"^target must hold only \+1 \(similar\) and -1 \(dissimilar\), got {found}; convert 0/1 "
    )
    with pytest.raises(ValueError, match=message):
        cosine_embedding_loss(x, X, target)
    weight = torch.ones(
        4, requires_grad=True
    )  # a weight that wants its gradient goes by the reference
    with pytest.raises(ValueError, match=message):
        cosine_embedding_loss(x, X, target, weight=weight)


def test_complex_target():
    with pytest.raises(TypeError, match=r"^target must be real, got torch.complex64"):
        cosine_embedding_loss(X, X, Y.to(torch.complex64))


def test_weights():
    with pytest.raises(
        ValueError, match=r"^weight must have the shape of target, \(4,\), got \(3,\)"
    ):
        cosine_embedding_loss(X, X, Y, weight=torch.ones(3))
    with pytest.raises(
        ValueError, match=r"^weight must be finite and not negative, got -1.0 at row 2"
    ):
        cosine_embedding_loss(X, X, Y, weight=torch.tensor([1.0, 1.0, -1.0, 1.0]))
    with pytest.raises(
        ValueError, match=r"^weight must be finite and not negative, got nan at row 0"
    ):
        cosine_embedding_loss(X, X, Y, weight=torch.full((4,), torch.nan))
    with pytest.raises(
        TypeError, match=r"^weight must be a floating-point tensor, got torch.int64"
    ):
        cosine_embedding_loss(X, X, Y, weight=torch.ones(4, dtype=torch.long))


def test_devices():
    with pytest.raises(
        ValueError, match=r"^all tensors must be on one device, got x1 on cpu, x2 on meta"
    ):
        cosine_embedding_loss(X, X.to("meta"), Y)


def test_labels():
    with pytest.raises(
        TypeError, match=r"^labels must be integers, got torch.float32; float labels collide"
    ):
        all_pairs_cosine_embedding_loss(X, torch.zeros(4))
    with pytest.raises(
        ValueError, match=r"^labels must have shape \(4,\), got \(3,\); give one label a row"
    ):
        all_pairs_cosine_embedding_loss(X, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"^x must be \(N, D\), got \(8,\)"):
        all_pairs_cosine_embedding_loss(X[0], torch.zeros(8, dtype=torch.long))
    with pytest.raises(TypeError, match=r"^labels must be a torch.Tensor of integers, got list"):
        all_pairs_cosine_embedding_loss(X, [0, 1, 0, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_validate_names_the_row(bad):
    x = X.clone()
    x[3, 2] = bad
    with pytest.raises(ValueError, match=r"^x2 must be finite, got NaN or infinity in row 3"):
        CosineEmbeddingLoss(validate=True)(X, x, Y)


@pytest.mark.parametrize("place", ["x1", "x2", "target"])
@pytest.mark.parametrize("value", [None, [1.0] * 4])
def test_what_is_no_tensor_is_named(place, value):
    given = {"x1": X, "x2": X, "target": Y, place: value}
    with pytest.raises(TypeError, match=rf"^{place} must be a torch.Tensor.*, got \w+; "):
        cosine_embedding_loss(**given)


def test_a_weight_that_is_no_tensor_is_named():
    with pytest.raises(TypeError, match=r"^weight must be a floating-point tensor, got list; "):
        cosine_embedding_loss(X, X, Y, weight=[1.0] * 4)  # type: ignore[arg-type]
