"""The job `evaluate`: figures, and a report, of whatever people have: a run, pictures, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cospair.jobs.compare import compared
from cospair.jobs.places import Place, check_places
from cospair.jobs.plan import EvaluationPlan
from cospair.jobs.progress import bars
from cospair.jobs.results import Evaluated, evaluated
from cospair.jobs.run_folder import RunFolder, write_json
from cospair.jobs.subjects import kind_of


def evaluate(
    source: Place,
    other: Place | None = None,
    *,
    plan: EvaluationPlan | None = None,
    report: Place | None = None,
    save: Place | None = None,
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
    check_places(report, save, given=(*given, plan.calibrate_on))
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


def _are_pictures_for(source: Place, other: Place, plan: EvaluationPlan) -> bool:
    """Whether `other` is a set of pictures to evaluate a run on, not a rival of it."""
    return kind_of(source, plan) == "run" and kind_of(other, plan) == "pictures"


def _write(found: Evaluated, report: Place | None, save: Place | None) -> None:
    if save is not None:
        write_json(Path(save), found.result)
    if report is not None:
        from cospair.report import write_report

        write_report(found.result, found.picture, Path(report))


def _write_comparison(result: dict[str, Any], report: Place | None, save: Place | None) -> None:
    if save is not None:
        write_json(Path(save), result)
    if report is not None:
        from cospair.report import write_comparison

        write_comparison(result["a"], result["b"], result["comparison"], Path(report))
