"""Counts of pairs above thresholds and between edges against all float64 cosines at once."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.kernels.sweeps import TIE
from cospair.sweep import counts_above, histogram, tails, tallied

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
KINDS = ["random", "trained", "copies", "few values", "zeros", "collapsed"]


@pytest.fixture(params=["kernel", "torch"])
def _form(request, monkeypatch):
    """The kernel that counts every pair, and what stands in for it."""
    if request.param == "torch":
        monkeypatch.setattr(tallied, "refuses", lambda x: "not here")
    elif tallied.refuses(torch.empty(1, 1)):
        pytest.skip("the CPU kernels are not built")


@pytest.fixture
def _torch_form(monkeypatch):
    monkeypatch.setattr(tallied, "refuses", lambda x: "not here")


def rows_of(n: int, d: int, kind: str, *, seed: int, classes: int, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=generator)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    if kind == "trained":
        means = torch.randn(classes, d, generator=generator, dtype=torch.float64)
        x = means[labels] + 0.6 * x
    if kind == "copies" and n:
        x = x[torch.randint(0, max(1, n // 4), (n,), generator=generator)]
    if kind == "few values":
        x = torch.randint(-1, 2, (n, d), generator=generator).double()
    if kind == "zeros":
        x[::3] = 0.0
    if kind == "collapsed" and n:
        x = x[:1].expand(n, d)
    return x.to(dtype), labels


def cosines_of(x, labels, other=None, other_labels=None):
    """Float64 cosines of the genuine and of the impostor pairs, [p] and [q]."""
    rows, columns = (
        torch.nn.functional.normalize(side.double(), eps=1e-300)
        for side in (x, x if other is None else other)
    )
    cosines = (rows @ columns.T).clamp(-1, 1)
    same = labels[:, None] == (labels if other_labels is None else other_labels)[None, :]
    pairs = torch.ones_like(same) if other is not None else torch.ones_like(same).triu(1)
    return cosines[same & pairs], cosines[~same & pairs]


def check_above(sides, thresholds):
    kinds = cosines_of(*sides)
    found = counts_above(*sides, thresholds=thresholds)
    for cosines, counts, pairs in zip(kinds, found[:2], found[2:], strict=True):
        assert counts.dtype == torch.int64
        assert counts.tolist() == [int((cosines >= t - TIE).sum()) for t in thresholds.tolist()]
        assert pairs == len(cosines)


def check_histogram(sides, edges):
    kinds = cosines_of(*sides)
    found = histogram(*sides, edges=edges)
    for cosines, counts in zip(kinds, found[:2], strict=True):
        above = torch.stack([(cosines >= e - TIE).sum() for e in edges])
        above[-1] = (cosines > edges[-1] + TIE).sum()
        assert counts.tolist() == (above[:-1] - above[1:]).tolist()


def settled_edges(sides, count: int, seed: int):
    """Edges at cosines that occur, beside them, and anywhere; ascending, none of them repeated."""
    generator = torch.Generator().manual_seed(seed)
    some = torch.cat([*cosines_of(*sides), torch.zeros(1, dtype=torch.float64)])
    hit = some[torch.randint(0, len(some), (count,), generator=generator)]
    # 1e-7 is within float32's error, 1e-12 is not within that of float64
    beside = hit + torch.tensor([0.0, 1e-12, -1e-12, 1e-7, -1e-7]).double()[torch.arange(count) % 5]
    anywhere = torch.rand(3, generator=generator, dtype=torch.float64) * 2.2 - 1.1
    edges = torch.cat([beside, anywhere]).sort().values
    # a cosine that two orders of summation put on either side of an edge's tie would decide nothing
    distance = (some[:, None] - edges[None, :]).abs()
    clear = ((distance < TIE / 4) | (distance > TIE * 4)).all(0)
    edges = edges[clear]
    return edges[torch.cat([torch.ones(1, dtype=torch.bool), edges.diff() > 1e-13])]


@pytest.fixture(params=[1024, 12])
def _tile(request, monkeypatch):
    monkeypatch.setattr(tails, "_TILE", request.param)


@pytest.mark.usefixtures("_tile", "_form")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [1, 3, 1000])
def test_every_kind_of_rows(kind, dtype, classes):
    x, labels = rows_of(70, 24, kind, seed=0, classes=classes, dtype=dtype)
    other, other_labels = rows_of(45, 24, kind, seed=1, classes=classes, dtype=dtype)
    for sides in ((x, labels), (x, labels, other, other_labels)):
        edges = settled_edges(sides, 12, seed=2)
        check_above(sides, edges)
        check_histogram(sides, edges)
        check_above(sides, edges[-1:])


@settings(max_examples=200, deadline=None)
@given(
    n=st.integers(0, 60),
    m=st.integers(0, 40),
    d=st.integers(1, 40),
    classes=st.integers(1, 40),
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(DTYPES),
    alone=st.booleans(),
    seed=st.integers(0, 2**20),
    edges=st.integers(2, 40),
    tile=st.sampled_from([4, 13, 32, 1024]),
    plain=st.booleans(),
)
def test_random_cases(n, m, d, classes, kind, dtype, alone, seed, edges, tile, plain):
    sides = rows_of(n, d, kind, seed=seed, classes=classes, dtype=dtype)
    if not alone:
        sides = (*sides, *rows_of(m, d, kind, seed=seed + 1, classes=classes, dtype=dtype))
    given_edges = settled_edges(sides, edges, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tails, "_TILE", tile)
        if plain:
            patch.setattr(tallied, "refuses", lambda x: "not here")
        check_above(sides, given_edges.flip(0))
        if len(given_edges) > 1:
            check_histogram(sides, given_edges)


@pytest.mark.usefixtures("_torch_form")
@pytest.mark.parametrize(
    ("edges", "dtypes"),
    [
        (2, [torch.float32]),
        (20, [torch.float32]),
        (5000, [torch.float32, torch.float64]),  # so many pairs are near that products widen
    ],
)
def test_many_pairs_and_many_edges(edges, dtypes, monkeypatch):
    made = []
    cells = tails._Cells

    def recorded(*given):
        made.append(given[2])
        return cells(*given)

    monkeypatch.setattr(tails, "_Cells", recorded)
    monkeypatch.setattr(tails, "_TILE", 256)
    sides = rows_of(600, 32, "trained", seed=5, classes=80)
    check_histogram(sides, torch.linspace(-1, 1, edges + 1, dtype=torch.float64) + 1e-9)
    assert made == dtypes


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("thresholds", [[0.0], [0.5], [0.9, 0.2], [-1.0], [1.0], [-7.0, 0.3, 7.0]])
def test_rare_and_frequent_pairs(thresholds):
    x, labels = rows_of(1200, 64, "trained", seed=6, classes=100)
    other, other_labels = rows_of(1100, 64, "trained", seed=7, classes=100)
    numbers = torch.tensor(thresholds, dtype=torch.float64)
    check_above((x, labels), numbers)
    check_above((x, labels, other, other_labels), numbers)


@pytest.mark.usefixtures("_form")
def test_thresholds_hit_exactly_are_reached():
    x = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])
    thresholds = [1.0, 0.8, 0.6, 0.0, -0.6, -1.0]  # cosines .6, 0, -1, .8, -.6, 0
    found = counts_above(x, torch.arange(4), thresholds=thresholds)
    assert found.impostor.tolist() == [0, 1, 2, 4, 5, 6]
    assert found.genuine.tolist() == [0] * 6
    found = counts_above(x, torch.zeros(4, dtype=torch.long), thresholds=thresholds)
    assert found.genuine.tolist() == [0, 1, 2, 4, 5, 6]
    past = [t + 2e-14 for t in thresholds]
    assert counts_above(x, torch.arange(4), thresholds=past).impostor.tolist() == [0, 0, 1, 2, 4, 5]
    before = [t - 2e-14 for t in thresholds]
    assert counts_above(x, torch.arange(4), thresholds=before).impostor.tolist() == [
        0,
        1,
        2,
        4,
        5,
        6,
    ]


@pytest.mark.usefixtures("_form")
def test_bins_hold_their_lower_edge_and_the_last_one_both():
    x = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])
    found = histogram(x, torch.arange(4), edges=[-1.0, -0.6, 0.0, 0.6, 0.8])
    assert found.impostor.tolist() == [1, 1, 2, 2]
    assert (found.genuine_pairs, found.impostor_pairs) == (0, 6)
    found = histogram(torch.ones(3, 2), torch.zeros(3, dtype=torch.int32), edges=[0.5, 0.7, 1.0])
    assert found.genuine.tolist() == [0, 3]


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize(("n", "m"), [(0, None), (1, None), (0, 4), (4, 0)])
def test_no_pairs(n, m):
    sides = rows_of(n, 3, "random", seed=0, classes=2)
    if m is not None:
        sides = (*sides, *rows_of(m, 3, "random", seed=1, classes=2))
    found = counts_above(*sides, thresholds=[0.0, 0.5])
    assert found.genuine.tolist() == found.impostor.tolist() == [0, 0]
    assert found[2:] == (0, 0)
    assert histogram(*sides, edges=[-1.0, 0.0, 1.0]).impostor.tolist() == [0, 0]


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint64])
def test_labels_of_any_integers(dtype):
    x, labels = rows_of(50, 4, "trained", seed=0, classes=7)
    expected = counts_above(x, labels, thresholds=[0.3])
    found = counts_above(x, labels.to(dtype), thresholds=[0.3])
    assert [c.tolist() for c in found[:2]] == [c.tolist() for c in expected[:2]]
    assert found[2:] == expected[2:]


@pytest.mark.usefixtures("_form")
def test_rows_of_any_length_and_stride():
    x, labels = rows_of(60, 9, "trained", seed=1, classes=7, dtype=torch.float64)
    thresholds = torch.tensor([-0.2, 0.1, 0.5], dtype=torch.float64)
    expected = counts_above(x, labels, thresholds=thresholds)
    scales = torch.tensor([1e-300, 1e300, 1.0, 1e-5], dtype=torch.float64)[torch.arange(60) % 4]
    for same in (x * scales[:, None], x.T.contiguous().T, x.clone().requires_grad_()):
        found = counts_above(same, labels, thresholds=thresholds)
        assert torch.equal(found.genuine, expected.genuine)
        assert torch.equal(found.impostor, expected.impostor)


@pytest.mark.usefixtures("_form")
def test_the_users_precision_decides_nothing():
    sides = rows_of(300, 32, "trained", seed=0, classes=20)
    edges = settled_edges(sides, 30, seed=0)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            check_histogram(sides, edges)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.3, 0.3), (0.1, 0.1001), (-1.5, 1.5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_settled_cell_is_within_reach_of_an_edge(low, high, dtype):
    """Every product that its cell settles is further from all edges than the band."""
    edges = torch.linspace(low, high, 5, dtype=torch.float64).unique()
    band = 1e-5
    cells = tails._Cells(edges, band, dtype)
    generator = torch.Generator().manual_seed(0)
    beside = torch.logspace(-9, -1, 200, dtype=torch.float64)
    beside = torch.cat([edges + sign * step for step in beside for sign in (1, -1)])
    products = torch.rand(200_000, generator=generator, dtype=torch.float64) * 2.01 - 1.005
    products = torch.cat([products, beside.clamp(-1.005, 1.005)]).to(dtype)
    key = cells._keys(products)[: len(products)].long()
    settled = ~cells.torn[key]
    distance = (products.double()[:, None] - edges[None, :]).abs().amin(1)
    assert distance[settled].min().item() > band
    expected = torch.searchsorted(edges, products.double(), right=True)
    assert torch.equal(cells.bins[key][settled], expected[settled])


@pytest.mark.usefixtures("_form")
def test_progress_ends_with_all(monkeypatch):
    monkeypatch.setattr(tails, "_TILE", 10)
    x, labels = rows_of(35, 4, "random", seed=0, classes=5)
    calls = []
    counts_above(x, labels, thresholds=[0.0], progress=lambda done, of: calls.append((done, of)))
    assert calls[-1][0] == calls[-1][1]


@pytest.mark.usefixtures("_torch_form")
def test_progress_counts_tiles(monkeypatch):
    monkeypatch.setattr(tails, "_TILE", 10)
    x, labels = rows_of(35, 4, "random", seed=0, classes=5)
    calls = []
    counts_above(x, labels, thresholds=[0.0], progress=lambda done, of: calls.append((done, of)))
    assert calls == [(done, 10) for done in range(1, 11)]


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ([0.0, 0.5, 0.2], "edges must ascend, got 0.5 before 0.2; sort them"),
        ([0.0, 0.0], "edges must ascend, got 0.0 before 0.0; sort them and drop repeated ones"),
        ([0.0], "edges must be at least 2 numbers in one dimension, got shape"),
        ([0.0, math.nan], "edges must be finite, got nan at position 1"),
    ],
)
def test_edges_that_make_no_bins(edges, words):
    with pytest.raises(ValueError, match=words):
        histogram(torch.eye(2), torch.arange(2), edges=edges)


def test_sides_must_fit():
    x, labels = torch.eye(3), torch.arange(3)
    with pytest.raises(ValueError, match="thresholds must be at least 1 numbers"):
        counts_above(x, labels, thresholds=[])
    with pytest.raises(ValueError, match="other and other_labels must be given together"):
        counts_above(x, labels, x, thresholds=[0.0])
    with pytest.raises(ValueError, match="x and other must have the same number of features"):
        counts_above(x, labels, torch.eye(2), torch.arange(2), thresholds=[0.0])
    with pytest.raises(TypeError, match="labels must be integers"):
        counts_above(x, labels.float(), thresholds=[0.0])
    x = torch.eye(3)
    x[1, 2] = math.nan
    with pytest.raises(ValueError, match="x must be finite, got NaN or infinity in row 1"):
        counts_above(x, labels, thresholds=[0.0])
