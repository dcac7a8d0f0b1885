"""The command line: a verb is a thin call of one job; this file only formats what it returns."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import cospair
from cospair.bench import command as bench

app = typer.Typer(
    name="cospair",
    help="Similarity learning with the cosine embedding loss.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.add_typer(bench.app)

_INTERRUPTED = 130  # the shell's code for SIGINT

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]
Seed = Annotated[
    int,
    typer.Option(
        min=0, max=2**31 - 1, help="The same seed gives the same split, model and figures."
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for everything that is written.")]
Data = Annotated[
    str,
    typer.Argument(
        help="'faces', 'digits', or a folder root/identity/*.jpg of at least 8 identities.",
        show_default=False,
    ),
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
    console.print(f"report   {result['report']}", highlight=False, markup=False)
    console.print(f"data     {result['data']['credit']}", highlight=False, markup=False)
    console.print(f"seconds  {result['seconds']}", highlight=False, markup=False)


@app.command()
def train(
    data: Data,
    out: Out = Path("cospair-run"),
    encoder: Annotated[
        Encoder,
        typer.Option(
            help="efficientnet-lite0: a head on a pretrained network; conv: small, from scratch."
        ),
    ] = Encoder.pretrained,
    test: Annotated[
        float,
        typer.Option(
            help="Identities kept unseen for evaluate: a share below 1, or a number from 2."
        ),
    ] = 0.25,
    rule: Annotated[
        RuleName | None,
        typer.Option(
            help="How the threshold is chosen. far: at most 1 % of different people accepted; "
            "eer: as many false accepts as false rejects; accuracy: most right decisions; "
            "balanced: the same with both kinds of pair weighing alike.",
            show_default="far; eer where there are too few pictures for it",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Training steps.", show_default="100; conv 300"),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Different people cost above this cosine similarity, -1 to 1.",
            show_default="0.1; conv 0.25",
        ),
    ] = None,
    positive_margin: Annotated[
        float | None,
        typer.Option(
            help="The same person costs below this cosine similarity, -1 to 1.",
            show_default="0.4; conv 1",
        ),
    ] = None,
    mirror: Annotated[
        bool, typer.Option(help="A mirror image shows the same identity (not so for writing).")
    ] = True,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train an encoder on labelled pictures and choose its threshold; resumes if interrupted."""
    from dataclasses import replace

    from cospair import jobs, recipes

    given = {
        "steps": steps,
        "margin": margin,
        "positive_margin": positive_margin,
        "mirror": mirror,
    }
    recipe = replace(
        recipes.RECIPES[encoder.value],
        **{name: value for name, value in given.items() if value is not None},
    )
    record = jobs.train(
        data,
        out=out,
        recipe=recipe,
        test=_held_out(test),
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
        typer.Argument(
            help="Other people's pictures ('faces', 'digits' or a folder); by default those "
            "the run kept unseen."
        ),
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
        Console().print(f"report   {report}", highlight=False, markup=False)


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
        code = app(standalone_mode=False) or 0
        if code == _INTERRUPTED:  # typer has caught it
            _interrupted()
    except KeyboardInterrupt:
        code = _interrupted()
    except Exception as error:  # what is not a user's is raised again
        code = _answer_to(error)
    sys.exit(code)


def _answer_to(error: Exception) -> int:
    """Say a user's error in one line and return the exit code; raise any other.

    typer brings its own click or imports it, by version: its errors are known by what they can do.
    """
    kind = type(error).__name__
    if kind == "Abort":
        return _interrupted()
    message = getattr(error, "format_message", None)
    if kind == "NoArgsIsHelpError" and message is not None:
        print(message())
        return 2
    users = isinstance(error, OSError | RuntimeError | TypeError | ValueError)
    if message is not None:
        _say(f"{message().rstrip('.')}; see 'cospair --help'")
    elif not users or os.environ.get("COSPAIR_TRACEBACK"):
        raise error
    elif isinstance(error, OSError) and error.strerror and error.filename is not None:
        _say(f"{error.filename}: {error.strerror}; choose another path")
    else:
        _say(str(error))
    return 2


def _interrupted() -> int:
    _say("interrupted; training goes on from its last checkpoint with the same command")
    return _INTERRUPTED


def _say(sentence: str) -> None:
    """One line on standard error."""
    print(f"cospair: {' '.join(sentence.split())}", file=sys.stderr)


def _held_out(test: float) -> int | float:
    """`--test` as a share or a number of identities."""
    if 0 < test < 1:
        return test
    if math.isfinite(test) and test >= 2 and test == math.floor(test):
        return int(test)
    raise ValueError(
        f"--test must be a share above 0 and below 1, or a whole number of identities from 2, got "
        f"{test:g}; give one of them"
    )


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
        table.add_row("left out", escape(sentence))
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
        table.add_row(escape(candidate["name"]), f"{candidate['score']:.4f}", verdict)
    console = Console()
    console.print(f"query {answer['query']}", style="italic", highlight=False, markup=False)
    console.print(table)
    best = answer["candidates"][0]
    if answer["question"] == "verify":
        words = "the same person" if best["accepted"] else "not the same person"
    else:
        words = f"it is {best['name']}" if best["accepted"] else "it is nobody enrolled"
    console.print(
        f"{words}: score {best['score']:.4f} against threshold {answer['threshold']:.4f}",
        highlight=False,
        markup=False,
    )
    if "truth" in answer:
        console.print(f"the picture shows {answer['truth']}", highlight=False, markup=False)


def _table(title: str) -> Table:
    table = Table(
        title=escape(title), show_header=False, box=None, title_justify="left", padding=(0, 2)
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim")
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _interval(bounds: list[float] | None, form: str) -> str:
    return "" if bounds is None else f"{form.format(bounds[0])} .. {form.format(bounds[1])}"
