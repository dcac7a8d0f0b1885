import copy
import math
import pickle

import mpmath
import pytest
import tolerances
import torch
import torch.nn.functional as F
import truth
from hypothesis import given, settings
from hypothesis import strategies as st

import cospair
from cospair import (
    AllPairsCosineEmbeddingLoss,
    CosineEmbeddingLoss,
    CosineEmbeddingLossOptions,
    all_pairs_cosine_embedding_loss,
    cosine_embedding_loss,
)

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def at_angle(degrees: float, length: float = 1.0) -> torch.Tensor:
    angle = math.radians(degrees)
    return length * torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


# ---- the definition, by hand -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "target", "margin", "positive_margin", "expected"),
    [
        (60, 1, 0.0, 1.0, 0.5),  # 1 - cos 60
        (60, -1, 0.0, 1.0, 0.5),  # cos 60 - 0
        (60, -1, 0.25, 1.0, 0.25),
        (60, -1, 0.75, 1.0, 0.0),
        (120, -1, 0.0, 1.0, 0.0),
        (120, -1, -1.0, 1.0, 0.5),
        (180, 1, 0.0, 1.0, 2.0),
        (60, 1, 0.25, 0.25, 0.0),  # symmetric hinge: already above the margin
        (90, 1, 0.25, 0.25, 0.25),
        (90, 1, 0.0, 0.0, 0.0),  # margin 0 asks nothing of orthogonal pairs
        (120, 1, 0.0, 0.0, 0.5),
        (60, -1, 0.25, 0.25, 0.25),
    ],
)
def test_values_by_hand_from_angles(degrees, target, margin, positive_margin, expected):
    loss = cosine_embedding_loss(
        at_angle(10),
        at_angle(10 + degrees, length=7.0),
        torch.tensor(target),
        margin,
        positive_margin=positive_margin,
    )
    torch.testing.assert_close(
        loss, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=4e-16
    )


def test_gradient_by_hand_at_a_right_angle():
    x1 = torch.tensor([2.0, 0.0], requires_grad=True)
    cosine_embedding_loss(x1, torch.tensor([0.0, 5.0]), torch.tensor(1)).backward()
    # ds/dx1 = (x2/|x2| - s x1/|x1|) / |x1| = (0, 1) / 2 and the loss is 1 - s
    assert x1.grad is not None
    assert x1.grad.tolist() == [0.0, -0.5]


# ---- the uses ----------------------------------------------------------------------------------


def test_use_same_class_batch():
    x1, x2 = randn(32, 128, seed=1).requires_grad_(), randn(32, 128, seed=2).requires_grad_()
    loss = CosineEmbeddingLoss(margin=0.0)(x1, x2, torch.ones(32))
    loss.backward()
    torch.testing.assert_close(loss, F.cosine_embedding_loss(x1, x2, torch.ones(32)))
    assert x1.grad is not None
    assert x1.grad.shape == (32, 128)


def test_use_siamese_batch_of_similar_and_dissimilar_pairs():
    positive, negative = randn(2, 16, 128, seed=3), randn(2, 16, 128, seed=4)
    negative[1] = negative[0] + 0.5 * negative[1]  # impostors that look alike, so that they cost
    x1 = torch.cat([positive[0], negative[0]]).requires_grad_()
    x2 = torch.cat([positive[1], negative[1]]).requires_grad_()
    target = torch.cat([torch.ones(16), -torch.ones(16)])
    before = F.cosine_similarity(x1, x2).detach()
    cosine_embedding_loss(x1, x2, target, reduction="sum").backward()
    assert x1.grad is not None
    assert x2.grad is not None
    after = F.cosine_similarity(x1 - x1.grad, x2 - x2.grad).detach()
    assert bool((after[:16] > before[:16]).all()), "every similar pair is pulled together"
    assert bool((after[16:] < before[16:]).all()), "every dissimilar pair is pushed apart"


def test_use_face_matching():
    face1, face2 = randn(1, 512, seed=5), randn(1, 512, seed=6)
    loss = CosineEmbeddingLoss(0.25)(face1, face2, torch.tensor([1]))
    torch.testing.assert_close(loss, 1 - F.cosine_similarity(face1, face2)[0])
    assert float(CosineEmbeddingLoss(0.25)(face1, face1, torch.tensor([-1]))) == 0.75


def reidentification():
    query, gallery = randn(256, seed=7), randn(1000, 256, seed=8)
    gallery[:500] += query
    target = torch.cat([torch.ones(100), -torch.ones(900)])
    return query, gallery, target


def test_use_reidentification_forms_agree():
    query, gallery, target = reidentification()
    found = []
    for form in (lambda q: q, lambda q: q.unsqueeze(0), lambda q: q.unsqueeze(0).expand(1000, 256)):
        q, g = query.clone().requires_grad_(), gallery.clone().requires_grad_()
        loss = cosine_embedding_loss(form(q), g, target, margin=0.1)
        loss.backward()
        found.append((loss.detach(), q.grad, g.grad))
    q, g = query.double().requires_grad_(), gallery.double().requires_grad_()
    F.cosine_embedding_loss(q.unsqueeze(0).expand(1000, 256), g, target, margin=0.1).backward()
    for loss, q_grad, g_grad in found:
        assert torch.equal(loss, found[0][0])
        assert torch.equal(g_grad, found[0][2])
        # of an expand autograd itself sums 1,000 float32 rows; else the kernel does, in float64
        torch.testing.assert_close(q_grad.double(), q.grad, rtol=1e-6, atol=2e-9)
        torch.testing.assert_close(g_grad.double(), g.grad, rtol=1e-6, atol=1e-11)
    torch.testing.assert_close(found[0][1].double(), q.grad, rtol=1e-6, atol=1e-11)
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("expanded", [False, True])
def test_use_reidentification_does_not_copy_the_query(expanded):
    """What is kept for backward shares the query's own storage."""
    query, gallery, target = reidentification()
    query.requires_grad_()
    x1 = query.unsqueeze(0).expand(1000, 256) if expanded else query
    saved: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        cosine_embedding_loss(x1, gallery, target, margin=0.1)
    addresses = {t.untyped_storage().data_ptr() for t in saved}
    assert addresses == {t.untyped_storage().data_ptr() for t in (query, gallery, target)}


class Reversed(torch.autograd.Function):
    """A view whose gradient is turned round, as in domain-adversarial training."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, upstream):  # type: ignore[override]
        return -upstream


@pytest.mark.parametrize("weight", [None, torch.ones(1000)], ids=["short way", "long way"])
def test_what_stands_between_a_query_and_its_expand_is_walked(weight):
    query, gallery, target = reidentification()
    q = query.clone().requires_grad_()
    cosine_embedding_loss(q, gallery, target).backward()
    assert q.grad is not None
    r = query.clone().requires_grad_()
    middle = Reversed.apply(r).unsqueeze(0)
    middle.retain_grad()
    expanded = middle.expand(1000, 256)
    loss = cosine_embedding_loss(expanded, gallery, target, weight=weight)
    (own,) = torch.autograd.grad(loss, expanded, retain_graph=True)
    expanded.retain_grad()
    loss.backward()
    torch.testing.assert_close(r.grad, -q.grad, rtol=1e-5, atol=2e-9)
    torch.testing.assert_close(middle.grad[0], q.grad, rtol=1e-5, atol=2e-9)
    assert torch.equal(expanded.grad, own)
    assert int((own.abs().sum(1) > 0).sum()) > 100


def test_an_expanded_slice_of_a_batch_gets_its_gradient_in_place():
    batch = randn(5, 32, seed=9).requires_grad_()
    gallery, target = randn(7, 32, seed=10), torch.tensor([1, 1, -1, -1, -1, 1, -1])
    cosine_embedding_loss((batch * 1)[3].expand(7, 32), gallery, target).backward()
    reference = randn(5, 32, seed=9).double().requires_grad_()
    F.cosine_embedding_loss(reference[3].expand(7, 32), gallery.double(), target).backward()
    assert batch.grad is not None
    assert reference.grad is not None
    torch.testing.assert_close(batch.grad.double(), reference.grad, rtol=1e-6, atol=1e-9)


def test_use_symmetric_hinge_beside_torch_form():
    x1 = at_angle(0).expand(3, 2)
    x2 = torch.stack([at_angle(30), at_angle(60), at_angle(90)])
    target = torch.tensor([1, 1, -1])
    half, root = 0.5, math.sqrt(3) / 2
    torch_form = cosine_embedding_loss(x1, x2, target, 0.6, reduction="none")
    hinge = cosine_embedding_loss(x1, x2, target, 0.6, positive_margin=0.6, reduction="none")
    torch.testing.assert_close(torch_form.tolist(), [1 - root, 1 - half, 0.0])
    torch.testing.assert_close(hinge.tolist(), [0.0, 0.6 - half, 0.0])


# ---- against torch -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(5, 5), (32, 128), (7, 13), (1, 512), (3, 1), (257, 511)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.4])
def test_equals_torch_where_torch_is_right(dtype, shape, reduction, margin):
    ours = tuple(randn(*shape, seed=seed, dtype=dtype).requires_grad_() for seed in (11, 12))
    theirs = tuple(x.detach().double().requires_grad_() for x in ours)
    target = randn(shape[0], seed=13).sign()
    loss = cosine_embedding_loss(ours[0], ours[1], target, margin, reduction=reduction)
    expected = F.cosine_embedding_loss(theirs[0], theirs[1], target, margin, reduction=reduction)
    upstream = randn(shape[0], seed=14) if reduction == "none" else torch.tensor(0.7)
    loss.backward(upstream.to(dtype))
    expected.backward(upstream.double())
    # torch adds an eps of 1e-8 and more to squared lengths; at D = 1 lengths go down to 1e-3 here
    rtol = 1e-6 if shape[1] > 1 else 1e-4
    torch.testing.assert_close(loss.double(), expected, rtol=rtol, atol=1e-7)
    for x, y in zip(ours, theirs, strict=True):
        assert x.grad is not None
        torch.testing.assert_close(
            x.grad.double(), y.grad, rtol=rtol, atol=1e-6 if shape[1] == 1 else 1e-7
        )


# ---- the lines of RELIABILITY: where torch is silently wrong -----------------------------------


def assert_true(x1, x2, target, *, margin=0.0, ulps=None):
    """Loss rows and both gradients against 300-bit truth, in the inputs' dtype."""
    dtype = x1.dtype
    a, b = x1.clone().requires_grad_(), x2.clone().requires_grad_()
    loss = cosine_embedding_loss(a, b, target, margin, reduction="none")
    expected = truth.losses(x1, x2, target, margin=margin)
    bound = (ulps or tolerances.ULPS[dtype]) * torch.finfo(dtype).eps
    # below 1e-33 the 64-bit rounding of |x1| / |x2| itself is seen: a 16th of the smallest loss of
    # unequal float64 rows
    smallest = 1e-33 if dtype == torch.float64 else torch.finfo(dtype).smallest_normal
    for found, wanted in zip(loss.double().tolist(), expected, strict=True):
        assert abs(mpmath.mpf(found) - wanted) <= max(bound * wanted, smallest), (
            found,
            float(wanted),
        )
    loss.sum().backward()
    smallest_gradient = torch.finfo(dtype).smallest_normal
    for x, wanted in zip((a, b), truth.gradients(x1, x2, target, margin=margin), strict=True):
        assert x.grad is not None
        # float64: a gradient far smaller than 1 / |x| keeps what 64 bits of |x1| / |x2| leave of it
        floor = 2.0**-62 / x.detach().abs().amax(1, keepdim=True) if dtype == torch.float64 else 0.0
        largest = wanted.abs().amax(1, keepdim=True).clamp(max=torch.finfo(dtype).max)
        error = (
            x.grad.double() - wanted.clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max)
        ).abs()
        assert bool((error <= 2 * bound * largest + floor + smallest_gradient).all()), float(
            (error / largest).max()
        )


TWO = torch.tensor([1, -1])


@pytest.mark.parametrize("d", [64, 192, 256])
def test_float16_rows_of_unit_variance(d):
    assert_true(
        randn(2, d, seed=1, dtype=torch.float16), randn(2, d, seed=2, dtype=torch.float16), TWO
    )


def test_float16_tiny_rows():
    tiny = [(randn(2, 64, seed=seed) * 1e-3).half() for seed in (3, 4)]
    x1, x2 = tiny
    loss = cosine_embedding_loss(x1, x2, TWO, reduction="none")
    expected = [float(value) for value in truth.losses(x1, x2, TWO)]
    torch.testing.assert_close(
        loss.double().tolist(), expected, rtol=tolerances.relative(torch.float16), atol=0
    )
    x1.requires_grad_()
    cosine_embedding_loss(x1, x2, TWO).backward()
    assert x1.grad is not None
    assert bool(x1.grad.isfinite().all())


def test_float16_zero_row_costs_one_and_pulls_nothing():
    x1, x2 = randn(3, 64, seed=5, dtype=torch.float16), randn(3, 64, seed=6, dtype=torch.float16)
    x1[1] = 0
    x1.requires_grad_()
    loss = cosine_embedding_loss(x1, x2, torch.ones(3), reduction="none")
    assert loss[1].item() == 1.0
    loss.mean().backward()
    assert x1.grad is not None
    assert not bool(x1.grad[1].any())
    assert bool(x1.grad.isfinite().all())


def test_one_float16_row_of_300s_among_good_ones():
    x1, x2 = randn(65, 64, seed=7, dtype=torch.float16), randn(65, 64, seed=8, dtype=torch.float16)
    x1[9] = 300
    loss = cosine_embedding_loss(x1, x2, torch.ones(65))
    expected = mpmath.fsum(truth.losses(x1, x2, torch.ones(65))) / 65
    assert abs(float(loss) - float(expected)) <= torch.finfo(torch.float16).eps * float(expected)


@pytest.mark.parametrize("scale", [1e9, 1e19, 1e25, 1e-6, 1e-7, 1e-8, 1e-20, 1e-37])
def test_float32_rows_of_any_scale(scale):
    x1, x2 = randn(2, 64, seed=9) * scale, randn(2, 64, seed=10) * scale
    assert_true(x1, x2, TWO)


def test_float32_denormal_rows():
    x1, x2 = randn(2, 64, seed=9) * 1e-42, randn(2, 64, seed=10) * 1e-42
    loss = cosine_embedding_loss(x1, x2, TWO, reduction="none")
    expected = [float(value) for value in truth.losses(x1, x2, TWO)]
    torch.testing.assert_close(
        loss.tolist(), expected, rtol=tolerances.relative(torch.float32), atol=0
    )
    x1.requires_grad_()
    cosine_embedding_loss(x1, x2, TWO).backward()
    assert x1.grad is not None
    assert not bool(x1.grad.isnan().any())


def test_one_huge_row_beside_a_normal_one():
    assert_true(randn(2, 64, seed=11) * 1e20, randn(2, 64, seed=12), TWO)


def test_one_zero_row_leaves_the_others_their_gradient():
    x1, x2 = randn(64, 32, seed=13), randn(64, 32, seed=14)
    x1[5] = 0
    assert_true(x1, x2, torch.ones(64))
    a = x1.clone().requires_grad_()
    cosine_embedding_loss(a, x2, torch.ones(64)).backward()
    assert a.grad is not None
    assert float(a.grad.norm(dim=1).max()) < 0.1
    assert not bool(a.grad[5].any())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1e-1, 1e-3, 4e-5, 1e-7])
def test_near_identical_rows_keep_the_figures_of_a_tiny_loss(dtype, step):
    x1 = randn(8, 64, seed=15, dtype=dtype)
    x2 = (x1.double() * (1 + step * randn(8, 64, seed=16).double())).to(dtype)
    assert_true(x1, x2, torch.ones(8))


def test_near_opposite_rows_at_margin_minus_one():
    x1 = randn(4, 64, seed=17)
    x2 = -x1 * (1 + 1e-4 * randn(4, 64, seed=18))
    assert_true(x1, x2, -torch.ones(4), margin=-1.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1.0, 2.0, 0.125])
def test_identical_rows_cost_exactly_nothing(dtype, factor):
    x1 = randn(16, 33, seed=19, dtype=dtype).requires_grad_()
    x2 = (x1.detach() * factor).requires_grad_()
    for target in (torch.ones(16), -torch.ones(16)):
        loss = cosine_embedding_loss(x1, x2, target, margin=0.25, reduction="none")
        assert loss.tolist() == [0.0 if target[0] == 1 else 0.75] * 16
        for gradient in torch.autograd.grad(loss.sum(), [x1, x2]):
            assert not bool(gradient.any())


@pytest.mark.parametrize("d", [1, 2, 16, 64, 200])
@pytest.mark.parametrize("scale", [1.0, 1e160, 1e-160, 1e300, 1e-300])
def test_float64_has_no_eps_and_no_range(d, scale):
    x1 = randn(6, d, seed=20, dtype=torch.float64)
    x2 = randn(6, d, seed=21, dtype=torch.float64)
    x2[3:] = x1[3:] + 1e-9 * x2[3:]
    # a gradient near s = +-1 at D = 1 is exactly 0 in truth: nothing to compare but that
    assert_true(x1 * scale, x2 / scale, torch.tensor([1, 1, -1, 1, 1, -1]), margin=-0.75, ulps=16)


def test_float64_moderate_loss_within_one_ulp():
    x1, x2 = (
        randn(200, 16, seed=22, dtype=torch.float64),
        randn(200, 16, seed=23, dtype=torch.float64),
    )
    loss = cosine_embedding_loss(x1, x2, torch.ones(200), reduction="none")
    for found, wanted in zip(loss.tolist(), truth.losses(x1, x2, torch.ones(200)), strict=True):
        assert abs(mpmath.mpf(found) - wanted) <= 1.0 * mpmath.mpf(math.ulp(float(wanted)))


def test_parallel_rows_of_other_lengths_cost_nothing():
    x1 = torch.tensor([[3.0, 4.0], [1.0, 7.0]], requires_grad=True)
    x2 = torch.tensor([[30.0, 40.0], [3.0, 21.0]])
    loss = cosine_embedding_loss(x1, x2, torch.ones(2), reduction="none")
    assert loss.tolist() == [0.0, 0.0]
    assert not bool(torch.autograd.grad(loss.sum(), x1)[0].any())


def test_rows_that_differ_by_a_denormal_keep_their_loss():
    x1, x2 = torch.tensor([[1.0, 1e-18]]), torch.tensor([[1.0, 3e-18]])
    assert_true(x1, x2, torch.ones(1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_subgradient_at_the_hinge_is_zero(dtype):
    x1 = torch.tensor([[1.0, 0.0]], dtype=dtype, requires_grad=True)
    x2 = torch.tensor([[0.0, 1.0]], dtype=dtype)
    for target, margin, positive_margin in ((-1, 0.0, 1.0), (1, 0.0, 0.0)):
        loss = cosine_embedding_loss(
            x1, x2, torch.tensor([target]), margin, positive_margin=positive_margin
        )
        assert loss.item() == 0.0
        assert not bool(torch.autograd.grad(loss, x1)[0].any())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_reach_their_row_and_the_mean(bad):
    x1, x2 = randn(4, 8, seed=24), randn(4, 8, seed=25)
    x1[2, 3] = bad
    x1.requires_grad_()
    loss = cosine_embedding_loss(x1, x2, -torch.ones(4), margin=1.0, reduction="none")
    assert loss.isnan().tolist() == [False, False, True, False]
    mean = cosine_embedding_loss(x1, x2, -torch.ones(4), margin=1.0)
    assert math.isnan(mean.item())
    assert torch.autograd.grad(mean, x1)[0].isnan().all(dim=1).tolist() == [
        False,
        False,
        True,
        False,
    ]
    with pytest.raises(ValueError, match=r"x1 must be finite, got NaN or infinity in row 2"):
        cosine_embedding_loss(x1, x2, -torch.ones(4), validate=True)


def test_zero_row_has_a_finite_second_derivative():
    x1, x2 = torch.zeros(1, 4, dtype=torch.float64), randn(1, 4, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(
        lambda x: cosine_embedding_loss(x, x2, torch.tensor([1])), x1
    )
    assert isinstance(hessian, torch.Tensor)
    assert bool(hessian.isfinite().all())


def test_empty_batch():
    x = torch.empty(0, 8, requires_grad=True)
    for reduction in ("mean", "sum"):
        loss = cosine_embedding_loss(x, x, torch.empty(0), reduction=reduction)
        assert loss.item() == 0.0
        loss.backward()
    assert cosine_embedding_loss(x, x, torch.empty(0), reduction="none").shape == (0,)
    query = torch.ones(8, requires_grad=True)
    cosine_embedding_loss(query, x, torch.empty(0)).backward()
    assert query.grad is not None
    assert not bool(query.grad.any())


# ---- weights, targets, dtypes ------------------------------------------------------------------


@pytest.mark.parametrize("kernel_side", ["plain", "reference"])
def test_mean_divides_by_the_sum_of_weights(kernel_side):
    x1, x2 = randn(6, 16, seed=26).requires_grad_(), randn(6, 16, seed=27)
    target, weight = (
        torch.tensor([1, -1, 1, -1, 1, -1]),
        torch.tensor([1.0, 2.0, 0.0, 0.5, 3.0, 1.5]),
    )
    if kernel_side == "reference":
        weight.requires_grad_()
    rows = cosine_embedding_loss(x1, x2, target, reduction="none")
    mean = cosine_embedding_loss(x1, x2, target, weight=weight)
    torch.testing.assert_close(mean, (rows * weight).sum() / weight.sum())
    total = cosine_embedding_loss(x1, x2, target, weight=weight, reduction="sum")
    torch.testing.assert_close(total, (rows * weight).sum())
    weighted = cosine_embedding_loss(x1, x2, target, weight=weight, reduction="none")
    torch.testing.assert_close(weighted, rows * weight)
    wanted = torch.autograd.grad((rows * weight).sum() / weight.sum(), x1, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(mean, x1)[0], wanted)


def test_weights_all_zero_mean_nothing():
    x = randn(3, 4).requires_grad_()
    loss = cosine_embedding_loss(x, randn(3, 4, seed=1), torch.ones(3), weight=torch.zeros(3))
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad is not None
    assert not bool(x.grad.any())


@pytest.mark.parametrize(
    "dtype",
    [torch.int8, torch.int16, torch.int32, torch.int64, *DTYPES],
)
def test_target_of_any_real_dtype(dtype):
    x1, x2 = randn(4, 8, seed=28), randn(4, 8, seed=29)
    target = torch.tensor([1, -1, -1, 1])
    assert torch.equal(
        cosine_embedding_loss(x1, x2, target.to(dtype), reduction="none"),
        cosine_embedding_loss(x1, x2, target, reduction="none"),
    )


def test_bool_target_true_means_similar():
    x1, x2 = randn(4, 8, seed=28), randn(4, 8, seed=29)
    similar = torch.tensor([True, False, False, True])
    assert torch.equal(
        cosine_embedding_loss(x1, x2, similar, reduction="none"),
        cosine_embedding_loss(x1, x2, 2 * similar.long() - 1, reduction="none"),
    )


def test_strided_targets_and_rows_are_read_in_place():
    wide, other = randn(6, 32, seed=30), randn(6, 20, seed=31)
    target = torch.tensor([[1, 0], [-1, 0], [1, 0], [-1, 0], [1, 0], [1, 0]])[:, 0]
    found = cosine_embedding_loss(wide[:, 4:24], other, target, reduction="none")
    wanted = cosine_embedding_loss(wide[:, 4:24].clone(), other, target.clone(), reduction="none")
    assert torch.equal(found, wanted)
    assert torch.equal(
        cosine_embedding_loss(other.T.contiguous().T, other.flip(0), target, reduction="none"),
        cosine_embedding_loss(other, other.flip(0), target, reduction="none"),
    )


def test_mixed_dtypes_meet_in_the_promoted_one():
    loss = cosine_embedding_loss(randn(2, 4), randn(2, 4, dtype=torch.float64), TWO)
    assert loss.dtype == torch.float64
    assert (
        cosine_embedding_loss(randn(2, 4).half(), randn(2, 4).bfloat16(), TWO).dtype
        == torch.float32
    )


def test_a_float16_sum_that_could_overflow_comes_in_float32():
    n = 40_000
    x = torch.ones(n, 2, dtype=torch.float16)
    total = cosine_embedding_loss(x, -x, torch.ones(n), reduction="sum")
    assert total.dtype == torch.float32
    assert float(total) == 80_000.0
    assert (
        cosine_embedding_loss(x[:9], -x[:9], torch.ones(9), reduction="sum").dtype == torch.float16
    )


def test_autocast_computes_in_float32():
    x1, x2 = randn(4, 300, seed=32).bfloat16(), randn(4, 300, seed=33).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cosine_embedding_loss(x1, x2, torch.ones(4))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, cosine_embedding_loss(x1.float(), x2.float(), torch.ones(4)))


def test_upstream_of_a_loss_scaler_does_not_underflow_float16():
    """Scaling the loss scales the gradient before it is rounded, not after."""
    x1 = (randn(4096, 64, seed=34) * 8).half().requires_grad_()
    x2 = randn(4096, 64, seed=35).half()
    loss = cosine_embedding_loss(x1, x2, torch.ones(4096))
    (scaled,) = torch.autograd.grad(loss, x1, torch.tensor(32768.0, dtype=torch.float16))
    truth_x1 = x1.detach().double().requires_grad_()
    wanted = cosine_embedding_loss(truth_x1, x2.double(), torch.ones(4096))
    (expected,) = torch.autograd.grad(wanted, truth_x1, torch.tensor(32768.0, dtype=torch.float64))
    torch.testing.assert_close(
        scaled.double(), expected, rtol=6e-4, atol=6e-8
    )  # half an ulp, denormals


def test_one_input_that_depends_on_the_other():
    """Second-order backward must not walk the caller's own graph as well."""
    mixing = randn(16, 16, seed=1)
    for target in (torch.ones(6), -torch.ones(6)):
        seconds = []
        for loss_of in (cosine_embedding_loss, F.cosine_embedding_loss):
            x = randn(6, 16).requires_grad_()
            hidden = x.tanh()
            loss = loss_of(hidden, hidden @ mixing, target)
            (plain,) = torch.autograd.grad(loss, x, retain_graph=True)
            (graph,) = torch.autograd.grad(loss, x, create_graph=True)
            torch.testing.assert_close(plain, graph)
            seconds.append(torch.autograd.grad(graph.square().sum(), x)[0])
        torch.testing.assert_close(seconds[0], seconds[1], rtol=1e-4, atol=1e-6)
    x = randn(6, 16).requires_grad_()
    rows = cosine_embedding_loss(x.tanh(), x * x, torch.ones(6), reduction="none")
    (batched,) = torch.autograd.grad(
        rows, x, torch.eye(6), is_grads_batched=True, retain_graph=True
    )
    torch.testing.assert_close(batched.sum(0), torch.autograd.grad(rows.sum(), x)[0])


def test_negative_bit_tensors_are_read_right():
    x1, x2, target = randn(4, 8), randn(4, 8, seed=1), torch.tensor([1.0, -1.0, 1.0, -1.0])
    turned = torch.complex(torch.zeros(4), -target).conj().imag
    assert turned.is_neg()
    wanted = cosine_embedding_loss(x1, x2, target, reduction="none")
    torch.testing.assert_close(cosine_embedding_loss(x1, x2, turned, reduction="none"), wanted)
    minus = torch._neg_view(x1)  # pyright: ignore[reportPrivateImportUsage]
    torch.testing.assert_close(
        cosine_embedding_loss(minus, x2, target), cosine_embedding_loss(-x1, x2, target)
    )


def test_a_default_device_does_not_move_the_loss():
    x1 = randn(4, 8).requires_grad_()
    with torch.device("meta"):
        loss = cosine_embedding_loss(x1, randn_on_cpu(4, 8), torch.ones(4, device="cpu"))
    loss.backward()
    assert loss.device.type == "cpu"
    assert x1.grad is not None


def randn_on_cpu(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(3), device="cpu")


def test_targets_made_in_inference_mode():
    with torch.inference_mode():
        target, weight = torch.ones(4), torch.ones(4)
    x1 = randn(4, 8).requires_grad_()
    cosine_embedding_loss(x1, randn(4, 8, seed=1), target, weight=weight).backward()
    assert x1.grad is not None


@pytest.mark.parametrize("size", [1e-310, 1e308])
def test_weights_at_the_edge_of_their_range(size):
    x1, x2 = randn(4, 8).requires_grad_(), randn(4, 8, seed=1)
    weight = torch.tensor([1.0, 0.5, 0.25, 1.0], dtype=torch.float64)
    found = cosine_embedding_loss(x1, x2, torch.ones(4), weight=size * weight)
    wanted = cosine_embedding_loss(x1, x2, torch.ones(4), weight=weight)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad(found, x1), torch.autograd.grad(wanted, x1))


def test_gradients_of_denormal_float64_rows_overflow_only_where_they_must():
    x1 = torch.tensor([[1.0, 1e-3, 0.0]], dtype=torch.float64) * 1e-309
    x2 = torch.tensor([[1e-3, 1.0, 1e-3]], dtype=torch.float64)
    x1.requires_grad_()
    cosine_embedding_loss(x1, x2, torch.ones(1)).backward()
    assert x1.grad is not None
    assert x1.grad[0, 1].item() == -math.inf
    assert x1.grad[0, 0].item() == pytest.approx(1e306, rel=1e-3)
    assert x1.grad[0, 2].item() == pytest.approx(-1e306, rel=1e-3)


def test_the_largest_rows_there_are():
    largest = torch.finfo(torch.float64).max
    x1, x2 = torch.full((1, 4), largest, dtype=torch.float64), torch.ones(1, 4).double()
    for loss in (cosine_embedding_loss, torch.func.vmap(cosine_embedding_loss)):
        assert loss(x1, x2, -torch.ones(1)).item() == pytest.approx(1.0, abs=1e-15)


# ---- properties --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 9),
    d=st.integers(1, 40),
    seed=st.integers(0, 2**20),
    margin=st.floats(-1, 1),
    positive_margin=st.floats(-1, 1),
    powers=st.tuples(st.integers(-60, 60), st.integers(-60, 60)),
)
def test_symmetry_scaling_and_permutation(n, d, seed, margin, positive_margin, powers):
    x1, x2 = randn(n, d, seed=seed), randn(n, d, seed=seed + 1)
    target = randn(n, seed=seed + 2).sign()
    options = {"positive_margin": positive_margin, "reduction": "none"}
    rows = cosine_embedding_loss(x1, x2, target, margin, **options)
    assert torch.equal(rows, cosine_embedding_loss(x2, x1, target, margin, **options))
    scaled = cosine_embedding_loss(
        x1 * 2.0 ** powers[0], x2 * 2.0 ** powers[1], target, margin, **options
    )
    assert torch.equal(rows, scaled)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    permuted = cosine_embedding_loss(x1[order], x2[order], target[order], margin, **options)
    assert torch.equal(rows[order], permuted)
    assert bool(((rows >= 0) & (rows <= 2)).all())
    alone = [cosine_embedding_loss(x1[i], x2[i], target[i], margin, **options) for i in range(n)]
    assert torch.equal(rows, torch.stack(alone)), "a row alone is the row in a batch, bitwise"


# ---- modules and options -----------------------------------------------------------------------


def test_options_check_themselves_show_themselves_and_compare():
    options = CosineEmbeddingLossOptions(0.25, 0.5, "sum")
    assert repr(options) == (
        "CosineEmbeddingLossOptions(margin=0.25, positive_margin=0.5, reduction='sum')"
    )
    assert eval(repr(options)) == options
    assert options != CosineEmbeddingLossOptions(0.25)
    with pytest.raises(AttributeError):
        options.margin = 0.1  # type: ignore[misc]
    module = CosineEmbeddingLoss.from_options(options)
    assert module.options == options
    assert "margin=0.25, positive_margin=0.5, reduction='sum'" in repr(module)


@pytest.mark.parametrize("module", [CosineEmbeddingLoss(0.25), AllPairsCosineEmbeddingLoss(0.25)])
def test_modules_survive_pickle_and_deepcopy(module):
    assert repr(pickle.loads(pickle.dumps(module))) == repr(module)
    assert repr(copy.deepcopy(module)) == repr(module)
    assert list(module.parameters()) == []


def test_the_module_is_the_function():
    x1, x2, target = randn(5, 6), randn(5, 6, seed=1), torch.tensor([1, -1, 1, -1, 1])
    weight = torch.rand(5, generator=torch.Generator().manual_seed(2))
    module = CosineEmbeddingLoss(0.3, positive_margin=0.4, reduction="sum")
    assert torch.equal(
        module(x1, x2, target, weight),
        cosine_embedding_loss(
            x1, x2, target, 0.3, positive_margin=0.4, weight=weight, reduction="sum"
        ),
    )
    labels = torch.tensor([0, 0, 1, 1, 2])
    assert torch.equal(
        AllPairsCosineEmbeddingLoss(0.3, positive_margin=0.4, reduction="active")(x1, labels),
        all_pairs_cosine_embedding_loss(
            x1, labels, margin=0.3, positive_margin=0.4, reduction="active"
        ),
    )


def test_version_is_stated():
    assert cospair.__version__
