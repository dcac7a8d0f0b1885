"""What the command line says when something goes wrong: one line, and an exit code."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130  # the shell's code for SIGINT
# What the verbs that can be interrupted go on from.
_RESUMES = {
    "demo": "training goes on from its last checkpoint",
    "train": "training goes on from its last checkpoint",
    "compare": "it goes on from the trials that are done",
}


def answer_to(error: Exception) -> int:
    """Say a user's error in one line and return the exit code; raise any other.

    typer brings its own click or imports it, by version: its errors are known by what they can do.
    """
    kind = type(error).__name__
    if kind == "Abort":
        return interrupted()
    message = getattr(error, "format_message", None)
    if kind == "NoArgsIsHelpError" and message is not None:
        print(message())
        return 2
    users = isinstance(error, ImportError | OSError | RuntimeError | TypeError | ValueError)
    if message is not None:
        _say(f"{message().rstrip('.')}; see 'cospair --help'")
    elif not users or os.environ.get("COSPAIR_TRACEBACK"):
        raise error
    elif isinstance(error, OSError) and error.strerror and error.filename is not None:
        _say(f"{error.filename}: {error.strerror}; choose another path")
    else:
        _say(str(error))
    return 2


def interrupted() -> int:
    """Say how to go on after an interruption, which only what trains can."""
    resumes = _RESUMES.get(next(iter(sys.argv[1:2]), ""))
    if resumes:
        _say(f"interrupted; {resumes} with the same command")
    else:
        _say("interrupted; there is nothing to resume, the same command starts again")
    return INTERRUPTED


def _say(sentence: str) -> None:
    """One line on standard error."""
    print(f"cospair: {' '.join(sentence.split())}", file=sys.stderr)
