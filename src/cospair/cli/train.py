"""The verb `train`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cospair.cli import show
from cospair.cli.options import (
    Area,
    AsJson,
    Encoder,
    Mirror,
    Out,
    Pictures,
    RuleName,
    Seed,
    Steps,
)


def train(
    data: Pictures,
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
            help="How the threshold is chosen. far: at most the share --far of different people "
            "accepted; eer: as many false accepts as false rejects; accuracy: most right "
            "decisions; balanced: the same with both kinds of pair weighing alike.",
            show_default="far; eer where there are too few pictures for it",
        ),
    ] = None,
    far: Annotated[
        float | None,
        typer.Option(
            help="FAR that rule far allows: the share of different people accepted.",
            show_default="0.01",
        ),
    ] = None,
    steps: Steps = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Different people cost above this cosine similarity, -1 to 1.",
            show_default="0.1; conv 0.35",
        ),
    ] = None,
    positive_margin: Annotated[
        float | None,
        typer.Option(
            help="The same person costs below this cosine similarity, -1 to 1.",
            show_default="0.4; conv 1",
        ),
    ] = None,
    power: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            help="What a pair costs: 1 for its distance to that margin, 2 for its square.",
            show_default="1; conv 2",
        ),
    ] = None,
    mirror: Mirror = True,
    area: Area = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train an encoder on labelled pictures and choose its threshold; resumes if interrupted."""
    from cospair import jobs, recipes

    given = {
        "steps": steps,
        "margin": margin,
        "positive_margin": positive_margin,
        "power": power,
        "mirror": mirror,
        "area": area,
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
        far=far,
        seed=seed,
        progress=not as_json,
    )
    if as_json:
        return show.as_json(record)
    show.training(record, out)


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
