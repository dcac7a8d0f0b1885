"""Counts of every pair along the axis of scores, on every build, against all pairs at once."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.kernels import cpu_tally, reference_tally
from cospair.kernels.tallies import Cells, Request, Tallied, cells_over, sorted_sides

_cpu = pytest.importorskip("cospair.kernels._cpu")
BUILDS = list(_cpu.builds())
SCALE = 2.0**20  # every sum of products of eighths below is exact, so a build's roundings are too
KINDS = ["eighths", "copies", "zeros", "one row"]


def rows_of(n: int, d: int, kind: str, seed: int) -> torch.Tensor:
    """Rows whose products are exact in float64, and of length 1 at most."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-8, 9, (n, d), generator=generator).double() / 2.0 ** (
        3 + math.ceil(math.log2(d))
    )
    if kind == "copies":
        x = x[torch.randint(0, max(1, n // 4), (n,), generator=generator)]
    if kind == "zeros":
        x[::3] = 0.0
    if kind == "one row":
        x = x[:1].expand(n, d).contiguous()
    return x


def labels_of(n: int, classes: int, seed: int) -> torch.Tensor:
    return torch.randint(0, classes, (n,), generator=torch.Generator().manual_seed(seed))


def run(kernel: Any, given_sides: tuple, request: Request, build: int = 0) -> Tallied:
    rows, columns = sorted_sides(*given_sides)
    before, cpu_tally._BUILD = cpu_tally._BUILD, build
    try:
        packed = kernel.packed(columns or rows)
        return kernel.tally(rows, columns, packed, request, None)
    finally:
        cpu_tally._BUILD = before


def both(given_sides: tuple) -> tuple[torch.Tensor, ...]:
    """Rows and labels of both sides, the same ones twice where there is one."""
    return given_sides if len(given_sides) == 4 else (*given_sides, *given_sides)


def brute_force(given_sides: tuple, request: Request) -> dict[str, Any]:
    """What is asked, from the matrix of all keys."""
    x, labels, opposite, codes = both(given_sides)
    keys = (x @ opposite.T).clamp(-1, 1).mul(request.scale).round()
    paired = (labels[:, None] == codes[None, :]) == request.genuine
    if len(given_sides) == 2:
        paired = paired.triu(1)
    first, second = paired.nonzero().unbind(1)
    values = keys[first, second]
    counts = []
    edges = request.edges.tolist()
    for low, high in zip([-torch.inf, *edges], [*edges, torch.inf], strict=True):
        counts += [int(((values > low) & (values < high)).sum()), int((values == high).sum())]
    sign = 1 if request.lowest else -1
    pairs = zip(values.tolist(), first.tolist(), second.tolist(), strict=True)
    return {
        "counts": counts[:-1],
        "windows": [
            sorted(values[(values >= a) & (values < b)].tolist()) for a, b in request.windows
        ],
        "extremes": sorted(pairs, key=lambda p: (sign * p[0], *p[1:]))[: request.extremes],
        "first": first,
        "second": second,
        "values": values,
    }


def check(given_sides: tuple, request: Request, found: Tallied) -> None:
    expected = brute_force(given_sides, request)
    assert found.counts.tolist() == expected["counts"]
    assert [sorted(w.tolist()) for w in found.windows] == expected["windows"]
    assert list(found.found) == [len(w) for w in expected["windows"]]
    assert list(found.extremes) == expected["extremes"]
    cell = ((expected["values"] - request.cells.low) // request.cells.width).long()
    cell = cell.clamp(0, request.cells.size - 1)
    assert found.cells.tolist() == torch.bincount(cell, minlength=request.cells.size).tolist()
    if request.codes is None or request.bins is None:
        return
    own, others, codes = request.codes
    wanted = torch.zeros(codes, int(request.bins.max()) + 1, dtype=torch.int64)
    for side in (own[expected["first"]], others[expected["second"]]):
        wanted.index_put_((side, request.bins[cell].long()), torch.tensor(1), accumulate=True)
    assert found.marginals is not None
    assert torch.equal(found.marginals, wanted)


def request_for(given_sides: tuple, genuine: bool, edges: int, cells: int, seed: int) -> Request:
    """Edges at keys that occur, beside them and anywhere."""
    generator = torch.Generator().manual_seed(seed)
    x, labels, other, other_labels = both(given_sides)
    keys = (x @ other.T).view(-1).mul(SCALE).round()
    anywhere = torch.randint(-(2**20), 2**20, (edges,), generator=generator).double()
    some = keys[torch.randint(0, len(keys), (edges,), generator=generator)]
    beside = some + torch.randint(-1, 2, (edges,), generator=generator)
    laid = cells_over(-0.2 * SCALE, 0.3 * SCALE, cells)
    bins = torch.randint(0, 4, (laid.size,), generator=generator).sort().values.to(torch.int32)
    classes = 1 + int(max(labels.max(), other_labels.max()))
    return Request(
        genuine,
        SCALE,
        torch.cat([anywhere, beside]).unique(),
        laid,
        ((-0.1 * SCALE, 0.2 * SCALE), (0.0, 2 * SCALE)),
        10**6,
        extremes=seed % 7,
        lowest=bool(seed % 2),
        codes=(labels, other_labels, classes),
        bins=bins,
    )


@pytest.mark.parametrize("build", range(len(BUILDS)), ids=BUILDS)
@pytest.mark.parametrize("classes", [1, 3, 500])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, None), (23, 25), (65, None), (130, 49)])
def test_every_build_counts_all_pairs(build, classes, n, m):
    for at, kind in enumerate(KINDS):
        d = [1, 5, 17, 300][(at + n) % 4]
        sides = (rows_of(n, d, kind, 1), labels_of(n, classes, 2))
        if m is not None:
            sides = (*sides, rows_of(m, d, kind, 3), labels_of(m, classes, 4))
        for genuine in (True, False):
            asked = request_for(sides, genuine, 20, [2, 40, 4000][at % 3], n + at)
            check(sides, asked, run(cpu_tally, sides, asked, build))
            if not build:
                check(sides, asked, run(reference_tally, sides, asked))


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 150),
    m=st.none() | st.integers(1, 90),
    d=st.integers(1, 30),
    classes=st.integers(1, 60),
    kind=st.sampled_from(KINDS),
    genuine=st.booleans(),
    edges=st.integers(1, 80),
    cells=st.integers(2, 5000),
    seed=st.integers(0, 2**20),
    threads=st.integers(1, 4),
)
def test_random_cases_on_any_number_of_threads(
    n, m, d, classes, kind, genuine, edges, cells, seed, threads
):
    sides = (rows_of(n, d, kind, seed), labels_of(n, classes, seed))
    if m is not None:
        sides = (*sides, rows_of(m, d, kind, seed + 1), labels_of(m, classes, seed + 1))
    asked = request_for(sides, genuine, edges, cells, seed)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        check(sides, asked, run(cpu_tally, sides, asked))
    finally:
        torch.set_num_threads(before)


def test_a_score_has_the_same_bits_wherever_its_pair_lies():
    x = torch.nn.functional.normalize(torch.randn(500, 200, dtype=torch.float64))
    labels = torch.arange(500)
    twice = torch.cat([x, x, x[:77]])
    everything = ((-(2.0**51), 2.0**51),)
    keys = []
    for rows in (x, twice):
        sides = (rows, torch.arange(len(rows)), x, -1 - labels)
        asked = Request(
            False, 2.0**50, torch.zeros(1).double(), Cells(-(2**50), 2**40, 2048), everything, 10**6
        )
        keys.append(run(cpu_tally, sides, asked).windows[0])
    counts = [k.unique(return_counts=True) for k in keys]
    assert torch.equal(counts[0][0], counts[1][0])
    assert (counts[1][1] >= 2 * counts[0][1]).all()


def test_windows_keep_no_more_than_their_capacity_and_say_so():
    sides = (rows_of(200, 8, "eighths", 0), torch.arange(200))
    whole = ((-2 * SCALE, 2 * SCALE),)
    asked = Request(False, SCALE, torch.zeros(1).double(), cells_over(-SCALE, SCALE, 64), whole, 50)
    found = run(cpu_tally, sides, asked)
    assert found.found == (200 * 199 // 2,)
    assert 50 <= len(found.windows[0]) <= 50 * torch.get_num_threads()


def test_many_pairs_of_one_score_are_counted_past_the_parts():
    sides = (rows_of(3000, 2, "one row", 0), torch.arange(3000))
    key = (sides[0][0] @ sides[0][0] * SCALE).round()
    asked = Request(False, SCALE, torch.stack([key, key + 1]), cells_over(-SCALE, SCALE, 64))
    assert run(cpu_tally, sides, asked).counts.tolist() == [0, 3000 * 2999 // 2, 0, 0, 0]


def test_sides_without_rows_have_no_pairs():
    none, some = torch.empty(0, 3).double(), rows_of(4, 3, "eighths", 0)
    asked = Request(False, SCALE, torch.zeros(1).double(), cells_over(-SCALE, SCALE, 8))
    for kernel in (cpu_tally, reference_tally):
        for sides in (
            (none, torch.empty(0).long()),
            (none, torch.empty(0).long(), some, torch.arange(4)),
            (some, torch.arange(4), none, torch.empty(0).long()),
        ):
            assert run(kernel, sides, asked).counts.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("lowest", "highest"), [(-1e12, 1e12), (0.0, 0.0), (-3.0, 1e9), (5.0, 6.0)]
)
def test_cells_cover_what_they_are_laid_over(lowest, highest):
    cells = cells_over(lowest, highest, 1000)
    assert cells.size <= 1000
    assert cells.low <= lowest
    assert highest < cells.low + cells.width * cells.size
    assert cells.number(torch.tensor([lowest - 1e13, highest + 1e13])).tolist() == [
        0,
        cells.size - 1,
    ]
    assert torch.equal(cells.number(cells.starts()), torch.arange(cells.size))


def test_progress_counts_parts():
    calls = []
    sides = sorted_sides(rows_of(50, 3, "eighths", 0), torch.arange(50))
    asked = Request(False, SCALE, torch.zeros(1).double(), cells_over(-SCALE, SCALE, 8))
    for kernel in (cpu_tally, reference_tally):
        kernel.tally(*sides, kernel.packed(sides[0]), asked, lambda *call: calls.append(call))
    assert calls == [(1, 1), (1, 1)]


def test_what_the_kernel_could_not_read_is_refused():
    rows, _ = sorted_sides(rows_of(5, 3, "eighths", 0), torch.arange(5))
    packed = cpu_tally.packed(rows)
    asked = Request(False, SCALE, torch.zeros(1).double(), cells_over(-SCALE, SCALE, 8))
    with pytest.raises(ValueError, match="edges must be a plain CPU tensor"):
        cpu_tally.tally(rows, None, packed, asked._replace(edges=torch.tensor([1.0, 0.0])), None)
    down = asked._replace(edges=torch.tensor([1.0, 0.0]).double())
    with pytest.raises(ValueError, match="edges must be a plain CPU tensor"):
        cpu_tally.tally(rows, None, packed, down, None)
    other, _ = sorted_sides(rows_of(6, 3, "eighths", 0), torch.arange(6))
    with pytest.raises(ValueError, match="panels must be a plain CPU tensor"):
        cpu_tally.tally(other, None, packed, asked, None)
    bins = torch.zeros(asked.cells.size, dtype=torch.int32)
    beyond = asked._replace(codes=(torch.arange(5), torch.arange(5), 4), bins=bins)
    with pytest.raises(ValueError, match="codes must be a plain CPU tensor"):
        cpu_tally.tally(rows, None, packed, beyond, None)
