import json
import sys
from dataclasses import replace

import pytest

from cospair.jobs import compare_losses, default_plan
from cospair.jobs.compare_losses import left_out
from cospair.recipes import FROM_SCRATCH
from cospair.study import CONTENDERS, MARGINS, StudyPlan

TINY = replace(FROM_SCRATCH, steps=2, area=16 * 16, people=4, each=2, dimensions=8, mirror=False)
PLAN = StudyPlan(("default",), "default", folds=2, splits=1, margins=(0.25,), resamples=100)


def test_the_result_is_written_and_says_what_it_rests_on(tmp_path):
    result = compare_losses(
        "digits", out=tmp_path / "run", recipes=[TINY], plan=PLAN, command="cospair compare digits"
    )
    written = json.loads((tmp_path / "run" / "comparison.json").read_text())
    assert written == json.loads(json.dumps(result))
    assert result["data"]["name"] == "digits"
    assert (result["data"]["identities"], result["data"]["pictures"]) == (10, 1797)
    assert (result["seed"], result["resamples"]) == (0, 100)
    assert {"cospair", "torch", "python"} <= set(result["versions"])
    (part,) = result["encoders"]
    assert (part["encoder"], part["height"], part["width"]) == ("conv", 16, 16)
    assert part["recipe"]["steps"] == 2
    assert [row["form"] for row in part["margins"]] == ["1 - s", "symmetric hinge"]
    assert len(list((tmp_path / "run" / "trials").iterdir())) == 3


def test_the_default_plan_compares_what_is_installed(monkeypatch):
    plan = default_plan(folds=5, splits=2)
    assert plan.contenders == tuple(
        key for key, contender in CONTENDERS.items() if not contender.unavailable
    )
    assert (plan.reference, plan.folds, plan.splits) == ("default", 5, 2)
    assert plan.margins == MARGINS
    monkeypatch.setattr("cospair.study.contenders.find_spec", lambda name: None)
    assert "arcface" not in default_plan().contenders
    assert "triplet-semi-hard" in default_plan().contenders


def test_what_was_not_asked_for_is_not_said_to_be_missing(monkeypatch):
    monkeypatch.setattr("cospair.study.contenders.find_spec", lambda name: None)
    missing = left_out(default_plan())
    assert [one["key"] for one in missing] == [
        key for key, contender in CONTENDERS.items() if contender.package
    ]
    assert "pip install" in missing[0]["reason"]
    assert left_out(PLAN) == []


def test_a_folder_that_cannot_be_made_is_found_out_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("here already")
    monkeypatch.setattr(sys.modules["cospair.jobs.compare_losses"], "gathered", None)
    with pytest.raises(FileExistsError):
        compare_losses("digits", out=tmp_path / "file", recipes=[TINY], plan=PLAN)
