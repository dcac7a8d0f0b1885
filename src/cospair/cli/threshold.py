"""The verb `threshold`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cospair.cli import show
from cospair.cli.options import AsJson, Column, Labels, RuleName, Run, named_columns


def threshold(
    source: Annotated[
        str,
        typer.Argument(
            help="A run folder: the people its threshold was chosen on. Or other people: a picture "
            "folder, with --run; embeddings (.npz, .npy, .parquet); scores of pairs (.csv, "
            ".parquet).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, JSON.")] = Path(
        "threshold.json"
    ),
    rule: Annotated[
        RuleName, typer.Option(help="How it is chosen; see `cospair train`.")
    ] = RuleName.far,
    far: Annotated[
        float | None,
        typer.Option(help="FAR that rule far allows, above 0.", show_default="0.01"),
    ] = None,
    run: Run = None,
    labels: Labels = None,
    column: Column = None,
    as_json: AsJson = False,
) -> None:
    """A threshold for another use, as a file for `match` and `evaluate`."""
    from cospair import jobs

    result = jobs.threshold(
        source,
        out=out,
        plan=jobs.EvaluationPlan(run=run, labels=labels, columns=named_columns(column)),
        rule=rule.value,
        far=far,
        progress=not as_json,
    )
    if as_json:
        return show.as_json(result)
    show.threshold(result)
