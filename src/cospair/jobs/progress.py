"""Bars on standard error for what lasts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

# Called with (steps done, steps in all).
Say: TypeAlias = Callable[[int, int], None]
Bar: TypeAlias = Callable[[str], "Say | None"]

PATIENCE_S = 1.0


@contextmanager
def bars(*, shown: bool) -> Iterator[Bar]:
    """Give a bar for each piece of work, seen once the work has lasted a second.

    Args:
        shown: Whether anybody is to see them; a stream that is no terminal shows none either.

    Yields:
        A function of what is done, in words, that returns what to tell the steps to, or None.
    """
    if not shown:
        yield lambda what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as display:

        def bar(what: str) -> Say:
            began, tasks = time.monotonic(), []

            def say(done: int, of: int) -> None:
                if not tasks and time.monotonic() - began < PATIENCE_S:
                    return
                if not tasks:
                    tasks.append(display.add_task(what, total=of))
                display.update(tasks[0], completed=done, total=of, visible=done < of)

            return say

        yield bar
