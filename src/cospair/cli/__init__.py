"""The command line: a verb is a thin call of one job; what it returns is only formatted here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import cospair
from cospair.bench import command as bench
from cospair.cli.compare import compare
from cospair.cli.demo import demo
from cospair.cli.embed import embed
from cospair.cli.errors import INTERRUPTED, answer_to, interrupted
from cospair.cli.evaluate import evaluate
from cospair.cli.match import match
from cospair.cli.threshold import threshold
from cospair.cli.train import train

app = typer.Typer(
    name="cospair",
    help="Similarity learning with the cosine embedding loss.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def _front(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"cospair {cospair.__version__}")
        raise typer.Exit


for _verb in (demo, train, threshold, embed, evaluate, compare, match):
    app.command()(_verb)
app.add_typer(bench.app)


def main() -> None:
    """Run the command line; a user's error is one line and exit code 2."""
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:  # typer has caught it
            interrupted()
    except KeyboardInterrupt:
        code = interrupted()
    except Exception as error:  # what is not a user's is raised again
        code = answer_to(error)
    sys.exit(code)
