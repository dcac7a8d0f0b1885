import math
import os
import pathlib
import subprocess
import sys

import pytest
import tolerances
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import cospair
from cospair import cosine_embedding_loss, kernels
from cospair.kernels import cpu, op, reference

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
# what each size stands for: one pair, odd and tiny, a lane short, lanes and one more, a small
# batch, a face batch
SIZES = [(1, 1), (3, 2), (5, 7), (9, 17), (32, 128), (70, 512)]
needs_cpu = pytest.mark.skipif(bool(cpu.unavailable()), reason=cpu.unavailable() or "available")


def inputs(n: int, d: int, dtype: torch.dtype, *, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    x1, x2 = (torch.randn(n, d, generator=generator).to(dtype) for _ in range(2))
    if n > 4:
        x2[1], x1[2], x2[3] = x1[1], 0, -x1[3]  # equal, zero and opposite rows
        x2[4] = x1[4] * (1 + 1e-2 * torch.randn(d, generator=generator).to(dtype))
    target = torch.randn(n, generator=generator).sign()
    return x1, x2, target, torch.rand(n, generator=generator)


@needs_cpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("margins", [(0.0, 1.0), (0.3, 0.3), (-1.0, -0.5)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", ["rows", "query"])
def test_every_kernel_agrees_with_the_reference(dtype, size, reduction, margins, weighted, form):
    n, d = size
    x1, x2, target, weight = inputs(n, d, dtype)
    x1 = x1[-1:] if form == "query" else x1
    results = []
    for kernel in (cpu, reference):
        a, b = x1.clone().requires_grad_(), x2.clone().requires_grad_()
        loss = kernel.pair_loss(
            a,
            b,
            target,
            weight if weighted else None,
            margin=margins[0],
            positive_margin=margins[1],
            reduction=reduction,
            dtype=torch.float32 if dtype == torch.float16 and reduction == "sum" else dtype,
        )
        upstream = torch.rand(loss.shape, generator=torch.Generator().manual_seed(1)).to(loss.dtype)
        results.append((loss.detach(), *torch.autograd.grad(loss, [a, b], upstream)))
    # both round once from about 1e-15; near +-1 the reference's float64 gradient has half its
    # figures
    rtol = 2 * tolerances.relative(dtype)
    atol = 1e-8 if dtype == torch.float64 else rtol * max(n, 4) / 16
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=rtol, atol=atol)


@needs_cpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_change_nothing(dtype):
    x1, x2, target, weight = inputs(5000, 130, dtype)
    query = x1[:1]
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            for first in (x1, query):
                a, b = first.clone().requires_grad_(), x2.clone().requires_grad_()
                loss = cpu.pair_loss(
                    a,
                    b,
                    target,
                    weight,
                    margin=0.1,
                    positive_margin=1.0,
                    reduction="mean",
                    dtype=dtype,
                )
                results.append((loss.detach(), *torch.autograd.grad(loss, [a, b])))
    finally:
        torch.set_num_threads(before)
    for later in (2, 4):
        for kind in (0, 1):
            for found, wanted in zip(results[later + kind], results[kind], strict=True):
                assert torch.equal(found, wanted)


@needs_cpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("columns", [512, 510])
def test_gradients_past_the_caches_are_the_same(columns, dtype):
    """4,200 rows write over 4 MiB of gradients, past the caches; 200 rows at a time do not."""
    x1, x2, target, _ = inputs(4200, columns, dtype)

    def gradients(rows: slice) -> tuple[torch.Tensor, ...]:
        a, b = x1[rows].clone().requires_grad_(), x2[rows].clone().requires_grad_()
        loss = cosine_embedding_loss(a, b, target[rows], 0.1, reduction="sum", kernel="cpu")
        return torch.autograd.grad(loss, [a, b])

    whole = gradients(slice(None))
    parts = zip(*(gradients(slice(i, i + 200)) for i in range(0, 4200, 200)), strict=True)
    for found, wanted in zip(whole, parts, strict=True):
        assert torch.equal(found, torch.cat(wanted))


@needs_cpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cosine", [0.0, 0.4, 0.6, 0.9, 0.99, 0.9995, -0.7])
def test_gradients_computed_in_float_keep_their_last_place(dtype, cosine):
    """Narrow rows of moderate size take their gradient in float: as good as rounding float64's."""
    generator = torch.Generator().manual_seed(5)
    x1, noise = (torch.randn(64, 129, generator=generator, dtype=torch.float64) for _ in range(2))
    noise -= (noise * x1).sum(1, keepdim=True) / (x1 * x1).sum(1, keepdim=True) * x1
    x2 = cosine * x1 / x1.norm(dim=1, keepdim=True)
    x2 = (x2 + (1 - cosine**2) ** 0.5 * noise / noise.norm(dim=1, keepdim=True)).to(dtype)
    x1, target = x1.to(dtype), torch.full((64,), 1)
    found, wanted = [], []
    for into, wide in ((found, dtype), (wanted, torch.float64)):
        a, b = x1.to(wide).requires_grad_(), x2.to(wide).requires_grad_()
        loss = cosine_embedding_loss(a, b, target, reduction="sum", kernel="cpu")
        into.extend(torch.autograd.grad(loss, [a, b]))
    for narrow, exact in zip(found, wanted, strict=True):
        largest = exact.abs().amax(dim=1, keepdim=True)
        error = ((narrow.double() - exact).abs() / largest).max()
        # half an ulp is the last rounding; a product, a coefficient and the difference add theirs
        assert error <= (1.5 if dtype == torch.float32 else 0.51) * torch.finfo(dtype).eps


def test_available_names_every_kernel():
    assert kernels.available().keys() == {"cpu", "triton", "reference"}
    assert kernels.available()["reference"] == ""


CPU = torch.device("cpu")


def test_the_choice_is_by_name_device_and_dtype():
    expected = reference if cpu.unavailable() else cpu
    for dtype in DTYPES:
        assert kernels.choose("auto", CPU, dtype) is expected
        assert kernels.choose("reference", CPU, dtype) is reference
    assert kernels.choose("auto", torch.device("meta"), torch.float32) is reference


def test_a_kernel_asked_for_that_cannot_run_raises():
    with pytest.raises(RuntimeError, match=r"kernel='cpu' .* on the CPU, not on meta; use kernel="):
        kernels.choose("cpu", torch.device("meta"), torch.float32)
    x = torch.ones(2, 3)
    if kernels.available().get("triton"):
        with pytest.raises(RuntimeError, match="kernel='triton' must be able to run"):
            cosine_embedding_loss(x, x, torch.ones(2), kernel="triton")
    with pytest.raises(ValueError, match=r"kernel must be one of 'auto', .*, got 'gpu'"):
        cosine_embedding_loss(x, x, torch.ones(2), kernel="gpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kernel must be one of"):
        cospair.CosineEmbeddingLoss(kernel="gpu")  # type: ignore[arg-type]


@needs_cpu
def test_where_memory_cannot_be_read_the_reference_stands_in():
    x, target = torch.ones(2, 3), torch.ones(2)
    assert kernels.fitting(cpu, x, x, target, None) is cpu
    assert kernels.fitting(cpu, x, x, target, torch.ones(2, requires_grad=True)) is reference
    assert kernels.fitting(cpu, x[:0], x[:0], target[:0], None) is reference
    seen = []
    torch.func.grad(lambda y: seen.append(kernels.fitting(cpu, x, x, target, None)) or y.sum())(x)
    assert seen == [reference], "inside a transform even ordinary tensors"


def ordinary() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x1, x2, target, _ = inputs(9, 17, torch.float32)
    return x1, x2, target.long()


@needs_cpu
@pytest.mark.parametrize(
    "change",
    [
        lambda x1, x2, y: (x1.double(), x2, y),
        lambda x1, x2, y: (x1.t().contiguous().t(), x2, y),
        lambda x1, x2, y: (x1[0], x2[0], y[0]),
        lambda x1, x2, y: (x1, x2, y.to(torch.int8)),
        lambda x1, x2, y: (torch.complex(x1, x1).conj().imag, x2, y),
        lambda x1, x2, y: (x1[:0], x2[:0], y[:0]),
        lambda x1, x2, y: (x1, x2[:, :5], y),
        lambda x1, x2, y: (x1, x2, y[:5]),
        lambda x1, x2, y: (x1, x2, y.tolist()),
        lambda x1, x2, y: (x1.to("meta"), x2.to("meta"), y.to("meta")),
        lambda x1, x2, y: (x1.to_sparse(), x2, y),
        lambda x1, x2, y: (
            torch._to_functional_tensor(x1),  # pyright: ignore[reportPrivateImportUsage]
            x2,
            y,
        ),
    ],
)
def test_the_short_way_declines_what_is_out_of_the_ordinary(change):
    x1, x2, target = ordinary()
    assert cpu.at_once(x1, x2, target, 0.0, 1.0, "mean") is not None
    x1, x2, target = change(x1, x2, target)
    assert cpu.at_once(x1, x2, target, 0.0, 1.0, "mean") is None


@needs_cpu
@pytest.mark.parametrize(
    ("margin", "reduction"),
    [
        *((value, "mean") for value in (2.0, math.nan, "0", True, 10**400)),
        (0.0, "bogus"),
        (0.0, None),
    ],
)
def test_the_short_way_declines_options_that_need_words(margin, reduction):
    assert cpu.at_once(*ordinary(), margin, 1.0, reduction) is None
    if reduction == "mean":
        assert cpu.at_once(*ordinary(), 0.0, margin, reduction) is None


@needs_cpu
def test_the_short_way_declines_under_modes():
    x1, x2, target = ordinary()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert cpu.at_once(x1, x2, target, 0.0, 1.0, "mean") is None
    with torch.autograd.forward_ad.dual_level():
        assert cpu.at_once(x1, x2, target, 0.0, 1.0, "mean") is None
    with FlopCounterMode(display=False):
        assert cpu.at_once(x1, x2, target, 0.0, 1.0, "mean") is None
    seen = []
    torch.func.vmap(lambda row: seen.append(cpu.at_once(x1, x2, target, 0.0, 1.0, "mean")) or row)(
        x1
    )
    assert seen == [None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margins", [(0.0, 1.0), (1.0, -1.0)])  # every pair costs, none does
@pytest.mark.parametrize(
    ("kernel", "wrong"),  # to the cpu kernel a wrong target is an error
    [
        *(pytest.param(cpu, wrong, marks=needs_cpu) for wrong in (math.nan, math.inf)),
        *(pytest.param(op, wrong, marks=needs_cpu) for wrong in (math.nan, "target")),
        *((reference, wrong) for wrong in (math.nan, math.inf, "target")),
    ],
)
def test_nan_takes_the_gradients_of_both_rows_of_its_pair(kernel, wrong, margins, dtype):
    """Also of a zero row, whose gradient is 0 beside any other row."""
    x1 = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 1.0], [0.0, 0.0], [0.0, 0.0]], dtype=dtype)
    x2 = torch.tensor([[2.0, 1.0], [1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [1.0, 2.0]], dtype=dtype)
    target = torch.tensor([1, -1, 1, -1, 1])
    if wrong == "target":
        target[:4] = 2
    else:
        x1[0, 0] = x2[1, 1] = x1[2, 0] = x2[3, 0] = wrong
    a, b = x1.requires_grad_(), x2.requires_grad_()
    options = {"margin": margins[0], "positive_margin": margins[1], "dtype": dtype}
    losses = kernel.pair_loss(a, b, target, None, reduction="none", **options)
    assert losses.isnan().tolist() == [True] * 4 + [False]
    for gradient in torch.autograd.grad(losses, [a, b], torch.ones_like(losses)):
        assert bool(gradient[:4].isnan().all())
        assert bool((gradient[4] == 0).all())


@needs_cpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_upstream_gradient_that_is_a_negative_view(dtype):
    x1, x2, target, _ = inputs(9, 17, dtype)
    upstream = torch.randn(9, generator=torch.Generator().manual_seed(4)).to(dtype)
    a = x1.requires_grad_()
    loss = cosine_embedding_loss(a, x2, target, reduction="none", kernel="cpu")
    view = torch._neg_view(-upstream)  # pyright: ignore[reportPrivateImportUsage]
    assert view.is_neg()
    (found,) = torch.autograd.grad(loss, [a], view, retain_graph=True)
    (wanted,) = torch.autograd.grad(loss, [a], upstream)
    assert torch.equal(found, wanted)


@needs_cpu
def test_saved_tensors_that_come_back_in_another_layout():
    x1, x2, target = ordinary()
    a, b = x1.requires_grad_(), x2.requires_grad_()

    def turned(x: torch.Tensor) -> torch.Tensor:
        return x.mT.contiguous().mT if x.ndim == 2 else x.repeat_interleave(2)[::2]

    with torch.autograd.graph.saved_tensors_hooks(torch.Tensor.detach, turned):
        loss = cosine_embedding_loss(a, b, target, kernel="cpu")
    found = torch.autograd.grad(2 * loss, [a, b])
    wanted = torch.autograd.grad(2 * cosine_embedding_loss(a, b, target, kernel="cpu"), [a, b])
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


@needs_cpu
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of looks at shapes
@pytest.mark.parametrize("trace", [torch.jit.trace, lambda loss, given: make_fx(loss)(*given)])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_trace_holds_operations_and_not_their_results(trace, weighted):
    """Weights go the long way, whose look at modes is its own."""

    def loss(x1, x2, target, weight):
        return cosine_embedding_loss(x1, x2, target, weight=weight if weighted else None)

    traced = trace(loss, inputs(9, 17, torch.float32))
    others = inputs(9, 17, torch.float32, seed=1)
    torch.testing.assert_close(traced(*others), loss(*others))


@needs_cpu
def test_inputs_exchanged_after_forward_are_refused_by_autograd_or_read_again():
    """Backward reads the tensors that were saved, not addresses that forward knew."""
    x1, x2, target = ordinary()
    a, b = x1.clone().requires_grad_(), x2.clone().requires_grad_()
    loss = cosine_embedding_loss(a, b, target, 0.1)
    a.data = torch.randn(9, 17, generator=torch.Generator().manual_seed(3))
    (2 * loss).backward()
    fresh = a.detach().clone().requires_grad_()
    (2 * cosine_embedding_loss(fresh, b.detach(), target, 0.1)).backward()
    assert a.grad is not None
    assert torch.equal(a.grad, fresh.grad)  # type: ignore[arg-type]


def test_without_the_extension_the_reference_serves(tmp_path):
    """What an installation without a compiler does: same figures, and it says why."""
    program = """
import sys
sys.modules["cospair.kernels._cpu"] = None
import torch, cospair
assert cospair.kernels.available()["cpu"] == "cospair was installed without a C++ compiler"
x = torch.eye(3, requires_grad=True)
loss = cospair.cosine_embedding_loss(x, torch.ones(3, 3), torch.tensor([1, 1, -1]))
loss.backward()
assert abs(loss.item() - (2 * (1 - 3 ** -0.5) + 3 ** -0.5) / 3) < 1e-7
"""
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(kernels.__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.stderr.count("installed without a C++ compiler; the plain torch kernel serves") == 1
