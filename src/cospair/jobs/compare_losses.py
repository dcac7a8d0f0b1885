"""The job `compare`: one encoder under many losses, and which differences hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cospair import data
from cospair.jobs.progress import bars
from cospair.jobs.run_folder import write_json
from cospair.jobs.train import provenance
from cospair.recipes import RECIPES, Recipe
from cospair.study import CONTENDERS, StudyPlan, compared_losses, gathered


def compare_losses(
    dataset: str,
    *,
    out: str | Path,
    recipes: Sequence[Recipe] | None = None,
    plan: StudyPlan | None = None,
    command: str = "",
    progress: bool = False,
) -> dict[str, Any]:
    """Train one encoder with many losses on the same people and compare them on others.

    Args:
        dataset: 'faces', 'digits', or a folder `root/identity/*.jpg`.
        out: Folder for the result, its report, and every finished trial, which is not done again.
        recipes: The encoders and how each is trained; None: the defaults of both.
        plan: What is compared; None: every loss that is installed.
        command: What the user typed, for the record.
        progress: Show bars on standard error.

    Returns:
        The result, also written as `comparison.json`: data, and for each encoder every loss with
        its settings tried and chosen, held-out figures with intervals, difference to the default,
        seconds, learning curve, and the sweep of the margin.

    Raises:
        ValueError: If the data or an option is not usable, in one sentence.
    """
    plan = plan or default_plan()
    images = data.load(dataset)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    with bars(shown=progress) as bar:
        for recipe in recipes or list(RECIPES.values()):
            material = gathered(images, recipe, seed=plan.seed)
            say = bar(f"{recipe.encoder}: trials and figures")
            found = compared_losses(material, plan, folder / "trials", say)
            parts.append(
                {
                    "encoder": recipe.encoder,
                    "recipe": recipe.settings(),
                    "height": material.config.height,
                    "width": material.config.width,
                    **found,
                }
            )
    result = {
        "title": f"{images.name}: {len(plan.contenders)} losses",
        "command": command,
        **provenance(plan.seed),
        "data": {
            "name": images.name,
            "credit": images.credit,
            "identities": len(set(images.labels.tolist())),
            "pictures": len(images),
            "skipped": list(images.skipped),
        },
        "encoders": parts,
        "left_out": left_out(plan),
        "resamples": plan.resamples,
    }
    write_json(folder / "comparison.json", result)
    return result


def default_plan(**changes: Any) -> StudyPlan:
    """Every loss that is installed, held against the default one."""
    installed = tuple(key for key, contender in CONTENDERS.items() if not contender.unavailable)
    return replace(StudyPlan(installed, "default"), **changes)


def left_out(plan: StudyPlan) -> list[dict[str, str]]:
    """Losses that are missing for want of their package, where every loss was to be compared."""
    if not set(plan.contenders) >= set(default_plan().contenders):
        return []
    return [
        {"key": key, "name": contender.name, "reason": contender.unavailable}
        for key, contender in CONTENDERS.items()
        if contender.unavailable
    ]
