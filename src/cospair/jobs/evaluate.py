"""The job `evaluate`: figures, and a report, of whatever people have: a run, pictures, files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cospair.jobs.compare import compared
from cospair.jobs.plan import EvaluationPlan
from cospair.jobs.progress import bars
from cospair.jobs.results import Evaluated, evaluated
from cospair.jobs.run_folder import RunFolder, write_json
from cospair.jobs.subjects import kind_of

_Place = str | os.PathLike[str]


def evaluate(
    source: _Place,
    other: _Place | None = None,
    *,
    plan: EvaluationPlan | None = None,
    report: _Place | None = None,
    save: _Place | None = None,
    command: str = "",
    progress: bool = False,
) -> dict[str, Any]:
    """Verification and retrieval figures on people unseen in training.

    Args:
        source: A folder that `train` finished: the people it kept unseen; a folder of pictures,
            with `plan.run`; a file of embeddings; or a file of scores.
        other: A second source of the same people in the same order, to compare with. After a run
            also 'faces', 'digits' or a folder of other people's pictures, which are then evaluated
            with the run's model.
        plan: What else is asked for; None: the defaults.
        report: Where to write the HTML report; None: no report.
        save: Where to write the result as JSON; None: nowhere.
        command: What the user typed, for the record.
        progress: Show bars on standard error.

    Returns:
        The whole result; that of a run's own test people, where no gallery and no other threshold
        was asked for, also goes to its `figures.json`. Of two sources that are compared: "a", "b"
        (results) and "comparison".

    Raises:
        TypeError: If identities in a file are floats.
        ValueError: If a source or an option is not usable, in one sentence.
    """
    plan = plan or EvaluationPlan()
    given = (source, other, plan.run, plan.labels, plan.gallery, plan.pairs, plan.threshold)
    _check_places(report, save, given=(*given, plan.calibrate_on))
    own = other is None and kind_of(source, plan) == "run"
    with bars(shown=progress) as bar:
        if other is not None and not _are_pictures_for(source, other, plan):
            result = compared(source, other, plan, bar, command=command)
            _write_comparison(result, report, save)
            return result
        found = evaluated(
            source,
            plan,
            bar,
            dataset=None if other is None else str(other),
            command=command,
            with_map=report is not None,
        )
    if own and plan.asks_nothing_of_a_run:
        write_json(RunFolder(Path(source)).figures, found.result)
    _write(found, report, save)
    return found.result


def _are_pictures_for(source: _Place, other: _Place, plan: EvaluationPlan) -> bool:
    """Whether `other` is a set of pictures to evaluate a run on, not a rival of it."""
    return kind_of(source, plan) == "run" and kind_of(other, plan) == "pictures"


def _check_places(*places: _Place | None, given: Sequence[_Place | None]) -> None:
    """Refuse a place where no file can or may be written, before the work and not after it."""
    taken = {Path(place).resolve() for place in given if place is not None}
    for place in places:
        if place is None:
            continue
        where = Path(place).resolve()
        if not where.parent.is_dir():
            raise ValueError(
                f"{place} must lie in a folder that exists; got none; make it or choose another"
            )
        if where.is_dir():
            raise ValueError(f"{place} must be a file to write; got a folder; name a file in it")
        if where in taken:
            raise ValueError(
                f"{place} must be a file of its own; got one that is read or written already; "
                "choose another name"
            )
        taken.add(where)


def _write(found: Evaluated, report: _Place | None, save: _Place | None) -> None:
    if save is not None:
        write_json(Path(save), found.result)
    if report is not None:
        from cospair.report import write_report

        write_report(found.result, found.picture, Path(report))


def _write_comparison(result: dict[str, Any], report: _Place | None, save: _Place | None) -> None:
    if save is not None:
        write_json(Path(save), result)
    if report is not None:
        from cospair.report import write_comparison

        write_comparison(result["a"], result["b"], result["comparison"], Path(report))
