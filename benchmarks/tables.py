r"""Rows of `cospair bench pairs` and `cospair bench all-pairs` to the tables of the documentation.

    python benchmarks/tables.py benchmarks/pairs.csv docs/benchmarks.md README.md docs/pairs.svg
    python benchmarks/tables.py benchmarks/all_pairs.csv docs/benchmarks.md README.md \
        docs/all_pairs.svg

Between `<!-- pairs:begin -->` and `<!-- pairs:end -->` of a page stand all tables, between
`<!-- pairs-summary:begin -->` and `<!-- pairs-summary:end -->` the short one; likewise `all-pairs`
and `all-pairs-summary`. The rows are also drawn into a page that ends in .svg. Of rows measured
more than once the last counts.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cospair.bench import growth_plot, ratio_plot
from cospair.bench.all_pairs_variants import PEER, PRODUCT
from cospair.bench.malloc import MALLOCS
from cospair.bench.plan import BOTH, DTYPES, FORWARD, SIZES
from cospair.bench.variants import EAGER

Row = dict[str, str]

# What a processor lacks that was given a build of the kernels.
WITHOUT = {
    "x86-64-v4 with VNNI": "AMX",
    "x86-64-v4": "AMX",
    "x86-64-v3": "AVX-512",
    "baseline": "AVX-512",
}


class Case(NamedTuple):
    """What a table shows, beside its sizes and variants."""

    device: str
    malloc: str
    direction: str
    dtype: str


class Rows:
    """The last row of each variant, case and size, and the processors that were measured last."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Sort them by what they measure."""
        every = measured_so(rows)
        self.found = {
            (Case(*(row[key] for key in Case._fields)), row["n"], row["d"], row["variant"]): row
            for row in every
        }
        cpus = [row["device"] for row in every if row["device"].startswith("cpu")]
        self.last_cpu = cpus[-1] if cpus else "cpu"

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


def measured_so(rows: Sequence[Row]) -> list[Row]:
    """The rows with what parts them: how malloc was told to work, and what the processor can do.

    Rows of before malloc was asked lack it.
    """
    return [
        {**row, "malloc": row.get("malloc") or MALLOCS[0], "device": machine(row)} for row in rows
    ]


def machine(row: Row) -> str:
    """The device; processors that lack what others have run other builds, so they stand apart."""
    lacking = WITHOUT.get(row.get("instruction_set", ""))
    return f"{row['device']} without {lacking}" if lacking else row["device"]


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
    devices = sorted(rows.names("device"))
    return "\n\n".join(part for device in devices for part in of_device(rows, device))


def of_device(rows: Rows, device: str) -> list[str]:
    """Ratios in every direction, dtype and malloc; the rest for float32 and malloc default."""
    rivals = {name: name for name in rows.names("variant") if name != EAGER}
    cases = [
        Case(device, malloc, way, dtype)
        for way in (BOTH, FORWARD)
        for dtype in DTYPES
        for malloc in MALLOCS
    ]
    main = Case(device, MALLOCS[0], BOTH, "float32")
    losses = {name: name for name in rows.names("variant") if not name.startswith("floor")}
    parts = [
        f"### {device}",
        origin(rows, device),
        "Times as fast as torch eager, which is 1:",
        *(
            by_size(
                f"{case.direction}, {case.dtype}, malloc {case.malloc}",
                rows.grid(case, "times_torch_eager", rivals),
            )
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
    """One line a variant: its first call without and with its import, at the smallest size."""
    columns = ("first_call_ms", "first_call_with_import_ms")
    found = {
        variant: [variant, *(short(row[column]) for column in columns)]
        for (case, _, _, variant), row in sorted(
            rows.found.items(), key=lambda item: -int(item[0][1])
        )
        if case[:2] == (device, MALLOCS[0]) and case.dtype == "float32" and row["first_call_ms"]
    }
    names = [name for name in rows.names("variant") if name in found]
    return markdown(["variant", "first call", "with import"], [found[name] for name in names])


def summary(rows: Rows) -> str:
    """The short table: float32, forward + backward, on the processor that was measured last."""
    case = Case(rows.last_cpu, MALLOCS[0], BOTH, "float32")
    names = [name for name in rows.names("variant") if not name.startswith("floor")]
    rivals = {name: name for name in names if name != EAGER}
    chosen = [name for name in ("torch.compile", "cospair cpu") if name in names]
    lines = rows.grid(case, "times_torch_eager", rivals)
    for malloc in MALLOCS[1:]:
        labels = {name: f"{name}, malloc {malloc}" for name in chosen}
        lines += rows.grid(case._replace(malloc=malloc), "times_torch_eager", labels)
    ours = {name: f"{name}'s time as a multiple of the floor" for name in chosen[-1:]}
    lines += rows.grid(case, "times_floor", ours)
    built = [row["instruction_set"] for (found, *_), row in rows.found.items() if found == case]
    return by_size(f"times as fast as torch eager, {next(filter(None, built), 'cpu')}", lines)


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


class Kind(NamedTuple):
    """What a table of all pairs shows, beside its sizes and variants."""

    device: str
    malloc: str
    direction: str
    data: str
    margin: str


class Sweeps:
    """The last row of each variant, kind and size of the loss of all pairs."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Sort them by what they measure."""
        self.found = {
            (self.kind(row), self.size(row), row["variant"]): row for row in measured_so(rows)
        }
        self.kinds = sorted({kind for kind, _, _ in self.found}, key=self.place)
        self.variants = list(dict.fromkeys(name for _, _, name in self.found))

    @staticmethod
    def kind(row: Row) -> Kind:
        """What a row belongs to."""
        return Kind(*(row[key] for key in Kind._fields))

    @staticmethod
    def size(row: Row) -> tuple[int, int]:
        """Rows and features, for sorting."""
        return int(row["n"]), int(row["d"])

    @staticmethod
    def place(kind: Kind) -> tuple[str, int, bool, str, float]:
        """Where a kind's tables stand."""
        ways = MALLOCS.index(kind.malloc)
        forward = kind.direction != BOTH
        return kind.device, ways, forward, kind.data, float(kind.margin)

    def sizes(self, kinds: Sequence[Kind]) -> list[tuple[int, int]]:
        """The sizes that were measured of these kinds."""
        return sorted({size for kind, size, _ in self.found if kind in kinds})

    def cell(self, kind: Kind, size: tuple[int, int], variant: str, column: str) -> str:
        """A figure, or a dash where there is none."""
        row = self.found.get((kind, size, variant), {})
        return short(row[column]) if row.get(column) else "-"

    def table(
        self,
        title: str,
        sizes: Sequence[tuple[int, int]],
        lines: Mapping[str, tuple[Kind, str, str]],
    ) -> str:
        """A column a size; a line a label, of the (kind, variant, column) it stands for."""
        body = [
            [label, *(self.cell(kind, size, variant, column) for size in sizes)]
            for label, (kind, variant, column) in lines.items()
        ]
        heads = [title, *(f"{n} x {d}" for n, d in sizes)]
        return markdown(heads, [line for line in body if set(line[1:]) != {"-"}])


# What of a row of all pairs the tables show, and how its unit is said.
SWEEP_TABLES = (
    ("times_product", "Time of a step as a multiple of the bare product's:"),
    ("times_pytorch_metric_learning", f"Times as fast as {PEER}, which is 1:"),
    ("extra_mib", "Growth of the peak of memory in a step, MiB, its gradient included:"),
)

SUMMARY_SIZES = ((1024, 512), (4096, 512), (16384, 512), (65536, 512))


def full_all_pairs(sweeps: Sweeps) -> str:
    """Every table of all pairs."""
    parts = ["![time and memory over N](all_pairs.svg)"]
    for device, malloc in dict.fromkeys((kind.device, kind.malloc) for kind in sweeps.kinds):
        kinds = [kind for kind in sweeps.kinds if kind[:2] == (device, malloc)]
        parts += [f"### {device}, malloc {malloc}", sweeps_origin(sweeps, kinds)]
        for column, words in SWEEP_TABLES:
            without = PEER if column == "times_pytorch_metric_learning" else PRODUCT
            tables = [
                sweeps.table(
                    f"{kind.direction}, {kind.data}, margin {kind.margin}",
                    sweeps.sizes(kinds),
                    {name: (kind, name, column) for name in sweeps.variants if name != without},
                )
                for kind in kinds
                if column != "extra_mib" or kind.direction == BOTH
            ]
            parts += [words, *tables]
        parts += [words_of_work(), *(work(sweeps, kind, kinds) for kind in kinds)]
        parts.append(skipped(sweeps, kinds))
    return "\n\n".join(part for part in parts if part)


def words_of_work() -> str:
    """What the tables of work say."""
    return (
        "Share of the pairs that cospair evaluated exactly, others being shown by a bound to cost "
        "nothing, and share of active impostor pairs, in %:"
    )


def work(sweeps: Sweeps, kind: Kind, kinds: Sequence[Kind]) -> str:
    """What our sweeps did, of one kind; forward alone does the same."""
    if kind.direction != BOTH:
        return ""
    sizes = sweeps.sizes(kinds)
    body = []
    for name in (name for name in sweeps.variants if name.startswith("cospair")):
        for column in ("pairs_evaluated", "active_impostor"):
            rows = [sweeps.found.get((kind, size, name), {}) for size in sizes]
            shares = [
                short(str(100 * int(row[column]) / int(row["pairs"])))
                if row.get(column) and int(row["pairs"])
                else "-"
                for row in rows
            ]
            body.append([f"{name}, {column.replace('_', ' ')}", *shares])
    heads = [f"{kind.data}, margin {kind.margin}", *(f"{n} x {d}" for n, d in sizes)]
    return markdown(heads, [line for line in body if set(line[1:]) != {"-"}])


def sweeps_origin(sweeps: Sweeps, kinds: Sequence[Kind]) -> str:
    """Where the rows of these kinds come from."""
    mine = [row for (kind, _, _), row in sweeps.found.items() if kind in kinds]
    row = mine[-1]
    libraries = ", ".join(dict.fromkeys(row["library"] for row in mine if row["library"]))
    built = f", kernels {row['instruction_set']}" if row["instruction_set"] else ""
    rounds = sorted({int(row["rounds"]) for row in mine if not row["skipped"]})
    counts = " to ".join(dict.fromkeys((str(rounds[0]), str(rounds[-1]))))
    commits = ", ".join(dict.fromkeys(row["commit"] or "unknown" for row in mine))
    return (
        f"{row['processor']}, threads {row['threads']}{built}; {libraries}; {counts} rounds; "
        f"commit {commits}, {row['date']}."
    )


def skipped(sweeps: Sweeps, kinds: Sequence[Kind]) -> str:
    """Why some cells are empty, a line a reason."""
    reasons: dict[str, None] = {}
    for (kind, (n, d), name), row in sweeps.found.items():
        if kind in kinds and row["skipped"]:
            reasons[f"- {name}, {n} x {d}: {row['skipped']}"] = None
    return "\n".join(("Left out:\n", *reasons)) if reasons else ""


def all_pairs_summary(sweeps: Sweeps) -> str:
    """The short table: the CPU, forward + backward, trained-like, at the largest margin."""
    kinds = [kind for kind in sweeps.kinds if kind[:3] == ("cpu", MALLOCS[0], BOTH)]
    chosen = max(kinds, key=lambda kind: (kind.data, float(kind.margin)))
    lines = {
        f"{name}, times the bare product": (chosen, name, "times_product")
        for name in sweeps.variants
        if name != PRODUCT
    }
    lines["cospair cpu, times as fast as " + PEER] = (
        chosen,
        "cospair cpu",
        "times_pytorch_metric_learning",
    )
    lines |= {
        f"{name}, extra memory, MiB": (chosen, name, "extra_mib")
        for name in ("cospair cpu", PEER)
        if name in sweeps.variants
    }
    sizes = sweeps.sizes([chosen])
    few = [size for size in sizes if size in SUMMARY_SIZES] or sizes
    return sweeps.table(f"{BOTH}, {chosen.data}, margin {chosen.margin}", few, lines)


def drawn(rows: Sequence[Row], numbers: Mapping[str, type]) -> dict[str, Any]:
    """What a picture is drawn from: rows of one machine, these columns as numbers."""
    typed = [
        {**row, **{key: kind(row[key]) if row[key] else None for key, kind in numbers.items()}}
        for row in rows
    ]
    return {**rows[-1], "threads": int(rows[-1]["threads"]), "rows": typed}


def draw(rows: Sequence[Row], place: Path) -> None:
    """Draw the CPU's rows, malloc default: time and memory of all pairs, or ratios of pairs."""
    if "data" in rows[0]:
        main = ("cpu", MALLOCS[0])
        mine = [row for (kind, *_), row in Sweeps(rows).found.items() if kind[:2] == main]
        numbers = {"n": int, "d": int, "margin": float, "median_ms": float, "extra_mib": float}
        return growth_plot.write(drawn(mine, numbers), place)
    pairs = Rows(rows)
    main = (pairs.last_cpu, MALLOCS[0])
    mine = [
        row
        for (case, *_), row in pairs.found.items()
        if case[:2] == main and case.dtype == "float32"
    ]
    ratio_plot.write(drawn(mine, {"n": int, "d": int, "times_torch_eager": float}), place)


def contents(rows: Sequence[Row]) -> dict[str, str]:
    """What stands between which markers, for the rows of either measurement."""
    if "data" in rows[0]:
        sweeps = Sweeps(rows)
        return {"all-pairs": full_all_pairs(sweeps), "all-pairs-summary": all_pairs_summary(sweeps)}
    found = Rows(rows)
    return {"pairs": full(found), "pairs-summary": summary(found)}


def main() -> None:
    """Fill the pages that are named."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with Path(sys.argv[1]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = contents(rows)
    for place in map(Path, sys.argv[2:]):
        if place.suffix == ".svg":
            draw(rows, place)
            print(f"{place}: drawn")
            continue
        page = filled = place.read_text()
        for name, content in parts.items():
            filled = fill(filled, name, content)
        place.write_text(filled)
        print(f"{place}: {'filled' if filled != page else 'nothing to change'}")


if __name__ == "__main__":
    main()
