"""The verbs of `cospair bench`: a verb is a call of one measurement and formats what it returns."""

from __future__ import annotations

import json
from collections.abc import Sequence
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


@app.callback()
def _front() -> None:  # keeps the verb's name while there is one verb alone
    pass


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
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="torch's own number")
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, help="Timed stretches of each variant.")] = 11,
    forward: Annotated[
        bool,
        typer.Option("--forward/--both", help="Forward alone, or also forward + backward."),
    ] = False,
    compiled: Annotated[
        bool, typer.Option(help="Also under torch.compile: minutes more, and needs a compiler.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option(help="Append the rows to this CSV file.", show_default="none")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the ratios into this SVG file.", show_default="none")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, nothing else.")
    ] = False,
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
    )
    result = bench.pairs(asked, save=save, plot=plot, progress=not as_json)
    if as_json:
        print(json.dumps(result, indent=2, allow_nan=False))
        return
    _show(result)
    for path in (save, plot):
        if path is not None:
            _say(f"written  {path}")


def _size(words: str) -> tuple[int, int]:
    n, times, d = words.partition("x")
    if not (times and n.isdecimal() and d.isdecimal() and int(n) and int(d)):
        raise ValueError(
            f"--size must be pairs x features, both whole numbers from 1, got {words!r}; write it "
            "as 4096x512"
        )
    return int(n), int(d)


def _dtypes(asked: Sequence[Dtype], every: tuple[str, ...]) -> tuple[str, ...]:
    if Dtype.all in asked:
        return every
    return tuple(dict.fromkeys(dtype.value for dtype in asked))


def _show(result: dict[str, Any]) -> None:
    isa = f", kernels {result['instruction_set']}" if result["instruction_set"] else ""
    _say(
        f"{result['device']}: {result['processor']}, threads {result['threads']}, "
        f"torch {result['torch']}{isa}"
    )
    for name, reason in result["kernels"].items():
        if reason:
            _say(f"no kernel {name}: {reason}")
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
            "" if row["extra_mib"] is None else _short(row["extra_mib"]),
        )
    _print(table)
    for row in rows:
        if (row["value_error"] or 0) > 0.01:
            error = f"{100 * row['value_error']:.2g} %"
            _say(f"the value of {row['variant']} is {error} away from float64's")


def _show_first_calls(rows: list[dict[str, Any]]) -> None:
    table = _table("first call, new process", ("", "ms", "with import, ms"))
    for row in rows:
        if row["first_call_ms"] is not None:
            figures = (row["first_call_ms"], row["first_call_with_import_ms"])
            several = len({row["dtype"] for row in rows}) > 1
            name = f"{row['variant']}, {row['dtype']}" if several else row["variant"]
            table.add_row(name, *map(_short, figures))
    _print(table)


def _short(number: float) -> str:
    """Two or three figures, never an exponent."""
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
