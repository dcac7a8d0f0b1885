import csv
import json
import math
import sys

import pytest
import torch
from typer.testing import CliRunner

import cospair
from cospair import bench, cli
from cospair.bench import all_pairs_variants as ways
from cospair.bench import apart, labelled, plan, provenance

ALL_PAIRS = sys.modules["cospair.bench.all_pairs"]  # by name it is the function
RUN = CliRunner()
LINUX = sys.platform == "linux"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Two sizes in processes of their own; the larger one's rivals want too much memory."""
    asked = bench.AllPairsPlan(
        sizes=((24, 8), (64, 8)), margins=(0.0, 0.5), rounds=2, threads=1, memory_gib=1e-4
    )
    return bench.all_pairs(asked, save=tmp_path_factory.mktemp("rows") / "rows.csv")


def in_this_process(monkeypatch, **losses):
    """A measurement of these losses as cospair's or torch's, without other processes."""
    here = apart.Here(0.0, lambda what: None)

    def call(function, given, **_options):
        return getattr(ALL_PAIRS, function.partition(":")[2])(here, given)

    known = {
        name: ways.AllPairsVariant(name, "cospair" if name == "ours" else "torch", lambda m, x=x: x)
        for name, x in losses.items()
    }
    monkeypatch.setattr(apart, "call", call)
    monkeypatch.setattr(ALL_PAIRS, "all_pairs_variants", lambda *a, **k: known)
    asked = bench.AllPairsPlan(
        sizes=((16, 4),), margins=(0.0,), data=(plan.RANDOM,), directions=(plan.FORWARD,), rounds=2
    )
    return bench.all_pairs(asked)


# ---- what is measured


def test_every_variant_has_a_row_a_case(result):
    known = {*ways.all_pairs_variants("cpu", compiled=False), ways.PRODUCT}
    keys = ("n", "d", "data", "margin", "direction")
    cases = {tuple(row[key] for key in keys) for row in result["rows"]}
    assert len(cases) == 2 * 2 * 2 * 2
    for case in cases:
        rows = [row for row in result["rows"] if tuple(row[key] for key in keys) == case]
        assert {row["variant"] for row in rows} == known
        assert len(rows) == len(known)


def test_every_kernel_that_can_run_is_measured(result):
    here = ("cpu", torch.float32)
    able = {
        f"cospair {name}"
        for name, kernel in cospair.kernels.SWEEPS.items()
        if not kernel.unavailable() and not kernel.refuses(torch.device(here[0]), here[1])
    }
    assert "cospair reference" in able
    assert able == {r["variant"] for r in result["rows"] if r["variant"].startswith("cospair")}


def test_rows_hold_every_column_and_the_result_is_json(result):
    assert all(tuple(row) == ALL_PAIRS.COLUMNS for row in result["rows"])
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["threads"] == 1
    assert (result["malloc"], result["rounds"]) == ("default", 2)


def test_a_row_has_its_figures_or_its_reason(result):
    for row in result["rows"]:
        measured = row["median_ms"] is not None
        assert measured == (row["skipped"] is None)
        if measured:
            assert row["rounds"] == 2
            assert row["quartile_1_ms"] <= row["median_ms"] <= row["quartile_3_ms"]
        else:
            assert row["rounds"] == 0
    skipped = {row["variant"]: row["skipped"] for row in result["rows"] if row["n"] == 64}
    assert skipped[ways.NAIVE] == "it would take about 0.000137 GiB, over the limit of 0.0001"
    assert not skipped["cospair reference"]


@pytest.mark.skipif(not LINUX, reason="elsewhere the system cannot reset its peak")
def test_memory_is_measured_for_every_loss_that_was(result):
    for row in result["rows"]:
        absent = row["variant"] == ways.PRODUCT or row["skipped"] is not None
        assert (row["extra_mib"] is None) == absent


def test_what_a_sweep_did_stands_beside_it(result):
    for row in result["rows"]:
        if row["variant"].startswith("cospair"):
            n = row["n"]
            assert row["pairs"] == n * (n - 1) // 2
            assert row["active_genuine"] == (n // 8) * 28  # with positive_margin=1 all of them
            assert row["pairs_evaluated"] <= row["pairs"]
            # float32 sums of at most 2016 pairs
            assert row["value_error"] < 1e-5
        else:
            assert row["pairs"] is None
    counts = {
        (row["n"], row["data"], row["margin"], row["active_impostor"])
        for row in result["rows"]
        if row["variant"].startswith("cospair")
    }
    assert len(counts) == 8  # the kernels, and both directions, agree
    half = [count for _, data, margin, count in counts if (data, margin) == (plan.RANDOM, 0.0)]
    assert all(count > 0 for count in half)


def test_rows_are_saved_a_size_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    saved = []

    def of_size(asked, _say):
        saved.append(path.exists())
        return [{**dict.fromkeys(ALL_PAIRS.COLUMNS), "n": asked.sizes[0][0]}]

    monkeypatch.setattr(ALL_PAIRS, "_of_size", of_size)
    bench.all_pairs(bench.AllPairsPlan(sizes=((8, 4), (16, 4))), save=path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["n"] for row in rows] == ["8", "16"]
    assert list(rows[0]) == [*ALL_PAIRS.COLUMNS, *provenance.KNOWN]
    assert saved == [False, True]


# ---- how it is measured


def test_ratios_and_quartiles():
    seconds = {"ours": [1e-3, 2e-3, 7e-3], ways.PEER: [8e-3] * 3, ways.PRODUCT: [4e-3] * 3}
    assert ALL_PAIRS.figures(seconds)["ours"] == {
        "median_ms": 2.0,
        "quartile_1_ms": 1.5,
        "quartile_3_ms": 4.5,
        "times_product": 0.5,
        "times_pytorch_metric_learning": 4.0,
    }


@pytest.mark.parametrize("limit", [1 << 31, 4 * 10 * 3, 1])
def test_the_product_is_made_in_blocks_that_fit(limit, monkeypatch):
    monkeypatch.setattr(ways, "_PRODUCT_BYTES", limit)
    seen = []
    multiply = torch.mm

    def mm(block, columns, *, out):
        seen.append(multiply(block, columns, out=out).clone())

    monkeypatch.setattr(torch, "mm", mm)
    x = torch.randn(10, 4)
    ways.product(x)(x)
    assert [len(block) for block in seen] == {1 << 31: [10], 120: [3, 3, 3, 1], 1: [1] * 10}[limit]
    torch.testing.assert_close(torch.cat(seen), x @ x.T)


@pytest.mark.parametrize("data", [plan.RANDOM, plan.TRAINED])
@pytest.mark.parametrize("margin", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("name", [ways.PEER, ways.NAIVE, "cospair reference"])
def test_everyone_computes_the_same(name, margin, data):
    variant = ways.all_pairs_variants("cpu", compiled=False)[name]
    if variant.library not in ("torch", "cospair"):
        pytest.importorskip(variant.library)
    batch = labelled.batches(64, 16, data, "cpu")[0]
    value = variant.load(margin)(*batch).item()
    (truth,) = labelled.truths(batch, [margin])
    # means of some thousand float32 costs; a wrong pair or divisor is off by far more
    assert math.isclose(value, truth, rel_tol=1e-5)


def test_a_step_drops_the_gradient_it_made_or_makes_none():
    supply = labelled.batches(8, 4, plan.RANDOM, "cpu")
    seen = []

    def loss(x, labels):
        seen.append(x.sum())
        return seen[-1]

    for direction, graph in ((plan.BOTH, True), (plan.FORWARD, False)):
        ways.all_pairs_step(loss, supply, direction)(1)
        assert seen[-1].requires_grad == graph
    assert all(batch.x.grad is None for batch in supply)


@pytest.mark.parametrize("factor", [1.001, math.nan])
def test_a_wrong_value_of_ours_is_refused(factor, monkeypatch):
    def off(x, labels, stats=None):
        return factor * ways.naive(x, labels, 0.0)

    with pytest.raises(RuntimeError, match=r"ours, forward, 16 x 4, random, .*must agree with"):
        in_this_process(monkeypatch, ours=off)


def test_a_rival_with_another_value_or_an_error_is_left_out(monkeypatch):
    def unable(x, labels):
        raise RuntimeError("no memory\nand more")

    found = in_this_process(monkeypatch, off=lambda x, labels: x.sum(), unable=unable)
    rows = {row["variant"]: row for row in found["rows"]}
    assert "its value must agree with float64's to 0.0001" in rows["off"]["skipped"]
    assert rows["unable"]["skipped"] == "no memory"
    assert rows[ways.PRODUCT]["times_product"] == 1.0


def test_what_is_not_installed_says_so_in_its_row(monkeypatch):
    real = ways.variants.missing
    monkeypatch.setattr(ways.variants, "missing", lambda library: real(f"no_such_{library}"))
    found = in_this_process(monkeypatch, absent=lambda x, labels: x.sum())
    (row,) = (row for row in found["rows"] if row["variant"] == "absent")
    assert row["skipped"] == "it is not installed"
    assert row["median_ms"] is None


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sizes": ()}, "sizes must be rows x features, both from 1"),
        ({"margins": (1.5,)}, r"margins must be cosines in \[-1, 1\], got \(1.5,\); name one"),
        ({"margins": (math.nan,)}, "margins must be cosines"),
        ({"margins": ()}, "margins must be cosines"),
        ({"data": ("faces",)}, "data must be of random, trained-like, got 'faces'; choose"),
        ({"memory_gib": 0}, "memory_gib must be above 0 and finite, got 0"),
        ({"directions": ()}, "directions must be of"),
        ({"rounds": 1}, "rounds must be at least 2"),
    ],
)
def test_a_plan_checks_itself(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        bench.AllPairsPlan(**options)


def test_an_unknown_variant_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(ALL_PAIRS, "_of_size", lambda *a: pytest.fail("measured"))
    with pytest.raises(ValueError, match="'torch, n x n' here, got 'nobody'; choose among them"):
        bench.all_pairs(bench.AllPairsPlan(only=("nobody",)))


@pytest.mark.parametrize("option", ["save", "plot"])
def test_where_nothing_can_be_written_nothing_is_measured(option, tmp_path, monkeypatch):
    monkeypatch.setattr(ALL_PAIRS, "_of_size", lambda *a: pytest.fail("measured"))
    with pytest.raises(ValueError, match="must lie in a folder that exists"):
        bench.all_pairs(**{option: tmp_path / "none" / "file.svg"})


# ---- the command


def asked(monkeypatch, result, *words):
    """The plan, the options and the output of a command whose measurement is given."""
    seen = {}

    def measured(plan, **options):
        seen.update(plan=plan, **options)
        return result

    monkeypatch.setattr(bench, "all_pairs", measured)
    found = RUN.invoke(cli.app, ["bench", "all-pairs", *words], env={"COLUMNS": "80"})
    assert found.exit_code == 0, found.output
    return seen, found.output


def test_the_table_has_80_columns_and_says_what_the_sweep_did(monkeypatch, result):
    _seen, output = asked(monkeypatch, result)
    assert max(map(len, output.splitlines())) <= 80
    words = " ".join(output.split())
    for part in (
        "malloc default",
        "left out: torch, n x n: it would take about 0.000137 GiB, over the limit of 0.0001",
        "forward + backward, 64 x 8, trained-like, margin 0.5",
        "cospair reference: evaluated 100.00% of the pairs, active impostors",
        ways.PRODUCT,
    ):
        assert part in words


def test_options_reach_the_measurement(monkeypatch, result, tmp_path):
    words = ["--size", "8x16", "--margin", "0.1", "--margin", "-0.5", "--data", "random"]
    words += ["--only", "cospair cpu", "--memory-gib", "2", "--rounds", "3", "--threads", "1"]
    words += ["--forward", "--json", "--plot", str(tmp_path / "x.svg")]
    seen, output = asked(monkeypatch, result, *words)
    assert seen["plan"] == bench.AllPairsPlan(
        sizes=((8, 16),),
        margins=(0.1, -0.5),
        data=(plan.RANDOM,),
        only=("cospair cpu",),
        memory_gib=2.0,
        directions=(plan.FORWARD,),
        threads=1,
        rounds=3,
    )
    assert (seen["save"], seen["plot"]) == (None, tmp_path / "x.svg")
    assert json.loads(output) == result
    assert asked(monkeypatch, result)[0]["plan"] == bench.AllPairsPlan()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--size", "12"), "--size must be rows x features, both whole numbers from 1, got '12'"),
        (("--margin", "2"), "Invalid value for '--margin'"),
        (("--data", "faces"), "'faces' is not one of"),
        (("--memory-gib", "0"), "memory_gib must be above 0 and finite, got 0"),
        (("--only", "me"), "got 'me'; choose among them"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(words, sentence, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cospair", "bench", "all-pairs", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
