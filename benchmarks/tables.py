"""Rows of `cospair bench pairs` to the tables of the documentation.

    python benchmarks/tables.py benchmarks/pairs.csv docs/benchmarks.md README.md

Between `<!-- pairs:begin -->` and `<!-- pairs:end -->` of a page stand all tables, between
`<!-- pairs-summary:begin -->` and `<!-- pairs-summary:end -->` the short one. Of rows measured more
than once the last counts.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cospair.bench.plan import BOTH, DTYPES, FORWARD, SIZES
from cospair.bench.variants import EAGER

Row = dict[str, str]


class Case(NamedTuple):
    """What a table shows, beside its sizes and variants."""

    device: str
    direction: str
    dtype: str


class Rows:
    """The last row of each variant, case and size."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Sort them by what they measure."""
        self.found = {
            (Case(*(row[key] for key in Case._fields)), row["n"], row["d"], row["variant"]): row
            for row in rows
        }

    def names(self, column: str) -> list[str]:
        """What stands in a column, in order of appearance."""
        return list(dict.fromkeys(row[column] for row in self.found.values()))

    def grid(self, case: Case, column: str, labels: Mapping[str, str]) -> list[list[str]]:
        """A line a variant that was measured, under its label; a cell a size."""
        lines = [[label, *self.cells(case, column, name)] for name, label in labels.items()]
        return [line for line in lines if set(line[1:]) != {"-"}]

    def cells(self, case: Case, column: str, name: str) -> list[str]:
        """A column's figures of a variant by size, a dash where there is none."""
        rows = [self.found.get((case, str(n), str(d), name), {}) for n, d in SIZES]
        return [short(row[column]) if row.get(column) else "-" for row in rows]


def short(number: str) -> str:
    """Two or three figures, never an exponent."""
    value = float(number)
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table of a page; nothing where it would have no line."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body)) if body else ""


def by_size(title: str, body: Sequence[Sequence[str]]) -> str:
    """A table with a column a size."""
    return markdown([title, *(f"{n} x {d}" for n, d in SIZES)], body)


def full(rows: Rows) -> str:
    """Every table, for each device that was measured."""
    return "\n\n".join(part for device in rows.names("device") for part in of_device(rows, device))


def of_device(rows: Rows, device: str) -> list[str]:
    """Ratios in every direction and dtype; the rest for float32."""
    rivals = {name: name for name in rows.names("variant") if name != EAGER}
    cases = [Case(device, way, dtype) for way in (BOTH, FORWARD) for dtype in DTYPES]
    main = Case(device, BOTH, "float32")
    losses = {name: name for name in rows.names("variant") if not name.startswith("floor")}
    parts = [
        f"### {device}",
        origin(rows, device),
        "Times as fast as torch eager, which is 1:",
        *(
            by_size(f"{case.direction}, {case.dtype}", rows.grid(case, "times_torch_eager", rivals))
            for case in cases
        ),
        "A step's time as a multiple of the floor's:",
        by_size(f"{BOTH}, float32", rows.grid(main, "times_floor", losses)),
        "Growth of the peak of memory in a step, MiB, its gradients included:",
        by_size(f"{BOTH}, float32", rows.grid(main, "extra_mib", losses)),
        "First call in a new process, ms:",
        first_calls(rows, device),
    ]
    return [part for part in parts if part]


def origin(rows: Rows, device: str) -> str:
    """Where the rows of a device come from."""
    mine = [row for (case, *_), row in rows.found.items() if case.device == device]
    row = mine[-1]
    libraries = ", ".join(dict.fromkeys(row["library"] for row in mine))
    rounds = max(int(row["rounds"]) for row in mine)  # slow variants have fewer
    built = f", kernels {row['instruction_set']}" if row["instruction_set"] else ""
    return (
        f"{row['processor']}, threads {row['threads']}{built}; {libraries}; "
        f"{rounds} rounds; commit {row['commit'] or 'unknown'}, {row['date']}."
    )


def first_calls(rows: Rows, device: str) -> str:
    """One line a variant: its first call without and with its import."""
    columns = ("first_call_ms", "first_call_with_import_ms")
    body = [
        [variant, *(short(row[column]) for column in columns)]
        for (case, _, _, variant), row in rows.found.items()
        if case.device == device and case.dtype == "float32" and row["first_call_ms"]
    ]
    return markdown(["variant", "first call", "with import"], body)


def summary(rows: Rows) -> str:
    """The short table: the CPU, float32, forward + backward."""
    case = Case("cpu", BOTH, "float32")
    names = [name for name in rows.names("variant") if not name.startswith("floor")]
    rivals = {name: name for name in names if name != EAGER}
    ours = {
        name: f"{name}'s time as a multiple of the floor"
        for name in ("cospair", "cospair cpu")
        if name in names
    }
    lines = rows.grid(case, "times_torch_eager", rivals) + rows.grid(case, "times_floor", ours)
    return by_size("times as fast as torch eager", lines)


def fill(page: str, name: str, content: str) -> str:
    """The page with the content between its markers; unchanged where it has none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if begin not in page:
        return page
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{begin} must be followed by {end}, got none; add it to the page")
    return f"{before}{begin}\n{content}\n{end}{after}"


def main() -> None:
    """Fill the pages that are named."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with Path(sys.argv[1]).open(newline="") as file:
        rows = Rows(list(csv.DictReader(file)))
    for place in map(Path, sys.argv[2:]):
        page = place.read_text()
        filled = fill(fill(page, "pairs", full(rows)), "pairs-summary", summary(rows))
        place.write_text(filled)
        print(f"{place}: {'filled' if filled != page else 'nothing to change'}")


if __name__ == "__main__":
    main()
