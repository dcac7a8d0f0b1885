import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.gradcheck import gradcheck, gradgradcheck

from cospair import (
    AllPairsReduction,
    all_pairs_cosine_embedding_loss,
    cosine_embedding_loss,
    kernels,
    sweep,
)
from cospair.kernels import reference_sweep, sweeps
from cospair.sweep import gradients

REDUCTIONS = ["none", "sum", "mean", "balanced", "active"]


def batch(n: int, d: int, classes: int, *, seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.randint(0, classes, (n,), generator=generator)


def by_pairs(x, labels, *, margin, positive_margin, reduction):
    """The same loss from the pair form over all i < j, one reduction after the other by hand."""
    pairs = list(itertools.combinations(range(len(labels)), 2))
    first, second = torch.tensor(pairs).T if pairs else (torch.empty(0, dtype=torch.long),) * 2
    same = labels[first] == labels[second]
    rows = cosine_embedding_loss(
        x[first], x[second], same, margin, positive_margin=positive_margin, reduction="none"
    )

    def mean(values):
        return values.mean() if len(values) else values.sum()

    if reduction == "none":
        return torch.zeros(len(x), len(x), dtype=x.dtype).index_put((first, second), rows)
    if reduction in ("sum", "mean"):
        return mean(rows) if reduction == "mean" else rows.sum()
    kinds = [rows[same], rows[~same]]
    if reduction == "active":
        kinds = [kind[kind > 0] for kind in kinds]
    return mean(kinds[0]) + mean(kinds[1])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("margin", "positive_margin"), [(0.0, 1.0), (0.25, 1.0), (0.3, 0.3), (-0.5, 0.9)]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_equals_the_pair_form_over_all_pairs(reduction, margin, positive_margin, dtype):
    x, labels = batch(23, 7, 5, dtype=dtype)
    options = {"margin": margin, "positive_margin": positive_margin, "reduction": reduction}
    x.requires_grad_()
    wide = x.detach().double().requires_grad_()
    found = all_pairs_cosine_embedding_loss(x, labels, **options)
    wanted = by_pairs(wide, labels, **options)
    # float64 rounds once from the same arithmetic; the others once more, as torch's defaults allow
    rtol, atol = (1e-10, 1e-13) if dtype == torch.float64 else (None, None)
    expected_dtype = torch.float32 if dtype == torch.float16 and reduction == "sum" else dtype
    torch.testing.assert_close(found, wanted.to(expected_dtype), rtol=rtol, atol=atol)
    upstream = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(1)).to(found.dtype)
    (gradient,) = torch.autograd.grad(found, x, upstream)
    (expected,) = torch.autograd.grad(wanted, wide, upstream.double())
    torch.testing.assert_close(gradient, expected.to(dtype), rtol=rtol, atol=atol)


def test_by_hand_from_angles():
    def at(degrees):
        return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]

    x = torch.tensor([at(0), at(60), at(90), at(180)], dtype=torch.float64)
    labels = torch.tensor([3, 3, 8, 8])
    # genuine: (0, 60) 1 - .5, (90, 180) 1 - 0;  impostor at margin .25: (60, 90) cos 30 - .25;
    # others under it
    impostor = math.sqrt(3) / 2 - 0.25
    wanted: dict[AllPairsReduction, float] = {
        "sum": 1.5 + impostor,
        "mean": (1.5 + impostor) / 6,
        "balanced": 1.5 / 2 + impostor / 4,
        "active": 1.5 / 2 + impostor,
    }
    for reduction, value in wanted.items():
        found = all_pairs_cosine_embedding_loss(x, labels, margin=0.25, reduction=reduction)
        assert found.item() == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("tile", [1, 3, 8, 1024])
@pytest.mark.parametrize("reduction", ["sum", "mean", "balanced", "active"])
def test_the_tile_size_of_the_reference_changes_nothing(tile, reduction, monkeypatch):
    x, labels = batch(29, 5, 6, seed=3)
    results = []
    for size in (1024, tile):
        monkeypatch.setattr(reference_sweep, "_TILE", size)
        y = x.clone().requires_grad_()
        loss = all_pairs_cosine_embedding_loss(
            y, labels, margin=0.2, reduction=reduction, kernel="reference"
        )
        results.append((loss.detach(), torch.autograd.grad(loss, y)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("n", [0, 1])
def test_no_pair_costs_nothing_and_has_a_graph(reduction, n):
    x = torch.randn(n, 4, requires_grad=True)
    loss = all_pairs_cosine_embedding_loss(x, torch.zeros(n, dtype=torch.long), reduction=reduction)
    loss.sum().backward()
    assert loss.sum().item() == 0.0
    assert x.grad is not None
    assert not bool(x.grad.any())


@pytest.mark.parametrize("reduction", ["mean", "balanced", "active"])
def test_an_empty_kind_adds_nothing(reduction):
    x, _ = batch(6, 4, 2)
    one_class = all_pairs_cosine_embedding_loss(
        x, torch.zeros(6, dtype=torch.long), reduction=reduction, positive_margin=1.0
    )
    cosines = torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=-1)
    upper = torch.ones(6, 6).triu(1).bool()
    torch.testing.assert_close(one_class, (1 - cosines[upper]).mean())
    singletons = all_pairs_cosine_embedding_loss(
        x, torch.arange(6), reduction=reduction, margin=-1.0
    )
    torch.testing.assert_close(singletons, (cosines[upper] + 1).mean())


def test_duplicates_cost_nothing_and_are_not_active():
    x, _ = batch(3, 16, 2, dtype=torch.float32)
    x = torch.cat([x, 2 * x]).requires_grad_()
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    loss = all_pairs_cosine_embedding_loss(x, labels, margin=1.0, reduction="active")
    assert loss.item() == 0.0
    assert not bool(torch.autograd.grad(loss, x)[0].any())


@pytest.mark.parametrize("factor", [1.0, 2.0, 3.0, 7.0, 0.1])
def test_parallel_rows_of_any_length_are_not_active(factor):
    x, _ = batch(2, 16, 2, dtype=torch.float32)
    rows = torch.stack([x[0], factor * x[0], x[1]])
    labels = torch.zeros(3, dtype=torch.long)
    expected = 1 - torch.nn.functional.cosine_similarity(x[0], x[1], dim=0)
    for call in (all_pairs_cosine_embedding_loss, torch.func.vmap(all_pairs_cosine_embedding_loss)):
        arguments = (
            (rows, labels)
            if call is all_pairs_cosine_embedding_loss
            else (rows[None], labels[None])
        )
        loss = call(*arguments, reduction="active").reshape(())
        torch.testing.assert_close(loss, expected)
    opposite = torch.cat([x, -factor * x])
    loss = all_pairs_cosine_embedding_loss(opposite, torch.arange(4), margin=-1.0, reduction="none")
    assert loss[0, 2].item() == loss[1, 3].item() == 0.0


def test_a_nan_row_spoils_its_own_gradient_alone():
    x, labels = batch(6, 4, 2, dtype=torch.float32)
    x[2, 1] = math.nan
    x.requires_grad_()
    loss = all_pairs_cosine_embedding_loss(x, labels, reduction="active")
    assert torch.autograd.grad(loss, x)[0].isnan().any(1).tolist() == [i == 2 for i in range(6)]


def test_zero_rows_have_cosine_zero_and_gradient_zero():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], requires_grad=True)
    loss = all_pairs_cosine_embedding_loss(
        x, torch.tensor([0, 0, 1]), margin=-0.5, reduction="none"
    )
    assert loss[0, 1].item() == 1.0
    assert loss[0, 2].item() == 0.5
    (gradient,) = torch.autograd.grad(
        all_pairs_cosine_embedding_loss(x, torch.tensor([0, 0, 1]), margin=-0.5), x
    )
    assert not bool(gradient[0].any())
    assert bool(gradient.isfinite().all())


def test_nan_is_not_lost():
    x, labels = batch(6, 4, 2)
    x[2, 1] = math.nan
    for reduction in ("sum", "mean", "balanced", "active"):
        loss = all_pairs_cosine_embedding_loss(x, labels, reduction=reduction)
        assert math.isnan(loss.item()), reduction


def test_labels_of_64_bits_stay_apart():
    x, _ = batch(4, 8, 2)
    labels = torch.tensor([2**60, 2**60 + 1, 2**60, 2**60 + 1])
    torch.testing.assert_close(
        all_pairs_cosine_embedding_loss(x, labels, margin=0.1),
        all_pairs_cosine_embedding_loss(x, torch.tensor([0, 1, 0, 1]), margin=0.1),
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_derivatives_of_first_and_second_order(reduction):
    x, labels = batch(7, 4, 3, seed=5)
    x.requires_grad_()

    def loss(y):
        return all_pairs_cosine_embedding_loss(
            y, labels, margin=0.1, positive_margin=0.8, reduction=reduction
        )

    assert gradcheck(loss, (x,), check_forward_ad=True)
    assert gradgradcheck(loss, (x,))


def test_compiles_without_graph_breaks():
    x, labels = batch(12, 4, 3)
    compiled = torch.compile(all_pairs_cosine_embedding_loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(
        compiled(x, labels, margin=0.1), all_pairs_cosine_embedding_loss(x, labels, margin=0.1)
    )


@pytest.mark.parametrize("positive_margin", [1.0, 0.5])
@pytest.mark.parametrize("kernel", ["reference", "cpu"])
def test_memory_stays_that_of_tiles(kernel, positive_margin):
    """At 6,000 rows one n x n float64 matrix would be 288 MB; no tensor may be a tenth of that."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.untyped_storage().nbytes())
            return out

    x, labels = batch(6000, 16, 100, dtype=torch.float32)
    hinges = sweep.Hinges(0.5, positive_margin, "active")
    given = sweep.Batch(x, labels)
    with Watch():
        gradients.loss_and_gradients(
            given, hinges, kernels.SWEEPS[kernel], sweeps.Watch(), wanted=(True, False)
        )
    assert 0 < largest <= 6000 * 6000 * 8 / 10


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(2, 20),
    classes=st.integers(1, 8),
    seed=st.integers(0, 2**20),
    margin=st.floats(-1, 1),
    reduction=st.sampled_from(["sum", "mean", "balanced", "active"]),
)
def test_permutation_changes_nothing(n, classes, seed, margin, reduction):
    x, labels = batch(n, 3, classes, seed=seed)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    options = {"margin": margin, "positive_margin": 0.9, "reduction": reduction}
    torch.testing.assert_close(
        all_pairs_cosine_embedding_loss(x, labels, **options),
        all_pairs_cosine_embedding_loss(x[order], labels[order], **options),
        rtol=1e-11,
        atol=1e-13,
    )
