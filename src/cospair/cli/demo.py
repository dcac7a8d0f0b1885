"""The verb `demo`."""

from __future__ import annotations

from pathlib import Path

from cospair.cli import show
from cospair.cli.options import AsJson, Out, Seed, typed


def demo(
    out: Out = Path("cospair-demo"),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train on 30 people's faces, test on 10 others, write a report, answer a query."""
    from cospair import jobs

    result = jobs.demo(out=out, seed=seed, command=typed(), progress=not as_json)
    if as_json:
        return show.as_json(result)
    show.figures(result)
    show.answer(result["answer"])
    show.line(f"report   {result['report']}")
    show.line(f"data     {result['data']['credit']}")
    show.line(f"seconds  {result['seconds']}")
