"""Options that several verbs share, and what was typed."""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")]
Seed = Annotated[
    int,
    typer.Option(
        min=0, max=2**31 - 1, help="The same seed gives the same split, model and figures."
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for everything that is written.")]
Pictures = Annotated[
    str,
    typer.Argument(
        help="'faces', 'digits', or a folder root/identity/*.jpg of at least 8 identities.",
        show_default=False,
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Training steps.", show_default="100; conv 300")
]
Area = Annotated[
    int | None,
    typer.Option(
        min=256,
        help="Pixels of a prepared picture, about; its shape follows the pictures.",
        show_default="13312; conv 3584",
    ),
]
Mirror = Annotated[
    bool, typer.Option(help="A mirror image shows the same identity (not so for writing).")
]
Run = Annotated[Path | None, typer.Option(help="The run whose model embeds a picture folder.")]
Labels = Annotated[Path | None, typer.Option(help="Labels of a .npy file: .npy, .txt or .csv.")]
Column = Annotated[
    list[str] | None,
    typer.Option(help="ROLE=NAME where a column has another name; may be given again."),
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


def named_columns(words: list[str] | None) -> dict[str, str]:
    """`--column` as names by role."""
    found = {}
    for word in words or []:
        role, equals, name = word.partition("=")
        if not (role and equals and name):
            raise ValueError(
                f"--column must be ROLE=NAME, got {word!r}; write for example label=person"
            )
        found[role] = name
    return found


def typed() -> str:
    """The command as the user typed it."""
    program = Path(sys.argv[0]).name
    return shlex.join(["cospair" if program == "__main__.py" else program, *sys.argv[1:]])
