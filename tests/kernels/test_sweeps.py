"""Every kernel of the sweep, on every build of it, against all pairs in float64."""

import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair import SweepStats, kernels
from cospair.kernels import cpu_sweep, reference_sweep
from cospair.kernels.sweeps import TIE, Hinge, Watch
from cospair.sweep.batch import Batch, prepare

_cpu = pytest.importorskip("cospair.kernels._cpu")
BUILDS = list(_cpu.builds())


class Given(NamedTuple):
    x: torch.Tensor
    labels: torch.Tensor
    other: torch.Tensor | None = None
    other_labels: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    other_weight: torch.Tensor | None = None


class Expected(NamedTuple):
    total: float
    active: float
    pairs: int
    rows: torch.Tensor
    columns: torch.Tensor
    cosines: torch.Tensor
    paired: torch.Tensor


def rows_of(n: int, d: int, kind: str, *, seed: int, classes: int) -> tuple:
    """Random rows, rows that lie near their class's mean, or copies of a few rows."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=generator)
    noise = torch.randn(n, d, generator=generator, dtype=torch.float64)
    if kind == "random":
        return noise, labels
    means = torch.randn(max(classes, 1), d, generator=generator, dtype=torch.float64)
    if kind == "trained":
        return means[labels] + 0.6 * noise, labels
    picked = torch.randint(0, max(1, n // 3), (n,), generator=generator)
    lengths = torch.tensor([1.0, 2.0, 4.0, 0.5], dtype=torch.float64)
    return noise[picked] * lengths[torch.arange(n) % 4, None], labels


def brute_force(given: Given, hinge: Hinge) -> Expected:
    """Sums over all pairs at once, from float64 cosines of the rows as they came."""
    unit = torch.nn.functional.normalize(given.x.double(), eps=1e-300)
    opposite = unit if given.other is None else torch.nn.functional.normalize(given.other.double())
    other_labels = given.labels if given.other_labels is None else given.other_labels
    paired = given.labels[:, None] == other_labels[None, :]
    paired = paired if hinge.genuine else ~paired
    if given.other is None:
        paired = paired.triu(1)
    sign = -1.0 if hinge.genuine else 1.0
    cosines = (unit @ opposite.T).clamp(-1, 1)
    cost = sign * (cosines - hinge.margin)
    weights = ((cost > TIE) & paired).double()
    for weight, shape in ((given.weight, (-1, 1)), (given.other_weight, (1, -1))):
        weights = weights if weight is None else weights * weight.double().reshape(shape)
    if given.other is None and given.weight is not None:
        weights = weights * given.weight.double()[None, :]
    force = sign * hinge.power * weights * cost ** (hinge.power - 1)
    rows, columns = force @ opposite, force.T @ unit
    return Expected(
        (weights * cost**hinge.power).sum().item(),
        weights.sum().item(),
        int((weights > 0).sum()),
        rows + columns if given.other is None else rows,
        columns,
        cosines,
        paired,
    )


def swept(kernel: ModuleType, given: Given, hinge: Hinge, *, stats: SweepStats | None = None):
    rows, columns = prepare(Batch(*given), kernel.squared_lengths)
    return kernel.hinge_sweep(
        rows.side,
        columns and columns.side,
        hinge,
        wanted=(True, True),
        watch=Watch(stats),
    )


def check(kernel: ModuleType, given: Given, hinge: Hinge) -> SweepStats:
    """The kernel's sums are those of all pairs; returns what it did."""
    stats = SweepStats()
    expected = brute_force(given, hinge)
    found = swept(kernel, given, hinge, stats=stats)
    # a pair that stands within float64's own rounding of its hinge may fall on either side
    near = ((expected.cosines - hinge.margin).abs() < 1e-13) & expected.paired
    if not bool(near.any()):
        counted = stats.active_genuine + stats.active_impostor
        if given.weight is None and given.other_weight is None:
            assert counted == expected.pairs
        assert found.active.item() == pytest.approx(expected.active, rel=1e-12)
    assert found.total.item() == pytest.approx(expected.total, rel=1e-6, abs=1e-9)
    sides = [(found.rows, expected.rows)]
    if given.other is not None:
        sides.append((found.columns, expected.columns))
    for pull, truth in sides:
        largest = truth.abs().max().item() if truth.numel() else 0.0
        # sums of unit rows in float32, or float64 where the rows are
        eps = torch.finfo(pull.dtype).eps
        scale = max(largest, float(near.sum()), 1e-3)
        torch.testing.assert_close(
            pull.double(), truth, rtol=0, atol=30 * eps * scale + near.sum().item()
        )
    return stats


def each_kernel():
    yield pytest.param((reference_sweep, 0), id="reference")
    for number, name in enumerate(BUILDS):
        yield pytest.param((cpu_sweep, number), id=f"cpu {name}")


@pytest.fixture(params=list(each_kernel()))
def kernel(request, monkeypatch):
    module, build = request.param
    monkeypatch.setattr(cpu_sweep, "_BUILD", build)
    return module


@pytest.mark.parametrize("genuine", [False, True])
@pytest.mark.parametrize("margin", [-1.0, -0.3, 0.0, 0.25, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("kind", ["random", "trained", "copies"])
@pytest.mark.parametrize("power", [1, 2])
def test_sums_over_all_pairs(kernel, power, kind, margin, genuine):
    x, labels = rows_of(300, 24, kind, seed=1, classes=40)
    check(kernel, Given(x.float(), labels), Hinge(genuine, margin, power))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("d", [1, 2, 3, 5, 16, 31, 33, 127, 512, 1030])
def test_every_dtype_and_width(kernel, d, dtype):
    x, labels = rows_of(70, d, "trained", seed=d, classes=11)
    for margin, power in ((0.0, 1), (0.4, 1), (0.2, 2)):
        check(kernel, Given(x.to(dtype), labels), Hinge(False, margin, power))
    check(kernel, Given(x.to(dtype), labels), Hinge(True, 0.6))


@pytest.mark.parametrize("genuine", [False, True])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 50), (50, 1), (300, 1100), (700, 33)])
def test_two_sides_of_different_classes(kernel, n, m, genuine):
    x, labels = rows_of(n, 20, "trained", seed=n, classes=17)
    other, other_labels = rows_of(m, 20, "trained", seed=m + 1, classes=17)
    given = Given(x.float(), labels + 5, other.float(), other_labels)
    for margin, power in ((0.0, 1), (0.3, 1), (0.3, 2)):
        check(kernel, given, Hinge(genuine, margin, power))


@pytest.mark.parametrize("genuine", [False, True])
@pytest.mark.parametrize("classes", [1, 2, 7, 10_000])
@pytest.mark.parametrize("n", [2, 31, 32, 33, 239, 241, 1023, 1025, 1300])
def test_sizes_beside_those_of_tiles(kernel, n, classes, genuine):
    x, labels = rows_of(n, 8, "random", seed=n, classes=classes)
    check(kernel, Given(x.float(), labels), Hinge(genuine, 0.55))


@pytest.mark.parametrize("margin", [0.0, 0.3])
@pytest.mark.parametrize("genuine", [False, True])
@pytest.mark.parametrize("two_sides", [False, True])
def test_weights_multiply(kernel, two_sides, genuine, margin):
    x, labels = rows_of(260, 12, "random", seed=4, classes=9)
    weight = torch.rand(260, generator=torch.Generator().manual_seed(0))
    weight[::7] = 0.0
    given = Given(x.float(), labels, weight=weight)
    if two_sides:
        given = Given(x[:100].float(), labels[:100], x.float(), labels, weight[:100], weight)
    check(kernel, given, Hinge(genuine, margin))


def test_zero_rows_are_at_right_angles_to_all(kernel):
    x, labels = rows_of(90, 6, "random", seed=9, classes=5)
    x[::10] = 0.0
    for margin in (-0.4, 0.0, 0.2):
        check(kernel, Given(x.float(), labels), Hinge(False, margin))
    check(kernel, Given(x.float(), labels), Hinge(True, 0.5))


def test_a_hinge_hit_exactly_costs_nothing(kernel):
    x = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])
    labels = torch.arange(4)
    for margin in (0.6, 0.8, 0.0, -0.6, -1.0, 1.0):
        found = swept(kernel, Given(x, labels), Hinge(False, margin))
        cosines = [0.6, 0.0, -1.0, 0.8, -0.6, 0.0]
        assert found.active.item() == sum(s > margin + 1e-9 for s in cosines)
        found = swept(kernel, Given(x, torch.zeros(4, dtype=torch.long)), Hinge(True, margin))
        assert found.active.item() == sum(s < margin - 1e-9 for s in cosines)


def test_rows_apart_in_memory_are_read_in_place(kernel):
    x, labels = rows_of(200, 30, "trained", seed=2, classes=13)
    apart = torch.zeros(200, 47)
    apart[:, 3:33] = x.float()
    check(kernel, Given(apart[:, 3:33], labels), Hinge(False, 0.2))


def test_one_thread_or_two_give_the_same_bits(kernel):
    x, labels = rows_of(2000, 40, "trained", seed=3, classes=90)
    results = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            results.append(swept(kernel, Given(x.float(), labels), Hinge(False, 0.45)))
        finally:
            torch.set_num_threads(before)
    if kernel is cpu_sweep:  # torch's own products may add up in another order
        assert torch.equal(results[0].rows, results[1].rows)
        assert results[0].total.item() == results[1].total.item()
    torch.testing.assert_close(results[0].rows, results[1].rows)


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(1, 60),
    m=st.integers(0, 60),
    d=st.integers(1, 40),
    classes=st.integers(1, 30),
    kind=st.sampled_from(["random", "trained", "copies"]),
    seed=st.integers(0, 2**20),
    margin=st.floats(-1, 1),
    genuine=st.booleans(),
    build=st.integers(0, len(BUILDS) - 1),
)
def test_random_cases(n, m, d, classes, kind, seed, margin, genuine, build):
    x, labels = rows_of(n, d, kind, seed=seed, classes=classes)
    given = Given(x.float(), labels)
    if m:
        other, other_labels = rows_of(m, d, kind, seed=seed + 1, classes=classes)
        given = Given(x.float(), labels, other.float(), other_labels)
    before, cpu_sweep._BUILD = cpu_sweep._BUILD, build
    try:
        check(cpu_sweep, given, Hinge(genuine, margin))
    finally:
        cpu_sweep._BUILD = before


def test_the_way_is_chosen_by_tile():
    """At margin .5 the screen leaves next to nothing, at margin 0 half of all pairs is active."""
    x, labels = rows_of(2100, 64, "random", seed=0, classes=500)
    given = Given(x.float(), labels)
    screened = check(cpu_sweep, given, Hinge(False, 0.5))
    assert screened.tiles_dense == 0
    assert screened.pairs_evaluated < 0.01 * 2100 * 2099 / 2
    dense = check(cpu_sweep, given, Hinge(False, 0.0))
    assert dense.tiles_screened < dense.tiles / 3
    assert dense.pairs_evaluated > 0.9 * 2100 * 2099 / 2


@pytest.mark.parametrize("by", ["all backends", "one backend"])
def test_the_users_matmul_precision_decides_nothing(by):
    """A process of its own: torch refuses to read one of the settings once the other was used."""
    program = f"""
import torch
from test_sweeps import Given, Hinge, check, cpu_sweep, rows_of
matmul = torch.backends.mkldnn.matmul
if {by!r} == "one backend":
    matmul.fp32_precision = "bf16"
else:
    torch.set_float32_matmul_precision("medium")
x, labels = rows_of(500, 64, "random", seed=0, classes=100)
with torch.autocast("cpu", dtype=torch.bfloat16):
    assert check(cpu_sweep, Given(x.float(), labels), Hinge(False, 0.0)).tiles_dense
assert matmul.fp32_precision == "bf16"
"""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=here, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


# ---- the screen's bound ------------------------------------------------------------------------


def bounds(x: torch.Tensor, build: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What the screen holds against every pair, and the cosines, float64 [n, n]."""
    n, d = x.shape
    side = prepare(Batch(x, torch.arange(n)), cpu_sweep.squared_lengths)[0].side
    levels = torch.zeros(n, 4 * math.ceil(d / 4), dtype=torch.int32)
    steps, reaches = torch.empty(n), torch.empty(n)
    _cpu.levels(tuple(side), build, levels, steps, reaches)
    wide = levels.double()
    bound = (wide @ wide.T) * steps.double()[:, None] * steps.double()[None, :]
    bound += reaches.double()[:, None] * reaches.double()[None, :] - 1.0
    unit = side.x[side.order].double() * side.inverse_lengths[side.order, None]
    return bound, unit @ unit.T


def hostile_rows(kind: str, n: int, d: int, generator: torch.Generator) -> torch.Tensor:
    normal = torch.randn(n, d, generator=generator)
    if kind == "one huge":
        normal[:, 0] *= 1e6
    if kind == "denormal":
        normal *= 1e-39
    if kind == "large":
        normal *= 1e30
    if kind == "equal":
        normal = torch.ones(n, d)
    if kind == "signs":
        normal = normal.sign()
    if kind == "rounding ties":  # every level half way between two
        normal = torch.randint(-127, 127, (n, d), generator=generator) + 0.5
        normal[:, 0] = 127.0
    if kind == "sparse":
        normal *= torch.rand(n, d, generator=generator) < 2 / d
    if kind == "zero":
        normal[::2] = 0.0
    if kind == "geometric":
        normal = torch.logspace(0, -30, d).expand(n, d) * normal.sign()
    return normal


KINDS = ["normal", "one huge", "denormal", "large", "equal", "signs", "rounding ties", "sparse"]


@pytest.mark.parametrize("build", range(len(BUILDS)), ids=BUILDS)
@pytest.mark.parametrize("kind", [*KINDS, "zero", "geometric"])
@pytest.mark.parametrize("d", [1, 2, 7, 64, 500, 8192])
def test_no_cosine_exceeds_its_bound(d, kind, build):
    generator = torch.Generator().manual_seed(d)
    x = hostile_rows(kind, 24, d, generator)
    near = x + x.abs().amax(1, keepdim=True) * 1e-4 * torch.randn(24, d, generator=generator)
    bound, cosines = bounds(torch.cat([x, near, -x]), build)
    assert bool((cosines <= bound).all()), (cosines - bound).max()
    # and it is worth something: on ordinary rows a pair is let through 2 % too early at most
    if kind == "normal" and d >= 64:
        wide_levels = BUILDS[build].endswith(("VNNI", "AMX"))
        assert (bound - cosines).max().item() < (0.025 if wide_levels else 0.035)


@pytest.mark.parametrize("build", range(len(BUILDS)), ids=BUILDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 3, 64, 500])
def test_margins_just_under_a_cosine_lose_no_pair(d, kind, build, monkeypatch):
    monkeypatch.setattr(cpu_sweep, "_BUILD", build)
    generator = torch.Generator().manual_seed(d)
    x = hostile_rows(kind, 40, d, generator)
    _, cosines = bounds(x, build)
    upper = cosines[torch.ones(40, 40).triu(1).bool()].sort().values
    for at in (0.5, 0.9, 0.99, 1.0):
        margin = upper[min(int(at * len(upper)), len(upper) - 1)].item() - 1e-9
        if not -1 <= margin <= 1:
            continue
        found = swept(cpu_sweep, Given(x, torch.arange(40)), Hinge(False, margin))
        assert found.active.item() == float((upper > margin + TIE).sum())


def test_rows_too_long_for_the_screen_are_taken_whole():
    x, labels = rows_of(6, 33_000, "random", seed=0, classes=3)
    stats = check(cpu_sweep, Given(x.float(), labels), Hinge(False, 0.0))
    assert stats.tiles_screened == 0


def test_every_kernel_of_the_sweep_has_the_same_functions():
    for kernel in kernels.SWEEPS.values():
        for name in ("unavailable", "refuses", "hinge_sweep", "squared_lengths", "finish"):
            assert callable(getattr(kernel, name)), (kernel.__name__, name)
