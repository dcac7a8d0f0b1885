import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest
import torch

from cospair.kernels import triton_sweep
from cospair.kernels.sweeps import TIE, Hinge, Side, SweepStats, Swept, Watch

# numpy runs the interpreter's kernels, and says so where a masked lane divides by nothing
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
KINDS = [Hinge(genuine=False, margin=0.1), Hinge(genuine=True, margin=0.3)]
on_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
reason = triton_sweep.unavailable()
runs = pytest.mark.skipif(bool(reason), reason=reason or "available")
has_triton = importlib.util.find_spec("triton") is not None


@pytest.fixture
def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 64 and panels of 2, so that a few rows make many."""
    shape = triton_sweep._shape
    monkeypatch.setattr(triton_sweep, "_shape", lambda *a: shape(*a)._replace(tile=64))
    monkeypatch.setattr(triton_sweep, "_PANEL", 2)


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def classes(n: int, number: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, number, (n,), generator=torch.Generator().manual_seed(seed))


def trained(n: int, d: int, number: int, dtype: torch.dtype = torch.float32):
    """Rows like a trained encoder's, within-class cosine about 0.7, and their labels."""
    labels = classes(n, number, seed=7)
    means = torch.nn.functional.normalize(randn(number, d, seed=8))
    means[1] = torch.nn.functional.normalize(means[0] + 0.5 * means[1], dim=0)  # confusable
    noise = torch.nn.functional.normalize(randn(n, d, seed=9))
    return (means[labels] + 0.65 * noise).to(dtype), labels


def side(x, labels, others=None, weight=None) -> Side:
    """A side in the order of its labels; rows that are not finite take no part."""
    lengths = x.double().norm(dim=1)
    inverse = torch.where(lengths > 0, 1 / lengths, 0.0)
    order = torch.argsort(labels, stable=True)
    order = order[lengths[order].isfinite()]
    own = labels[order]
    others = own if others is None else others.sort().values
    first, last = (torch.searchsorted(others, own, right=right) for right in (False, True))
    return Side(x, inverse.nan_to_num(), order, first, last, weight)


def both_sides(x, labels, y, other_labels, weight=None, other_weight=None) -> tuple[Side, Side]:
    return side(x, labels, other_labels, weight), side(y, other_labels, labels, other_weight)


def brute_force(rows: Side, columns: Side | None, hinge: Hinge) -> tuple[Swept, torch.Tensor]:
    """The definition in float64, and the pairs that cost."""
    other = rows if columns is None else columns
    u, v = (
        s.x[s.order].double() * s.inverse_lengths[s.order, None].double() for s in (rows, other)
    )
    place = torch.arange(v.shape[0], device=v.device)
    kind = (place >= rows.first[:, None]) & (place < rows.last[:, None])
    kind = kind if hinge.genuine else ~kind
    if columns is None:
        kind = kind.triu(1)
    sign = -1 if hinge.genuine else 1
    cost = sign * (u @ v.T - hinge.margin)
    active = kind & (cost > TIE)
    w1, w2 = (
        torch.ones_like(s.order, dtype=torch.float64) if s.weight is None else s.weight[s.order]
        for s in (rows, other)
    )
    share = active * w1[:, None] * w2
    gradients = [
        torch.zeros(s.x.shape, dtype=torch.float64, device=u.device) for s in (rows, other)
    ]
    gradients[0][rows.order] = sign * share @ v
    gradients[1][other.order] = sign * share.T @ u
    if columns is None:
        gradients = [gradients[0] + gradients[1], None]
    return Swept((share * cost).sum(), share.sum(), *gradients), active


def swept(rows, columns, hinge, *, wanted=(True, True), stats=None, progress=None) -> Swept:
    watch = Watch(stats, progress)
    return triton_sweep.hinge_sweep(rows, columns, hinge, wanted=wanted, watch=watch)


def assert_true(rows: Side, columns: Side | None, hinge: Hinge) -> SweepStats:
    stats = SweepStats()
    found = swept(rows, columns, hinge, stats=stats)
    wanted, active = brute_force(rows, columns, hinge)
    double = rows.x.dtype == torch.float64
    number = stats.active_genuine if hinge.genuine else stats.active_impostor
    assert number == int(active.sum()), "a pair stands on the wrong side of its hinge"
    # the order of float64 sums; weights are summed in float64 whatever the rows are
    torch.testing.assert_close(found.active, wanted.active, rtol=1e-12, atol=1e-12)
    # a float32 cosine's error a pair; float64's, near a hinge
    each = 1e-14 if double else 3e-7
    heaviest = max([1.0, *(float(s.weight.max()) ** 2 for s in (rows,) if s.weight is not None)])
    atol = each * max(int(active.sum()), 1) * heaviest
    torch.testing.assert_close(found.total, wanted.total, rtol=0, atol=atol)
    for ours, theirs in zip(found[2:], wanted[2:], strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours.dtype == (torch.float64 if double else torch.float32)
            # 22 bits of a row and float32 sums of them
            atol = (1e-13 if double else 1e-6) * max([1.0, *theirs.abs().flatten().tolist()])
            torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=atol)
    return stats


# ---- the sweep is the definition, whatever it is given ------------------------------------------


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hinge", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_pairs_of_one_batch(dtype, hinge, weighted, device):
    weight = torch.rand(200, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x, labels = randn(200, 37, dtype=dtype), classes(200, 20)
    assert_true(on(device, side(x, labels, weight=weight if weighted else None)), None, hinge)


def on(device: torch.device, given: Side) -> Side:
    return Side(*(None if x is None else x.to(device) for x in given))  # type: ignore[arg-type]


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hinge", KINDS)
@pytest.mark.parametrize("weighted", ["neither", "rows", "columns", "both"])
def test_pairs_of_two_batches(dtype, hinge, weighted, device):
    x, y = randn(70, 70, dtype=dtype), randn(140, 70, seed=1, dtype=dtype)
    weights = [torch.rand(n, dtype=torch.float64).add(0.1) for n in (70, 140)]
    given = (
        weights[0] if weighted in ("rows", "both") else None,
        weights[1] if weighted in ("columns", "both") else None,
    )
    labels, others = classes(70, 9), classes(140, 12, seed=1)  # some labels on one side alone
    sides = both_sides(x, labels, y, others, *given)
    assert_true(on(device, sides[0]), on(device, sides[1]), hinge)


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hinge", KINDS)
@pytest.mark.usefixtures("small_tiles")
def test_many_tiles_and_panels(dtype, hinge, device):
    x, labels = randn(150, 20, dtype=dtype), classes(150, 6)
    assert_true(on(device, side(x, labels)), None, hinge)
    y, others = randn(100, 20, seed=1, dtype=dtype), classes(100, 6, seed=1)
    rows, columns = both_sides(x, labels, y, others)
    assert_true(on(device, rows), on(device, columns), hinge)


@runs
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("margin", [0.0, 0.25, 0.5])
@pytest.mark.usefixtures("small_tiles")
def test_rows_like_trained_ones(dtype, margin, device):
    x, labels = trained(320, 128, 40, dtype)
    rows = on(device, side(x, labels))
    stats = assert_true(rows, None, Hinge(False, margin))
    if margin == 0.5:
        assert stats.tiles_screened > stats.tiles_dense > 0
        assert stats.pairs_evaluated < 320 * 319 // 2
    assert stats.tiles == stats.tiles_screened + stats.tiles_dense
    assert_true(rows, None, Hinge(True, margin))


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 64, 65, 700])
def test_widths(dtype, d, device):
    x, labels = randn(40, d, dtype=dtype), classes(40, 4)
    for hinge in KINDS:
        assert_true(on(device, side(x, labels)), None, hinge)


@runs
@pytest.mark.parametrize("hinge", KINDS)
def test_rows_without_features(hinge, device):
    rows = on(device, side(torch.empty(5, 0), classes(5, 2)))
    assert_true(rows, None, hinge)
    assert_true(rows, None, Hinge(hinge.genuine, -hinge.margin))


@runs
@pytest.mark.parametrize("hinge", KINDS)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_tiny_batches(hinge, n, device):
    x, labels = randn(n, 8), torch.zeros(n, dtype=torch.int64)
    rows = on(device, side(x, labels))
    assert_true(rows, None, hinge)
    for one, other in ((rows, n), (on(device, side(randn(3, 8), torch.zeros(3).long())), n)):
        y, others = randn(other, 8, seed=3), torch.ones(other, dtype=torch.int64)
        pair = both_sides(one.x.cpu(), torch.zeros(one.x.shape[0]).long(), y, others)
        assert_true(on(device, pair[0]), on(device, pair[1]), hinge)


@runs
@pytest.mark.parametrize("hinge", KINDS)
@pytest.mark.parametrize("number", ["singletons", "one class"])
def test_singletons_and_one_class(hinge, number, device):
    labels = torch.arange(140) if number == "singletons" else torch.zeros(140, dtype=torch.int64)
    stats = assert_true(on(device, side(randn(140, 16), labels)), None, hinge)
    none = hinge.genuine == (number == "singletons")
    assert (stats.tiles == 0) == none


@runs
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_are_not_finite_take_no_part(dtype, device):
    x, labels = randn(60, 12, dtype=dtype), classes(60, 5)
    x[3, 2], x[17, 0] = float("nan"), float("inf")
    rows = on(device, side(x, labels))
    assert rows.order.shape == (58,)
    found = swept(rows, None, KINDS[0])
    assert found.rows is not None
    assert not bool(found.rows[[3, 17]].any())
    assert_true(rows, None, KINDS[0])


# ---- the hinge ---------------------------------------------------------------------------------


@runs
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("genuine", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.0])
def test_hinges_hit_exactly(dtype, genuine, margin, device):
    """Cosines 0, 0.5 and 1, and 1e-9 beside them in the types that can tell."""
    corners = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1.0]])
    x = corners.repeat(8, 1).double()
    if dtype in (torch.float64, torch.float32):
        x[::3, 3] += 1e-9
    x = (x * torch.arange(1, 41)[:, None]).to(dtype)
    rows = on(device, side(x, classes(40, 3)))
    assert_true(rows, None, Hinge(genuine, margin))


@runs
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("genuine", [False, True])
def test_duplicates_and_zero_rows(dtype, genuine, device):
    x, labels = randn(90, 24, dtype=dtype), classes(90, 4)
    x[40:60], x[60:] = x[0], 0
    for margin in (0.0, 1.0):
        assert_true(on(device, side(x, labels)), None, Hinge(genuine, margin))


@runs
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_pair_a_hair_from_its_hinge_is_settled(dtype, device):
    """Margins between neighbouring cosines, which a float32 product cannot tell apart."""
    x, labels = randn(50, 96, dtype=dtype), torch.arange(50)
    rows = side(x, labels)
    units = x.double() * rows.inverse_lengths[:, None]
    above, left = torch.triu_indices(50, 50, 1)
    cosines = (units @ units.T)[above, left].sort().values
    for at in (300, 600, 1200):
        for beside in (-1e-12, 1e-12):
            hinge = Hinge(False, float(cosines[at]) + beside)
            found = swept(on(device, rows), None, hinge)
            assert int(found.active) == int((cosines > hinge.margin).sum())
            assert_true(on(device, rows), None, hinge)


@runs
@pytest.mark.parametrize("scale", [2.0**-85, 1e-9, 1.0, 2.0**85])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_scales(scale, dtype, device):
    x, labels = randn(50, 24) * scale, classes(50, 6)
    x[:, 0] *= 30  # an outlier coordinate spoils the grain, not the result
    for hinge in KINDS:
        assert_true(on(device, side(x.to(dtype), labels)), None, hinge)


@runs
def test_float16_at_both_ends_of_its_range(device):
    x, labels = randn(60, 24), classes(60, 6)
    x[:30] *= 6e4 / x.abs().max()
    x[30:] *= 2.0**-20
    for hinge in KINDS:
        assert_true(on(device, side(x.half(), labels)), None, hinge)


@runs
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_of_any_size(dtype, device):
    """A row's gradient keeps its figures beside rows that weigh 10^12 times as much."""
    x, labels = randn(60, 24, dtype=dtype), classes(60, 5)
    weight = 10.0 ** (200 + 12 * torch.rand(60, dtype=torch.float64) - 12)
    light = torch.arange(60) % 2 == 0
    x[light] = torch.cat([x[light][:, :12], torch.zeros(30, 12)], 1).to(dtype)
    x[~light] = torch.cat([torch.zeros(30, 12), x[~light][:, 12:]], 1).to(dtype)
    weight = torch.where(light, 1e-12, 1.0) * torch.rand(60).double().add(0.5)
    rows = side(x, labels, weight=weight)
    wanted, _ = brute_force(rows, None, KINDS[0])
    for scale in (1.0, 1e-150, 1e140):
        given = on(device, rows._replace(weight=weight * scale))
        found = swept(given, None, KINDS[0])
        ratio = (found.total.cpu() / scale / scale / wanted.total).item()
        assert abs(ratio - 1) < 1e-6
        if scale == 1.0:
            assert found.rows is not None
            assert wanted.rows is not None
            error = (found.rows.cpu().double() - wanted.rows).abs().amax(1)
            assert bool((error <= 1e-6 * wanted.rows.abs().amax(1)).all())


# ---- how it is called --------------------------------------------------------------------------


@runs
def test_strided_rows_are_read_in_place(device):
    wide, labels = randn(60, 48), classes(30, 5)
    x = wide[::2, 8:28]
    rows = on(device, side(x.contiguous(), labels))
    strided = rows._replace(x=wide.to(device)[::2, 8:28])
    assert strided.x.stride() == (96, 1)
    for hinge in KINDS:
        ours, dense = swept(strided, None, hinge), swept(rows, None, hinge)
        assert all(torch.equal(a, b) for a, b in zip(ours[:3], dense[:3], strict=True))  # type: ignore[arg-type]


@runs
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_nobody_wants_is_not_computed(dtype, device, monkeypatch):
    pulled = []
    pull = triton_sweep._pull
    monkeypatch.setattr(
        triton_sweep, "_pull", lambda *a, turned: pulled.append(turned) or pull(*a, turned=turned)
    )
    x, y = randn(40, 8, dtype=dtype), randn(50, 8, seed=1, dtype=dtype)
    rows, columns = both_sides(x, classes(40, 5), y, classes(50, 5, seed=1))
    rows, columns = on(device, rows), on(device, columns)
    every = swept(rows, columns, KINDS[0])
    assert pulled == [False, True]
    for wanted in ((False, False), (True, False), (False, True)):
        pulled.clear()
        found = swept(rows, columns, KINDS[0], wanted=wanted)
        assert pulled == [turned for turned in (False, True) if wanted[turned]]
        assert torch.equal(found.total, every.total)
        for wish, ours, theirs in zip(wanted, found[2:], every[2:], strict=True):
            assert (ours is not None) == wish
            assert ours is None or (theirs is not None and torch.equal(ours, theirs))


@runs
@pytest.mark.usefixtures("small_tiles")
def test_the_same_bits_twice_and_without_the_screen(device, monkeypatch):
    x, labels = trained(260, 64, 30)
    rows = on(device, side(x, labels, weight=torch.rand(260, dtype=torch.float64)))
    first, again = swept(rows, None, Hinge(False, 0.3)), swept(rows, None, Hinge(False, 0.3))
    assert all(torch.equal(a, b) for a, b in zip(first[:3], again[:3], strict=True))  # type: ignore[arg-type]
    packed = triton_sweep._packed
    blind = lambda *a, **kw: (p := packed(*a, **kw))._replace(errors=p.errors + 9)  # noqa: E731
    monkeypatch.setattr(triton_sweep, "_packed", blind)
    stats = SweepStats()
    unscreened = swept(rows, None, Hinge(False, 0.3), stats=stats)
    assert stats.tiles_screened == 0
    assert all(torch.equal(a, b) for a, b in zip(first[:3], unscreened[:3], strict=True))  # type: ignore[arg-type]


@runs
@pytest.mark.usefixtures("small_tiles")
def test_progress_and_stats(device):
    seen: list[tuple[int, int]] = []
    x, labels = randn(150, 20), classes(150, 6)
    rows = on(device, side(x, labels))
    stats = SweepStats(pairs_evaluated=7)
    for hinge in KINDS:
        swept(rows, None, hinge, stats=stats, progress=lambda done, of: seen.append((done, of)))
    # 3 x 3 tiles on and above the diagonal, in panels of 2 x 2
    assert seen == [(3, 6), (5, 6), (6, 6)] * 2
    assert stats.pairs_evaluated > 7
    assert stats.pairs == 0  # the loss counts them
    assert stats.active_genuine > 0
    assert stats.active_impostor > 0


@runs
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_screens_bound_and_the_band_hold(dtype, device):
    """What the packed rows say of a cosine, beside its float64 value."""
    x = randn(64, 96)
    x[:8] *= 10.0 ** randn(8, 96, seed=4)  # rows whose grain is coarse
    rows = on(device, side(x.to(dtype), torch.arange(64)))
    shape = triton_sweep._shape(dtype, 96)
    packed = triton_sweep._packed(rows, None, shape, pulled=True)
    units = rows.x.double() * rows.inverse_lengths[:, None]
    truth = (units @ units.T).cpu()
    codes = packed.codes[:64].double().cpu() * packed.grains[:64, None].double().cpu()
    error = packed.errors[:64].double().cpu()
    bound = error[:, None] + error + error[:, None] * error
    assert bool(((codes @ codes.T - truth).abs() <= bound).all())
    faces = packed.faces[:, :64, :96].double().cpu()
    exact = (faces.sum(0) * packed.factors[:64, None].double().cpu()) - units.nan_to_num().cpu()
    assert float(exact.abs().max()) <= (2.0**-52 if dtype == torch.float64 else 2.0**-22)


@runs
@pytest.mark.skipif(torch.cuda.is_available(), reason="only the interpreter shows its addresses")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("small_tiles")
def test_every_address_is_inside_a_tensor(dtype, weighted, device, monkeypatch):
    import numpy as np
    from triton.runtime import interpreter  # pyright: ignore[reportMissingImports]

    from cospair.kernels import triton_pull_device, triton_sweep_device

    spans: list[tuple[int, int]] = []
    seen = []

    def inside(ptrs, mask):
        address = ptrs.data.ravel()[np.broadcast_to(mask.data, ptrs.data.shape).ravel() != 0]
        seen.append(address.size)
        fits = np.zeros(address.shape, bool)
        for start, end in spans:
            fits |= (address >= start) & (address < end)
        assert fits.all(), "an address outside every tensor of this launch"

    def watched(kernel):
        def at(grid):
            def run(*args, **kw):
                tensors = [x for x in args if isinstance(x, torch.Tensor)]
                spans[:] = [
                    (
                        x.data_ptr(),
                        x.data_ptr()
                        + x.element_size()
                        * (1 + sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True))),
                    )
                    for x in tensors
                    if x.numel()
                ]
                return kernel[grid](*args, **kw)

            return run

        return type("Watched", (), {"__getitem__": lambda self, grid: at(grid)})()

    x, y = randn(130, 20, dtype=dtype), randn(70, 20, seed=1, dtype=dtype)
    x[:20] = y[0]  # on the hinge of 1
    weights = [torch.rand(n, dtype=torch.float64) if weighted else None for n in (130, 70)]
    labels, others = classes(130, 5), classes(70, 6)
    alone, pair = side(x, labels, weight=weights[0]), both_sides(x, labels, y, others, *weights)
    for name in ("pack", "screen", "sweep"):
        kernel = getattr(triton_sweep_device, name)
        monkeypatch.setattr(triton_sweep_device, name, watched(kernel))
    for name in ("settle", "collect", "pull"):
        kernel = getattr(triton_pull_device, name)
        monkeypatch.setattr(triton_pull_device, name, watched(kernel))
    builder = interpreter.InterpreterBuilder
    load, store = builder.create_masked_load, builder.create_masked_store
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
    for rows, columns in ((alone, None), pair):
        for hinge in (Hinge(False, 0.1), Hinge(True, 1.0)):
            swept(rows, columns, hinge, stats=SweepStats())
    assert len(seen) > 100


# ---- on a card ---------------------------------------------------------------------------------


@runs
@on_card
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("d", [128, 512])
def test_thousands_of_rows(dtype, margin, d, device):
    x, labels = trained(3000, d, 400, dtype)
    weight = torch.rand(3000, dtype=torch.float64)
    for given in (None, weight):
        rows = on(device, side(x, labels, weight=given))
        for genuine in (False, True):
            assert_true(rows, None, Hinge(genuine, margin))


@runs
@on_card
def test_nothing_waits_for_the_card(device):
    x, labels = trained(1000, 64, 100)
    rows = on(device, side(x, labels, weight=torch.rand(1000, dtype=torch.float64)))
    for hinge in KINDS:
        swept(rows, None, hinge)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        for hinge in KINDS:
            swept(rows, None, hinge)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@runs
@on_card
def test_a_captured_graph_replays(device):
    x, labels = trained(1000, 64, 100)
    rows = on(device, side(x, labels))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        swept(rows, None, KINDS[0])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = swept(rows, None, KINDS[0])
    for seed in range(3):
        fresh = randn(1000, 64, seed=seed)
        rows.x.copy_(fresh)
        rows.inverse_lengths.copy_(1 / fresh.double().norm(dim=1))
        graph.replay()
        again = swept(rows, None, KINDS[0])
        assert all(torch.equal(a, b) for a, b in zip(found[:3], again[:3], strict=True))  # type: ignore[arg-type]


@runs
@on_card
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_of_many_rows(dtype, device):
    n, d = 65536, 128
    x, labels = trained(n, d, n // 8, dtype)
    rows = on(device, side(x, labels))
    swept(on(device, side(x[:256], labels[:256])), None, KINDS[0])
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    swept(rows, None, KINDS[0])
    grown = torch.cuda.max_memory_allocated() - before
    # gradient, faces, pulls and codes take 11 bytes an element at most, a panel's bits 64 MiB
    assert grown <= 11 * n * d + 65 * 2**20 + 64 * n


# ---- without a card, without the interpreter ---------------------------------------------------

COMPILE = """
import itertools, pathlib, re, subprocess, sys, tempfile, types
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from cospair.kernels import triton_pull_device, triton_sweep, triton_sweep_device
from cospair.kernels.sweeps import Hinge, Side, SweepStats, Watch

NAMES = {
    torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64",
    torch.int8: "i8", torch.int32: "i32", torch.int64: "i64",
}
tool = pathlib.Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
launches = {}

class Noted:
    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        def run(*given, **known):
            name = self.kernel.fn.__name__ + ("_turned" if known.get("TURNED") else "")
            launches[name] = (self.kernel, given, known)
        return run

def noted(module):
    names = ("pack", "screen", "sweep", "settle", "collect", "pull")
    return types.SimpleNamespace(
        **{n: Noted(getattr(module, n)) for n in names if hasattr(module, n)}
    )

def compiled(kernel, given, known):
    known = dict(known)
    options = {key: known.pop(key) for key in ("num_warps", "num_stages") if key in known}
    signature, constants, attributes = {}, {}, {}
    for at, parameter in enumerate(kernel.params):
        value = given[at] if at < len(given) else known[parameter.name]
        if isinstance(value, torch.Tensor):
            signature[parameter.name] = "*" + NAMES[value.dtype]
            attributes[at,] = [["tt.divisibility", 16]]
        elif parameter.annotation == "i64":
            signature[parameter.name] = "i64"
            if not parameter.do_not_specialize and value % 16 == 0:
                attributes[at,] = [["tt.divisibility", 16]]
        else:
            signature[parameter.name] = "constexpr"
            constants[at,] = value
    source = ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)

devices = noted(triton_sweep_device), noted(triton_pull_device)
triton_sweep._device, triton_sweep._pull_device = (lambda: devices[0]), (lambda: devices[1])
triton_sweep._fill = lambda *given, **known: None
for case in sys.argv[1:]:
    name, d, weighted, counted, genuine = case.split(",")
    place = torch.arange(300)
    rows = Side(
        torch.ones(300, int(d), dtype=getattr(torch, name)), torch.ones(300).double(), place,
        place, place + 1, torch.ones(300).double() if weighted == "1" else None,
    )
    watch = Watch(SweepStats() if counted == "1" else None)
    launches.clear()
    hinge = Hinge(genuine == "1", 0.5)
    triton_sweep.hinge_sweep(rows, None, hinge, wanted=(True, True), watch=watch)
    for launch, (kernel, given, known) in launches.items():
        kernel = compiled(kernel, given, known)
        with tempfile.TemporaryDirectory() as folder:
            binary = pathlib.Path(folder) / "kernel.cubin"
            binary.write_bytes(kernel.asm["cubin"])
            said = subprocess.run([tool, "-res-usage", binary], capture_output=True, text=True)
        used = dict(re.findall(r"(REG|STACK|LOCAL):(\\d+)", said.stdout))
        ptx, ir = kernel.asm["ptx"], kernel.asm["ttgir"]
        units = len(re.findall(r"wgmma[.]mma|mma[.]sync", ptx))
        # sums that leave the accumulator: a dot's result added to what the loop carries
        outside = len(re.findall(r"%total\\S* = arith.addf .*x(?:f32|f64), #mma", ir))
        print(case, launch, used["REG"], used["STACK"], used["LOCAL"], kernel.metadata.shared,
              units, outside, "tf32" in ptx)
"""


@pytest.mark.skipif(not has_triton, reason="Triton is not installed")
def test_compiled_for_sm_90_nothing_spills(tmp_path):
    """Registers, shared memory and matrix units of the machine code that an H100 would run."""
    cases = [
        f"{name},512,{weighted},0,0"
        for name in ("float32", "bfloat16", "float64")
        for weighted in (0, 1)
    ]
    cases += ["float32,128,0,0,1", "float16,64,0,0,0", "float32,512,0,1,0", "float32,512,1,1,1"]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {
        "PYTHONPATH": str(pathlib.Path(triton_sweep.__file__).parents[2]),
        "TRITON_CACHE_DIR": str(tmp_path),
        "PYTHONWARNINGS": "ignore",
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
    assert {line[0] for line in found} == set(cases)
    for case, launch, registers, stack, local, shared, units, outside, tf32 in found:
        said = f"{case} {launch}"
        # of its own accord ptxas keeps a few values of `settle` out of registers, to fit more of it
        spilled = 32 if launch == "settle" else 0
        assert int(stack) <= spilled, f"{said} spills"
        assert local == "0", f"{said} spills"
        assert int(shared) <= 227 * 1024, f"{said} needs more shared memory than there is"
        assert tf32 == "False", f"{said} rounds its factors"
        if launch in ("screen", "sweep", "pull", "pull_turned"):
            assert int(units) > 0, f"{said} multiplies outside of the matrix units"
            assert int(registers) <= 255
        if launch in ("sweep", "pull", "pull_turned") and not case.startswith("float64"):
            assert int(outside) > 0, f"{said} sums in the tensor cores' accumulators alone"
        if launch == "settle":
            assert int(registers) <= 168, f"{said}: too few warps to hide its loads"


def test_importing_the_kernel_does_not_import_triton(tmp_path):
    program = "import sys, cospair.kernels.triton_sweep; assert 'triton' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(triton_sweep.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=tmp_path)
