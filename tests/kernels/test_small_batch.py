"""Small batches, every pair at once: on every build, against all pairs in float64."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cospair import SweepStats, all_pairs_cosine_embedding_loss
from cospair.kernels import cpu_sweep
from cospair.kernels.sweeps import TIE

_cpu = pytest.importorskip("cospair.kernels._cpu")
BUILDS = list(_cpu.builds())
REDUCTIONS = ("sum", "mean", "balanced", "active")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def rows(n: int, d: int, *, seed: int = 0, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows near their class's mean, float64, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=generator)
    means = torch.randn(classes, d, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return means[labels] + 0.6 * noise, labels


def matrix(x, labels, margin, positive_margin, power, reduction):
    """The loss and its gradient from the n x n matrix in float64."""
    y = x.double().requires_grad_()
    unit = torch.nn.functional.normalize(y, dim=1)
    cosines = (unit @ unit.T).clamp(-1, 1)
    same = labels[:, None] == labels[None, :]
    pairs = torch.ones_like(same).triu(1)
    hinge = torch.where(same, positive_margin - cosines, cosines - margin)
    costs = torch.where(hinge > TIE, hinge, 0.0) ** power
    kinds = [same & pairs, ~same & pairs]
    of = {
        "sum": [1, 1],
        "mean": [pairs.sum()] * 2,
        "balanced": [kind.sum() for kind in kinds],
        "active": [(costs[kind] > 0).sum() for kind in kinds],
    }[reduction]
    means = [costs[kind].sum() / max(int(n), 1) for kind, n in zip(kinds, of, strict=True)]
    loss = means[0] + means[1]
    return float(loss.detach()), torch.autograd.grad(loss, y)[0]


def taken(x, labels, margins, power, reduction) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient of a batch that is taken at once."""
    found = cpu_sweep.small_batch(x, labels, margins, power, reduction, wanted=True)
    assert found is not None
    assert found[1] is not None
    return found[0], found[1]


@pytest.fixture(params=range(len(BUILDS)), ids=BUILDS)
def build(request, monkeypatch):
    monkeypatch.setattr(cpu_sweep, "_BUILD", request.param)


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("margin", "positive_margin"), [(0.25, 1.0), (0.0, 0.4), (-0.5, -0.5)])
def test_a_small_batch_is_its_matrix(dtype, reduction, power, margin, positive_margin):
    for n, d in ((2, 1), (3, 5), (17, 8), (40, 33), (64, 128)):
        x, labels = rows(n, d, seed=n)
        x = x.to(dtype)
        loss, gradient = taken(x, labels, (margin, positive_margin), power, reduction)
        truth, expected = matrix(x, labels, margin, positive_margin, power, reduction)
        assert loss.item() == pytest.approx(truth, rel=1e-13, abs=1e-14)
        assert gradient.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        bound = 1e-12 if dtype == torch.float64 else 1e-6
        largest = max(expected.abs().max().item(), 1e-3)
        assert (gradient.double() - expected).abs().max() <= bound * largest
        alone = cpu_sweep.small_batch(
            x, labels, (margin, positive_margin), power, reduction, wanted=False
        )
        assert alone is not None
        assert alone[1] is None
        assert torch.equal(alone[0], loss)


@settings(max_examples=300, deadline=None)
@given(
    n=st.integers(2, 70),
    d=st.integers(1, 70),
    classes=st.integers(1, 20),
    seed=st.integers(0, 2**20),
    margin=st.floats(-1, 1),
    positive_margin=st.just(1.0) | st.floats(-1, 1),
    power=st.sampled_from([1, 2]),
    reduction=st.sampled_from(REDUCTIONS),
    spread=st.sampled_from([1e-4, 1e-2, 1.0, 1e3]),
)
def test_at_once_and_swept_agree(
    n, d, classes, seed, margin, positive_margin, power, reduction, spread
):
    x, labels = rows(n, d, seed=seed, classes=classes)
    x = x[:1] + spread * x
    # a pair within a tie's distance of margin 1 costs nothing; whether it pulls differs
    unit = torch.nn.functional.normalize(x, dim=1)
    gaps = torch.cdist(unit, unit) ** 2 / 2
    assume(not bool(((gaps > 1e-20) & (gaps < 1e-12)).any()))
    options = {"margin": margin, "positive_margin": positive_margin}
    results = []
    for small in (n, 0):
        y = x.clone().requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cpu_sweep, "_SMALL_ROWS", small)
            loss = all_pairs_cosine_embedding_loss(
                y, labels, **options, power=power, reduction=reduction
            )
        results.append((loss.detach(), torch.autograd.grad(loss, y)[0]))
    (loss, gradient), (swept, expected) = results
    torch.testing.assert_close(loss, swept, rtol=1e-9, atol=1e-13)
    # unit rows pull by 4 at most and may cancel; the gradient is that over the row's length
    cancelled = 4e-15 * n / float(x.norm(dim=1).min())
    bound = cancelled + 1e-9 * float(expected.abs().max())
    torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=bound)


@pytest.mark.usefixtures("build")
def test_parallel_rows_cost_exactly_nothing():
    x = torch.tensor([[3.0, 1.0, 2.0], [6.0, 2.0, 4.0], [0.75, 0.25, 0.5]])
    loss, gradient = taken(x, torch.zeros(3, dtype=torch.int64), (0.0, 1.0), 1, "active")
    assert loss == 0
    assert not gradient.any()


@pytest.mark.usefixtures("build")
def test_nearly_parallel_rows_keep_their_figures():
    x = torch.tensor([[1.0, 0.0], [1.0, 1e-6]], dtype=torch.float64)
    loss, _ = taken(x, torch.tensor([5, 5]), (0.0, 1.0), 1, "sum")
    assert loss.item() == pytest.approx(0.5e-12, rel=1e-9)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf, 1e-100, 1e100])
def test_rows_of_extreme_length_are_left_to_the_sweep(value):
    x, labels = rows(6, 4)
    x[2] = value
    assert cpu_sweep.small_batch(x, labels, (0.0, 1.0), 1, "mean", wanted=True) is None
    found = all_pairs_cosine_embedding_loss(x, labels, margin=0.1)
    assert found.isnan() == (not math.isfinite(value))


def test_large_batches_are_left_to_the_sweep():
    for n, d in ((1, 4), (0, 4), (257, 1), (256, 256)):
        x, labels = rows(n, d)
        assert cpu_sweep.small_batch(x, labels, (0.0, 1.0), 1, "mean", wanted=False) is None
    x, labels = rows(256, 128)
    assert cpu_sweep.small_batch(x, labels, (0.0, 1.0), 1, "mean", wanted=False) is not None


def test_views_are_read_as_they_are():
    x, labels = rows(20, 24)
    margins = ((0.1, 1.0), 1, "active")
    whole = taken(x[::2, 4:20].contiguous(), labels[::2], *margins)
    view = taken(x[::2, 4:20], labels[::2], *margins)
    assert torch.equal(view[0], whole[0])
    assert torch.equal(view[1], whole[1])
    assert cpu_sweep.small_batch(x.T, labels.repeat(2)[:24], *margins, wanted=False) is None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.uint64])
def test_labels_of_any_width(dtype):
    x, labels = rows(12, 6)
    margins = ((0.1, 1.0), 1, "active")
    expected = cpu_sweep.small_batch(x, labels, *margins, wanted=False)
    found = cpu_sweep.small_batch(x, labels.to(dtype), *margins, wanted=False)
    assert expected is not None
    assert found is not None
    assert torch.equal(found[0], expected[0])


def test_stats_are_those_of_a_sweep_without_tiles(monkeypatch):
    x, labels = rows(30, 8)
    stats = SweepStats(), SweepStats()
    at_once = all_pairs_cosine_embedding_loss(x, labels, margin=0.2, stats=stats[0])
    monkeypatch.setattr(cpu_sweep, "_SMALL_ROWS", 0)
    swept = all_pairs_cosine_embedding_loss(x, labels, margin=0.2, stats=stats[1])
    torch.testing.assert_close(at_once, swept)
    for name in ("pairs", "active_genuine", "active_impostor"):
        assert getattr(stats[0], name) == getattr(stats[1], name) > 0
    assert stats[0].pairs_evaluated == 30 * 29 // 2
    assert stats[0].tiles == 0
    assert stats[1].tiles > 0


def test_who_wants_to_see_progress_is_shown_a_sweep():
    x, labels = rows(30, 8)
    told = []
    all_pairs_cosine_embedding_loss(
        x, labels, margin=0.2, progress=lambda done, of: told.append((done, of))
    )
    assert told


def test_a_default_device_changes_nothing():
    x, labels = rows(20, 8)
    options = {"margin": 0.1, "reduction": "active"}
    y = x.clone().requires_grad_()
    before = all_pairs_cosine_embedding_loss(y, labels, **options)
    (expected,) = torch.autograd.grad(before, y)
    with torch.device("meta"):
        found = all_pairs_cosine_embedding_loss(y, labels, **options)
        (gradient,) = torch.autograd.grad(found, y)
    assert torch.equal(found, before)
    assert torch.equal(gradient, expected)
