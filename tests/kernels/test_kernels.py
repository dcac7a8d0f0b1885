import os
import pathlib
import subprocess
import sys

import pytest
import tolerances
import torch

from cospair import kernels
from cospair.kernels import cpu, reference

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
@pytest.mark.parametrize("columns", [512, 510])
def test_gradients_past_the_caches_are_the_same(columns, monkeypatch):
    x1, x2, target, weight = inputs(200, columns, torch.float32)
    results = []
    for limit in (1, 1 << 60):
        monkeypatch.setattr(cpu, "_BYTES_STREAMED", limit)
        a, b = x1.clone().requires_grad_(), x2.clone().requires_grad_()
        loss = cpu.pair_loss(
            a,
            b,
            target,
            weight,
            margin=0.1,
            positive_margin=1.0,
            reduction="sum",
            dtype=torch.float32,
        )
        results.append(torch.autograd.grad(loss, [a, b]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_available_names_every_kernel():
    assert kernels.available().keys() == {"cpu", "reference"}
    assert kernels.available()["reference"] == ""


def test_plain_tensors_get_the_fused_kernel_and_others_the_reference():
    x, target = torch.ones(2, 3), torch.ones(2)
    expected = reference if cpu.unavailable() else cpu
    assert kernels.choose(x, x, target, None) is expected
    assert kernels.choose(x.to("meta"), x.to("meta"), target.to("meta"), None) is reference
    assert kernels.choose(x, x, target, torch.ones(2, requires_grad=True)) is reference
    assert kernels.choose(x[:0], x[:0], target[:0], None) is reference
    seen = []
    torch.func.grad(lambda y: seen.append(kernels.choose(x, x, target, None)) or y.sum())(x)
    assert seen == [reference], "inside a transform even ordinary tensors"


def test_without_the_extension_the_reference_serves(tmp_path):
    """What an installation without a compiler does: same figures, and it says why."""
    program = """
import sys
sys.modules["cospair.kernels._pairs"] = None
import torch, cospair
assert cospair.kernels.available()["cpu"] == "cospair was installed without a C++ compiler"
x = torch.eye(3, requires_grad=True)
loss = cospair.cosine_embedding_loss(x, torch.ones(3, 3), torch.tensor([1, 1, -1]))
loss.backward()
assert abs(loss.item() - (2 * (1 - 3 ** -0.5) + 3 ** -0.5) / 3) < 1e-7
"""
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(kernels.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=tmp_path)
