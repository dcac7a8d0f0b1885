"""The loss over all pairs as its users meet it: two sides, weights, modules around it, peers."""

import itertools
import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import two_processes
from torch.library import opcheck
from torch.utils.checkpoint import checkpoint

from cospair import (
    AllPairsCosineEmbeddingLoss,
    AllPairsReduction,
    SweepStats,
    all_pairs_cosine_embedding_loss,
    cosine_embedding_loss,
    kernels,
)
from cospair.kernels import Kernel, cpu_sweep

REDUCTIONS: list[AllPairsReduction] = ["none", "sum", "mean", "balanced", "active"]
HINGES = [(0.0, 1.0), (0.25, 1.0), (0.3, 0.3), (-0.5, 0.9)]
KERNELS: list[Kernel] = ["cpu", "reference"]


@pytest.fixture(scope="module", autouse=True, params=["at once", "swept"])
def way(request):
    """Small batches are taken at once on the CPU; all of this holds where they are swept too."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "swept":
            patch.setattr(cpu_sweep, "_SMALL_ROWS", 0)
        yield request.param


def rows(n: int, d: int, classes: int, *, seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.randint(0, classes, (n,), generator=generator)


def pair_by_pair(
    x, labels, other, other_labels, weights, *, margin, positive_margin, reduction, power=1
):
    """The loss from the pair form, every pair of two sides a row of it."""
    n, m = len(labels), len(other_labels)
    first, second = torch.tensor(list(itertools.product(range(n), range(m)))).T
    same = labels[first] == other_labels[second]
    losses = cosine_embedding_loss(
        x[first], other[second], same, margin, positive_margin=positive_margin, reduction="none"
    ).pow(power)
    weight = torch.ones(n * m, dtype=torch.float64)
    if weights is not None:
        weight = weights[0][first] * weights[1][second]
    if reduction == "none":
        return (losses * weight).reshape(n, m)
    if reduction == "sum":
        return (losses * weight).sum()

    def mean(kind):
        if not bool(weight[kind].any()):
            return (0.0 * losses).sum()
        return (losses * weight)[kind].sum() / weight[kind].sum()

    if reduction == "mean":
        return mean(torch.ones_like(same))
    kinds = [same, ~same]
    if reduction == "active":
        kinds = [kind & (losses > 0) for kind in kinds]
    return mean(kinds[0]) + mean(kinds[1])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("margin", "positive_margin"), HINGES)
@pytest.mark.parametrize("power", [1, 2])
def test_two_sides_are_the_pair_form_over_all_their_pairs(
    power, margin, positive_margin, reduction, weighted, kernel
):
    x, labels = rows(9, 5, 4)
    other, other_labels = rows(13, 5, 6, seed=1)
    generator = torch.Generator().manual_seed(2)
    weights = [torch.rand(n, generator=generator, dtype=torch.float64) for n in (9, 13)]
    options = {"margin": margin, "positive_margin": positive_margin, "reduction": reduction}
    options["power"] = power
    found, wanted = [], []
    for results, call in ((found, 0), (wanted, 1)):
        a, b = x.clone().requires_grad_(), other.clone().requires_grad_()
        if call:
            given = weights if weighted else None
            loss = pair_by_pair(a, labels, b, other_labels, given, **options)
        else:
            given = {"weight": weights[0], "other_weight": weights[1]} if weighted else {}
            loss = all_pairs_cosine_embedding_loss(
                a, labels, b, other_labels, kernel=kernel, **given, **options
            )
        upstream = torch.rand(loss.shape, generator=torch.Generator().manual_seed(3)).double()
        results += [loss.detach(), *torch.autograd.grad(loss, (a, b), upstream)]
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_squared_hinges_by_hand():
    angles = torch.tensor([0.0, 60.0, 90.0], dtype=torch.float64).deg2rad()  # cosines .5, 0, .866
    x = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.tensor([7, 7, 8])
    genuine, impostors = (1 - 0.5) ** 2, [0.0, (0.75**0.5 - 0.25) ** 2]
    options = {"margin": 0.25, "power": 2}
    for kernel in KERNELS:
        found = all_pairs_cosine_embedding_loss(
            x, labels, reduction="active", kernel=kernel, **options
        )
        assert found.item() == pytest.approx(genuine + sum(impostors), rel=1e-12)
        found = all_pairs_cosine_embedding_loss(
            x, labels, reduction="balanced", kernel=kernel, **options
        )
        assert found.item() == pytest.approx(genuine + sum(impostors) / 2, rel=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("reduction", ["mean", "active", "none"])
def test_second_derivatives_of_squared_hinges(reduction, kernel):
    x, labels = rows(7, 4, 3)

    def loss(y):
        return all_pairs_cosine_embedding_loss(
            y, labels, margin=-0.1, power=2, reduction=reduction, kernel=kernel
        )

    assert torch.autograd.gradcheck(loss, x.requires_grad_())
    assert torch.autograd.gradgradcheck(loss, x)


def test_a_kernel_without_squares_is_refused_by_name_and_passed_over_by_auto(monkeypatch):
    monkeypatch.setattr(kernels.SWEEPS["cpu"], "POWERS", (1,))
    x, labels = rows(20, 5, 4)
    expected = all_pairs_cosine_embedding_loss(x, labels, power=2, kernel="reference")
    assert all_pairs_cosine_embedding_loss(x, labels, power=2).equal(expected)
    with pytest.raises(RuntimeError, match=r"kernel='cpu' .* power=2; use kernel='auto'"):
        all_pairs_cosine_embedding_loss(x, labels, power=2, kernel="cpu")


@pytest.mark.parametrize("wanted", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("positive_margin", [1.0, 0.4])
def test_either_side_alone_gets_its_gradient(wanted, positive_margin):
    x, labels = rows(20, 6, 5, dtype=torch.float32)
    other, other_labels = rows(30, 6, 5, seed=1, dtype=torch.float32)
    options = {"margin": 0.1, "positive_margin": positive_margin, "reduction": "active"}
    both = [x.clone().requires_grad_(), other.clone().requires_grad_()]
    expected = torch.autograd.grad(
        all_pairs_cosine_embedding_loss(both[0], labels, both[1], other_labels, **options), both
    )
    some = [y.clone().requires_grad_(w) for y, w in zip((x, other), wanted, strict=True)]
    all_pairs_cosine_embedding_loss(some[0], labels, some[1], other_labels, **options).backward()
    for side, gradient, wish in zip(some, expected, wanted, strict=True):
        assert (side.grad is not None) == wish
        if wish:
            torch.testing.assert_close(side.grad, gradient, rtol=0, atol=0)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("positive_margin", [1.0, 0.4])
@pytest.mark.parametrize("reduction", ["sum", "mean", "balanced", "active"])
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0), (1, 0), (1, 1)])
def test_sides_without_rows_cost_nothing(n, m, reduction, positive_margin, kernel):
    x = torch.randn(n, 4, requires_grad=True)
    other = torch.randn(m, 4, requires_grad=True)
    labels = [torch.zeros(k, dtype=torch.long) for k in (n, m)]
    loss = all_pairs_cosine_embedding_loss(
        x,
        labels[0],
        other,
        labels[1],
        positive_margin=positive_margin,
        reduction=reduction,
        kernel=kernel,
    )
    loss.backward()
    assert x.grad is not None
    assert other.grad is not None
    if n * m == 0:
        assert loss.item() == 0.0
        assert not bool(x.grad.any())
        assert not bool(other.grad.any())


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("side", ["x", "other"])
def test_a_nan_row_of_either_side_is_not_lost(side, kernel):
    given = {"x": rows(6, 4, 2)[0], "other": rows(7, 4, 2)[0]}
    given[side][2, 1] = math.nan
    x, other = (y.requires_grad_() for y in given.values())
    labels = [torch.arange(6) % 2, torch.arange(7) % 2]
    loss = all_pairs_cosine_embedding_loss(
        x, labels[0], other, labels[1], reduction="active", kernel=kernel
    )
    assert math.isnan(loss.item())
    gradients = dict(zip(given, torch.autograd.grad(loss, (x, other)), strict=True))
    for name, gradient in gradients.items():
        spoilt = gradient.isnan().any(1).nonzero().reshape(-1).tolist()
        assert spoilt == ([2] if name == side else [])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scale", [1e-39, 1e-30, 1e19, 1e37])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_rows_scale_changes_nothing(dtype, scale, kernel, way):
    """Powers of two near the scale, so that the scaled rows hold the same figures."""
    exponent = round(math.log2(scale)) * (7 if dtype == torch.float64 else 1)
    factor = torch.where(torch.arange(40) % 3 == 0, exponent, 0).double().exp2()[:, None]
    x, labels = rows(40, 8, 6, dtype=dtype)
    x = (
        x.sign() * (1 + x.abs().clamp(max=1).round())
    ).requires_grad_()  # 1 or 2: no figure is lost
    options = {"margin": 0.1, "reduction": "active", "kernel": kernel}
    plain = all_pairs_cosine_embedding_loss(x, labels, **options)
    (gradient,) = torch.autograd.grad(plain, x)
    scaled = (x.detach().double() * factor).to(dtype).requires_grad_()
    found = all_pairs_cosine_embedding_loss(scaled, labels, **options)
    torch.testing.assert_close(found, plain)
    (other,) = torch.autograd.grad(found, scaled)
    expected = gradient.double() / factor
    kept = expected.abs().amax(1) < torch.finfo(dtype).max / 4
    expected = expected[kept].to(dtype).double()
    if way == "swept" or kernel == "reference":
        torch.testing.assert_close(other.double()[kept], expected)
        return
    # the plain batch is taken at once, the scaled one swept: they round differently
    error = (other.double()[kept] - expected) / expected.abs().amax(1, keepdim=True)
    assert error.abs().max() < {torch.float64: 1e-13, torch.float32: 1e-5}.get(dtype, 1e-2)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("positive_margin", [1.0, 0.5])
def test_labels_of_any_width_and_sign(kernel, positive_margin):
    x, labels = rows(30, 5, 6)
    options = {"margin": 0.1, "positive_margin": positive_margin, "kernel": kernel}
    expected = all_pairs_cosine_embedding_loss(x, labels, **options)
    for other in (
        labels.to(torch.uint8),
        (labels - 3).to(torch.int8),
        labels.to(torch.int16),
        (labels - 2**31 + 2**32).to(torch.int64),
        labels * 2**60 - 2**62,
        torch.tensor([2**63 + int(label) for label in labels], dtype=torch.uint64),
    ):
        found = all_pairs_cosine_embedding_loss(x, other, **options)
        torch.testing.assert_close(found, expected)
        two = all_pairs_cosine_embedding_loss(x, other, x, other, **options)
        wanted = all_pairs_cosine_embedding_loss(x, labels, x, labels, **options)
        torch.testing.assert_close(two, wanted)


@pytest.mark.parametrize("kernel", KERNELS)
def test_weights_of_one_and_repeats(kernel):
    """A weight of 2 counts a row twice in every pair with others."""
    x, labels = rows(12, 4, 3)
    other, other_labels = rows(8, 4, 3, seed=1)
    options = {"margin": 0.1, "reduction": "active", "kernel": kernel}
    weight = torch.ones(12, dtype=torch.float64)
    plain = all_pairs_cosine_embedding_loss(x, labels, other, other_labels, **options)
    ones = all_pairs_cosine_embedding_loss(x, labels, other, other_labels, weight=weight, **options)
    torch.testing.assert_close(ones, plain)
    weight[4] = 2.0
    repeated = [torch.cat([y, y[4:5]]) for y in (x, labels)]
    torch.testing.assert_close(
        all_pairs_cosine_embedding_loss(x, labels, other, other_labels, weight=weight, **options),
        all_pairs_cosine_embedding_loss(repeated[0], repeated[1], other, other_labels, **options),
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("unit", [2.0**-60, 2.0**40])
@pytest.mark.parametrize("reduction", ["mean", "active", "sum"])
def test_the_unit_of_weights_does_not_overflow(reduction, unit, kernel):
    x, labels = rows(12, 4, 3, dtype=torch.float32)
    weight = torch.rand(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    options = {"margin": 0.1, "reduction": reduction, "kernel": kernel}
    small = (x * 2.0**-85).requires_grad_()
    found = all_pairs_cosine_embedding_loss(small, labels, weight=weight * unit, **options)
    expected = all_pairs_cosine_embedding_loss(x, labels, weight=weight, **options)
    scale = unit**2 if reduction == "sum" else 1.0
    torch.testing.assert_close(found.double() / scale, expected.double(), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(found, small)
    assert bool(gradient.isfinite().all()) or reduction == "sum"


@pytest.mark.parametrize("kernel", KERNELS)
def test_negative_views_are_what_they_show(kernel):
    x, labels = rows(12, 4, 3)
    shown = torch.complex(torch.zeros_like(x), x).conj().imag  # -x, not yet written down
    assert shown.is_neg()
    found = all_pairs_cosine_embedding_loss(shown, labels, x, labels, margin=0.1, kernel=kernel)
    expected = all_pairs_cosine_embedding_loss(-x, labels, x, labels, margin=0.1, kernel=kernel)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_weight_may_be_learned():
    x, labels = rows(9, 4, 3)
    weight = torch.rand(9, dtype=torch.float64, requires_grad=True)

    def loss(w):
        return all_pairs_cosine_embedding_loss(x, labels, margin=0.1, weight=w)

    assert torch.autograd.gradcheck(loss, (weight,))


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"other": torch.ones(2, 3)}, ValueError, "other and other_labels must be given together"),
        ({"other_labels": torch.ones(2).long()}, ValueError, "add other$"),
        ({"other_weight": torch.ones(2)}, ValueError, "other_weight must come with other"),
        (
            {"other": torch.ones(2, 4), "other_labels": torch.ones(2).long()},
            ValueError,
            r"same number of features, got \(4, 3\) and \(2, 4\)",
        ),
        (
            {"other": torch.ones(2, 3), "other_labels": torch.ones(2)},
            TypeError,
            "other_labels must be integers, got torch.float32",
        ),
        (
            {"other": torch.ones(2, 3), "other_labels": torch.ones(3).long()},
            ValueError,
            r"other_labels must have shape \(2,\), got \(3,\)",
        ),
        (
            {"other": torch.ones(3), "other_labels": torch.ones(3).long()},
            ValueError,
            r"other must be \(N, D\), got \(3,\)",
        ),
        (
            {"other": torch.ones(2, 3), "other_labels": torch.ones(2).to(torch.uint64)},
            TypeError,
            "must both be uint64 or neither",
        ),
        (
            {"weight": torch.ones(3)},
            ValueError,
            r"weight must have the shape of labels, \(4,\), got \(3,\)",
        ),
        ({"weight": -torch.ones(4)}, ValueError, r"not negative, got -1.0 at row 0"),
        ({"weight": torch.ones(4).long()}, TypeError, "weight must be a floating-point tensor"),
        ({"kernel": "numba"}, ValueError, "kernel must be one of"),
        ({"reduction": "max"}, ValueError, "reduction"),
        ({"power": 3}, ValueError, r"power must be 1 \(hinges\) or 2 \(squared hinges\), got 3"),
    ],
)
def test_what_does_not_fit_is_named(changed, error, text):
    with pytest.raises(error, match=text):
        all_pairs_cosine_embedding_loss(torch.ones(4, 3), torch.arange(4), **changed)


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_side_out_of_reach_widens_both(kernel):
    """bfloat16 rows of 1e-38 are swept in float32, and so is the side that they meet."""
    x, labels = rows(12, 6, 3, dtype=torch.bfloat16)
    other, other_labels = rows(9, 6, 3, seed=1, dtype=torch.bfloat16)
    small = (x * 2.0**-124).requires_grad_()
    other.requires_grad_()
    found = all_pairs_cosine_embedding_loss(
        small, labels, other, other_labels, margin=0.1, kernel=kernel
    )
    expected = all_pairs_cosine_embedding_loss(
        x, labels, other, other_labels, margin=0.1, kernel=kernel
    )
    torch.testing.assert_close(found, expected, rtol=2**-7, atol=0)  # small rows lost some bits
    gradients = torch.autograd.grad(found, (small, other))
    assert [g.dtype for g in gradients] == [torch.bfloat16] * 2
    torch.testing.assert_close(
        gradients[1], torch.autograd.grad(expected, other)[0], rtol=0.1, atol=1e-3
    )


def test_a_kernel_that_cannot_run_says_why():
    with pytest.raises(RuntimeError, match="kernel='cpu' must be able to run"):
        all_pairs_cosine_embedding_loss(
            torch.ones(4, 3, device="meta"), torch.arange(4, device="meta"), kernel="cpu"
        )


# ---- what surrounds a loss in a training run ---------------------------------------------------


def test_loss_scaling_does_not_underflow_float16():
    x, labels = rows(64, 16, 8, dtype=torch.float16)
    small = (x * 256).requires_grad_()  # gradients of 1e-8
    loss = all_pairs_cosine_embedding_loss(small, labels, margin=0.1)
    (scaled,) = torch.autograd.grad(loss, small, torch.tensor(2.0**15, dtype=torch.float16))
    wide = small.detach().double().requires_grad_()
    expected = all_pairs_cosine_embedding_loss(wide, labels, margin=0.1)
    (truth,) = torch.autograd.grad(expected, wide)
    torch.testing.assert_close(scaled.double(), truth * 2.0**15, rtol=1e-3, atol=1e-6)


def test_a_retained_graph_gives_the_same_again():
    x, labels = rows(20, 5, 4, dtype=torch.float32)
    x.requires_grad_()
    loss = all_pairs_cosine_embedding_loss(x, labels, margin=0.1)
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    kept = first.clone()
    first.zero_()  # the user's now
    (second,) = torch.autograd.grad(loss, x, torch.tensor(2.0))
    torch.testing.assert_close(second, 2 * kept)


def test_rows_changed_in_place_before_backward_are_noticed():
    x, labels = rows(20, 5, 4)
    y = x.requires_grad_() * 1
    loss = all_pairs_cosine_embedding_loss(y, labels)
    y.data.add_(0)  # unseen by design
    with torch.no_grad():
        y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_autocast_computes_in_float32():
    x, labels = rows(30, 8, 5, dtype=torch.bfloat16)
    x.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = all_pairs_cosine_embedding_loss(x, labels, margin=0.1)
    assert loss.dtype == torch.float32
    loss.backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16


def encoder_and_batch():
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 6))
    return encoder, torch.randn(40, 8), torch.arange(40) % 7


def gradients_of(encoder, loss):
    encoder.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in encoder.parameters()]


def test_gradient_checkpointing_changes_nothing():
    encoder, pictures, labels = encoder_and_batch()
    criterion = AllPairsCosineEmbeddingLoss(0.2, reduction="active")
    expected = gradients_of(encoder, criterion(encoder(pictures), labels))

    def step(x):
        return criterion(encoder(x), labels)

    found = gradients_of(encoder, checkpoint(step, pictures, use_reentrant=False))
    torch.testing.assert_close(found, expected)


WRAPPED = """
import torch
from cospair import AllPairsCosineEmbeddingLoss
from cospair.kernels import cpu_sweep

given = torch.load(f"{folder}/given.pt", weights_only=False)
encoder, pictures, labels, cpu_sweep._SMALL_ROWS = given
share = slice(rank, None, 2)
wrapped = torch.nn.parallel.DistributedDataParallel(encoder)
criterion = AllPairsCosineEmbeddingLoss(0.2, reduction="active")
criterion(wrapped(pictures[share]), labels[share]).backward()
torch.save([p.grad for p in encoder.parameters()], f"{folder}/{rank}.pt")
"""


def test_inside_distributed_data_parallel(tmp_path):
    encoder, pictures, labels = encoder_and_batch()
    torch.save((encoder, pictures, labels, cpu_sweep._SMALL_ROWS), tmp_path / "given.pt")
    two_processes(WRAPPED, tmp_path)
    criterion = AllPairsCosineEmbeddingLoss(0.2, reduction="active")
    shares = [
        gradients_of(encoder, criterion(encoder(pictures[rank::2]), labels[rank::2]))
        for rank in range(2)
    ]
    expected = [(first + second) / 2 for first, second in zip(*shares, strict=True)]
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), expected)


@pytest.mark.parametrize("two_sides", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "active"])
def test_the_operator(reduction, two_sides):
    x, labels = rows(20, 5, 4, dtype=torch.float32)
    sides = (None, None)
    if two_sides:
        other, other_labels = rows(15, 5, 4, seed=1, dtype=torch.float32)
        sides = (other.requires_grad_(), other_labels)
    power = 2 if two_sides else 1
    given = (x.requires_grad_(), labels, *sides, None, None, 0.1, 1.0, reduction, power, "auto")
    opcheck(torch.ops.cospair.all_pairs_loss.default, (*given, True, two_sides))


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Inductor is tried where torch is pinned")
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_compiled_step_is_one_graph_and_sweeps_once(backend, dtype, monkeypatch):
    monkeypatch.setattr(cpu_sweep, "_SMALL_ROWS", 0)  # sweeps are what is counted
    encoder, pictures, labels = encoder_and_batch()
    encoder, pictures = encoder.to(dtype), pictures.to(dtype)
    criterion = AllPairsCosineEmbeddingLoss(0.2, positive_margin=0.6, reduction="active")
    expected_loss = criterion(encoder(pictures), labels)
    expected = gradients_of(encoder, expected_loss)
    sweeps = []
    whole = kernels.SWEEPS["cpu"].hinge_sweep

    def counted(*given, **options):
        sweeps.append(given)
        return whole(*given, **options)

    monkeypatch.setattr(kernels.SWEEPS["cpu"], "hinge_sweep", counted)
    compiled = torch.compile(lambda x, y: criterion(encoder(x), y), fullgraph=True, backend=backend)
    loss = compiled(pictures, labels)
    torch.testing.assert_close(loss, expected_loss)
    torch.testing.assert_close(gradients_of(encoder, loss), expected)
    assert len(sweeps) == 2  # impostors, and genuine pairs under 0.6


def test_no_gradient_is_made_where_none_is_wanted():
    x, labels = rows(50, 6, 9)
    x.requires_grad_()
    with torch.no_grad():
        assert all_pairs_cosine_embedding_loss(x, labels).grad_fn is None


def test_progress_is_told_by_tiles():
    x, labels = rows(2000, 8, 300, dtype=torch.float32)
    for kernel in KERNELS:
        told: list[tuple[int, int]] = []
        all_pairs_cosine_embedding_loss(
            x,
            labels,
            margin=0.2,
            kernel=kernel,
            progress=lambda done, of, told=told: told.append((done, of)),
        )
        assert told
        assert told[-1][0] == told[-1][1]


def test_stats_tell_what_happened():
    x, labels = rows(2000, 64, 250, dtype=torch.float32)
    seen = {}
    for kernel in KERNELS:
        stats = SweepStats()
        all_pairs_cosine_embedding_loss(x, labels, margin=0.3, kernel=kernel, stats=stats)
        assert stats.pairs == 2000 * 1999 // 2
        assert stats.tiles == stats.tiles_dense + stats.tiles_screened or kernel == "reference"
        seen[kernel] = (stats.active_genuine, stats.active_impostor)
    assert len(set(seen.values())) == 1


# ---- against others' ---------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    n=st.integers(2, 40),
    d=st.integers(1, 24),
    classes=st.integers(1, 20),
    seed=st.integers(0, 2**20),
    margin=st.sampled_from([-1.0, -0.25, 0.0, 0.25, 0.5, 1.0]) | st.floats(-1, 1),
    positive_margin=st.sampled_from([1.0, 0.5, 0.0]) | st.floats(-1, 1),
    reduction=st.sampled_from(["sum", "mean", "balanced", "active"]),
    power=st.sampled_from([1, 2]),
    duplicated=st.booleans(),
)
def test_kernels_agree_with_the_matrix(
    n, d, classes, seed, margin, positive_margin, reduction, power, duplicated
):
    x, labels = rows(n, d, classes, seed=seed, dtype=torch.float32)
    if duplicated:
        x[n // 2 :] = x[: n - n // 2].clone()
        x[0] = 0.0
    options = {"margin": margin, "positive_margin": positive_margin, "reduction": reduction}
    options["power"] = power
    results = []
    for kernel in ("matrix", *KERNELS):
        y = x.double().requires_grad_() if kernel == "matrix" else x.clone().requires_grad_()
        if kernel == "matrix":
            weight = torch.ones(n, dtype=torch.float64, requires_grad=True)  # takes the n x n form
            loss = all_pairs_cosine_embedding_loss(y, labels, weight=weight, **options)
        else:
            loss = all_pairs_cosine_embedding_loss(y, labels, kernel=kernel, **options)
        results.append((loss.detach().double(), torch.autograd.grad(loss, y)[0].double()))
    truth = results[0]
    # pulls of float32 that cancel leave their rounding: a pair pulls by 1 at most, squared by 4
    largest = max(truth[1].abs().max().item(), 1e-2)
    for loss, gradient in results[1:]:
        torch.testing.assert_close(loss, truth[0], rtol=1e-6, atol=1e-7)
        # the issue of a float32 gradient is float32's: 1e-5 of the largest, of rows of any length
        torch.testing.assert_close(gradient, truth[1], rtol=1e-5, atol=1e-5 * largest)


@pytest.mark.parametrize("margin", [0.0, 0.25, 0.5])
def test_equals_the_contrastive_loss_of_pytorch_metric_learning(margin):
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    theirs = losses.ContrastiveLoss(
        pos_margin=1.0, neg_margin=margin, distance=distances.CosineSimilarity()
    )
    x, labels = rows(120, 16, 15, dtype=torch.float32)
    results = []
    for loss in (theirs, AllPairsCosineEmbeddingLoss(margin, reduction="active")):
        y = x.clone().requires_grad_()
        value = loss(y, labels)
        results.append((value.detach(), torch.autograd.grad(value, y)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-7)
