import json
from dataclasses import replace

import numpy as np
import pytest
from jobs.conftest import QUICK
from PIL import Image

from cospair import data
from cospair.evaluation import Threshold
from cospair.jobs import EvaluationPlan, evaluate, train
from cospair.models import file_sha256
from cospair.recipes import FROM_SCRATCH


def test_a_run_leaves_a_model_a_threshold_and_a_record(faces_run):
    names = {path.name for path in faces_run.iterdir()}
    assert {"model.safetensors", "threshold.json", "run.json", "training", "cache"} <= names
    record = json.loads((faces_run / "run.json").read_text())
    assert record["data"]["credit"] == "AT&T Laboratories Cambridge"
    assert record["data"]["train"] == {"identities": 30, "pictures": 300}
    assert record["data"]["test"] == {"identities": 10, "pictures": 100}
    assert record["model"]["sha256"] == file_sha256(faces_run / "model.safetensors")
    threshold = Threshold.from_json(faces_run / "threshold.json")
    assert threshold.model_sha256 == record["model"]["sha256"]
    assert threshold.rule == "far"
    assert threshold.far <= 0.01
    # 3 folds of 10 people, 10 pictures each: every pair within a fold
    assert threshold.genuine_pairs == 3 * 10 * 45
    assert threshold.impostor_pairs == 3 * (100 * 99 // 2 - 450)


def test_test_people_are_never_seen(faces_run):
    record = json.loads((faces_run / "run.json").read_text())
    labels = data.faces().labels
    _, held = data.split_identities(labels, test=10, seed=3)
    wanted = {data.faces().identities[label] for label in labels[held]}
    assert set(record["data"]["test_identities"]) == wanted


def test_the_same_seed_gives_the_same_figures(faces_run, tmp_path):
    record = train("faces", out=tmp_path / "again", recipe=QUICK, test=10, seed=3)
    first = json.loads((faces_run / "run.json").read_text())
    assert record["model"]["sha256"] == first["model"]["sha256"]
    assert record["threshold"] == first["threshold"]
    other = train("faces", out=tmp_path / "again", recipe=QUICK, test=10, seed=4)
    assert other["model"]["sha256"] != first["model"]["sha256"]


def test_from_scratch_on_digits_and_on_a_folder_with_broken_files(tmp_path):
    recipe = replace(FROM_SCRATCH, steps=8, people=4, each=2, mirror=False, area=16 * 16)
    record = train("digits", out=tmp_path / "digits", recipe=recipe, test=3, seed=0)
    assert record["model"]["name"] == "conv"
    assert "kept out of training" in record["threshold"]["chosen_on"]
    result = evaluate(tmp_path / "digits", plan=EvaluationPlan(resamples=0))
    assert result["data"]["test"]["identities"] == 3
    generator = np.random.default_rng(0)
    for person in range(12):
        folder = tmp_path / "people" / f"person {person}"
        folder.mkdir(parents=True)
        for picture in range(4):
            pixels = generator.integers(0, 256, (40, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{picture}.png")
    (tmp_path / "people" / "person 1" / "broken.jpg").write_bytes(b"\xff\xd8 no")
    record = train(str(tmp_path / "people"), out=tmp_path / "run", recipe=recipe, test=0.25, seed=0)
    assert record["data"]["test"]["identities"] == 3
    assert len(record["data"]["skipped"]) == 1
    assert "broken.jpg" in record["data"]["skipped"][0]


def test_what_cannot_be_trained_on_is_said(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        train(str(tmp_path / "nowhere"), out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"at least 6 identities, .* got 5 identities, 5 with two"):
        train("digits", out=tmp_path / "run", test=5)
    assert not (tmp_path / "run" / "model.safetensors").exists()
