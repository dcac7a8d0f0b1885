import csv
import importlib.util
import itertools
import json
import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

import cospair
from cospair import bench, cli
from cospair.bench import alone, apart, memory, plan, provenance, ratio_plot, timing
from cospair.bench.variants import AT_HAND, EAGER, FRESH, MARGIN, READ, Variant, floors, variants

PAIRS = sys.modules["cospair.bench.pairs"]  # by name it is the function
TABLES = Path(__file__).parents[1] / "benchmarks" / "tables.py"
RUN = CliRunner()
PEERS = ("pytorch_metric_learning", "sentence_transformers")
LINUX = sys.platform == "linux"


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def result():
    """Two sizes, both directions, one thread: every variant that is installed."""
    return bench.pairs(bench.Plan(sizes=((8, 16), (16, 16)), rounds=2, threads=1))


# ---- what is measured


def test_every_loss_and_every_floor_has_a_row_a_case(result):
    cases = {(row["n"], row["d"], row["dtype"], row["direction"]) for row in result["rows"]}
    assert cases == {(n, 16, "float32", way) for n in (8, 16) for way in (plan.FORWARD, plan.BOTH)}
    absent = {sentence.split(":")[0] for sentence in result["left_out"]}
    losses = set(variants("cpu", compiled=False)) - absent
    for case in cases:
        floor = {AT_HAND, FRESH} if case[3] == plan.BOTH else {READ}
        rows = [r for r in result["rows"] if (r["n"], r["d"], r["dtype"], r["direction"]) == case]
        assert next(row["variant"] for row in rows) == EAGER
        assert {row["variant"] for row in rows} == losses | floor


def test_every_kernel_that_can_run_is_measured(result):
    here = {name for name, reason in cospair.kernels.available().items() if not reason}
    measured = {row["variant"].removeprefix("cospair ") for row in result["rows"]}
    assert here & {"reference", "cpu"} <= measured
    assert result["kernels"] == cospair.kernels.available()


def test_compiled_variants_are_theirs_who_ask():
    assert {"torch.compile", "cospair, torch.compile"} <= set(variants("cpu", compiled=True))
    assert not [name for name in variants("cpu", compiled=False) if "compile" in name]


def test_a_row_holds_every_column_and_the_result_is_json(result):
    assert all(tuple(row) == PAIRS.COLUMNS for row in result["rows"])
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["threads"] == 1
    for name in (*provenance.KNOWN, "device", "instruction_set", "malloc", "rounds", "margin"):
        assert name in result


def test_each_case_has_a_process_of_its_own_where_malloc_is_told(monkeypatch):
    calls = []

    def call(function, given, *, environment, **_options):
        case = given["sizes"], given["dtypes"], given["directions"]
        calls.append((function, *case, environment["MALLOC_MMAP_MAX_"]))
        return {"rows": [], "left_out": []}

    monkeypatch.setattr(apart, "call", call)
    monkeypatch.setattr("cospair.bench.malloc.check", lambda malloc: None)
    asked = bench.Plan(sizes=((8, 4), (9, 4)), dtypes=("float32", "float64"), malloc="kept")
    assert bench.pairs(asked)["malloc"] == "kept"
    assert calls == [
        ("cospair.bench.pairs:timed", (size,), (dtype,), (direction,), "0")
        for dtype in asked.dtypes
        for size in asked.sizes
        for direction in asked.directions
    ]


def test_the_first_call_is_one_figure_a_variant(result):
    found = [row for row in result["rows"] if row["first_call_ms"] is not None]
    losses = {row["variant"] for row in result["rows"] if not row["variant"].startswith("floor")}
    assert {row["variant"] for row in found} == losses
    assert len(found) == len(losses)
    for row in found:
        assert (row["n"], row["direction"]) == (8, plan.BOTH)
        assert 0 < row["first_call_ms"] <= row["first_call_with_import_ms"]


@pytest.mark.skipif(not LINUX, reason="elsewhere the system cannot reset its peak")
def test_memory_is_measured_for_every_loss(result):
    for row in result["rows"]:
        assert (row["extra_mib"] is None) == row["variant"].startswith("floor")


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    with timing.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


# ---- the arithmetic


def test_ratios_bandwidth_and_quartiles():
    seconds = {EAGER: [8e-6, 8e-6, 8e-6], "ours": [1e-6, 2e-6, 7e-6], "copy": [4e-7] * 3}
    found = PAIRS.figures(seconds, floor="copy", moved_bytes=8000)["ours"]
    assert found == {
        "median_us": 2.0,
        "quartile_1_us": 1.5,
        "quartile_3_us": 4.5,
        "times_torch_eager": 4.0,
        "times_floor": 5.0,
        "gb_per_s": 4.0,
    }


@pytest.mark.parametrize(("direction", "tensors"), [(plan.FORWARD, 2), (plan.BOTH, 4)])
def test_what_must_be_moved(direction, tensors):
    assert PAIRS._Case(3, 5, "float16", direction).moved_bytes() == tensors * 3 * 5 * 2


# ---- how it is measured


def test_variants_take_turns_and_one_call_goes_unmeasured(monkeypatch):
    monkeypatch.setattr(timing, "_MOST_CALLS", 3)
    calls = []
    steps = {name: lambda call, name=name: calls.append((name, call)) for name in "abc"}
    seconds = timing.interleaved(steps, 3, "cpu", tick=nothing)
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3, "c": 3}
    rounds = calls[-3 * 3 * 4 :]  # a round is three variants, each with one call and three timed
    assert [rounds[i][0] for i in range(0, 36, 4)] == list("abcbcacab")
    assert [call for _, call in rounds[12:16]] == [1, 2, 3, 4]  # each round from another batch


def test_a_slow_variant_has_fewer_rounds_but_three(monkeypatch):
    seconds = {"fast": 0.001, "slow": 0.01}
    monkeypatch.setattr(timing, "_STRETCH_SECONDS", 1e-9)
    monkeypatch.setattr(timing, "_SLOW_SECONDS", 0.02)
    monkeypatch.setattr(timing, "_once", lambda step, device: seconds[step(0)])
    steps = {name: lambda call, name=name: name for name in seconds}
    found = timing.interleaved(steps, 6, "cpu", tick=nothing)
    assert {name: len(times) for name, times in found.items()} == {"fast": 6, "slow": 3}


def test_a_step_of_seconds_goes_without_the_unmeasured_call(monkeypatch):
    monkeypatch.setattr(timing, "_NO_WARMING_SECONDS", 0.0)
    calls = []
    timing.interleaved({"slow": lambda call: calls.append(call)}, 2, "cpu", tick=nothing)
    assert calls[0] == 0
    assert calls[1] == 1  # the first round's, at once


def test_a_step_under_a_second_has_its_nine_rounds():
    assert timing._SLOW_SECONDS / (2 * 1.0) >= 9


def test_a_step_drops_the_gradients_it_made():
    supply = timing.batches(4, 8, "float32", "cpu")
    seen = []

    def loss(x1, x2, target):
        value = F.cosine_embedding_loss(x1, x2, target)
        x1.register_hook(lambda gradient: seen.append(gradient.shape))
        return value

    step = timing.loss_step(Variant("x", "torch", lambda: loss), loss, supply, plan.BOTH)
    step(0)
    assert seen == [(4, 8)]
    assert all(x1.grad is None and x2.grad is None for x1, x2, _ in supply)


def test_forward_alone_makes_no_graph():
    supply = timing.batches(4, 8, "float32", "cpu")
    seen = []

    def loss(x1, x2, target):
        seen.append(F.cosine_embedding_loss(x1, x2, target))
        return seen[-1]

    timing.loss_step(Variant("x", "torch", lambda: loss), loss, supply, plan.FORWARD)(0)
    assert not seen[0].requires_grad


@pytest.mark.parametrize("dtype", plan.DTYPES)
def test_batches_rotate_and_every_pair_costs(dtype):
    supply = timing.batches(64, 256, dtype, "cpu")
    assert len({x1.data_ptr() for x1, _, _ in supply}) == 4
    for batch in supply:
        assert set(batch[2].tolist()) == {1, -1}
        assert timing.truth(batch).min() > 0


def test_truth_is_torchs_float64_loss_of_every_pair():
    x1, x2, target = timing.batches(5000, 4, "float32", "cpu")[0]
    expected = F.cosine_embedding_loss(
        x1.double(), x2.double(), target, margin=MARGIN, reduction="none"
    )
    torch.testing.assert_close(timing.truth((x1, x2, target)), expected.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(3, 4), (3, 3)])  # whole 64-bit words, and not
@pytest.mark.parametrize("direction", [plan.FORWARD, plan.BOTH])
def test_floors_touch_both_inputs(size, direction):
    x1, x2 = torch.randn(size), torch.randn(size)
    for copy in floors(direction).values():
        found = copy(x1, x2, None)
        assert isinstance(found, tuple)
        if direction == plan.BOTH:
            assert torch.equal(found[0], x1)
            assert torch.equal(found[1], x2)
            assert found[0].data_ptr() != x1.data_ptr()


@pytest.mark.skipif(not LINUX, reason="elsewhere the system cannot reset its peak")
def test_memory_is_the_growth_of_the_peak():
    kept = torch.ones(1 << 23)  # 32 MiB that are there before
    grown = memory.extra_mib(lambda call: (torch.ones(1 << 24) + 1).sum(), "cpu")
    assert kept.sum() == 1 << 23
    # two tensors of 64 MiB at once; allocator and counters may be off by some pages
    assert 120 < (grown or 0) < 140


def test_a_process_that_fails_says_why():
    missing = Variant("nobody's", "no_such_library", lambda: F.cosine_embedding_loss)
    found = alone.ask(missing, bench.Plan(sizes=((8, 16),)))
    assert found == {"failed": "ModuleNotFoundError: No module named 'no_such_library'"}


# ---- what is compared


def measured_with(monkeypatch, library="torch", **losses):
    """A measurement of torch eager and these losses, without processes of their own."""
    torchs = {EAGER: variants("cpu", compiled=False)[EAGER]}
    others = {name: Variant(name, library, lambda loss=loss: loss) for name, loss in losses.items()}
    monkeypatch.setattr(PAIRS, "variants", lambda *a, **k: torchs | others)
    monkeypatch.setattr(alone, "ask", lambda *a: {"failed": "not asked"})
    here = apart.Here(0.0, lambda what: None)
    monkeypatch.setattr(apart, "call", lambda function, given, **k: PAIRS.timed(here, given))
    sizes = ((8, 16),)
    return bench.pairs(bench.Plan(sizes=sizes, rounds=2, directions=(plan.FORWARD,)))


@pytest.mark.parametrize("factor", [1.001, math.nan])
def test_a_wrong_value_of_ours_is_refused(factor, monkeypatch):
    def off(x1, x2, target):
        return factor * F.cosine_embedding_loss(x1, x2, target, margin=MARGIN)

    with pytest.raises(RuntimeError, match="off at 8 x 16, float32: its value must agree"):
        measured_with(monkeypatch, library="cospair", off=off)


def test_what_narrow_dtypes_lose_is_a_figure():
    supply = timing.batches(8, 512, "float16", "cpu")
    losses = timing.truth(supply[0])
    eager = variants("cpu", compiled=False)[EAGER]
    case = PAIRS._Case(8, 512, "float16", plan.FORWARD)
    _step, error = PAIRS._warm_step(eager, case, supply, losses)
    assert 0.01 < error < 1  # torch's product of the squared norms, 512 * 512, overflows
    lost = Variant("lost", "torch", lambda: lambda x1, x2, target: x1.sum() * math.nan)
    assert PAIRS._warm_step(lost, case, supply, losses)[1] == PAIRS._NO_VALUE


def test_a_rival_with_another_value_is_left_out(monkeypatch):
    found = measured_with(monkeypatch, off=lambda x1, x2, target: x1.sum())
    assert {row["variant"] for row in found["rows"]} == {EAGER, READ}
    assert any("off at 8 x 16, float32: its value must agree" in said for said in found["left_out"])


def test_what_rivals_teach_malloc_comes_after_our_turns(monkeypatch):
    turns: list[list[str]] = []

    def recorded(steps, rounds, _device, *, tick):
        turns.append(list(steps))
        return {name: [len(turns) * 1e-3] * rounds for name in steps}

    monkeypatch.setattr(timing, "interleaved", recorded)
    asked = bench.Plan(sizes=((8, 16),), rounds=2, directions=(plan.FORWARD,))
    rows = PAIRS.timed(apart.Here(0.0, lambda what: None), asdict(asked))["rows"]
    first, last = turns
    assert {EAGER, READ} <= set(first) <= {EAGER, READ, "cospair cpu", "cospair triton"}
    peers = {name.replace("_", "-") for name in PEERS}
    assert {"cospair reference"} <= set(last) <= {"cospair reference"} | peers
    by_name = {row["variant"]: row for row in rows}
    assert next(iter(by_name)) == EAGER
    assert list(by_name)[-1] == READ
    assert by_name["cospair reference"]["times_torch_eager"] == 0.5


def test_what_cannot_run_is_left_out_with_its_reason(monkeypatch):
    def unable(x1, x2, target):
        raise RuntimeError("no such kernel here\nand a second line")

    found = measured_with(monkeypatch, library="cospair", unable=unable)
    assert "unable at 8 x 16, float32: no such kernel here" in found["left_out"]
    assert "first call and memory of torch eager, float32: not asked" in found["left_out"]
    assert {row["variant"] for row in found["rows"]} == {EAGER, READ}


def test_an_error_in_the_code_is_not_left_out(monkeypatch):
    def broken(x1, x2, target):
        return x1.no_such_method()

    with pytest.raises(AttributeError):
        measured_with(monkeypatch, broken=broken)


def test_a_matrix_of_all_pairs_is_not_asked_of_large_batches():
    peer = variants("cpu", compiled=False)["pytorch-metric-learning"]
    assert peer.left_out(4096, "float64") == ""
    assert peer.left_out(65536, "float32") == "its 65536 x 65536 matrix would take 16 GiB"


@pytest.mark.parametrize("library", PEERS)
def test_a_rivals_value_is_what_the_pages_say_it_is(library):
    pytest.importorskip(library)
    rival = variants("cpu", compiled=False)[library.replace("_", "-")]
    loss = rival.load()
    for n, dtype in itertools.product((8, 64), ("float32", "float64")):
        x1, x2, target = timing.batches(n, 32, dtype, "cpu")[0]
        found = loss(x1, x2, rival.form(target)).detach()
        expected = rival.expected(timing.truth((x1, x2, target)))
        # its own arithmetic in its own dtype; a missing factor or divisor is off by far more
        torch.testing.assert_close(found.double(), expected.double(), rtol=1e-5, atol=0)


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sizes": ()}, "sizes must be pairs x features, both from 1"),
        ({"sizes": ((0, 4),)}, "name one as 4096x512"),
        (
            {"dtypes": ("int8",)},
            "bfloat16, float16, got 'int8'; choose among them",
        ),
        ({"dtypes": ()}, "dtypes must be of .*, got none; choose"),
        ({"directions": ("backward",)}, "directions must be of forward"),
        ({"device": "tpu"}, "device must be of cpu, cuda, got 'tpu'"),
        ({"rounds": 1}, "rounds must be at least 2, got 1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"malloc": "big"}, "malloc must be of default, kept, returned, got 'big'; choose"),
    ],
)
def test_a_plan_checks_itself(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        bench.Plan(**options)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="device cuda needs a GPU that torch can use"):
        bench.Plan(device="cuda")


def test_compiling_without_a_compiler_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RuntimeError, match=r"torch.compile on the cpu needs a C\+\+ compiler"):
        bench.Plan(compiled=True)


@pytest.mark.parametrize("option", ["save", "plot"])
def test_where_nothing_can_be_written_nothing_is_measured(option, tmp_path, monkeypatch):
    monkeypatch.setattr(PAIRS, "_of_dtype", lambda *a: pytest.fail("measured"))
    with pytest.raises(ValueError, match="must lie in a folder that exists"):
        bench.pairs(**{option: tmp_path / "none" / "file.svg"})


# ---- what is written


def test_rows_are_appended_with_their_provenance(result, tmp_path):
    path = tmp_path / "rows.csv"
    for _round in range(2):
        provenance.save(result["rows"], path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(result["rows"])
    assert rows[0]["torch"] == torch.__version__
    assert rows[0]["variant"] == EAGER
    assert list(rows[0]) == [*PAIRS.COLUMNS, *provenance.KNOWN]


def test_rows_of_other_columns_are_not_mixed(result, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("variant,n\nours,3\n")
    with pytest.raises(ValueError, match="must hold rows of the same columns, got 'variant,n'"):
        provenance.save(result["rows"], path)
    assert path.read_text() == "variant,n\nours,3\n"


def test_the_commit_is_this_checkouts(monkeypatch):
    monkeypatch.chdir(TABLES.parents[1])
    words = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert provenance.provenance()["commit"] == found.stdout.strip()


def drawn(rows):
    machine = {"device": "cpu", "processor": "a <fast> one", "threads": 2, "malloc": "kept"}
    versions = {"torch": "2", "date": "d"}
    return ElementTree.fromstring(ratio_plot.svg({**machine, **versions, "rows": rows}))


def row(variant, n, ratio, *, d=512, direction=plan.BOTH, dtype="float32"):
    return {
        "variant": variant,
        "n": n,
        "d": d,
        "direction": direction,
        "dtype": dtype,
        "times_torch_eager": ratio,
    }


def texts(picture):
    return {item.text: item for item in picture.iter("{http://www.w3.org/2000/svg}text")}


def test_a_picture_has_a_line_and_a_label_a_variant():
    names = {EAGER: 1.0, "a": 8.0, "b": 8.1, "floor, c": 8.2, "d & e": 0.01}
    rows = [row(name, n, ratio) for n in (256, 65536) for name, ratio in names.items()]
    picture = drawn(rows)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}polyline"))) == len(names)
    labels = texts(picture)
    places = [float(labels[f"{name} {ratio:.3g}x"].attrib["y"]) for name, ratio in names.items()]
    apart = sorted(places)
    assert min(b - a for a, b in itertools.pairwise(apart)) > 15  # a line of text
    assert places[1] > places[3] > 0  # the faster stands higher
    assert "a <fast> one, 2 threads, malloc kept, torch 2, d" in labels
    assert {"256", "65536", "pairs in the batch (D = 512)"} <= set(labels)


def test_a_picture_is_of_one_direction_dtype_and_number_of_features():
    rows = [row(EAGER, n, 1.0) for n in (2, 4)]
    rows += [row("ours", n, 2.0) for n in (2, 4)]
    rows += [row(EAGER, 32, 1.0, d=128), row("ours", 32, 99.0, d=128)]
    rows += [row("ours", 2, 77.0, direction=plan.FORWARD), row("ours", 2, 88.0, dtype="float64")]
    found = " ".join(filter(None, texts(drawn(rows))))
    assert "ours 2x" in found
    assert not any(number in found for number in ("99", "77", "88"))
    assert "forward + backward, float32" in found


def test_one_size_alone_is_drawn():
    assert "ours 2x" in texts(drawn([row(EAGER, 32, 1.0), row("ours", 32, 2.0)]))


def test_a_measurement_is_drawn(result, tmp_path):
    ratio_plot.write(result, tmp_path / "ratio.svg")
    ElementTree.parse(tmp_path / "ratio.svg")
    with pytest.raises(ValueError, match=r"must end in .svg, got '.png'"):
        ratio_plot.write(result, tmp_path / "ratio.png")


# ---- the tables of the pages


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", TABLES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def saved_rows():
    """Two variants at a standard size, saved twice: the last counts."""
    known = dict.fromkeys((*PAIRS.COLUMNS, *provenance.KNOWN), "")
    base = {**known, "device": "cpu", "direction": plan.BOTH, "dtype": "float32"}
    base |= {"rounds": "11", "malloc": "default"}
    for date, ratio in (("before", 3.0), ("after", 6.4)):
        for name, times in ((EAGER, 1.0), ("cospair cpu", ratio)):
            numbers = {"times_torch_eager": str(times), "times_floor": "1.25", "extra_mib": "16.0"}
            size = {"n": "4096", "d": "512", "variant": name, "library": "x 1", "date": date}
            yield {**base, **numbers, **size}
            yield {**base, **numbers, **size, "malloc": "kept", "times_torch_eager": f"{times + 1}"}


def test_tables_stand_between_their_markers(tables):
    rows = tables.Rows(list(saved_rows()))
    page = "a\n<!-- pairs:begin -->\nold\n<!-- pairs:end -->\nz"
    filled = tables.fill(page, "pairs", tables.full(rows))
    assert filled.startswith("a\n<!-- pairs:begin -->\n### cpu\n")
    assert filled.endswith("\n<!-- pairs:end -->\nz")
    assert "| cospair cpu | - | - | 6.4 | - |" in filled
    kept = filled.index("| forward + backward, float32, malloc kept | 32 x 128 |")
    assert filled.index("| cospair cpu | - | - | 7.4 | - |") > kept
    assert "| cospair cpu | - | - | 1.2 | - |" in filled
    assert "| torch eager | - | - | 16.0 | - |" in filled
    assert "old" not in filled
    assert "before" not in filled
    assert tables.fill(filled, "pairs", tables.full(rows)) == filled
    assert tables.fill("none", "pairs", "x") == "none"


def test_rows_of_narrower_processors_stand_apart(tables):
    wide = [{**row, "instruction_set": "x86-64-v4 with AMX"} for row in saved_rows()]
    narrow = [
        {**row, "instruction_set": "x86-64-v3", "times_torch_eager": "2.5"} for row in saved_rows()
    ]
    page = tables.full(tables.Rows([*wide, *narrow]))
    assert page.index("### cpu\n") < page.index("### cpu without AVX-512\n")
    assert "| cospair cpu | - | - | 6.4 | - |" in page
    assert "| cospair cpu | - | - | 2.5 | - |" in page
    for last in (narrow, wide):
        first = wide if last is narrow else narrow
        short = tables.summary(tables.Rows([*first, *last]))
        assert ("2.5" in short) == (last is narrow), "the short table shows what was measured last"


def test_ratios_of_saved_rows_are_drawn(tables, tmp_path):
    tables.draw([{**row, "threads": "2"} for row in saved_rows()], tmp_path / "x.svg")
    words = {item.text for item in ElementTree.parse(tmp_path / "x.svg").iter() if item.text}
    assert "cospair cpu 6.4x" in words


def test_the_first_call_of_a_variant_is_one_line(tables):
    known = next(iter(saved_rows()))
    rows = [
        {**known, "n": n, "first_call_ms": ms, "first_call_with_import_ms": ms}
        for n, ms in (("32", "2.0"), ("65536", "9.0"))
    ]
    table = tables.first_calls(tables.Rows(rows), "cpu")
    assert "| torch eager | 2.0 | 2.0 |" in table
    assert "9.0" not in table, "it was measured at another size"


def test_the_short_table_ends_with_the_floor(tables):
    lines = tables.summary(tables.Rows(list(saved_rows()))).splitlines()
    assert lines[0].startswith("| times as fast as torch eager, cpu | 32 x 128 |")
    assert lines[2:] == [
        "| cospair cpu | - | - | 6.4 | - |",
        "| cospair cpu, malloc kept | - | - | 7.4 | - |",
        "| cospair cpu's time as a multiple of the floor | - | - | 1.2 | - |",
    ]


def test_a_marker_without_its_end_is_refused(tables):
    with pytest.raises(ValueError, match="must be followed by <!-- pairs:end -->, got none"):
        tables.fill("<!-- pairs:begin -->\n", "pairs", "x")


# ---- the command


def test_bench_lists_its_measurements():
    assert "bench" in RUN.invoke(cli.app, ["--help"]).output
    found = RUN.invoke(cli.app, ["bench", "--help"])
    assert found.exit_code == 0
    assert "pairs" in found.output
    options = RUN.invoke(cli.app, ["bench", "pairs", "--help"], env={"COLUMNS": "100"}).output
    for option in ("--size", "--dtype", "--device", "--threads", "--rounds", "--forward", "--both"):
        assert option in options
    for option in ("--compiled", "--malloc", "--save", "--plot", "--json"):
        assert option in options


def asked(monkeypatch, result, *words):
    """The plan, the options and the output of a command whose measurement is given."""
    seen = {}

    def measured(plan, **options):
        seen.update(plan=plan, **options)
        return result

    monkeypatch.setattr(bench, "pairs", measured)
    found = RUN.invoke(cli.app, ["bench", "pairs", *words], env={"COLUMNS": "80"})
    assert found.exit_code == 0, found.output
    return seen, found.output


def test_the_table_has_80_columns_and_says_where_it_ran(monkeypatch, result):
    reasons = {"kernels": {"cpu": "", "triton": "it needs a GPU"}, "instruction_set": "x86-64-v3"}
    rows = [{**row, "median_us": 98765432.1, "value_error": 0.13} for row in result["rows"]]
    given = {**result, **reasons, "left_out": ["a: it is not installed"], "rows": rows}
    _seen, output = asked(monkeypatch, given)
    assert max(map(len, output.splitlines())) <= 80
    for words in (
        "no kernel triton: it needs a GPU",
        "left out: a: it is not installed",
        "kernels x86-64-v3",
        "forward + backward, 8 x 16, float32",
        "first call, new process",
        "the value of torch eager is 13 % away from float64's",
    ):
        assert words in " ".join(output.split())
    shown = [line.strip() for line in output.splitlines()]
    assert all(any(line.startswith(row["variant"]) for line in shown) for row in rows)


def test_without_options_it_covers_the_four_sizes_in_float32(monkeypatch, result):
    seen, _output = asked(monkeypatch, result)
    assert seen["plan"] == bench.Plan()
    assert seen["plan"].rounds >= 9


def test_options_reach_the_measurement(monkeypatch, result, tmp_path):
    words = ["--size", "8x16", "--size", "4x2", "--dtype", "all", "--threads", "1", "--rounds", "3"]
    words += ["--forward", "--malloc", "kept", "--json", "--save", str(tmp_path / "rows.csv")]
    seen, output = asked(monkeypatch, result, *words)
    assert seen["plan"] == bench.Plan(
        sizes=((8, 16), (4, 2)),
        dtypes=plan.DTYPES,
        directions=(plan.FORWARD,),
        threads=1,
        rounds=3,
        malloc="kept",
    )
    assert (seen["save"], seen["plot"]) == (tmp_path / "rows.csv", None)
    assert seen["progress"] is False
    assert json.loads(output) == result


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--size", "12"), "--size must be pairs x features, both whole numbers from 1, got '12'"),
        (("--size", "0x4"), "got '0x4'; write it as 4096x512"),
        (("--size", "4x-1"), "got '4x-1'"),
        (("--dtype", "int8"), "'int8' is not one of"),
        (("--device", "tpu"), "'tpu' is not one of"),
        (("--rounds", "1"), "Invalid value for '--rounds'"),
        (("--threads", "0"), "Invalid value for '--threads'"),
        (("--malloc", "big"), "'big' is not one of"),
        (("--plot", "x.png"), "x.png must end in .svg, got '.png'; a browser opens that"),
        (("--save", "none/x.csv"), "none/x.csv must lie in a folder that exists, got none"),
        (("all-pears",), "all-pears"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(words, sentence, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cospair", "bench", "pairs", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
