import csv
import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cospair.bench import plan, provenance
from cospair.bench.all_pairs import COLUMNS
from cospair.bench.all_pairs_variants import PEER, PRODUCT

TABLES = Path(__file__).parents[2] / "benchmarks" / "tables.py"


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", TABLES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(margin, n, d, *, direction=plan.BOTH, ours="0.25", commit="abc"):
    """Three variants of a case; the peer has no memory for the larger size."""
    base = dict.fromkeys((*COLUMNS, *provenance.KNOWN), "")
    base |= {"device": "cpu", "malloc": "default", "direction": direction, "data": plan.TRAINED}
    base |= {"margin": margin, "n": str(n), "d": str(d), "rounds": "11", "processor": "chip"}
    base |= {"threads": "2", "commit": commit, "date": "today", "torch": "2", "median_ms": "3.0"}
    sweep = {"extra_mib": "2.5", "pairs": "200", "pairs_evaluated": "30", "active_impostor": "1"}
    yield {**base, **sweep, "variant": "cospair cpu", "library": "cospair 1", "times_product": ours}
    if n > 1024:
        nothing = {"rounds": "0", "median_ms": "", "skipped": "it would take 9 GiB"}
        yield {**base, **nothing, "variant": PEER}
    else:
        yield {**base, "variant": PEER, "library": "p-m-l 2", "times_product": "8.0"}
    yield {**base, "variant": PRODUCT, "library": "torch 2", "times_product": "1.0"}


def saved():
    for margin in ("0.5", "0.25"):
        for n, d in ((4096, 512), (1024, 512), (1024, 128)):
            yield from rows_of(margin, n, d)
    yield from rows_of("0.5", 1024, 512, ours="0.75", commit="def")  # again: the last counts


def test_all_pairs_have_their_own_tables(tables):
    found = tables.contents(list(saved()))["all-pairs"]
    heads = (
        "| forward + backward, trained-like, margin 0.5 | 1024 x 128 | 1024 x 512 | 4096 x 512 |"
    )
    assert found.count(heads) == 2  # the peer's ratios are in no row
    assert found.index("margin 0.25 |") < found.index("margin 0.5 |")
    for line in (
        "### cpu, malloc default",
        "chip, threads 2; cospair 1, torch 2, p-m-l 2; 11 rounds; commit abc, def, today.",
        "| cospair cpu | 0.25 | 0.75 | 0.25 |",
        f"| {PEER} | 8.0 | 8.0 | - |",
        "| cospair cpu | 2.5 | 2.5 | 2.5 |",
        "| cospair cpu, pairs evaluated | 15.0 | 15.0 | 15.0 |",
        "| cospair cpu, active impostor | 0.5 | 0.5 | 0.5 |",
        f"- {PEER}, 4096 x 512: it would take 9 GiB",
    ):
        assert line in found.splitlines()


def test_the_short_table_is_of_the_largest_margin_and_few_sizes(tables):
    lines = tables.contents(list(saved()))["all-pairs-summary"].splitlines()
    assert lines[0] == "| forward + backward, trained-like, margin 0.5 | 1024 x 512 | 4096 x 512 |"
    assert "| cospair cpu, times the bare product | 0.75 | 0.25 |" in lines
    assert "| cospair cpu, extra memory, MiB | 2.5 | 2.5 |" in lines


def test_saved_rows_are_drawn(tables, tmp_path):
    path = tmp_path / "x.svg"
    tables.draw(list(saved()), path)
    words = {item.text for item in ElementTree.parse(path).iter() if item.text}
    assert "rows of the batch (D = 512, margin 0.5, trained-like)" in words


def test_pages_get_the_tables_of_the_rows_that_are_given(tables, tmp_path, monkeypatch):
    rows = list(saved())
    csv_file = tmp_path / "rows.csv"
    with csv_file.open("w", newline="") as file:
        csv.writer(file).writerows([rows[0].keys(), *(row.values() for row in rows)])
    page = tmp_path / "page.md"
    page.write_text("<!-- pairs:begin -->\nkept\n<!-- pairs:end -->\n<!-- all-pairs:begin -->\n")
    monkeypatch.setattr("sys.argv", ["tables.py", str(csv_file), str(page)])
    with pytest.raises(ValueError, match="must be followed by <!-- all-pairs:end -->, got none"):
        tables.main()
    page.write_text(page.read_text() + "old\n<!-- all-pairs:end -->\nend\n")
    tables.main()
    filled = page.read_text()
    assert filled.startswith("<!-- pairs:begin -->\nkept\n<!-- pairs:end -->\n")
    assert filled.endswith("<!-- all-pairs:end -->\nend\n")
    assert "old" not in filled
    assert "### cpu, malloc default" in filled
