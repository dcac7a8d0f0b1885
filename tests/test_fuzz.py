"""The fuzzer's batches, chosen by hypothesis, against the bounds that docs/accuracy.md states.

COSPAIR_FUZZ_EXAMPLES=20000 makes it a long search; `python tests/fuzz.py` is the bulk mode.
"""

import os

import fuzz
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fuzzing.cases import batch_at, build
from fuzzing.choices import (
    DTYPES,
    LAYOUTS,
    LENGTHS,
    MARGINS,
    POISONS,
    RELATIONS,
    SCALES,
    TARGETS,
    UPSTREAMS,
    WANTED,
    WEIGHTS,
    Batch,
)
from fuzzing.expected import BOUNDS
from fuzzing.geometry import geometry
from fuzzing.judgement import examine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cospair import kernels

EXAMPLES = int(os.environ.get("COSPAIR_FUZZ_EXAMPLES", "250"))
FEW = settings(
    max_examples=EXAMPLES,
    deadline=None,  # the truth costs milliseconds, more on a busy machine
    suppress_health_check=[HealthCheck.too_slow],
)

batches = st.builds(
    Batch,
    dtype=st.sampled_from(DTYPES),
    n=st.integers(1, 7),
    d=st.one_of(st.integers(1, 40), st.sampled_from(LENGTHS)),
    seed=st.integers(0, 2**31 - 1),
    relations=st.lists(st.sampled_from((*RELATIONS, *POISONS)), min_size=1, max_size=5).map(tuple),
    scales=st.lists(st.sampled_from(SCALES), min_size=1, max_size=3).map(tuple),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    target=st.sampled_from(TARGETS),
    margins=st.one_of(st.sampled_from(MARGINS), st.tuples(*[st.floats(-1, 1)] * 2)),
    hinge=st.none() | st.integers(-2, 2),
    reduction=st.sampled_from(("none", "mean", "sum")),
    weight=st.sampled_from(WEIGHTS),
    upstream=st.sampled_from(UPSTREAMS),
    wanted=st.sampled_from(WANTED),
)


def named(name: str):
    reason = "" if name == "auto" else kernels.available()[name]
    if reason:
        pytest.skip(reason)
    return fuzz.kernel_named(name)


@pytest.mark.parametrize("name", ["auto", "cpu", "reference"])
@FEW
@given(batch=batches)
def test_every_batch_is_within_the_bounds(name, batch):
    kernel, bounds = named(name)
    assert examine(kernel, batch, bounds).complaints == []


@pytest.mark.parametrize("target", ["int64", "int8"])
@pytest.mark.parametrize("weight", ["none", "uniform"])
def test_a_query_against_one_row_repeated(target, weight):
    batch = Batch(
        layouts=("shared", "expanded"), target=target, weight=weight, wanted=(True, False)
    )
    kernel, bounds = named("auto")
    assert examine(kernel, batch, bounds).complaints == []


def test_the_reference_kernel_is_exact_whatever_the_strides():
    batch = Batch(
        dtype="float64",
        n=37,
        d=15,
        relations=("identical", "random"),
        layouts=("contiguous", "columns"),
        reduction="none",
    )
    kernel, bounds = named("reference")
    assert examine(kernel, batch, bounds).complaints == []


@pytest.mark.parametrize("name", ["auto", "cpu"])
@pytest.mark.parametrize("number", range(12))
def test_batches_of_the_bulk_mode_are_within_the_bounds(name, number):
    kernel, bounds = named(name)
    batch = batch_at(20, number)
    assert examine(kernel, batch, bounds).complaints == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_enough_rows_for_two_threads(dtype):
    kernel, bounds = named("cpu")
    batch = Batch(dtype=dtype, n=1700, d=400, reduction="sum", layouts=("shared", "offset"))
    assert build(batch).x2.nbytes > 1 << 20
    assert examine(kernel, batch, bounds).complaints == []


# ---- the truth ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start", range(0, 40, 8))
def test_the_truth_is_that_of_2400_bits(start):
    rng = np.random.default_rng(start)
    for number in range(start, start + 8):
        batch = batch_at(30, number)
        # a millionth of a float64 ulp: of the errors stated, none moves by it
        assert fuzz.oracle_error(batch, int(rng.integers(batch.n))) < 1e-6, number


def test_the_truth_keeps_a_difference_of_one_ulp():
    x = np.array([[1.0, 3.0, 5.0, 7.0]])
    y = x.copy()
    y[0, 2] = np.nextafter(5.0, 6.0)
    found = geometry(x, y)
    # 1 - s = sin^2 / 2 for so small an angle: e = 2^-50 along one axis, less its part along x
    assert found.gap.high[0] == pytest.approx(0.5 * 2.0**-100 * (1 - 25 / 84) / 84, rel=1e-14)


def test_the_truth_of_rows_of_every_size_is_the_same():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 5, 40))
    for exponent in (-1000, -3, 900):
        found = geometry(np.ldexp(x, exponent), y)
        assert np.array_equal(found.cosine.high, geometry(x, y).cosine.high)


# ---- the fuzzer finds what is wrong ------------------------------------------------------------


def off(change):
    """The reference kernel with something done to its result."""

    def kernel(x1, x2, target, weight, **options):
        loss = named("reference")[0](x1, x2, target, weight, **options)
        return change(loss, x1)

    return kernel


def torchs(x1, x2, target, weight, *, margin, positive_margin, reduction, dtype):
    return F.cosine_embedding_loss(x1, x2, target, margin, reduction=reduction).to(dtype)


def gradient_off(loss, x1):
    return loss + 3e-7 * (loss - loss.detach())


WRONG = {
    "a loss is out of its range": off(lambda loss, x1: loss - 1e-6),
    "the loss of finite rows": off(lambda loss, x1: loss / (x1 != 0).any(-1).to(loss.dtype)),
    "the loss drops a row": off(lambda loss, x1: loss.nan_to_num(0)),
    "the loss is up to": off(lambda loss, x1: loss * (1 + 2e-7)),
    "x1's gradient is up to": off(gradient_off),
    "alone gives something else": off(lambda loss, x1: loss + 1e-3 * loss.nan_to_num(0).mean()),
    "a second call": off(lambda loss, x1: loss + 1e-3 * torch.rand(())),
    "exchanged": off(lambda loss, x1: loss * (1 + 1e-3 * (x1[:, 0] > 0))),
    "x1's gradient is not 0": off(lambda loss, x1: loss + x1[:, 0] - x1[:, 0].detach()),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_kernel_is_found(words):
    batch = Batch(
        n=40,
        d=20,
        relations=(*RELATIONS, "nan"),
        reduction="none",
        margins=(-1.0, 1.0),
    )
    bounds = BOUNDS["reference"]
    assert examine(named("reference")[0], batch, bounds).complaints == []
    found = examine(WRONG[words], batch, bounds).complaints
    assert any(words in complaint for complaint in found), found


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_torch_gets_wrong_is_found(dtype):
    batch = Batch(dtype=dtype, n=60, d=300, scales=SCALES, reduction="none")
    found = examine(torchs, batch, BOUNDS["cpu"]).complaints
    assert any("the loss is up to" in complaint for complaint in found), found
    assert any("gradient is not 0" in complaint for complaint in found), found


def test_a_batch_is_told_by_its_choices():
    first, again = (build(batch_at(1, 5)) for _ in range(2))
    assert first.batch == again.batch
    assert torch.equal(first.x1.nan_to_num(), again.x1.nan_to_num())
    assert torch.equal(first.target, again.target)
