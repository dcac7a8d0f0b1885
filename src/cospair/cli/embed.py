"""The verb `embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cospair.cli import show
from cospair.cli.options import AsJson


def embed(
    data: Annotated[
        str, typer.Argument(help="'faces', 'digits', or a folder root/identity/*.jpg.")
    ],
    run: Annotated[Path, typer.Option(help="Folder that `cospair train` finished.")] = Path(
        "cospair-run"
    ),
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, .npz or .parquet.")
    ] = Path("embeddings.npz"),
    as_json: AsJson = False,
) -> None:
    """Embeddings of a folder of pictures, with their labels and names, into a file."""
    from cospair import jobs

    result = jobs.embed(data, run=run, out=out, progress=not as_json)
    if as_json:
        return show.as_json(result)
    show.embedding(result)
