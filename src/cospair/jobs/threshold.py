"""The job `threshold`: one for another use, chosen on a run's calibration people or on others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cospair.evaluation import Rule, Threshold
from cospair.evaluation.thresholds.artefact import check_rule
from cospair.jobs.calibration_people import CalibrationPeople
from cospair.jobs.operating_point import calibration_pairs, choose, threshold_card
from cospair.jobs.places import Place, check_places
from cospair.jobs.plan import FAR_OF_RULE, EvaluationPlan
from cospair.jobs.progress import bars
from cospair.jobs.run_folder import RunFolder
from cospair.jobs.subjects import check_asked, kind_of, opened


def threshold(
    source: Place,
    *,
    out: Place = "threshold.json",
    plan: EvaluationPlan | None = None,
    rule: Rule = "far",
    far: float | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Choose a threshold and write it as an artefact for `match` and `evaluate`.

    Args:
        source: A folder that `train` finished: the people its own threshold was chosen on, by the
            scores of models that were trained without them. Or other people: a folder of pictures,
            with `plan.run`, a file of embeddings or a file of scores.
        out: The file to write; an older one is replaced in one step.
        plan: How to open the source: `run`, `labels` and `columns` of it; None: as it is.
        rule: How the threshold is chosen; see `choose_threshold`.
        far: FAR that rule 'far' allows, in (0, 1]; None: 0.01.
        progress: Show bars on standard error.

    Returns:
        The artefact's fields, with calibration (counts and rates) and path.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If identities in a file are floats.
        ValueError: If the source or an option is not usable, or there are too few impostor pairs
            for the FAR, in one sentence.
    """
    plan = plan or EvaluationPlan()
    far = FAR_OF_RULE if rule == "far" and far is None else far
    check_rule(rule, far)
    check_asked(source, plan)
    own = RunFolder(Path(source)).threshold  # where the source is a run: its figures rest on it
    check_places(out, given=(source, plan.run, plan.labels, own))
    if kind_of(source, plan) == "run":
        artefact = _of_run(RunFolder(Path(source)), rule, far)
    else:
        with bars(shown=progress) as bar:
            found, made_on = calibration_pairs(opened(source, plan, bar))
        artefact = choose(found, rule, far, **made_on)
    artefact.to_json(out)
    return {**threshold_card(artefact), "path": str(out)}


def _of_run(folder: RunFolder, rule: Rule, far: float | None) -> Threshold:
    _, own, _ = folder.load()
    if not folder.calibration_people.is_file():
        raise ValueError(
            f"run must hold its calibration people, got {folder.path} without "
            f"{folder.calibration_people.name}, as an earlier version trained it; train again with "
            f"`cospair train DATA --out {folder.path}`, which takes up what is there"
        )
    pairs = CalibrationPeople.load(folder.calibration_people).scored()
    return choose(pairs, rule, far, chosen_on=own.chosen_on, model_sha256=own.model_sha256)
