"""A bar on standard error while something is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cospair.bench.apart import Say


@contextmanager
def bar(total: int, *, shown: bool) -> Iterator[Say]:
    """A bar of `total` steps, moved on by each thing that is said; hidden where nobody looks."""
    if not shown:
        yield lambda what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as shown_bar:
        task = shown_bar.add_task("", total=total)
        yield lambda what: shown_bar.update(task, advance=1, description=what)
