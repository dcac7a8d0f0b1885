"""The verb `match`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cospair.cli import show
from cospair.cli.options import AsJson


def match(
    query: Annotated[Path, typer.Argument(help="A picture.")],
    reference: Annotated[
        Path, typer.Argument(help="Another picture, or a folder root/identity/*.jpg.")
    ],
    run: Annotated[Path, typer.Option(help="Folder that `cospair train` finished.")] = Path(
        "cospair-run"
    ),
    threshold: Annotated[
        Path | None,
        typer.Option(
            help="A threshold file for this run, as `cospair threshold` writes them.",
            show_default="the run's",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Names to show at most.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Is this the same person as that, or who of these is it?"""
    from cospair import jobs

    answer = jobs.match(query, reference, run=run, threshold=threshold, top=top)
    if as_json:
        return show.as_json(answer)
    show.answer(answer)
