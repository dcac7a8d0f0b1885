"""The k best of every row against a full sort of float64 cosines."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.sweep import ranking, tiles, top_k

HALF_A_STEP = 0.5e-12 + 1e-14  # scores are rounded to 12 decimals; and float64's own rounding
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
KINDS = ["random", "copies", "multiples", "near", "few values", "zeros", "collapsed", "ascending"]


def rows_of(n: int, d: int, kind: str, seed: int, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    picked = torch.randint(0, max(1, n // 4), (n,), generator=generator)
    if kind in ("copies", "multiples") and n:
        x = x[picked].to(dtype).double()
        if kind == "multiples":  # exact in every dtype
            x = (
                x
                * torch.tensor([1.0, 2.0, 0.25, 8.0], dtype=torch.float64)[
                    torch.arange(n) % 4, None
                ]
            )
    if kind == "near" and n:  # apart by less than float32 products can tell
        x = x[picked // 4] + 1e-6 * x
    if kind == "few values":
        x = torch.randint(-1, 2, (n, d), generator=generator).double()
    if kind == "zeros":
        x[::3] = 0.0
    if kind == "collapsed" and n:
        x = x[:1].expand(n, d)
    if kind == "ascending" and n:  # every column is better than those before it
        x = x[:1] + x * torch.linspace(2.0, 0.01, n, dtype=torch.float64)[:, None]
    return x.to(dtype)


def unit(x: torch.Tensor) -> torch.Tensor:
    x = x.double()
    x = x / x.abs().amax(1, keepdim=True).clamp(min=1e-320)
    return torch.nn.functional.normalize(x)


def truth_of(x, other, exclude):
    """Float64 cosines [n, m], -inf where a pair is left out."""
    cosines = unit(x) @ unit(x if other is None else other).T
    if other is None:
        cosines.fill_diagonal_(-math.inf)
    if exclude is not None:
        codes, others = exclude if isinstance(exclude, tuple) else (exclude, exclude)
        cosines[codes[:, None] == others[None, :]] = -math.inf
    return cosines


def check(x, other, k, exclude=None):
    scores, indices = top_k(x, other, k, exclude=exclude)
    n, m = len(x), len(x if other is None else other)
    assert scores.shape == indices.shape == (n, k)
    assert scores.dtype == torch.float64
    assert indices.dtype == torch.int64
    truth = truth_of(x, other, exclude)
    there = indices >= 0
    assert torch.equal(there.sum(1), (truth > -2).sum(1).clamp(max=k))
    assert torch.equal(there, scores > -2)
    if not m:
        return
    expected = truth.gather(1, indices.clamp(min=0))
    torch.testing.assert_close(scores[there], expected[there], rtol=0, atol=HALF_A_STEP)
    # descending, ties by the lower index, each index once
    gap, step = scores.diff(dim=1), indices.diff(dim=1)
    both = there[:, 1:]
    assert bool(((gap < 0) | ((gap == 0) & (step > 0)))[both].all())
    left = truth.scatter(1, indices.clamp(min=0), -math.inf)
    left = torch.where(there[:, -1:], left, -math.inf)
    worst = scores[:, -1:] + 2 * HALF_A_STEP
    assert bool((left <= worst).all())
    check_equal_columns(x if other is None else other, indices, truth)


def check_equal_columns(columns, indices, truth):
    """Of columns that are equal to the bit, those with the lower index come first."""
    n, m = truth.shape
    rank = torch.full((n, m + 1), m + 1)
    rank.scatter_(
        1, indices.where(indices >= 0, m), torch.arange(indices.shape[1]).expand_as(indices)
    )
    groups = torch.unique(columns.float(), dim=0, return_inverse=True)[1]
    order = groups.argsort(stable=True)
    follows = groups[order][1:] == groups[order][:-1]
    first, second = order[:-1][follows], order[1:][follows]
    allowed = (truth[:, first] > -2) & (truth[:, second] > -2)
    assert bool((rank[:, first] <= rank[:, second])[allowed].all())


@pytest.fixture(params=[(1024, 2048), (7, 32)], ids=["one tile", "many tiles"])
def _tiles(request, monkeypatch):
    monkeypatch.setattr(ranking, "_ROWS", request.param[0])
    monkeypatch.setattr(ranking, "_COLUMNS", request.param[1])


@pytest.mark.usefixtures("_tiles")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 5, 40])
def test_the_best_of_every_row(kind, dtype, k):
    x, other = rows_of(37, 24, kind, 0, dtype), rows_of(150, 24, kind, 1, dtype)
    if kind in ("copies", "near"):
        x = torch.cat([x, other[::9]])
    check(x, other, k)
    check(other, None, k)


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 30),
    m=st.integers(0, 70),
    d=st.integers(1, 40),
    k=st.integers(1, 90),
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(DTYPES),
    classes=st.integers(0, 6),
    alone=st.booleans(),
    seed=st.integers(0, 2**20),
    tile=st.sampled_from([(3, 8), (5, 17), (64, 64)]),
)
def test_random_cases(n, m, d, k, kind, dtype, classes, alone, seed, tile):
    x, other = rows_of(n, d, kind, seed, dtype), rows_of(m, d, kind, seed + 1, dtype)
    exclude = None
    if classes:
        generator = torch.Generator().manual_seed(seed)
        codes = [torch.randint(0, classes, (size,), generator=generator) for size in (n, m)]
        exclude = codes[0] if alone else (codes[0], codes[1])
    before = ranking._ROWS, ranking._COLUMNS
    ranking._ROWS, ranking._COLUMNS = tile
    try:
        check(x, None if alone else other, k, exclude)
    finally:
        ranking._ROWS, ranking._COLUMNS = before


def test_more_than_one_tile_of_the_usual_size():
    x = rows_of(1500, 16, "near", 3)
    check(x, None, 10)
    check(x[:50], rows_of(5000, 16, "ascending", 4), 3)


def test_ties_go_to_the_lower_index_and_multiples_tie():
    other = torch.tensor([[0.0, 3.0], [1.0, 2.0], [3.0, 6.0], [0.0, 0.0], [7.0, 14.0], [0.0, 1.0]])
    scores, indices = top_k(torch.tensor([[0.0, 5.0], [1.0, 2.0]]), other, 6)
    assert indices.tolist() == [[0, 5, 1, 2, 4, 3], [1, 2, 4, 0, 5, 3]]
    assert scores[1, :3].tolist() == [1.0, 1.0, 1.0]
    assert scores[0, :2].tolist() == [1.0, 1.0]
    assert scores[:, -1].tolist() == [0.0, 0.0]


def test_zero_rows_are_at_right_angles_to_all():
    scores, indices = top_k(
        torch.zeros(1, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]]), 3
    )
    assert scores.tolist() == [[0.0, 0.0, 0.0]]
    assert indices.tolist() == [[0, 1, 2]]


def test_places_that_nobody_is_left_for():
    scores, indices = top_k(torch.eye(2), None, 3)
    assert scores.tolist() == [[0.0, -math.inf, -math.inf]] * 2
    assert indices.tolist() == [[1, -1, -1], [0, -1, -1]]
    scores, indices = top_k(torch.eye(2), torch.empty(0, 2), 2)
    assert scores.tolist() == [[-math.inf] * 2] * 2
    assert indices.tolist() == [[-1, -1]] * 2
    assert top_k(torch.empty(0, 2), torch.eye(2), 2)[0].shape == (0, 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [1e-300, 1e-42, 1e-30, 1e30, 1e300])
def test_rows_of_any_length(scale, dtype):
    x = rows_of(30, 8, "random", 0, torch.float64) * scale
    x = x.to(dtype)
    if bool(x.isfinite().all()):
        check(x, rows_of(60, 8, "random", 1, dtype), 4)


def test_the_users_precision_decides_nothing():
    x = rows_of(300, 64, "near", 0)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            check(x, None, 5)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["random", "near", "few values", "ascending", "copies"])
@pytest.mark.parametrize("d", [1, 3, 128, 2000])
def test_no_product_errs_by_more_than_the_band(d, kind, dtype):
    x = rows_of(60, d, kind, d, dtype)
    x[0] *= 1e-3
    rows = tiles.Rows("x", x)
    first, second = torch.arange(60).repeat_interleave(60), torch.arange(60).repeat(60)
    exact = tiles.cosines(rows, rows, first, second).view(60, 60)
    product = rows.unit(slice(0, 60), rows.narrow) @ rows.unit(slice(0, 60), rows.narrow).T
    assert (product.double() - exact).abs().max().item() <= rows.band(rows.narrow)


def test_strides_gradients_and_progress(monkeypatch):
    monkeypatch.setattr(ranking, "_COLUMNS", 16)
    apart = rows_of(40, 20, "random", 0)[:, 2:9].requires_grad_()
    calls = []
    scores, indices = top_k(apart, None, 3, progress=lambda done, of: calls.append((done, of)))
    assert not scores.requires_grad
    assert torch.equal(indices, top_k(apart.detach().contiguous(), None, 3)[1])
    assert calls[-1][0] == calls[-1][1] == len(calls)


@pytest.mark.parametrize(
    ("k", "error", "words"),
    [
        (0, ValueError, "k must be at least 1, got 0; pass the number of places to fill"),
        (-2, ValueError, "k must be at least 1, got -2"),
        (1.0, TypeError, "k must be an integer, got float"),
        (True, TypeError, "k must be an integer, got bool"),
    ],
)
def test_places_must_be_counted(k, error, words):
    with pytest.raises(error, match=words):
        top_k(torch.eye(2), None, k)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_that_are_not_finite_are_named(bad):
    x = torch.ones(5, 2)
    x[3, 1] = bad
    with pytest.raises(ValueError, match="other must be finite, got NaN or infinity in row 3"):
        top_k(torch.eye(2), x, 1)
    with pytest.raises(ValueError, match="x must be finite, got NaN or infinity in row 3"):
        top_k(x, None, 1)


def test_sides_and_codes_must_fit():
    x = torch.eye(3)
    with pytest.raises(ValueError, match="x and other must have the same number of features"):
        top_k(x, torch.eye(2), 1)
    with pytest.raises(TypeError, match="x and other must have the same dtype"):
        top_k(x, x.double(), 1)
    with pytest.raises(ValueError, match=r"x must be \[n, d\], got shape \(3,\)"):
        top_k(x[0], x, 1)
    with pytest.raises(ValueError, match=r"exclude must be a tuple .* got one tensor"):
        top_k(x, x, 1, exclude=torch.arange(3))
    with pytest.raises(ValueError, match=r"exclude must be a tuple .* got a tuple of 2"):
        top_k(x, None, 1, exclude=(torch.arange(3), torch.arange(3)))
    with pytest.raises(TypeError, match=r"exclude\[1\] must be integers"):
        top_k(x, x, 1, exclude=(torch.arange(3), torch.ones(3)))
