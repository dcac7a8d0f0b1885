"""The verb `compare`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cospair.cli import show
from cospair.cli.options import Area, AsJson, Encoder, Mirror, Out, Pictures, Seed, Steps, typed


def compare(
    data: Pictures,
    out: Out = Path("cospair-compare"),
    encoder: Annotated[
        list[Encoder] | None,
        typer.Option(
            help="efficientnet-lite0: a head on a pretrained network, minutes; conv: small, from "
            "scratch, an hour or more; may be given again.",
            show_default="efficientnet-lite0",
        ),
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            help="Key of a loss, as 'triplet-semi-hard'; may be given again. The default one is "
            "always among them.",
            show_default="every one that is installed",
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(min=2, help="Parts of the identities, each tested by what saw the others."),
    ] = 4,
    splits: Annotated[
        int | None,
        typer.Option(min=1, help="How many of the parts are tested.", show_default="all"),
    ] = None,
    steps: Steps = None,
    people: Annotated[
        int | None, typer.Option(min=2, help="Identities a step.", show_default="24; conv 16")
    ] = None,
    margin: Annotated[
        list[float] | None,
        typer.Option(
            min=-1,
            max=1,
            help="A margin of the sweep; may be given again.",
            show_default="nine from -1 to 0.9",
        ),
    ] = None,
    sweep: Annotated[
        bool, typer.Option(help="Also train at every margin, in both forms of the loss.")
    ] = True,
    mirror: Mirror = True,
    area: Area = None,
    resamples: Annotated[
        int, typer.Option(min=0, help="Resamples of the intervals: 0, or at least 100.")
    ] = 1000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train one encoder with many losses and say which differences are real; resumes."""
    from cospair import jobs, recipes, report, study

    if margin and not sweep:
        raise ValueError(
            f"--margin must go with the sweep; got {margin[0]:g} and --no-sweep; leave one out"
        )
    given = {"steps": steps, "people": people, "mirror": mirror, "area": area}
    changes = {name: value for name, value in given.items() if value is not None}
    encoders = [one.value for one in encoder or [Encoder.pretrained]]
    plan = jobs.default_plan(
        folds=folds, splits=splits or folds, resamples=resamples, seed=seed, margins=()
    )
    if loss:
        plan = replace(plan, contenders=tuple(dict.fromkeys(["default", *loss])))
    if sweep:
        plan = replace(plan, margins=tuple(margin or study.MARGINS))
    result = jobs.compare_losses(
        data,
        out=out,
        recipes=[replace(recipes.RECIPES[name], **changes) for name in dict.fromkeys(encoders)],
        plan=plan,
        command=typed(),
        progress=not as_json,
    )
    page = report.write_loss_comparison(result, out / "report.html")
    if as_json:
        return show.as_json(result)
    show.losses(result)
    show.line(f"report: {page}")
