import importlib.util
import math
import os
import pathlib
import subprocess
import sys
from typing import Any

import mpmath
import pytest
import tolerances
import torch
import truth
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.kernels import reference, triton_gpu

# numpy runs the interpreter's kernels, and says so where NaN, infinity or overflow is the point
pytestmark = pytest.mark.filterwarnings("ignore:.*(encountered in|All-NaN):RuntimeWarning")

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
# what each size stands for: one pair, odd and tiny, more rows than a program takes, one more than a
# vector, the columns that are chunked at a second reading
SIZES = [(1, 1), (3, 2), (19, 7), (6, 17), (5, 300)]
PAST_REGISTERS = {8: 2050, 4: 4100, 2: 4104}
TWO = torch.tensor([1, -1])
on_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
reason = triton_gpu.unavailable()
runs = pytest.mark.skipif(bool(reason), reason=reason or "available")
has_triton = importlib.util.find_spec("triton") is not None


def product_error(x, y):
    """What x * y loses in float64 (Dekker 1971)."""
    p = x * y
    high_x, high_y = ((134217729.0 * v) - ((134217729.0 * v) - v) for v in (x, y))
    low_x, low_y = x - high_x, y - high_y
    return ((high_x * high_y - p) + high_x * low_y + low_x * high_y) + low_x * low_y


@pytest.fixture(autouse=True, scope="module")
def honest_interpreter():
    """Triton's interpreter rounds an fma twice and cuts bfloat16 off; a card does neither."""
    if reason or torch.cuda.is_available():
        yield
        return
    import numpy as np
    from triton.runtime import interpreter  # pyright: ignore[reportMissingImports]

    language, builder = interpreter.tl, interpreter.InterpreterBuilder
    cast = builder.cast_impl

    def create_fma(self, x, y, z):
        total, error = x.data * y.data + z.data, product_error(x.data, y.data)
        exact = (x.data * y.data + z.data) + np.where(np.isfinite(error), error, 0.0)
        return interpreter.TensorHandle(np.where(np.isfinite(exact), exact, total), z.dtype.scalar)

    def cast_impl(self, src, dst_type):
        if (src.dtype.scalar, dst_type.scalar) != (language.float32, language.bfloat16):
            return cast(self, src, dst_type)
        rounded = torch.from_numpy(np.ascontiguousarray(src.data)).bfloat16()
        return interpreter.TensorHandle(
            rounded.view(torch.uint16).numpy().reshape(src.data.shape), dst_type.scalar
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "create_fma", create_fma)
        patch.setattr(builder, "cast_impl", cast_impl)
        for name in ("create_fp_trunc", "create_fp_ext"):
            patch.setattr(builder, name, cast_impl)
        yield


@pytest.fixture
def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def options(margin=0.0, positive_margin=1.0, reduction="none", dtype=None):
    return {
        "margin": margin,
        "positive_margin": positive_margin,
        "reduction": reduction,
        "dtype": dtype,
    }


def pair_loss(x1, x2, target, weight=None, *, kernel=triton_gpu, **given_options):
    wanted = options(**given_options)
    wanted["dtype"] = wanted["dtype"] or x1.dtype
    return kernel.pair_loss(x1, x2, target, weight, **wanted)


def with_gradients(kernel, inputs, target, weight, upstream, **given_options):
    """Loss and gradients, with the inputs as they are strided."""
    a, b = (x.detach().requires_grad_() for x in inputs)
    loss = pair_loss(a, b, target, weight, kernel=kernel, **given_options)
    return [loss.detach(), *torch.autograd.grad(loss, [a, b], upstream.to(loss))]


def assert_as_reference(inputs, target, weight=None, *, n=None, **given_options):
    dtype, n = inputs[0].dtype, n or target.shape[0]
    none = given_options.get("reduction", "none") == "none"
    upstream = randn(*(target.shape if none else ()), seed=99).to(inputs[0].device)
    found = with_gradients(triton_gpu, inputs, target, weight, upstream, **given_options)
    wanted = with_gradients(reference, inputs, target, weight, upstream, **given_options)
    # both round once from about 1e-15; near +-1 the reference's float64 gradient has half its
    # figures
    rtol = 2 * tolerances.relative(dtype)
    atol = 1e-8 if dtype == torch.float64 else rtol * max(n, 4) / 16
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)


def batch(n: int, d: int, dtype: torch.dtype, device: torch.device):
    x1, x2 = randn(n, d, dtype=dtype), randn(n, d, seed=1, dtype=dtype)
    if n > 4:
        x2[1], x1[2], x2[3] = x1[1], 0, -x1[3]  # equal, zero and opposite rows
        x2[4] = x1[4] * (1 + 1e-2 * randn(d, seed=2, dtype=dtype))
    target, weight = randn(n, seed=3).sign(), randn(n, seed=4).abs()
    return [t.to(device) for t in (x1, x2, target, weight)]


# ---- the kernel is the reference, whatever it is given -----------------------------------------


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_the_reference(dtype, size, reduction, weighted, device):
    x1, x2, target, weight = batch(size[0], size[1], dtype, device)
    wide = torch.float32 if dtype == torch.float16 and reduction == "sum" else dtype
    assert_as_reference(
        (x1, x2), target, weight if weighted else None, margin=0.1, reduction=reduction, dtype=wide
    )


@runs
@pytest.mark.parametrize("margins", [(0.0, 1.0), (0.3, 0.3), (-1.0, -0.5), (1.0, -1.0)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_margins(margins, dtype, device):
    x1, x2, target, _ = batch(19, 7, dtype, device)
    assert_as_reference((x1, x2), target, margin=margins[0], positive_margin=margins[1])


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [5, 40, 520])
@pytest.mark.parametrize("sides", ["first", "second", "both"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_shared_query(dtype, d, sides, reduction, device):
    x1, x2, target, weight = batch(11, d, dtype, device)
    inputs = (x1 if sides == "second" else x1[4:5], x2 if sides == "first" else x2[4:5])
    assert_as_reference(inputs, target, weight, margin=0.1, reduction=reduction)


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_rows_too_wide_for_registers(dtype, reduction, device):
    d = PAST_REGISTERS[dtype.itemsize]
    assert triton_gpu._shape(d, dtype.itemsize).block < d
    x1, x2, target, weight = batch(5, d, dtype, device)
    for inputs in ((x1, x2), (x1[4:], x2), (x1, x2[4:])):
        assert_as_reference(inputs, target, weight, margin=0.1, reduction=reduction)


@runs
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("summing", [False, True])
def test_programs_that_take_more_than_one_block(dtype, summing, device, monkeypatch):
    x1, x2, target, weight = batch(70, 20, dtype, device)
    inputs = (x1[:1] if summing else x1, x2)
    upstream = torch.tensor(1.0, device=device)
    runs = []
    for most in (4096, 2):
        monkeypatch.setattr(triton_gpu, "_PROGRAMS", most)
        monkeypatch.setattr(triton_gpu, "_SUMMING_PROGRAMS", most)
        runs.append(with_gradients(triton_gpu, inputs, target, weight, upstream, reduction="mean"))
    for few, many in zip(*runs, strict=True):
        # sums are taken in another order, in float64
        torch.testing.assert_close(few, many, rtol=tolerances.relative(dtype), atol=0)
    assert torch.equal(runs[0][2], runs[1][2])


@runs
def test_strided_rows_are_read_in_place(device, monkeypatch):
    wide, other = randn(6, 48, seed=30).to(device), randn(12, 20, seed=31).to(device)
    target = torch.tensor([[1, 0], [-1, 0], [1, 0], [-1, 0], [1, 0], [1, 0]], device=device)[:, 0]
    x1, x2 = wide[:, 8:28], other[::2]
    copies: list[torch.Tensor] = []
    readable = triton_gpu._readable
    monkeypatch.setattr(triton_gpu, "_readable", lambda x: copies.append(y := readable(x)) or y)
    found = with_gradients(triton_gpu, (x1, x2), target, None, torch.ones(6).to(device))
    assert copies[0].data_ptr() == x1.data_ptr()
    assert copies[1].data_ptr() == x2.data_ptr()
    dense = (x1.contiguous(), x2.contiguous())
    wanted = with_gradients(triton_gpu, dense, target.contiguous(), None, torch.ones(6).to(device))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    turned = (wide[:, :6].T, other[:6, :6].T)
    assert_as_reference(turned, target)
    expanded = (wide[:1, :20].expand(6, 20), x2)
    assert_as_reference(expanded, target[:1].expand(6))


@runs
def test_one_tensor_on_both_sides(device):
    x = randn(5, 9).to(device).requires_grad_()
    loss = pair_loss(x, x, -torch.ones(5, device=device), margin=0.25, reduction="sum")
    assert loss.item() == 5 * 0.75
    (gradient,) = torch.autograd.grad(loss, x)
    assert not bool(gradient.any())


@runs
@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, *DTYPES]
)
def test_targets_of_any_signed_dtype(dtype, device):
    x1, x2 = randn(4, 8).to(device), randn(4, 8, seed=1).to(device)
    target = torch.tensor([1, -1, -1, 1], device=device)
    given_target = target == 1 if dtype == torch.bool else target.to(dtype)
    assert torch.equal(pair_loss(x1, x2, given_target), pair_loss(x1, x2, target))


@runs
@pytest.mark.parametrize("invalid", [0.0, 0.5, 2.0, math.nan])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_an_invalid_target_makes_its_pair_nan(invalid, reduction, device):
    x1, x2 = randn(6, 8).to(device), randn(6, 8, seed=1).to(device)
    target = torch.tensor([1.0, invalid, -1.0, invalid, invalid, invalid], device=device)
    assert_as_reference((x1, x2), target, margin=0.05, reduction=reduction)
    losses = pair_loss(x1, x2, target)
    assert losses.isnan().tolist() == [False, True, False, True, True, True]


@runs
@pytest.mark.parametrize("margins", [(0.0, 1.0), (1.0, -1.0)])  # every pair costs, none does
@pytest.mark.parametrize("wrong", [math.nan, math.inf, "target"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_nan_takes_the_gradients_of_both_rows_of_its_pair(reduction, dtype, wrong, margins, device):
    """Also of a zero row, whose gradient is 0 beside any other row."""
    x1 = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 1.0], [0.0, 0.0], [0.0, 0.0]], dtype=dtype)
    x2 = torch.tensor([[2.0, 1.0], [1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [1.0, 2.0]], dtype=dtype)
    target = torch.tensor([1, -1, 1, -1, 1])
    if wrong == "target":
        target[:4] = 2
    else:
        x1[0, 0] = x2[1, 1] = x1[2, 0] = x2[3, 0] = wrong
    loss, *gradients = with_gradients(
        triton_gpu,
        (x1.to(device), x2.to(device)),
        target.to(device),
        None,
        torch.ones(5 if reduction == "none" else (), device=device),
        margin=margins[0],
        positive_margin=margins[1],
        reduction=reduction,
    )
    assert loss.isnan().tolist() == ([True] * 4 + [False] if reduction == "none" else True)
    for gradient in gradients:
        assert bool(gradient[:4].isnan().all())
        assert bool((gradient[4] == 0).all())


@runs
@pytest.mark.skipif(torch.cuda.is_available(), reason="only the interpreter shows its addresses")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
@pytest.mark.parametrize("size", [(1, 1), (19, 7), (3, 300), (2, 4104)])
def test_every_address_is_inside_a_tensor(dtype, size, device, monkeypatch):
    import numpy as np
    from triton.runtime import interpreter  # pyright: ignore[reportMissingImports]

    spans: list[tuple[int, int]] = []
    seen = []

    def inside(ptrs, mask):
        address = ptrs.data.ravel()[np.broadcast_to(mask.data, ptrs.data.shape).ravel() != 0]
        seen.append(address.size)
        fits = np.zeros(address.shape, bool)
        for start, end in spans:
            fits |= (address >= start) & (address < end)
        assert fits.all(), "an address outside every tensor of this launch"

    class Watched:
        def __getitem__(self, grid):
            def run(*args, **kw):
                spans[:] = [
                    (x.data_ptr(), x.data_ptr() + (x.numel() or 1) * x.element_size())
                    for x in args
                    if isinstance(x, torch.Tensor)
                ]
                return kernel[grid](*args, **kw)

            return run

    x1, x2, target, weight = batch(size[0], size[1], dtype, device)
    pair_loss(x1, x2, target)
    from cospair.kernels import triton_device

    kernel: Any = triton_device.pairs
    builder = interpreter.InterpreterBuilder
    load, store = builder.create_masked_load, builder.create_masked_store
    monkeypatch.setattr(triton_device, "pairs", Watched())
    monkeypatch.setattr(
        builder,
        "create_masked_load",
        lambda self, ptrs, mask, *rest: inside(ptrs, mask) or load(self, ptrs, mask, *rest),
    )
    monkeypatch.setattr(
        builder,
        "create_masked_store",
        lambda self, ptrs, value, mask, *rest: (
            inside(ptrs, mask) or store(self, ptrs, value, mask, *rest)
        ),
    )
    for inputs in ((x1, x2), (x1[:1], x2), (x1, x2[:1])):
        for reduction in ("mean", "none"):
            upstream = torch.full(target.shape if reduction == "none" else (), 2.0, device=device)
            with_gradients(triton_gpu, inputs, target, weight, upstream, reduction=reduction)
    assert len(seen) > 100


@runs
def test_empty_inputs(device):
    x, target = torch.empty(0, 8, device=device), torch.empty(0, device=device)
    assert pair_loss(x, x, target, reduction="mean").item() == 0.0
    assert pair_loss(x, x, target).shape == (0,)


# ---- the lines of RELIABILITY: truth in 300 bits -----------------------------------------------


def assert_true(x1, x2, target, *, device, margin=0.0, ulps=None):
    """Loss rows and both gradients against 300-bit truth, in the inputs' dtype."""
    dtype, finfo = x1.dtype, torch.finfo(x1.dtype)
    upstream = torch.ones(len(target), dtype=dtype, device=device)
    inputs = (x1.to(device), x2.to(device))
    loss, *gradients = with_gradients(
        triton_gpu, inputs, target.to(device), None, upstream, margin=margin
    )
    expected = truth.losses(x1, x2, target, margin=margin)
    bound = (ulps or tolerances.ULPS[dtype]) * finfo.eps
    # a 16th of the smallest loss of unequal float64 rows
    smallest = 1e-33 if dtype == torch.float64 else finfo.smallest_normal
    for found, wanted in zip(loss.tolist(), expected, strict=True):
        error = abs(mpmath.mpf(found) - wanted)
        assert error <= max(bound * wanted, smallest), (found, float(wanted))
    for x, found, wanted in zip(
        (x1, x2), gradients, truth.gradients(x1, x2, target, margin=margin), strict=True
    ):
        # float64: of a gradient far smaller than 1 / |x| the roundings of two sums are left
        floor = 2.0**-62 / x.abs().amax(1, keepdim=True) if dtype == torch.float64 else 0.0
        error = (found.cpu().double() - wanted.clamp(-finfo.max, finfo.max)).abs()
        largest = wanted.abs().amax(1, keepdim=True).clamp(max=finfo.max)
        assert bool((error <= 2 * bound * largest + floor + finfo.smallest_normal).all()), (
            error / largest
        ).max()


@runs
@pytest.mark.parametrize("d", [64, 192, 256])
def test_float16_rows_of_unit_variance(d, device):
    x1, x2 = (randn(2, d, seed=seed, dtype=torch.float16) for seed in (1, 2))
    assert_true(x1, x2, TWO, device=device)


@runs
def test_float16_tiny_rows(device):
    x1, x2 = ((randn(2, 64, seed=seed) * 1e-3).half() for seed in (3, 4))
    assert_true(x1, x2, TWO, device=device)


@runs
def test_float16_zero_row_costs_one_and_pulls_nothing(device):
    x1, x2 = randn(3, 64, seed=5, dtype=torch.float16), randn(3, 64, seed=6, dtype=torch.float16)
    x1[1] = 0
    assert_true(x1, x2, torch.ones(3), device=device)


@runs
def test_one_float16_row_of_300s_among_good_ones(device):
    x1, x2 = randn(9, 64, seed=7, dtype=torch.float16), randn(9, 64, seed=8, dtype=torch.float16)
    x1[5] = 300
    target = torch.ones(9)
    loss = pair_loss(x1.to(device), x2.to(device), target.to(device), reduction="mean")
    expected = float(mpmath.fsum(truth.losses(x1, x2, target)) / 9)
    assert abs(loss.item() - expected) <= torch.finfo(torch.float16).eps * expected


@runs
@pytest.mark.parametrize("scale", [1e9, 1e19, 1e25, 1e-6, 1e-7, 1e-8, 1e-20, 1e-37])
def test_float32_rows_of_any_scale(scale, device):
    x1, x2 = randn(2, 64, seed=9) * scale, randn(2, 64, seed=10) * scale
    assert_true(x1, x2, TWO, device=device)


@runs
def test_float32_denormal_rows(device):
    x1, x2 = randn(2, 64, seed=9) * 1e-42, randn(2, 64, seed=10) * 1e-42
    inputs, target = (x1.to(device), x2.to(device)), TWO.to(device)
    loss, *gradients = with_gradients(triton_gpu, inputs, target, None, torch.ones(2).to(device))
    expected = [float(value) for value in truth.losses(x1, x2, TWO)]
    torch.testing.assert_close(
        loss.tolist(), expected, rtol=tolerances.relative(torch.float32), atol=0
    )
    assert not any(bool(gradient.isnan().any()) for gradient in gradients)


@runs
def test_one_huge_row_beside_a_normal_one(device):
    assert_true(randn(2, 64, seed=11) * 1e20, randn(2, 64, seed=12), TWO, device=device)


@runs
def test_one_zero_row_leaves_the_others_their_gradient(device):
    x1, x2 = randn(9, 32, seed=13), randn(9, 32, seed=14)
    x1[5] = 0
    assert_true(x1, x2, torch.ones(9), device=device)


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1e-1, 1e-3, 4e-5, 1e-7])
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_near_identical_rows_keep_the_figures_of_a_tiny_loss(dtype, step, factor, device):
    x1 = randn(4, 65, seed=15, dtype=dtype)
    x2 = ((x1.double() + step * randn(4, 65, seed=16).double()) * factor).to(dtype)
    x2[2:] *= -1
    assert_true(x1, x2, torch.tensor([1, 1, -1, -1]), margin=-1.0, device=device)


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1.0, 2.0, 0.125])
def test_identical_rows_cost_exactly_nothing(dtype, factor, device):
    x = randn(6, 33, seed=19, dtype=dtype).to(device)
    for sign, expected in ((1.0, 0.0), (-1.0, 0.75)):
        target, upstream = torch.full((6,), sign, device=device), torch.ones(6, device=device)
        loss, *gradients = with_gradients(
            triton_gpu, (x, x * factor), target, None, upstream, margin=0.25
        )
        assert loss.tolist() == [expected] * 6
        assert not any(bool(gradient.any()) for gradient in gradients)


@runs
def test_parallel_rows_of_other_lengths_cost_nothing(device):
    x1 = torch.tensor([[3.0, 4.0], [1.0, 7.0]], device=device)
    x2 = torch.tensor([[30.0, 40.0], [3.0, 21.0]], device=device)
    ones = torch.ones(2, device=device)
    loss, *gradients = with_gradients(triton_gpu, (x1, x2), ones, None, ones)
    assert loss.tolist() == [0.0, 0.0]
    assert not any(bool(gradient.any()) for gradient in gradients)


@runs
def test_rows_that_differ_by_a_denormal_keep_their_loss(device):
    x1, x2 = torch.tensor([[1.0, 1e-18]]), torch.tensor([[1.0, 3e-18]])
    assert_true(x1, x2, torch.ones(1), device=device)


@runs
@pytest.mark.parametrize("d", [1, 2, 16, 200, 2050])
@pytest.mark.parametrize("scale", [1.0, 1e160, 1e-160, 1e300, 1e-300])
def test_float64_has_no_eps_and_no_range(d, scale, device):
    n = 6 if d < 2000 else 2
    x1, x2 = (randn(n, d, seed=seed, dtype=torch.float64) for seed in (20, 21))
    x2[n // 2 :] = x1[n // 2 :] + 1e-9 * x2[n // 2 :]
    # a gradient near s = +-1 at D = 1 is exactly 0 in truth: nothing to compare but that
    target = torch.tensor([1, 1, -1, 1, 1, -1])[:n]
    assert_true(x1 * scale, x2 / scale, target, margin=-0.75, ulps=16, device=device)


@runs
def test_denormal_float64_rows_are_as_exact_as_others(device):
    x1 = randn(4, 40, seed=26, dtype=torch.float64)
    x2 = x1 + 1e-8 * randn(4, 40, seed=27, dtype=torch.float64)
    for other in (x2, x2 * 1e-316):
        assert_true(x1 * 1e-316, other, torch.ones(4), ulps=16, device=device)


@runs
def test_float64_moderate_loss_within_one_ulp(device):
    x1, x2 = (randn(60, 16, seed=seed, dtype=torch.float64) for seed in (22, 23))
    target = torch.ones(60)
    loss = pair_loss(x1.to(device), x2.to(device), target.to(device))
    for found, wanted in zip(loss.tolist(), truth.losses(x1, x2, target), strict=True):
        assert abs(mpmath.mpf(found) - wanted) <= mpmath.mpf(math.ulp(float(wanted)))


@runs
def test_gradients_of_denormal_float64_rows_overflow_only_where_they_must(device):
    x1 = torch.tensor([[1.0, 1e-3, 0.0]], dtype=torch.float64, device=device) * 1e-309
    x2 = torch.tensor([[1e-3, 1.0, 1e-3]], dtype=torch.float64, device=device)
    one = torch.ones(1, device=device)
    gradient = with_gradients(triton_gpu, (x1, x2), one, None, one)[1][0].tolist()
    assert gradient == [pytest.approx(1e306, rel=1e-3), -math.inf, pytest.approx(-1e306, rel=1e-3)]


@runs
def test_the_largest_and_the_smallest_rows_there_are(device):
    finfo = torch.finfo(torch.float64)
    for size in (finfo.max, 5e-324, finfo.tiny):
        x1 = torch.full((1, 4), size, dtype=torch.float64, device=device)
        x2 = torch.ones(1, 4, dtype=torch.float64, device=device)
        loss = pair_loss(x1, x2, -torch.ones(1, device=device))
        assert loss.item() == pytest.approx(1.0, abs=1e-15)
        assert pair_loss(x1, x2, torch.ones(1, device=device)).item() == 0.0


@runs
@pytest.mark.parametrize("dtype", DTYPES)
def test_subgradient_at_the_hinge_is_zero(dtype, device):
    # cosines 0 and 1 / 2, both exact
    x1 = torch.tensor([[1.0, 0, 0], [1, 1, 0]], dtype=dtype, device=device)
    x2 = torch.tensor([[0.0, 1, 0], [0, 1, 1]], dtype=dtype, device=device)
    for row, margin in ((0, 0.0), (1, 0.5)):
        for sign in (1.0, -1.0):
            pair = (x1[row : row + 1], x2[row : row + 1])
            target, one = torch.full((1,), sign, device=device), torch.ones(1, device=device)
            loss, *gradients = with_gradients(
                triton_gpu, pair, target, None, one, margin=margin, positive_margin=margin
            )
            assert loss.item() == 0.0
            assert not any(bool(gradient.any()) for gradient in gradients)


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_reach_their_row_and_the_mean(dtype, bad, device):
    x1, x2 = (randn(4, 8, seed=seed, dtype=dtype).to(device) for seed in (24, 25))
    x1[2, 3] = bad
    target = -torch.ones(4, device=device)
    for reduction, upstream in (("none", torch.ones(4)), ("mean", torch.ones(()))):
        loss, *gradients = with_gradients(
            triton_gpu, (x1, x2), target, None, upstream.to(device), margin=1.0, reduction=reduction
        )
        assert loss.isnan().reshape(-1).tolist()[-2:][:1] == [True]
        for gradient in gradients:
            assert gradient.isnan().all(dim=1).tolist() == [False, False, True, False]
            assert gradient.isnan().any(dim=1).tolist() == [False, False, True, False]


@runs
@pytest.mark.parametrize("size", [1e-310, 1e308])
def test_weights_at_the_edge_of_their_range(size, device):
    x1, x2, target, _ = batch(4, 8, torch.float32, device)
    weight = torch.tensor([1.0, 0.5, 0.25, 1.0], dtype=torch.float64, device=device)
    one = torch.ones((), device=device)
    found = with_gradients(triton_gpu, (x1, x2), target, size * weight, one, reduction="mean")
    wanted = with_gradients(triton_gpu, (x1, x2), target, weight, one, reduction="mean")
    torch.testing.assert_close(found, wanted)
    nothing = pair_loss(x1, x2, target, 0 * weight, reduction="mean")
    assert nothing.item() == 0.0


@runs
@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(1, 9),
    d=st.integers(1, 40),
    seed=st.integers(0, 2**20),
    margin=st.floats(-1, 1),
    positive_margin=st.floats(-1, 1),
    powers=st.tuples(st.integers(-60, 60), st.integers(-60, 60)),
)
def test_symmetry_scaling_and_a_row_alone(n, d, seed, margin, positive_margin, powers):
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x1, x2 = (randn(n, d, seed=seed + side).to(where) for side in (0, 1))
    target = randn(n, seed=seed + 2).sign().to(where)
    margins = {"margin": margin, "positive_margin": positive_margin}
    rows = pair_loss(x1, x2, target, **margins)
    assert torch.equal(rows, pair_loss(x2, x1, target, **margins))
    scaled = pair_loss(x1 * 2.0 ** powers[0], x2 * 2.0 ** powers[1], target, **margins)
    assert torch.equal(rows, scaled)
    assert bool(((rows >= 0) & (rows <= 2)).all())
    last = pair_loss(x1[-1:], x2[-1:], target[-1:], **margins)
    assert torch.equal(rows[-1:], last), "a row alone is the row in a batch, bitwise"


# ---- autograd ----------------------------------------------------------------------------------


def counted(monkeypatch):
    """Every launch's arguments, as they are made."""
    launches = []
    launch = triton_gpu._launch
    monkeypatch.setattr(
        triton_gpu, "_launch", lambda *args, **kw: launches.append(kw) or launch(*args, **kw)
    )
    return launches


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sides", ["rows", "query"])
def test_upstream_gradients_and_a_retained_graph(dtype, sides, device, monkeypatch):
    launches = counted(monkeypatch)
    x1, x2, target, weight = batch(7, 24, dtype, device)
    a, b = x1[: 1 if sides == "query" else 7].requires_grad_(), x2.requires_grad_()
    loss = pair_loss(a, b, target, weight, margin=0.1, reduction="mean")
    first = torch.autograd.grad(loss, [a, b], retain_graph=True)
    kept = [g.clone() for g in first]
    for upstream in (1.0, 3.0, 0.0, 1.0):
        again = torch.autograd.grad(
            loss, [a, b], torch.tensor(upstream, dtype=dtype, device=device), retain_graph=True
        )
        for g, one in zip(again, kept, strict=True):
            rtol = 2 * tolerances.relative(dtype)
            atol = rtol * float(one.abs().max()) * upstream  # where terms cancel
            torch.testing.assert_close(g, one * upstream, rtol=rtol, atol=atol)
    assert all(torch.equal(g, one) for g, one in zip(first, kept, strict=True)), "left alone"
    assert len(launches) == 1 + 5, "one forward and one a backward"
    wanted = with_gradients(reference, (a, b), target, weight, torch.tensor(3.0), margin=0.1,
                            reduction="mean")[1:]  # fmt: skip
    found = with_gradients(triton_gpu, (a, b), target, weight, torch.tensor(3.0), margin=0.1,
                           reduction="mean")[1:]  # fmt: skip
    for ours, theirs in zip(found, wanted, strict=True):
        rtol = 2 * tolerances.relative(dtype)
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=max(rtol / 4, 1e-8))


@runs
def test_a_query_alone_needs_no_launch_in_backward(device, monkeypatch):
    launches = counted(monkeypatch)
    query, gallery = randn(1, 24).to(device).requires_grad_(), randn(7, 24, seed=1).to(device)
    loss = pair_loss(query, gallery, torch.ones(7, device=device), reduction="mean")
    (one,) = torch.autograd.grad(loss, query, retain_graph=True)
    (three,) = torch.autograd.grad(3 * loss, query)
    torch.testing.assert_close(three, 3 * one)
    assert len(launches) == 1


@runs
def test_backward_leaves_gradients_alone_where_upstream_is_one(device):
    x1, x2, target, _ = batch(7, 24, torch.float32, device)
    poisoned: list[torch.Tensor | None] = [torch.full_like(x, math.pi) for x in (x1, x2)]
    settings = triton_gpu._Options(0.1, 1.0, "mean", torch.float32)
    for upstream, untouched in ((1.0, True), (1.0 + 2.0**-20, False)):
        found = triton_gpu._launch(
            x1, x2, target, None, settings, wanted=(True, True), rows=poisoned,
            upstream=torch.tensor(upstream, device=device),
        )  # fmt: skip
        for gradient, given_rows in zip(found, poisoned, strict=True):
            assert gradient is given_rows
            assert given_rows is not None
            assert bool((given_rows == math.pi).all()) == untouched


@runs
def test_what_nobody_wants_is_not_computed(device, monkeypatch):
    launches = counted(monkeypatch)
    x1, x2, target, _ = batch(5, 8, torch.float32, device)
    plain = pair_loss(x1, x2, target, reduction="mean")
    with torch.no_grad():
        pair_loss(x1.requires_grad_(), x2, target, reduction="mean")
    assert [kw["wanted"] for kw in launches] == [(False, False)] * 2
    loss = pair_loss(x1, x2, target, reduction="mean")
    assert launches[-1]["wanted"] == (True, False)
    assert torch.equal(loss.detach(), plain)
    (gradient,) = torch.autograd.grad(loss, x1)
    assert gradient.shape == x1.shape
    rows = pair_loss(x1, x2, target)
    assert launches[-1]["wanted"] == (False, False)
    (gradient,) = torch.autograd.grad(rows.sum(), x1)
    assert list(launches[-1]["wanted"]) == [True, False]


@runs
def test_upstream_of_a_loss_scaler_does_not_underflow_float16(device):
    """Scaling the loss scales the gradient before it is rounded, not after."""
    x1 = (randn(40, 64, seed=34) * 800).half().to(device)
    x2, target = randn(40, 64, seed=35).half().to(device), torch.ones(40, device=device)
    scale = torch.tensor(32768.0, device=device)
    found = with_gradients(triton_gpu, (x1, x2), target, None, scale, reduction="mean")[1]
    wide = (x1.double(), x2.double())
    wanted = with_gradients(reference, wide, target, None, scale, reduction="mean")[1]
    unscaled = with_gradients(reference, wide, target, None, scale * 0 + 1, reduction="mean")[1]
    assert float(unscaled.abs().max()) < 2.0**-14, "without scaling it would be denormal"
    # half an ulp, and half a denormal
    torch.testing.assert_close(found.double(), wanted, rtol=6e-4, atol=6e-8)


@runs
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_second_derivatives_are_the_references(reduction, device):
    x1, x2 = (randn(3, 4, seed=seed, dtype=torch.float64).to(device) for seed in (1, 2))
    x1[1] = 0
    target = torch.tensor([1.0, 1.0, -1.0], device=device)
    leaves = [x1.requires_grad_(), x2.requires_grad_()]
    found, wanted = [], []
    for kernel, into in ((triton_gpu, found), (reference, wanted)):
        loss = pair_loss(x1, x2, target, margin=-0.9, reduction=reduction, kernel=kernel).sum()
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        into += torch.autograd.grad(torch.cat(first).square().sum(), leaves)
    assert any(bool(g.any()) for g in wanted)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, wanted, strict=True))


@runs
def test_batched_gradients_are_the_references(device):
    x1, x2, target, _ = batch(4, 8, torch.float32, device)
    rows = pair_loss(x1.requires_grad_(), x2, target, margin=-0.9)
    (batched,) = torch.autograd.grad(
        rows, x1, torch.eye(4, device=device), is_grads_batched=True, retain_graph=True
    )
    torch.testing.assert_close(batched.sum(0), torch.autograd.grad(rows.sum(), x1)[0])


@runs
def test_gradcheck_and_gradgradcheck(device):
    x1, x2 = (randn(2, 3, seed=seed, dtype=torch.float64).to(device) for seed in (3, 4))
    target = torch.tensor([1.0, -1.0], device=device)

    def loss(a, b):
        return pair_loss(a, b, target, margin=-0.9, reduction="sum")

    leaves = (x1.requires_grad_(), x2.requires_grad_())
    assert torch.autograd.gradcheck(loss, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(loss, leaves, fast_mode=True)


@runs
def test_tensors_made_in_inference_mode(device):
    with torch.inference_mode():
        target, weight = torch.ones(4, device=device), torch.ones(4, device=device)
    x1, x2 = randn(4, 8).to(device).requires_grad_(), randn(4, 8, seed=1).to(device)
    pair_loss(x1, x2, target, weight, reduction="mean").backward()
    assert x1.grad is not None


@runs
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_same_twice_and_the_counter_is_set_back(dtype, device):
    x1, x2, target, weight = batch(40, 33, dtype, device)
    upstream = torch.tensor(2.0, device=device)
    first, second = (
        with_gradients(triton_gpu, (x1[:1], x2), target, weight, upstream, reduction="sum")
        for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert triton_gpu._workspace(x1.device)[1][0].item() == 0


# ---- on a card ---------------------------------------------------------------------------------


@runs
@on_card
def test_nothing_waits_for_the_card(device):
    x1, x2, target, weight = batch(64, 128, torch.float32, device)
    pair_loss(x1.requires_grad_(), x2, target, weight, reduction="mean").backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for reduction in ("mean", "sum", "none"):
            loss = pair_loss(x1, x2, target, weight, reduction=reduction)
            loss.backward(torch.full_like(loss, 2.0))
            pair_loss(x1[:1], x2, target, reduction=reduction).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@runs
@on_card
def test_a_captured_graph_replays(device):
    x1, x2, target, _ = batch(512, 128, torch.float32, device)
    x1.requires_grad_()
    upstream = torch.tensor(2.0, device=device)

    def step():
        loss = pair_loss(x1, x2, target, reduction="mean")
        return loss, torch.autograd.grad(loss, x1, upstream)[0]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss, gradient = step()
    for seed in range(3):
        with torch.no_grad():
            x1.copy_(randn(512, 128, seed=seed))
        graph.replay()
        wanted = step()
        assert torch.equal(loss, wanted[0])
        assert torch.equal(gradient, wanted[1])


@runs
@on_card
def test_two_streams_at_once(device):
    x1, x2, target, _ = batch(4096, 256, torch.float32, device)
    wanted = pair_loss(x1, x2, target, reduction="mean")
    torch.cuda.synchronize()
    found = []
    for stream in [torch.cuda.Stream() for _ in range(4)] * 8:
        with torch.cuda.stream(stream):
            found.append(pair_loss(x1, x2, target, reduction="mean"))
    torch.cuda.synchronize()
    assert all(torch.equal(loss, wanted) for loss in found)


@runs
@on_card
def test_a_training_step_under_the_grad_scaler(device):
    layer = torch.nn.Linear(64, 32).to(device)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**14)
    x1, x2, target, _ = batch(128, 64, torch.float32, device)
    before = layer.weight.detach().clone()
    with torch.autocast("cuda", dtype=torch.float16):
        a, b = layer(x1), layer(x2)
    loss = pair_loss(a.float(), b.float(), target, reduction="mean")
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**14
    assert not torch.equal(layer.weight, before)


@runs
@on_card
def test_inside_a_compiled_function(device):
    x1, x2, target, _ = batch(64, 128, torch.float32, device)
    opaque: Any = torch.compiler.disable(pair_loss)

    def step(a, b):
        return opaque(a * 2, b + 1, target, reduction="mean") * 3

    found, wanted = [], []
    compiled = torch.compile(step)
    for run, into in ((compiled, found), (step, wanted)):
        a, b = x1.clone().requires_grad_(), x2.clone().requires_grad_()
        loss = run(a, b)
        into += [loss.detach(), *torch.autograd.grad(loss, [a, b])]
    torch.testing.assert_close(found, wanted)


@runs
@on_card
def test_offsets_past_two_billion_elements(device):
    try:
        room = torch.empty(2**31 + 64, dtype=torch.float16, device=device)
    except torch.cuda.OutOfMemoryError:
        pytest.skip("needs 4 GiB of GPU memory")
    far = room.as_strided((2, 64), (2**31, 1))
    near = randn(2, 64, dtype=torch.float16).to(device)
    far.copy_(randn(2, 64, seed=1, dtype=torch.float16))
    assert_as_reference((far, near), torch.tensor([1.0, -1.0], device=device))


# ---- without a card, without the interpreter ---------------------------------------------------

COMPILE = """
import pathlib, re, subprocess, sys, tempfile
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from cospair.kernels import triton_device, triton_gpu

NAMES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}

def compiled(name, d, gradients, upstream):
    dtype = getattr(torch, name)
    shape = triton_gpu._shape(d, dtype.itemsize)
    rows = "*" + NAMES[name]
    given = {"x1": rows, "x2": rows, "target": "*i64"}
    if gradients:
        given |= {"gradient1": rows, "gradient2": rows}
    sums = {"loss": rows, "partials": "*fp64", "counter": "*i32"}
    given |= {"upstream": rows} if upstream else sums
    known = dict(
        D=d, R=shape.rows, BLOCK=shape.block, CHUNK=shape.chunk, UNIT=16 // dtype.itemsize,
        FOLD=256 * shape.warps, SHARED1=False, SHARED2=False, MEAN=True, UNLESS_ONE=upstream,
        DOUBLE=dtype == torch.float64, BOOL=False,
    )
    signature, constants, attributes = {}, {}, {}
    for at, parameter in enumerate(triton_device.pairs.params):
        if parameter.name in given:
            signature[parameter.name] = given[parameter.name]
            if given[parameter.name] == rows:
                attributes[at,] = [["tt.divisibility", 16]]
        elif parameter.annotation == "i64":
            signature[parameter.name] = "i64"
        else:
            signature[parameter.name] = "constexpr"
            constants[at,] = known.get(parameter.name)
    source = ASTSource(triton_device.pairs, signature, constants, attributes)
    options = {"num_warps": shape.warps, "enable_fp_fusion": dtype != torch.float64}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)

tool = pathlib.Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
for case in sys.argv[1:]:
    name, d, gradients, upstream = case.split(",")
    kernel = compiled(name, int(d), gradients == "1", upstream == "1")
    with tempfile.TemporaryDirectory() as folder:
        binary = pathlib.Path(folder) / "pairs.cubin"
        binary.write_bytes(kernel.asm["cubin"])
        said = subprocess.run([tool, "-res-usage", binary], capture_output=True, text=True).stdout
    used = dict(re.findall(r"(REG|STACK|LOCAL):(\\d+)", said))
    ptx = kernel.asm["ptx"]
    vectors = len(re.findall(r"ld[.]global[.]v[24][.]b(?:32|64)", ptx))
    loose = len(re.findall(r"(?:mul|add|sub)[.]f64", ptx))
    print(case, used["REG"], used["STACK"], used["LOCAL"], vectors, loose, "ftz" in ptx)
"""


@pytest.mark.skipif(not has_triton, reason="Triton is not installed")
def test_compiled_for_sm_90_nothing_spills(tmp_path):
    """Registers, and so occupancy, of the machine code that an H100 would run."""
    names, widths = ("float32", "bfloat16"), (128, 512, 4096)
    cases = [f"{name},{d},1,{upstream}" for name in names for d in widths for upstream in (0, 1)]
    cases += ["float32,512,0,0", "float32,8192,1,0", "float16,512,1,0", "float64,512,1,0"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {
        "PYTHONPATH": str(pathlib.Path(triton_gpu.__file__).parents[2]),
        "TRITON_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, *cases],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in found] == cases
    for case, registers, stack, local, vectors, loose, flushes in found:
        assert (stack, local) == ("0", "0"), f"{case} spills"
        assert int(registers) <= 128, f"{case}: {registers} registers leave under 16 warps a unit"
        assert int(vectors) >= 2, f"{case} loads its rows by less than 16 bytes"
        assert flushes == "False", f"{case} flushes denormal numbers"
        if case.startswith("float64"):
            assert loose == "0", "a compensated sum may not be contracted"


def test_importing_the_kernel_does_not_import_triton(tmp_path):
    program = "import sys, cospair.kernels.triton_gpu; assert 'triton' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(triton_gpu.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=tmp_path)


def test_unavailable_and_refuses_say_why(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(triton_gpu.importlib.util, "find_spec", lambda name: object())
    assert "no CUDA device" in triton_gpu.unavailable()
    assert triton_gpu.refuses(torch.device("cuda", 0), torch.float32) == ""
    assert "not on cpu" in triton_gpu.refuses(torch.device("cpu"), torch.float32)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert triton_gpu.unavailable() == ""
    assert triton_gpu.refuses(torch.device("cpu"), torch.float32) == ""
    assert "int8" in triton_gpu.refuses(torch.device("cuda", 0), torch.int8)
    monkeypatch.setattr(triton_gpu.importlib.util, "find_spec", lambda name: None)
    assert "not installed" in triton_gpu.unavailable()
