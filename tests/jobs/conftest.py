from dataclasses import replace
from pathlib import Path

import pytest

from cospair.jobs import EvaluationPlan, evaluate, train
from cospair.recipes import RECIPES

QUICK = replace(RECIPES["efficientnet-lite0"], steps=5, views=1, area=64 * 52)


@pytest.fixture(scope="session")
def faces_run(tmp_path_factory) -> Path:
    """A finished run over the faces, trained for a moment only, and evaluated with a report."""
    folder = tmp_path_factory.mktemp("jobs") / "run"
    train("faces", out=folder, recipe=QUICK, test=10, seed=3)
    evaluate(
        folder,
        plan=EvaluationPlan(resamples=100),
        report=folder / "report.html",
        command="cospair evaluate run",
    )
    return folder
