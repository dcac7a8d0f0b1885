"""The verb `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cospair.cli import show
from cospair.cli.options import AsJson, Column, Labels, RuleName, Run, named_columns, typed


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            help="A run folder; a picture folder, with --run; embeddings (.npz, .npy, .parquet); "
            "or scores of pairs (.csv, .parquet).",
            show_default=False,
        ),
    ],
    other: Annotated[
        str | None,
        typer.Argument(
            help="A second one of the same people, to compare with; or, after a run, other "
            "people's pictures.",
            show_default=False,
        ),
    ] = None,
    run: Run = None,
    labels: Labels = None,
    column: Column = None,
    gallery: Annotated[
        str | None,
        typer.Option(help="Embeddings or pictures that the source is looked up in."),
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="LFW's pairs.txt: these pairs, by LFW's protocol.")
    ] = None,
    threshold: Annotated[
        Path | None, typer.Option(help="A threshold file to apply.", show_default="the run's")
    ] = None,
    calibrate_on: Annotated[
        str | None,
        typer.Option(help="Choose the threshold on these other people, of the source's kind."),
    ] = None,
    rule: Annotated[
        RuleName | None,
        typer.Option(help="How, with --calibrate-on; see `cospair train`.", show_default="far"),
    ] = None,
    far: Annotated[
        list[float] | None,
        typer.Option(
            help="FAR to give TAR at; may be given again. Rule far takes the first.",
            show_default="0.1, 0.01, 0.001; rule far 0.01",
        ),
    ] = None,
    resamples: Annotated[
        int,
        typer.Option(min=0, help="Bootstrap resamples of the intervals, 100 or more; 0 for none."),
    ] = 1000,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**31 - 1, help="Of the resamples.", show_default="the run's, or 0"
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the HTML report here.", show_default="no report")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the result as JSON here too.", show_default="none")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verification and retrieval figures on people unseen in training."""
    from cospair import jobs

    plan = jobs.EvaluationPlan(
        run=run,
        labels=labels,
        columns=named_columns(column),
        gallery=gallery,
        pairs=pairs,
        threshold=threshold,
        calibrate_on=calibrate_on,
        rule=None if rule is None else rule.value,
        far=None if far is None else tuple(far),
        resamples=resamples,
        seed=seed,
    )
    result = jobs.evaluate(
        source,
        other,
        plan=plan,
        report=report,
        save=save,
        command=typed(),
        progress=not as_json,
    )
    if as_json:
        return show.as_json(result)
    (show.comparison if "comparison" in result else show.figures)(result)
    for word, path in (("report", report), ("figures", save)):
        if path is not None:
            show.line(f"{word:8} {path}")
