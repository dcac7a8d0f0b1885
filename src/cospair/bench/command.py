"""The verbs of `cospair bench`: a verb is a call of one measurement and formats what it returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    name="bench", help="Measure the losses beside their rivals, here.", no_args_is_help=True
)


class Dtype(str, Enum):
    """Dtypes of the embeddings by name."""

    float32 = "float32"
    float64 = "float64"
    bfloat16 = "bfloat16"
    float16 = "float16"
    all = "all"


class Device(str, Enum):
    """Devices by name."""

    cpu = "cpu"
    cuda = "cuda"


class Malloc(str, Enum):
    """What malloc does with big blocks that are freed."""

    default = "default"
    kept = "kept"
    returned = "returned"


class Data(str, Enum):
    """Kinds of labelled batches by name."""

    random = "random"
    trained = "trained-like"


Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads.", show_default="torch's own number")
]
Rounds = Annotated[int, typer.Option(min=2, help="Timed stretches of each variant.")]
Forward = Annotated[
    bool, typer.Option("--forward/--both", help="Forward alone, or also forward + backward.")
]
Compiled = Annotated[
    bool, typer.Option(help="Also under torch.compile: minutes more, and needs a compiler.")
]
Memory = Annotated[
    Malloc,
    typer.Option(help="Let glibc keep big blocks that are freed, or return them to the system."),
]
Save = Annotated[
    Path | None, typer.Option(help="Append the rows to this CSV file.", show_default="none")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]


@app.command()
def pairs(
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Pairs x features, as 4096x512; may be given again.",
            show_default="32x128, 256x512, 4096x512, 65536x512",
        ),
    ] = None,
    dtype: Annotated[
        list[Dtype] | None,
        typer.Option(help="May be given again.", show_default="float32"),
    ] = None,
    device: Annotated[Device, typer.Option()] = Device.cpu,
    threads: Threads = None,
    rounds: Rounds = 11,
    forward: Forward = False,
    compiled: Compiled = False,
    malloc: Memory = Malloc.default,
    save: Save = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the ratios into this SVG file.", show_default="none")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The loss of pairs beside torch's and other libraries'; two to three minutes."""
    from cospair import bench
    from cospair.bench import plan

    asked = bench.Plan(
        sizes=tuple(map(_size, size)) if size else plan.SIZES,
        dtypes=_dtypes(dtype or [Dtype.float32], plan.DTYPES),
        directions=(plan.FORWARD,) if forward else (plan.FORWARD, plan.BOTH),
        device=device.value,
        threads=threads,
        rounds=rounds,
        compiled=compiled,
        malloc=malloc.value,
    )
    result = bench.pairs(asked, save=save, plot=plot, progress=not as_json)
    _answer(result, _show, as_json=as_json, written=(save, plot))


@app.command()
def all_pairs(
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Rows x features, as 4096x512; may be given again.",
            show_default="1024x512, 4096x512",
        ),
    ] = None,
    margin: Annotated[
        list[float] | None,
        typer.Option(
            min=-1,
            max=1,
            help="Cosine above which an impostor pair costs; may be given again.",
            show_default="0, 0.25, 0.5",
        ),
    ] = None,
    data: Annotated[
        list[Data] | None, typer.Option(help="May be given again.", show_default="both")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="This variant beside the bare product, as 'cospair cpu'; may be given again.",
            show_default="every one",
        ),
    ] = None,
    memory_gib: Annotated[
        float, typer.Option(min=0, help="Leave out what would take more memory than this.")
    ] = 8.0,
    device: Annotated[Device, typer.Option()] = Device.cpu,
    threads: Threads = None,
    rounds: Rounds = 11,
    forward: Forward = False,
    compiled: Compiled = False,
    malloc: Memory = Malloc.default,
    save: Save = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw time and memory into this SVG file.", show_default="none"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The loss of every pair of a batch beside other ways to it; a quarter of an hour."""
    from cospair import bench
    from cospair.bench import plan

    default = bench.AllPairsPlan()
    asked = bench.AllPairsPlan(
        sizes=tuple(_size(words, "rows") for words in size) if size else default.sizes,
        margins=tuple(dict.fromkeys(margin)) if margin else default.margins,
        data=tuple(dict.fromkeys(kind.value for kind in data)) if data else default.data,
        only=tuple(only) if only else None,
        memory_gib=memory_gib,
        directions=(plan.FORWARD,) if forward else (plan.FORWARD, plan.BOTH),
        device=device.value,
        threads=threads,
        rounds=rounds,
        compiled=compiled,
        malloc=malloc.value,
    )
    result = bench.all_pairs(asked, save=save, plot=plot, progress=not as_json)
    _answer(result, _show_all_pairs, as_json=as_json, written=(save, plot))


def _answer(
    result: dict[str, Any],
    show: Callable[[dict[str, Any]], None],
    *,
    as_json: bool,
    written: Sequence[Path | None],
) -> None:
    if as_json:
        print(json.dumps(result, indent=2, allow_nan=False))
        return
    show(result)
    for path in written:
        if path is not None:
            _say(f"written  {path}")


def _size(words: str, rows: str = "pairs") -> tuple[int, int]:
    n, times, d = words.partition("x")
    if not (times and n.isdecimal() and d.isdecimal() and int(n) and int(d)):
        raise ValueError(
            f"--size must be {rows} x features, both whole numbers from 1, got {words!r}; write it "
            "as 4096x512"
        )
    return int(n), int(d)


def _dtypes(asked: Sequence[Dtype], every: tuple[str, ...]) -> tuple[str, ...]:
    if Dtype.all in asked:
        return every
    return tuple(dict.fromkeys(dtype.value for dtype in asked))


def _show_machine(result: dict[str, Any]) -> None:
    isa = f", kernels {result['instruction_set']}" if result["instruction_set"] else ""
    _say(
        f"{result['device']}: {result['processor']}, threads {result['threads']}, "
        f"torch {result['torch']}{isa}, malloc {result['malloc']}"
    )
    for name, reason in result["kernels"].items():
        if reason:
            _say(f"no kernel {name}: {reason}")


def _show(result: dict[str, Any]) -> None:
    _show_machine(result)
    for sentence in result["left_out"]:
        _say(f"left out: {sentence}")
    keys = ("direction", "n", "d", "dtype")
    for (direction, n, d, dtype), rows in groupby(
        result["rows"], key=lambda row: tuple(row[key] for key in keys)
    ):
        _show_times(f"{direction}, {n} x {d}, {dtype}", list(rows))
    _show_first_calls(result["rows"])


def _show_times(title: str, rows: list[dict[str, Any]]) -> None:
    heads = ("", "median", "quartiles", "x eager", "x floor", "GB/s", "MiB")
    table = _table(title, heads)
    for row in rows:
        scale, unit = (1e-3, "ms") if row["median_us"] >= 1000 else (1, "us")
        low, high = row["quartile_1_us"] * scale, row["quartile_3_us"] * scale
        table.add_row(
            row["variant"],
            f"{_short(row['median_us'] * scale)} {unit}",
            f"{_short(low)} .. {_short(high)}",
            _short(row["times_torch_eager"]),
            _short(row["times_floor"]),
            _short(row["gb_per_s"]),
            _short(row["extra_mib"]),
        )
    _print(table)
    for row in rows:
        if (row["value_error"] or 0) > 0.01:
            error = f"{100 * row['value_error']:.2g} %"
            _say(f"the value of {row['variant']} is {error} away from float64's")


def _show_all_pairs(result: dict[str, Any]) -> None:
    _show_machine(result)
    skipped = {f"{row['variant']}: {row['skipped']}": None for row in result["rows"]}
    for sentence in (words for words in skipped if not words.endswith(": None")):
        _say(f"left out: {sentence}")
    keys = ("direction", "n", "d", "data", "margin")
    for (direction, n, d, data, margin), rows in groupby(
        result["rows"], key=lambda row: tuple(row[key] for key in keys)
    ):
        _show_sweeps(f"{direction}, {n} x {d}, {data}, margin {margin:g}", list(rows))


def _show_sweeps(title: str, rows: list[dict[str, Any]]) -> None:
    heads = ("", "median", "quartiles", "x product", "x p-m-l", "MiB")
    table = _table(title, heads)
    measured = [row for row in rows if row["median_ms"] is not None]
    for row in measured:
        scale, unit = _scale(row["median_ms"])
        low, high = row["quartile_1_ms"] * scale, row["quartile_3_ms"] * scale
        table.add_row(
            row["variant"],
            f"{_short(row['median_ms'] * scale)} {unit}",
            f"{_short(low)} .. {_short(high)}",
            _short(row["times_product"]),
            _short(row["times_pytorch_metric_learning"]),
            _short(row["extra_mib"]),
        )
    _print(table)
    for row in measured:
        if row["pairs"]:
            shares = [row[key] / row["pairs"] for key in ("pairs_evaluated", "active_impostor")]
            _say(
                f"{row['variant']}: evaluated {shares[0]:.2%} of the pairs, active impostors "
                f"{shares[1]:.2%}; tiles {row['tiles']}, screened {row['tiles_screened']}, dense "
                f"{row['tiles_dense']}"
            )


def _show_first_calls(rows: list[dict[str, Any]]) -> None:
    table = _table("first call, new process", ("", "ms", "with import, ms"))
    for row in rows:
        if row["first_call_ms"] is not None:
            figures = (row["first_call_ms"], row["first_call_with_import_ms"])
            several = len({row["dtype"] for row in rows}) > 1
            name = f"{row['variant']}, {row['dtype']}" if several else row["variant"]
            table.add_row(name, *map(_short, figures))
    _print(table)


def _scale(milliseconds: float) -> tuple[float, str]:
    if milliseconds >= 1000:
        return 1e-3, "s"
    return (1, "ms") if milliseconds >= 1 else (1e3, "us")


def _short(number: float | None) -> str:
    """Two or three figures, never an exponent; nothing for None."""
    if number is None:
        return ""
    if number >= 100:
        return f"{number:.0f}"
    if number >= 10:
        return f"{number:.1f}"
    return f"{number:.2f}" if number >= 0.1 or not number else f"{max(number, 0.0001):.1g}"


def _table(title: str, heads: Sequence[str]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 1),
        pad_edge=False,
    )
    for head in heads:
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    return table


def _print(table: Table) -> None:
    Console().print("", table)


def _say(words: str) -> None:
    Console().print(words, highlight=False, markup=False)
