import json
import shutil

import numpy as np
import pytest
from jobs.conftest import QUICK

from cospair import data
from cospair.evaluation import Threshold
from cospair.jobs import EvaluationPlan, embed, evaluate, match, threshold, train
from cospair.jobs.calibration_people import CalibrationPeople


def test_a_run_gives_its_own_threshold_again_and_others(faces_run, tmp_path):
    own = Threshold.from_json(faces_run / "threshold.json")
    again = threshold(faces_run, out=tmp_path / "again.json")
    assert again["path"] == str(tmp_path / "again.json")
    read = Threshold.from_json(tmp_path / "again.json")
    for name in ("threshold", "far", "frr", "far_interval", "chosen_on", "model_sha256"):
        assert getattr(read, name) == getattr(own, name), name
    assert read.calibration_sha256 == own.calibration_sha256
    stricter = threshold(faces_run, out=tmp_path / "strict.json", far=0.001)
    assert stricter["threshold"] > own.threshold
    assert stricter["calibration"]["far"] <= 0.001
    assert stricter["calibration"]["frr"] >= own.frr
    equal = threshold(faces_run, out=tmp_path / "equal.json", rule="eer")
    assert equal["far_target"] is None
    assert abs(equal["calibration"]["far"] - equal["calibration"]["frr"]) < 0.005


def test_match_and_evaluate_apply_it(faces_run, tmp_path):
    place = tmp_path / "lax.json"
    lax = threshold(faces_run, out=place, far=0.5)["threshold"]
    picture = tmp_path / "a.png"
    data.faces().picture(0).save(picture)
    assert match(picture, picture, run=faces_run, threshold=place)["threshold"] == lax
    result = evaluate(faces_run, plan=EvaluationPlan(threshold=place, resamples=0))
    assert result["threshold"]["threshold"] == lax
    assert result["threshold"]["test"]["far"] > 0.2


def test_a_threshold_of_another_model_is_refused(faces_run, tmp_path):
    place = tmp_path / "threshold.json"
    threshold(faces_run, out=place)
    content = json.loads(place.read_text()) | {"model_sha256": "0" * 64}
    place.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="must be of the model whose scores it cuts; got one of"):
        match(place, place, run=faces_run, threshold=place)


def test_of_other_people_in_a_file(faces_run, tmp_path):
    embed("faces", run=faces_run, out=tmp_path / "faces.npz")
    found = threshold(tmp_path / "faces.npz", out=tmp_path / "threshold.json", far=0.0001)
    assert found["calibration"]["impostor_pairs"] == 400 * 399 // 2 - 40 * 45
    assert found["calibration"]["far"] <= 0.0001
    assert "40 people of faces.npz" in found["chosen_on"]
    scores = tmp_path / "scores.csv"
    scores.write_text("score,same\n0.9,1\n0.8,1\n0.3,0\n0.2,0\n")
    found = threshold(scores, out=tmp_path / "threshold.json", rule="accuracy")
    assert found["threshold"] == 0.8


def test_what_cannot_be_chosen_is_said_and_writes_nothing(faces_run, tmp_path):
    place = tmp_path / "threshold.json"
    with pytest.raises(ValueError, match="far_target must allow at least one false accept"):
        threshold(faces_run, out=place, far=1e-9)
    with pytest.raises(ValueError, match="far_target must be given with rule 'far' and only then"):
        threshold(faces_run, out=place, rule="eer", far=0.01)
    with pytest.raises(ValueError, match="must lie in a folder that exists"):
        threshold(faces_run, out=tmp_path / "none" / "threshold.json")
    own = (faces_run / "threshold.json").read_bytes()
    with pytest.raises(ValueError, match="must be a file of its own; got one that is read"):
        threshold(faces_run, out=faces_run / "threshold.json")
    assert (faces_run / "threshold.json").read_bytes() == own
    with pytest.raises(ValueError, match="add --run RUN"):
        threshold("faces", out=place)
    assert not place.exists()


def test_a_run_without_its_calibration_people(faces_run, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for name in ("model.safetensors", "threshold.json", "run.json"):
        shutil.copy(faces_run / name, old / name)
    with pytest.raises(ValueError, match=r"without calibration-people.safetensors, as an earlier"):
        threshold(old, out=tmp_path / "threshold.json")
    (old / "calibration-people.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"got a damaged .*; train again"):
        threshold(old, out=tmp_path / "threshold.json")


def test_calibration_people_survive_their_file(faces_run, tmp_path):
    people = CalibrationPeople.load(faces_run / "calibration-people.safetensors")
    assert len(people.groups) == 3
    people.save(tmp_path / "again")
    again = CalibrationPeople.load(tmp_path / "again").scored()
    found = people.scored()
    assert found.identities is not None
    assert again.identities is not None
    assert np.array_equal(found.scores, again.scores)
    assert np.array_equal(found.identities, again.identities)
    assert np.array_equal(found.same, found.identities[:, 0] == found.identities[:, 1])


def test_train_takes_another_far(faces_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(faces_run, run)
    record = train("faces", out=run, recipe=QUICK, test=10, seed=3, far=0.001)
    assert record["threshold"]["far_target"] == 0.001
    strict = threshold(faces_run, out=tmp_path / "threshold.json", far=0.001)
    assert record["threshold"]["threshold"] == strict["threshold"]
    with pytest.raises(ValueError, match="far_target must be given with rule 'far'"):
        train("faces", out=run, recipe=QUICK, test=10, seed=3, rule="eer", far=0.001)
    with pytest.raises(ValueError, match="far_target must"):
        train("faces", out=run, recipe=QUICK, test=10, seed=3, far=2.0)
