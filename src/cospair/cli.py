"""The command line: a verb is a thin call of one job; this file only formats what it returns."""

from __future__ import annotations

import json
import os
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import cospair

app = typer.Typer(
    name="cospair",
    help="Similarity learning with the cosine embedding loss.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]
Seed = Annotated[int, typer.Option(min=0, help="Of split, batches and views.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for everything that is written.")]
Data = Annotated[
    str,
    typer.Argument(help="'faces', 'digits', or a folder root/identity/*.jpg.", show_default=False),
]


class Encoder(str, Enum):
    """Encoders by name."""

    pretrained = "efficientnet-lite0"
    conv = "conv"


class RuleName(str, Enum):
    """Rules for choosing a threshold."""

    accuracy = "accuracy"
    balanced = "balanced"
    eer = "eer"
    far = "far"


@app.callback(invoke_without_command=True)
def _front(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"cospair {cospair.__version__}")
        raise typer.Exit


@app.command()
def demo(
    out: Out = Path("cospair-demo"),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train on 30 people's faces, test on 10 others, write a report, answer a query."""
    from cospair import jobs

    result = jobs.demo(out=out, seed=seed, command=_typed(), progress=not as_json)
    if as_json:
        return _print_json(result)
    _show_figures(result)
    _show_answer(result["answer"])
    console = Console()
    console.print(f"report   {result['report']}", highlight=False)
    console.print(f"data     {result['data']['credit']}", highlight=False)
    console.print(f"seconds  {result['seconds']}", highlight=False)


@app.command()
def train(
    data: Data,
    out: Out = Path("cospair-run"),
    encoder: Annotated[
        Encoder, typer.Option(help="A head over a frozen pretrained trunk, or from scratch.")
    ] = Encoder.pretrained,
    test: Annotated[
        float, typer.Option(help="Identities kept unseen: a share below 1, or a number.")
    ] = 0.25,
    rule: Annotated[
        RuleName | None,
        typer.Option(
            help="How the threshold is chosen; 'far' keeps FAR to 1 %.",
            show_default="far, or eer where too few pairs can carry 1 %",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps.", show_default="the recipe's")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Cosine above which impostors cost.", show_default="the recipe's"),
    ] = None,
    mirror: Annotated[
        bool, typer.Option(help="A mirror image shows the same identity (not so for writing).")
    ] = True,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train an encoder on labelled pictures and choose its threshold."""
    from dataclasses import replace

    from cospair import jobs, recipes

    given = {"steps": steps, "margin": margin, "mirror": mirror}
    recipe = replace(
        recipes.RECIPES[encoder.value],
        **{name: value for name, value in given.items() if value is not None},
    )
    record = jobs.train(
        data,
        out=out,
        recipe=recipe,
        test=int(test) if test >= 1 else test,
        rule=None if rule is None else rule.value,
        seed=seed,
        progress=not as_json,
    )
    if as_json:
        return _print_json(record)
    _show_training(record, out)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder that `cospair train` finished.")],
    data: Annotated[
        str | None,
        typer.Argument(help="Other people's pictures; by default those the run kept unseen."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the HTML report here.", show_default="no report")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verification and retrieval figures on people unseen in training."""
    from cospair import jobs

    result = jobs.evaluate(run, data, report=report, command=_typed())
    if as_json:
        return _print_json(result)
    _show_figures(result)
    if report is not None:
        Console().print(f"report   {report}", highlight=False)


@app.command()
def match(
    query: Annotated[Path, typer.Argument(help="A picture.")],
    reference: Annotated[
        Path, typer.Argument(help="Another picture, or a folder root/identity/*.jpg.")
    ],
    run: Annotated[Path, typer.Option(help="Folder that `cospair train` finished.")] = Path(
        "cospair-run"
    ),
    top: Annotated[int, typer.Option(min=1, help="Names to show at most.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Is this the same person as that, or who of these is it?"""
    from cospair import jobs

    answer = jobs.match(query, reference, run=run, top=top)
    if as_json:
        return _print_json(answer)
    _show_answer(answer)


def main() -> None:
    """Run the command line; a user's error is one line and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        print("cospair: interrupted; the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        if os.environ.get("COSPAIR_TRACEBACK"):
            raise
        print(f"cospair: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def _typed() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _print_json(result: dict[str, Any]) -> None:
    print(json.dumps(result, indent=2, allow_nan=False))


def _show_training(record: dict[str, Any], out: Path) -> None:
    table = _table(f"{record['data']['name']}, trained")
    counts = record["data"]["train"]
    table.add_row("trained on", f"{counts['identities']} people, {counts['pictures']} pictures")
    counts = record["data"]["test"]
    table.add_row("kept unseen", f"{counts['identities']} people, {counts['pictures']} pictures")
    _threshold_rows(table, record["threshold"], "calibration")
    for sentence in record["data"]["skipped"]:
        table.add_row("left out", sentence)
    table.add_row("next", f"cospair evaluate {shlex.quote(str(out))} --report report.html")
    Console().print(table)


def _show_figures(result: dict[str, Any]) -> None:
    figures = result["verification"]
    table = _table(result["title"])
    pairs = f"{figures['genuine_pairs']} genuine, {figures['impostor_pairs']} impostor"
    table.add_row("pairs", pairs)
    table.add_row("AUC", f"{figures['auc']:.4f}", _interval(figures["auc_interval"], "{:.4f}"))
    table.add_row("EER", _percent(figures["eer"]), _interval(figures["eer_interval"], "{:.1%}"))
    for point in figures["tar_at_far"]:
        value = point["note"] if point["tar"] is None else _percent(point["tar"])
        name = f"TAR @ FAR {_percent(point['far'])}"
        table.add_row(name, value, _interval(point["tar_interval"], "{:.1%}"))
    ranks = result["retrieval"]
    table.add_row(
        "CMC@1", _percent(ranks["cmc"]["1"]), _interval(ranks.get("cmc_1_interval"), "{:.1%}")
    )
    table.add_row("mAP", _percent(ranks["map"]), _interval(ranks.get("map_interval"), "{:.1%}"))
    _threshold_rows(table, result["threshold"], "test")
    Console().print(table)


def _threshold_rows(table: Table, threshold: dict[str, Any], kind: str) -> None:
    rates = threshold[kind]
    table.add_row("threshold", f"{threshold['threshold']:.4f}", f"rule {threshold['rule']}")
    on = "on unseen people" if kind == "test" else "on calibration people"
    table.add_row(f"FAR {on}", _percent(rates["far"]))
    table.add_row(f"FRR {on}", _percent(rates["frr"]))
    table.add_row("chosen on", threshold["chosen_on"])


def _show_answer(answer: dict[str, Any]) -> None:
    table = Table("who", "score", "accepted", box=None, padding=(0, 2))
    for candidate in answer["candidates"]:
        verdict = "yes" if candidate["accepted"] else "no"
        table.add_row(candidate["name"], f"{candidate['score']:.4f}", verdict)
    console = Console()
    console.print(f"query {answer['query']}", style="italic", highlight=False)
    console.print(table)
    best = answer["candidates"][0]
    words = f"it is {best['name']}" if best["accepted"] else "it is nobody enrolled"
    console.print(
        f"{words}: score {best['score']:.4f} against threshold {answer['threshold']:.4f}",
        highlight=False,
    )
    if "truth" in answer:
        console.print(f"the picture shows {answer['truth']}", highlight=False)


def _table(title: str) -> Table:
    table = Table(title=title, show_header=False, box=None, title_justify="left", padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim")
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _interval(bounds: list[float] | None, form: str) -> str:
    return "" if bounds is None else f"{form.format(bounds[0])} .. {form.format(bounds[1])}"
