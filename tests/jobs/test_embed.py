import json

import numpy as np
import pytest

from cospair import data
from cospair.jobs import EvaluationPlan, embed, evaluate
from cospair.jobs.pictures import embedded, names_of


def test_a_file_of_a_folder_gives_the_figures_of_the_run(faces_run, tmp_path):
    record = json.loads((faces_run / "run.json").read_text())
    faces = data.faces()
    for person in record["data"]["test_identities"]:
        (tmp_path / "people" / person).mkdir(parents=True)
        for row in np.flatnonzero(faces.labels == faces.identities.index(person)):
            faces.picture(int(row)).save(tmp_path / "people" / person / f"{row}.png")
    result = embed(str(tmp_path / "people"), run=faces_run, out=tmp_path / "e.npz")
    assert result == {
        "name": "people",
        "pictures": 100,
        "identities": 10,
        "dimensions": record["model"]["dimensions"],
        "trained_on": 0,
        "skipped": [],
        "path": str(tmp_path / "e.npz"),
    }
    found = data.read_embeddings(tmp_path / "e.npz")
    assert found.names is not None
    assert found.names[0].split("/")[0] == found.labels[0]
    ours = evaluate(tmp_path / "e.npz", plan=EvaluationPlan(resamples=0, seed=3))
    own = evaluate(faces_run, plan=EvaluationPlan(resamples=0))
    folder = evaluate(tmp_path / "people", plan=EvaluationPlan(run=faces_run, resamples=0))
    assert folder["verification"] == ours["verification"]
    assert folder["model"]["sha256"] == record["model"]["sha256"]
    assert folder["title"] == "people: 10 people never seen in training"
    # the same pictures in another order: float32 embeddings of other batches differ in a last bit
    assert ours["verification"]["auc"] == pytest.approx(own["verification"]["auc"], abs=1e-5)


def test_pictures_that_the_model_was_trained_on_are_counted(faces_run, tmp_path):
    assert embed("faces", run=faces_run, out=tmp_path / "e.npz")["trained_on"] == 300


def test_the_place_is_checked_before_the_work(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .npz or .parquet; got .*e\.txt"):
        embed("faces", run=tmp_path / "no run", out=tmp_path / "e.txt")


def test_progress_is_told_and_names_are_apart(faces_run):
    from cospair.jobs.run_folder import RunFolder

    model, _, _ = RunFolder(faces_run).load()
    digits = data.digits().subset(np.arange(70))
    told = []
    rows, hashes = embedded(model, digits, lambda done, of: told.append((done, of)))
    assert told == [(64, 70), (70, 70)]
    assert (len(rows), len(hashes)) == (70, 70)
    assert len(set(names_of(digits).tolist())) == 70
    assert names_of(digits)[1] == f"{digits.labels[1]}/00001"
