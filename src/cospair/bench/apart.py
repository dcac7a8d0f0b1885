"""A function called in a process of its own, where nothing that ran before can favour anyone.

What it is given and what it returns travel as JSON. Lines of the process's output that carry our
mark are its words; whatever else a library prints is passed over.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Say = Callable[[str], None]

_MARK = "cospair-bench "

# The library is imported before cospair.bench is, or cospair's own import would seem free.
_PROGRAM = """
import importlib, sys, time
import torch
start = time.perf_counter()
importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - start
from cospair.bench import apart
apart.answer(seconds, *sys.argv[2:])
"""


class Here(NamedTuple):
    """What a function finds in its process: how long its library's import took, and who listens."""

    import_seconds: float
    say: Say


def call(
    function: str,
    given: Mapping[str, Any],
    *,
    environment: Mapping[str, str] = os.environ,
    library: str = "cospair",
    say: Say = lambda what: None,
) -> Any:
    """What `function` ('module:name') returns for (Here, given) in a new process.

    Raises:
        RuntimeError: With its own words if it refused, else with the last line of its traceback.
    """
    words = [sys.executable, "-c", _PROGRAM, library, function, json.dumps(given)]
    place = os.pathsep.join(place for place in sys.path if place)
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**environment, "PYTHONPATH": place},
        ) as process,
    ):
        try:
            found = _listen(process, say)
        except BaseException:
            process.kill()
            raise
        process.wait()
        errors.seek(0)
        last = errors.read().strip().splitlines()[-1:]
    if "refused" in found:
        raise RuntimeError(found["refused"])
    if "done" not in found:
        raise RuntimeError(*(last or [f"its process ended with code {process.returncode}"]))
    return found["done"]


def _listen(process: subprocess.Popen[str], say: Say) -> dict[str, Any]:
    """Pass on what the process says; its last word."""
    found: dict[str, Any] = {}
    for line in process.stdout or ():
        if line.startswith(_MARK):
            found = json.loads(line.removeprefix(_MARK))
            if "say" in found:
                say(found["say"])
    return found


def answer(import_seconds: float, function: str, given: str) -> None:
    """Call the function in this process and print what it returns, or why it refused."""
    room, _, name = function.partition(":")
    here = Here(import_seconds, lambda what: _print({"say": what}))
    try:
        _print({"done": getattr(importlib.import_module(room), name)(here, json.loads(given))})
    except RuntimeError as error:
        _print({"refused": str(error)})


def _print(words: Mapping[str, Any]) -> None:
    print(f"\n{_MARK}{json.dumps(words)}", flush=True)
