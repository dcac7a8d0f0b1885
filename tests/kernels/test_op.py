import contextlib

import pytest
import torch
from torch._dynamo import compiled_autograd
from torch._dynamo.testing import CompileCounterWithBackend
from torch._functorch import config as functorch
from torch.library import opcheck

from cospair import CosineEmbeddingLoss, cosine_embedding_loss, kernels
from cospair.kernels import cpu, kept_gradients, op, reference

scaled = cpu._scaled

pytestmark = pytest.mark.skipif(bool(cpu.unavailable()), reason=cpu.unavailable() or "available")


def inputs(n: int = 12, d: int = 33, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(2)
    x1, x2 = (torch.randn(n, d, generator=generator).to(dtype).requires_grad_() for _ in range(2))
    target = torch.randint(0, 2, (n,), generator=generator) * 2 - 1
    return x1, x2, target, torch.rand(n, generator=generator)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_opcheck(reduction, weighted, dtype):
    x1, x2, target, weight = inputs(dtype=dtype)
    given = (target, weight if weighted else None, 0.1, 1.0, reduction)
    upstream = torch.rand(12 if reduction == "none" else ()).to(dtype)
    for wanted in ((True, True), (True, False), (False, True)):
        opcheck(torch.ops.cospair.pair_loss.default, (x1, x2, *given, dtype, *wanted))
        opcheck(
            torch.ops.cospair.pair_gradients.default,
            (upstream, kept_gradients.none_kept(), x1.detach(), x2.detach(), *given, *wanted),
        )


def test_a_compiled_graph_holds_the_operator_and_nothing_of_the_reference():
    seen = []

    def backend(graph, _):
        seen.append({str(node.target) for node in graph.graph.nodes if node.op == "call_function"})
        return graph

    x1, x2, target, _ = inputs()
    torch.compiler.reset()
    torch.compile(CosineEmbeddingLoss(0.1), fullgraph=True, backend=backend)(x1, x2, target)
    assert len(seen) == 1
    assert "cospair.pair_loss" in seen[0]
    assert not any("sqrt" in name or "where" in name for name in seen[0])


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("form", ["rows", "query", "vector", "none", "sum", "weighted", "one"])
def test_compiled_equals_eager(backend, form):
    x1, x2, target, weight = inputs()
    first = {"query": x1[:1], "vector": x1[0]}.get(form, x1).detach()
    options = {
        "reduction": form if form in ("none", "sum") else "mean",
        "weight": weight if form == "weighted" else None,
    }
    torch.compiler.reset()
    compiled = torch.compile(cosine_embedding_loss, fullgraph=True, backend=backend)
    results = []
    for loss_of in (cosine_embedding_loss, compiled):
        a, b = first.clone().requires_grad_(), x2.detach().clone().requires_grad_(form != "one")
        loss = loss_of(a, b, target, margin=0.1, **options)
        (3 * loss).sum().backward()
        results.append((loss.detach(), a.grad, *([b.grad] if form != "one" else [])))
    for found, wanted in zip(*results, strict=True):
        if form in ("query", "vector"):  # eager sums 12 rows in float64, the graph in float32
            torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)
        else:
            assert torch.equal(found, wanted)


def test_a_compiled_loss_counts_an_invalid_target_as_nan():
    x1, x2, target, _ = inputs()
    target[3] = 0
    torch.compiler.reset()
    compiled = torch.compile(cosine_embedding_loss, fullgraph=True, backend="aot_eager")
    loss = compiled(x1, x2, target, reduction="none")
    assert loss.isnan().tolist() == [i == 3 for i in range(12)]
    loss.nansum().backward()
    assert x1.grad is not None
    assert bool(x1.grad[torch.arange(12) != 3].isfinite().all())


def test_sizes_that_change_do_not_compile_for_each():
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(cosine_embedding_loss, fullgraph=True, backend=counter, dynamic=True)
    counts = []
    for n in (7, 12, 30):
        x1, x2, target, _ = inputs(n)
        assert torch.equal(compiled(x1, x2, target), cosine_embedding_loss(x1, x2, target))
        counts.append(counter.frame_count)
    assert counts[1:] == counts[:1] * 2


def test_transforms_in_a_compiled_graph_use_the_reference():
    x1, x2, target, _ = inputs()

    def loss(a: torch.Tensor) -> torch.Tensor:
        return cosine_embedding_loss(a, x2.detach(), target)

    torch.compiler.reset()
    found = torch.compile(torch.func.grad(loss), fullgraph=True, backend="aot_eager")(x1.detach())
    wanted = torch.func.grad(loss)(x1.detach())
    torch.testing.assert_close(found, wanted)


def test_the_name_reference_keeps_its_place_in_a_graph():
    x1, x2, target, _ = inputs()
    seen = []

    def backend(graph, _):
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    torch.compiler.reset()
    torch.compile(cosine_embedding_loss, fullgraph=True, backend=backend)(
        x1, x2, target, kernel="reference"
    )
    assert not any("cospair" in name for name in seen)
    assert kernels.fitting(reference, x1, x2, target, None) is reference


def test_exported_programs_hold_the_operator():
    x1, x2, target, _ = inputs()
    program = torch.export.export(CosineEmbeddingLoss(0.1), (x1.detach(), x2.detach(), target))
    assert any("cospair.pair_loss" in str(node.target) for node in program.graph.nodes)
    found = program.module()(x1.detach(), x2.detach(), target)
    assert torch.equal(found, cosine_embedding_loss(x1.detach(), x2.detach(), target, 0.1))


def test_second_derivatives_through_the_operator_raise_rather_than_lie():
    x1, x2, target, _ = inputs()
    loss = op.pair_loss(
        x1, x2, target, None, margin=0.1, positive_margin=1.0, reduction="mean", dtype=x1.dtype
    )
    (g,) = torch.autograd.grad(loss, [x1], create_graph=True)
    with pytest.raises(RuntimeError, match="second derivatives of the loss must not go through"):
        g.sum().backward()


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_compiled_autograd_walks_an_eager_loss(reduction):
    x1, x2, target, _ = inputs()
    found, wanted = [], []
    for into, compiler in ((found, torch.compile(backend="eager")), (wanted, None)):
        loss = cosine_embedding_loss(x1, x2, target, 0.1, reduction=reduction)
        torch.compiler.reset()
        with compiled_autograd._enable(compiler) if compiler else contextlib.nullcontext():
            (3 * loss).sum().backward()
        into.extend([x1.grad, x2.grad])
        x1.grad = x2.grad = None
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_compiled_step_passes_over_the_inputs_once(backend, monkeypatch):
    x1, x2, target, _ = inputs()
    again = []
    monkeypatch.setattr(cpu, "_scaled", lambda *given: again.append(given) or scaled(*given))
    torch.compiler.reset()
    compiled = torch.compile(cosine_embedding_loss, fullgraph=True, backend=backend)
    for factor, passes in ((1, 0), (3, 1)):
        (factor * compiled(x1, x2, target)).backward()
        assert len(again) == passes


def test_a_second_backward_computes_the_gradients_anew():
    x1, x2, target, _ = inputs()
    torch.compiler.reset()
    loss = torch.compile(cosine_embedding_loss, fullgraph=True, backend="aot_eager")(x1, x2, target)
    with functorch.patch(donated_buffer=False):
        first = torch.autograd.grad(loss, [x1, x2], retain_graph=True)
        second = torch.autograd.grad(loss, [x1, x2])
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)
        assert one.data_ptr() != two.data_ptr()
