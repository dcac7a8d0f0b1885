import copy
import gc
import io
import math
import pickle
import weakref
from collections import deque

import pytest
import tolerances
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import two_processes
from torch import Tensor

from cospair import AllPairsCosineEmbeddingLoss
from cospair.memory import CrossBatchMemory

REDUCTIONS = ["mean", "sum", "balanced", "active"]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def batch(n: int, seed: int, *, d: int = 8, classes: int = 4, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.randint(classes, (n,), generator=generator)


def term(
    x: Tensor,
    labels: Tensor,
    other: Tensor,
    other_labels: Tensor,
    *,
    reduction: str,
    margin: float,
    positive_margin: float = 1.0,
    within: bool = False,
) -> Tensor:
    """The definition, n x m, in float64; `within` keeps the pairs i < j alone."""
    a, b = (torch.nn.functional.normalize(rows.double(), dim=1) for rows in (x, other))
    s, same = a @ b.T, labels[:, None] == other_labels[None, :]
    taken = torch.ones_like(same).triu(1) if within else torch.ones_like(same)
    genuine = torch.relu(positive_margin - s)[same & taken]
    impostor = torch.relu(s - margin)[~same & taken]
    if reduction == "sum":
        return genuine.sum() + impostor.sum()
    if reduction == "mean":
        return (genuine.sum() + impostor.sum()) / max(genuine.numel() + impostor.numel(), 1)
    counts = [
        int((kind > 0).sum()) if reduction == "active" else kind.numel()
        for kind in (genuine, impostor)
    ]
    return genuine.sum() / max(counts[0], 1) + impostor.sum() / max(counts[1], 1)


# ---- the loss ----------------------------------------------------------------------------------


def test_values_by_hand():
    memory = CrossBatchMemory(4, 2, margin=0.5, reduction="sum", memory_weight=0.5)
    labels = torch.tensor([7, 8])
    first = memory(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), labels)
    assert first.item() == 0.0, "orthogonal impostors, and nothing to compare them with"
    second = memory(torch.tensor([[0.6, 0.8], [0.8, 0.6]]), labels)
    # within: 0.96 - 0.5; against the bank: genuine 1 - 0.6 twice, impostor 0.8 - 0.5 twice
    torch.testing.assert_close(second, torch.tensor(0.46 + 0.5 * 1.4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_values_and_gradients_over_many_steps_are_the_definitions(reduction, dtype):
    options = {"reduction": reduction, "margin": 0.2, "positive_margin": 0.9}
    memory = CrossBatchMemory(23, 8, memory_weight=0.7, dtype=dtype, **options)
    kept: deque[tuple[Tensor, Tensor]] = deque(maxlen=23)
    for step, n in enumerate([6, 0, 1, 9, 10, 40, 3, 5]):  # under, over and beside the bank's size
        x, labels = batch(n, seed=step, dtype=dtype)
        x.requires_grad_()
        rows = torch.stack([row for row, _ in kept]) if kept else torch.zeros(0, 8)
        row_labels = torch.tensor([label for _, label in kept], dtype=torch.int64)
        loss = memory(x, labels)
        (found,) = torch.autograd.grad(loss, x)
        truth = term(x, labels, x, labels, within=True, **options)
        truth = truth + 0.7 * term(x, labels, rows, row_labels, **options)
        (gradient,) = torch.autograd.grad(truth, x)
        assert loss.dtype == dtype
        # cosines are float64 inside; what is left is the rounding of a sum of some 900 pairs
        rtol = max(tolerances.relative(dtype), 1e-12)
        torch.testing.assert_close(loss.double(), truth, rtol=rtol, atol=1e-13)
        torch.testing.assert_close(
            found, gradient, rtol=2 * rtol, atol=float(gradient.abs().max()) * 2 * rtol if n else 0
        )
        kept.extend(zip(x.detach(), labels, strict=True))
    assert len(memory) == 23


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_first_batch_costs_what_it_costs_without_a_bank(reduction):
    x, labels = batch(12, seed=1)
    memory = CrossBatchMemory(50, 8, reduction=reduction, margin=0.1, dtype=torch.float64)
    alone = AllPairsCosineEmbeddingLoss(0.1, reduction=reduction)(x, labels)
    assert torch.equal(memory(x, labels), alone), "a row must not meet itself in the bank"


def test_gradient_of_the_sum_is_that_of_the_papers_memory_term():
    # the paper's memory holds the batch too: detached, and without the pairs of a row with itself
    memory = CrossBatchMemory(30, 8, margin=0.3, reduction="sum", dtype=torch.float64)
    memory.add(*batch(20, seed=2))
    x, labels = batch(7, seed=3)
    x.requires_grad_()
    held = torch.cat([memory.embeddings, x.detach()]), torch.cat([memory.labels, labels])
    (found,) = torch.autograd.grad(memory(x, labels), x)
    (paper,) = torch.autograd.grad(term(x, labels, *held, reduction="sum", margin=0.3), x)
    # a row's pair with itself has gradient 0 in float64 but for some units of rounding
    torch.testing.assert_close(found, paper, rtol=1e-11, atol=1e-13)


def test_slots_not_filled_yet_are_nobodys_pair():
    # label 0 and zeros are what an empty slot holds; a genuine pair with one would cost 1
    memory = CrossBatchMemory(100, 2, reduction="sum", dtype=torch.float64)
    memory.add(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    x, labels = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    assert memory(x, labels).item() == 0.0


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("filled", [0, 5, 9, 14])
def test_masked_slots_give_the_same_loss_as_read_ones(reduction, filled, monkeypatch):
    memory = CrossBatchMemory(9, 8, margin=0.1, reduction=reduction, dtype=torch.float64).eval()
    memory.add(*batch(filled, seed=4))
    x, labels = batch(6, seed=5)
    x.requires_grad_()
    read = memory(x, labels)
    wanted = torch.autograd.grad(read, x)
    monkeypatch.setattr("cospair.kernels.is_plain", lambda *_: False)
    masked = memory(x, labels)
    assert memory._bank()[0].shape == (9, 8)
    # the same pairs, summed in another order
    torch.testing.assert_close(masked, read, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(torch.autograd.grad(masked, x), wanted, rtol=1e-11, atol=1e-14)


def test_gradients_wanted_after_later_batches_came_in():
    memory = CrossBatchMemory(8, 8, margin=0.1, reduction="sum", dtype=torch.float64)
    other = copy.deepcopy(memory)
    inputs = [batch(6, seed=seed) for seed in range(4)]
    for x, _ in inputs:
        x.requires_grad_()
    losses = [memory(x, labels) for x, labels in inputs]
    together = torch.autograd.grad(torch.stack(losses).sum(), [x for x, _ in inputs])
    for (x, labels), found in zip(inputs, together, strict=True):
        (at_once,) = torch.autograd.grad(other(x, labels), x)
        torch.testing.assert_close(found, at_once, rtol=1e-12, atol=1e-14)  # rounding


def test_second_derivatives_see_the_bank_the_loss_saw():
    memory = CrossBatchMemory(4, 3, reduction="sum", dtype=torch.float64)
    memory.add(*batch(4, seed=6, d=3))
    x, labels = batch(4, seed=7, d=3)
    x.requires_grad_()
    held = memory.embeddings.clone(), memory.labels.clone()
    options = {"reduction": "sum", "margin": 0.0}

    def twice(loss: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), x)[0]

    wanted = twice(
        term(x, labels, x, labels, within=True, **options) + term(x, labels, *held, **options)
    )
    torch.testing.assert_close(twice(memory(x, labels)), wanted, rtol=1e-10, atol=1e-12)  # rounding


@pytest.mark.parametrize("n", [0, 1])
def test_a_batch_without_pairs_has_loss_0_with_a_graph(n):
    x, labels = batch(n, seed=8)
    x.requires_grad_()
    loss = CrossBatchMemory(5, 8, dtype=torch.float64)(x, labels)
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad is not None
    assert not x.grad.any()


@pytest.mark.parametrize("kernel", ["auto", "reference"])
def test_both_terms_are_the_public_loss_with_the_options(kernel, monkeypatch):
    seen = []

    def spy(*tensors, other_weight=None, **options):
        seen.append((len(tensors), other_weight, options))
        return torch.ones(())

    monkeypatch.setattr("cospair.memory.all_pairs_cosine_embedding_loss", spy)
    options = {"margin": 0.2, "positive_margin": 0.6, "reduction": "balanced", "kernel": kernel}
    options["power"] = 2
    memory = CrossBatchMemory(4, 8, memory_weight=3.0, **options)
    assert memory(*batch(2, seed=22)).item() == 4.0
    assert seen == [(2, None, options), (4, None, options)]


# ---- when a batch is added ---------------------------------------------------------------------


def test_only_training_mode_adds():
    memory = CrossBatchMemory(5, 8)
    x, labels = batch(3, seed=9, dtype=torch.float32)
    assert len(memory) == 0
    memory.eval()(x, labels)
    assert len(memory) == 0
    with torch.no_grad():
        memory.train()(x, labels)
    assert torch.equal(memory.embeddings, x)
    with torch.inference_mode():
        memory(x + 1, labels)
    memory(x, labels)
    assert memory.added.item() == 9


def test_a_refused_batch_leaves_the_bank_alone():
    memory = CrossBatchMemory(5, 8)
    memory.add(*batch(3, seed=10))
    before = copy.deepcopy(memory.state_dict())
    with pytest.raises(TypeError, match="labels must be integers"):
        memory(torch.ones(2, 8), torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(dict(memory.state_dict()), dict(before), rtol=0, atol=0)


def test_the_bank_keeps_no_graph_alive():
    memory = CrossBatchMemory(5, 8)
    x, labels = batch(3, seed=11, dtype=torch.float32)
    x.requires_grad_()
    embeddings = x * 2
    memory(embeddings, labels).backward()
    alive = weakref.ref(embeddings)
    del embeddings
    gc.collect()
    assert alive() is None
    assert not memory.rows.requires_grad
    assert memory.rows.grad_fn is None
    assert list(memory.parameters()) == []


# ---- the ring ----------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(size=st.integers(1, 7), batches=st.lists(st.integers(0, 17), max_size=9))
def test_the_ring_holds_the_last_rows_each_once(size, batches):
    memory = CrossBatchMemory(size, 1)
    kept: deque[int] = deque(maxlen=size)
    count = 0
    for n in batches:
        labels = torch.arange(count, count + n)
        memory.add(labels[:, None].float(), labels)
        kept.extend(range(count, count + n))
        count += n
        oldest = count % size if count >= size else 0
        assert torch.roll(memory.labels, -oldest).tolist() == list(kept)
        assert memory.embeddings[:, 0].tolist() == memory.labels.tolist()
        assert len(memory) == len(kept)


def test_clear_empties_the_bank():
    memory = CrossBatchMemory(3, 8)
    memory.add(*batch(5, seed=12))
    memory.clear()
    fresh = CrossBatchMemory(3, 8).state_dict()
    torch.testing.assert_close(dict(memory.state_dict()), dict(fresh), rtol=0, atol=0)
    assert memory.embeddings.shape == (0, 8)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16]
)
def test_labels_of_every_width_meet_those_in_the_bank(dtype):
    memory = CrossBatchMemory(4, 2, reduction="sum")
    labels = torch.tensor([torch.iinfo(dtype).max, 3]).to(dtype)
    x = torch.eye(2)
    memory(x, labels)
    assert memory.labels.tolist() == [torch.iinfo(dtype).max, 3]
    assert memory(x, labels).item() == 0.0, "equal rows of equal labels and orthogonal impostors"


def test_labels_are_kept_exactly():
    near = torch.tensor([2**53, 2**53 + 1, -(2**63)])
    memory = CrossBatchMemory(6, 3, reduction="sum")
    memory.add(torch.eye(3), near)
    assert memory.labels.tolist() == near.tolist()
    # the first row of label 2**53 meets itself and, were labels rounded, a genuine pair of cost 1
    assert memory(torch.eye(3)[:1], near[:1]).item() == 0.0
    assert memory.to(torch.float16).row_labels.dtype == torch.int64


def test_unsigned_labels_beyond_int64_stay_apart_and_together():
    labels = torch.tensor([-1, -2]).view(torch.uint64)  # 2**64 - 1 and 2**64 - 2
    memory = CrossBatchMemory(4, 2, reduction="sum")
    memory(torch.eye(2), labels)
    assert memory(torch.eye(2), labels).item() == 0.0
    assert memory.labels.view(torch.uint64).tolist() == 2 * [2**64 - 1, 2**64 - 2]


# ---- dtypes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bank", DTYPES)
def test_embeddings_and_bank_of_any_dtype_meet_in_the_promoted_one(dtype, bank):
    memory = CrossBatchMemory(16, 8, margin=0.1, dtype=bank)
    losses = []
    for seed in range(2):
        x, labels = batch(8, seed=seed, dtype=dtype)
        losses.append(memory(x, labels))
    assert [loss.dtype for loss in losses] == 2 * [torch.promote_types(dtype, bank)]
    assert memory.rows.dtype == bank
    x, labels = batch(8, seed=0)
    y, y_labels = batch(8, seed=1)
    options = {"reduction": "mean", "margin": 0.1}
    truth = term(y, y_labels, y, y_labels, within=True, **options)
    truth += term(y, y_labels, x, labels, **options)
    # rows rounded to the narrower dtype: a cosine of 8 terms moves by a few of its eps
    eps = max(torch.finfo(dtype).eps, torch.finfo(bank).eps)
    torch.testing.assert_close(losses[1].double(), truth, rtol=4 * eps, atol=0)


def test_rows_of_the_banks_own_dtype_or_a_narrower_one_are_kept_bitwise():
    memory = CrossBatchMemory(8, 8)
    for seed, dtype in enumerate([torch.float32, torch.bfloat16, torch.float16]):
        x, labels = batch(8, seed=seed, dtype=dtype)
        memory.add(x * 100, labels)
        assert torch.equal(memory.embeddings, (x * 100).float())


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e-7, 1.0, 1e6, 1e30, 1e300])
@pytest.mark.parametrize("bank", DTYPES)
def test_the_scale_of_a_row_does_not_matter_to_a_narrower_bank(bank, scale):
    memory = CrossBatchMemory(8, 8, dtype=bank).eval()
    x, labels = batch(8, seed=13)
    memory.add(x, labels)
    wanted = memory(x, labels)
    memory.clear()
    memory.add(x * scale, labels)
    # dividing by the largest entry rounds once more in the wide dtype, then to the bank's
    rtol = 2 * torch.finfo(bank).eps
    torch.testing.assert_close(memory(x, labels), wanted, rtol=rtol, atol=0)


@pytest.mark.parametrize(
    ("dtype", "bank"),
    [
        (torch.float64, torch.float32),
        (torch.float32, torch.bfloat16),
        (torch.bfloat16, torch.float16),
        (torch.float16, torch.bfloat16),
    ],
)
def test_a_scaled_row_is_rounded_to_the_bank_once(dtype, bank):
    memory = CrossBatchMemory(50, 8, dtype=bank)
    x, labels = batch(50, seed=21, dtype=dtype)
    memory.add(x, labels)
    exact = x.double() / x.double().abs().amax(dim=1, keepdim=True)
    # half a unit of the bank's, and the division's own rounding in float32 or wider
    rtol = torch.finfo(bank).eps / 2 + torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    torch.testing.assert_close(memory.embeddings.double(), exact, rtol=rtol, atol=1e-7)


def test_a_zero_row_stays_a_zero_row_in_a_narrower_bank():
    memory = CrossBatchMemory(2, 3, dtype=torch.float16)
    memory.add(torch.tensor([[0.0, 0.0, 0.0], [0.0, -1e9, 0.0]]), torch.tensor([1, 2]))
    assert memory.embeddings.tolist() == [[0.0, 0.0, 0.0], [0.0, -1.0, 0.0]]


@pytest.mark.parametrize("bank", DTYPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_costs_its_own_step_alone(bad, bank):
    memory = CrossBatchMemory(8, 8, dtype=bank)
    x, labels = batch(4, seed=14, dtype=torch.float32)
    x[2, 5] = bad
    assert memory(x, labels).isnan()
    assert memory.embeddings[2].tolist() == 8 * [0.0]
    later, later_labels = batch(4, seed=15, dtype=torch.float32)
    later.requires_grad_()
    loss = memory(later, later_labels)
    loss.backward()
    assert loss.isfinite()
    assert later.grad is not None
    assert later.grad.isfinite().all()


def test_under_autocast_the_loss_and_the_bank_stay_float32():
    memory = CrossBatchMemory(8, 8)
    model = torch.nn.Linear(5, 8)
    for step in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = model(torch.ones(3, 5))
            loss = memory(x, torch.tensor([0, 0, 1]))
        assert x.dtype == torch.bfloat16
        assert loss.dtype == memory.rows.dtype == torch.float32
        loss.backward()
        assert torch.equal(memory.embeddings[3 * step :], x.float())


def test_moves_take_every_buffer_along():
    memory = CrossBatchMemory(4, 8).to("meta")
    assert {value.device.type for value in memory.state_dict().values()} == {"meta"}
    assert set(memory.state_dict()) == {"rows", "row_labels", "added"}


# ---- checkpoints and copies --------------------------------------------------------------------


def test_a_resumed_run_goes_on_as_the_uninterrupted_one():
    memory = CrossBatchMemory(10, 8, reduction="active", dtype=torch.float64)
    for seed in range(5):
        memory(*batch(4, seed=seed))
    written = io.BytesIO()
    torch.save({"memory": memory.state_dict()}, written)
    written.seek(0)
    resumed = CrossBatchMemory(10, 8, reduction="active", dtype=torch.float64)
    resumed.load_state_dict(torch.load(written, weights_only=True)["memory"])
    for seed in range(5, 10):
        assert torch.equal(memory(*batch(4, seed=seed)), resumed(*batch(4, seed=seed)))
    for name, value in memory.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


@pytest.mark.parametrize("size", [(5, 8), (10, 7), (20, 16)])
@pytest.mark.parametrize("strict", [True, False])
def test_a_checkpoint_of_another_size_is_refused_in_one_sentence(size, strict):
    model = torch.nn.ModuleDict({"memory": CrossBatchMemory(10, 8)})
    other = torch.nn.ModuleDict({"memory": CrossBatchMemory(*size)})
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(other.state_dict(), strict=strict)
    assert str(caught.value).splitlines()[1:] == [
        f"\tmemory.rows must be (10, 8) for this bank, got {size} in the checkpoint; make the bank "
        "with that size and dim, or leave its keys out and load with strict=False"
    ]


@pytest.mark.parametrize("lacking", ["rows", "row_labels", "added"])
def test_half_a_checkpoint_is_not_taken_up(lacking):
    memory, other = CrossBatchMemory(4, 8), CrossBatchMemory(4, 8)
    other.add(*batch(3, seed=16))
    state = {name: value for name, value in other.state_dict().items() if name != lacking}
    with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{lacking}"'):
        memory.load_state_dict(state)
    found = memory.load_state_dict(state, strict=False)
    assert found.missing_keys == [lacking]
    assert not memory.rows.any()
    assert len(memory) == 0


def test_copies_are_equal_and_independent():
    memory = CrossBatchMemory(20, 8, margin=0.25, reduction="active", gather=rank_order)
    memory.add(*batch(3, seed=17))
    for made in (copy.deepcopy(memory), pickle.loads(pickle.dumps(memory))):
        assert repr(made) == repr(memory)
        assert made.gather is rank_order
        made.add(*batch(3, seed=18))
        assert (len(memory), len(made)) == (6, 12)


# ---- several processes -------------------------------------------------------------------------


def rank_order(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """As if another process held the negatives of these rows."""
    return torch.cat([embeddings, -embeddings]), torch.cat([labels, labels + 10])


def test_gather_decides_what_is_added_and_sees_no_graph():
    seen = []

    def gather(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        seen.append((embeddings.requires_grad, torch.is_grad_enabled(), len(labels)))
        return rank_order(embeddings, labels)

    memory = CrossBatchMemory(100, 8, gather=gather, dtype=torch.float64)
    x, labels = batch(3, seed=19)
    loss = memory(x.requires_grad_(), labels)
    assert torch.equal(loss.detach(), AllPairsCosineEmbeddingLoss()(x.detach(), labels))
    assert torch.equal(memory.embeddings, torch.cat([x, -x]).detach())
    assert torch.equal(memory.labels, torch.cat([labels, labels + 10]))
    memory.eval()(x, labels)
    memory.train()(x[:0], labels[:0])  # an empty share calls it too, or others would wait for ever
    assert seen == [(False, False, 3), (False, False, 0)]


def test_what_gather_returns_is_checked():
    memory = CrossBatchMemory(4, 8, gather=lambda x, labels: (torch.cat([x, x]), labels))
    with pytest.raises(ValueError, match=r"labels must have shape \(4,\), got \(2,\)"):
        memory.add(torch.ones(2, 8), torch.tensor([1, 2]))
    assert len(memory) == 0


PROCESS = """
import torch
from cospair.memory import CrossBatchMemory

def gather(embeddings, labels):
    shares = [None] * dist.get_world_size()
    dist.all_gather_object(shares, (embeddings, labels))
    return tuple(torch.cat(parts) for parts in zip(*shares))

memory = CrossBatchMemory(7, 2, gather=gather)
for n in ((2, 1), (0, 3), (4, 0)):
    memory(torch.full((n[rank], 2), 1.0 + rank), torch.arange(n[rank]) + 10 * rank)
torch.save(memory.state_dict(), f"{folder}/{rank}.pt")
"""


def test_banks_of_two_processes_with_uneven_shares_hold_the_same_rows(tmp_path):
    two_processes(PROCESS, tmp_path)
    banks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    # steps of labels 0 1 10, then 10 11 12, then 0 1 2 3 in 7 slots
    assert banks[0]["row_labels"].tolist() == [1, 2, 3, 10, 11, 12, 0]
    assert banks[0]["added"].item() == 10
    for name, value in banks[0].items():
        assert torch.equal(value, banks[1][name])


# ---- compiled, and on a card -------------------------------------------------------------------


def test_a_compiled_step_does_what_the_eager_one_does():
    torch.compiler.reset()
    eager = CrossBatchMemory(10, 8, margin=0.1, reduction="balanced", dtype=torch.float64)
    memory = copy.deepcopy(eager)
    graphs = 0

    def backend(graph, _):
        nonlocal graphs
        graphs += 1
        return graph.forward

    compiled = torch.compile(memory, backend=backend, fullgraph=True)
    for seed in range(6):
        x, labels = batch(4, seed=seed)
        x.requires_grad_()
        wanted, found = eager(x, labels), compiled(x, labels)
        # the plain form sums the pairs in another order
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(
            torch.autograd.grad(found, x), torch.autograd.grad(wanted, x), rtol=1e-11, atol=1e-13
        )
        torch.testing.assert_close(dict(memory.state_dict()), dict(eager.state_dict()))
    assert graphs == 1, "a bank that fills up must not be compiled again at every step"


on_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@on_card
def test_adding_on_a_card_waits_for_nothing():
    memory = CrossBatchMemory(10, 8).cuda()
    inputs = [[x.cuda() for x in batch(n, seed=n, dtype=torch.float32)] for n in (4, 9, 13)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for x, labels in inputs:
            memory.add(x, labels)
            memory._bank()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    eager = CrossBatchMemory(10, 8)
    for x, labels in inputs:
        eager.add(x.cpu(), labels.cpu())
    torch.testing.assert_close(memory.cpu().state_dict(), eager.state_dict(), rtol=0, atol=0)


@on_card
def test_a_captured_step_moves_on_in_the_ring():
    memory, eager = CrossBatchMemory(10, 8).cuda(), CrossBatchMemory(10, 8).cuda()
    x, labels = (value.cuda() for value in batch(4, seed=20, dtype=torch.float32))
    memory.add(x, labels)
    memory.clear()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        memory.add(x, labels)
    for _ in range(3):
        x.add_(1)
        labels.add_(1)
        graph.replay()
        eager.add(x, labels)
    torch.testing.assert_close(memory.state_dict(), eager.state_dict(), rtol=0, atol=0)


# ---- what is refused, and what is shown --------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got 0; pass a larger one"),
        ({"size": 8.0}, TypeError, "size must be a whole number, got float; pass an int"),
        ({"dim": -1}, ValueError, "dim must be at least 1, got -1"),
        ({"dim": True}, TypeError, "dim must be a whole number, got bool"),
        ({"margin": 1.5}, ValueError, r"margin must be a cosine in \[-1, 1\], got 1.5"),
        ({"positive_margin": "1"}, TypeError, "positive_margin must be a number"),
        (
            {"reduction": "none"},
            ValueError,
            "reduction must be one of 'mean', 'sum', 'balanced', 'active', got 'none'; choose one",
        ),
        ({"kernel": "fast"}, ValueError, "kernel must be one of 'auto', .*, got 'fast'"),
        (
            {"memory_weight": -1.0},
            ValueError,
            "memory_weight must be finite and not negative, got -1.0; pass 0 or a positive number",
        ),
        ({"memory_weight": math.nan}, ValueError, "memory_weight must be finite"),
        ({"memory_weight": math.inf}, ValueError, "memory_weight must be finite"),
        (
            {"memory_weight": "1"},
            TypeError,
            "memory_weight must be a number, got str; pass a float",
        ),
        (
            {"dtype": torch.int64},
            TypeError,
            "dtype must be torch.float16, bfloat16, float32 or float64, got torch.int64; choose",
        ),
        ({"dtype": "float32"}, TypeError, "dtype must be torch.float16"),
    ],
)
def test_options_are_checked_when_given(options, error, words):
    with pytest.raises(error, match=words):
        CrossBatchMemory(**({"size": 4, "dim": 8} | options))


@pytest.mark.parametrize("call", ["forward", "add"])
@pytest.mark.parametrize(
    ("x", "labels", "error", "words"),
    [
        ([[1.0]], torch.ones(1).long(), TypeError, "embeddings must be a torch.Tensor, got list"),
        (torch.ones(1, 8).long(), torch.ones(1).long(), TypeError, "embeddings must be float16"),
        (
            torch.ones(3, 7),
            torch.ones(3).long(),
            ValueError,
            r"embeddings must be \(N, 8\) for this bank, got \(3, 7\); give one row an embedding",
        ),
        (torch.ones(8), torch.tensor(1), ValueError, r"must be \(N, 8\) for this bank, got \(8,\)"),
        (torch.ones(3, 8), torch.ones(3), TypeError, "labels must be integers, got torch.float32"),
        (torch.ones(3, 8), torch.ones(3).bool(), TypeError, "labels must be integers, got torch.b"),
        (torch.ones(3, 8), torch.ones(2).long(), ValueError, r"labels must have shape \(3,\)"),
        (
            torch.ones(3, 8, device="meta"),
            torch.ones(3, dtype=torch.int64, device="meta"),
            ValueError,
            "one device, got embeddings on meta, labels on meta, bank on cpu; move them with",
        ),
    ],
)
def test_batches_are_checked(call, x, labels, error, words):
    with pytest.raises(error, match=words):
        getattr(CrossBatchMemory(4, 8), call)(x, labels)


def test_repr_says_how_it_was_made():
    memory = CrossBatchMemory(4, 8, margin=0.25, reduction="active", dtype=torch.float16)
    assert repr(memory) == (
        "CrossBatchMemory(4, 8, margin=0.25, positive_margin=1.0, reduction='active', "
        "power=1, memory_weight=1.0, dtype=torch.float16)"
    )
    assert repr(eval(repr(memory))) == repr(memory)
