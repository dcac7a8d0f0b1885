import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cospair import data
from cospair.jobs import EvaluationPlan, evaluate
from cospair.jobs.pictures import embedded, unseen_people
from cospair.jobs.run_folder import RunFolder


def test_figures_are_those_of_the_embeddings(faces_run):
    result = json.loads((faces_run / "figures.json").read_text())
    model, threshold, record = RunFolder(faces_run).load()
    images = unseen_people(record, None)
    unit = embedded(model, images)[0].double().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    scores = (unit[first] * unit[second]).sum(1)
    same = images.labels[first] == images.labels[second]
    figures = result["verification"]
    assert figures["auc"] == pytest.approx(roc_auc_score(same, scores), abs=1e-9)
    assert (figures["genuine_pairs"], figures["impostor_pairs"]) == (450, 4500)
    accepted = scores >= threshold.threshold
    assert result["threshold"]["test"]["far"] == pytest.approx(accepted[~same].mean(), abs=1e-9)
    assert result["threshold"]["test"]["frr"] == pytest.approx(1 - accepted[same].mean(), abs=1e-9)
    points = {point["far"]: point for point in figures["tar_at_far"]}
    assert points[1e-3]["impostor_pairs"] == 4500
    assert figures["interval"]["method"] == "identity bootstrap"
    assert result["retrieval"]["queries"] == 100


def test_the_hardest_pairs_are_listed(faces_run):
    hardest = json.loads((faces_run / "figures.json").read_text())["hard_pairs"]
    assert [len(hardest["impostor"]), len(hardest["genuine"])] == [60, 60]
    assert all(pair["first_identity"] != pair["second_identity"] for pair in hardest["impostor"])
    assert all(pair["first_identity"] == pair["second_identity"] for pair in hardest["genuine"])


def test_the_report_is_one_page(faces_run):
    page = (faces_run / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "AT&amp;T Laboratories Cambridge" in page
    assert len(page) < 6_000_000


def test_other_data_is_evaluated_whole(faces_run):
    result = evaluate(faces_run, "digits", plan=EvaluationPlan(resamples=0))
    assert result["data"]["name"] == "digits"
    assert result["data"]["test"] == {"identities": 10, "pictures": 1797}


def test_data_that_has_changed_is_refused(faces_run):
    record = json.loads((faces_run / "run.json").read_text())
    record["data"]["test_identities"].append("s99")
    with pytest.raises(
        ValueError, match=r"must hold the 11 test people .* without s99; restore it"
    ):
        unseen_people(record, None)


def test_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "people").mkdir()
    with pytest.raises(
        ValueError, match=r"without model.safetensors, threshold.json, run.json; train"
    ):
        evaluate(tmp_path / "people", plan=EvaluationPlan(run=tmp_path))


def test_unseen_people_are_only_those(faces_run):
    record = json.loads((faces_run / "run.json").read_text())
    images = unseen_people(record, None)
    assert len(images) == 100
    assert {data.faces().identities[i] for i in set(images.labels.tolist())} == set(
        record["data"]["test_identities"]
    )


def test_the_report_shows_pictures_of_both_sides(faces_run, tmp_path, monkeypatch):
    images = unseen_people(json.loads((faces_run / "run.json").read_text()), None)
    for side, rows in (("q", range(0, 100, 5)), ("g", range(2, 100, 5))):
        for row in rows:
            folder = tmp_path / side / images.identities[images.labels[row]]
            folder.mkdir(parents=True, exist_ok=True)
            images.picture(row).save(folder / f"{side}{row}.png")
    shown = []
    monkeypatch.setattr("cospair.report.write_report", lambda *given: shown.append(given))
    plan = EvaluationPlan(run=faces_run, gallery=tmp_path / "g", resamples=0)
    result = evaluate(tmp_path / "q", plan=plan, report=tmp_path / "page.html")
    picture = shown[0][1]
    sides = [data.load(str(tmp_path / side)) for side in ("q", "g")]
    pairs = result["hard_pairs"]["genuine"]
    assert any(pair["first"] < 20 <= pair["second"] for pair in pairs)
    for pair in pairs:
        for row in (pair["first"], pair["second"]):
            expected = sides[row // 20].picture(row % 20)
            assert picture(row).tobytes() == expected.tobytes()


def test_what_is_read_is_never_written(tmp_path):
    rows = np.random.default_rng(0).normal(size=(12, 4))
    source = tmp_path / "e.npz"
    np.savez(source, embeddings=rows, labels=np.repeat(np.arange(4), 3))
    before = source.read_bytes()
    page = tmp_path / "r.html"
    for places in ({"report": source}, {"save": source}, {"report": page, "save": page}):
        with pytest.raises(ValueError, match="must be a file of its own; got one that is read or"):
            evaluate(source, plan=EvaluationPlan(resamples=0), **places)
    with pytest.raises(ValueError, match="must be a file to write; got a folder; name a file in"):
        evaluate(source, plan=EvaluationPlan(resamples=0), report=tmp_path)
    assert source.read_bytes() == before
    assert not page.exists()


def test_labels_are_refused_where_nobody_looks_at_them(faces_run, tmp_path):
    with pytest.raises(ValueError, match=r"labels must go with a \.npy file; got them with .*run"):
        evaluate(faces_run, plan=EvaluationPlan(labels=tmp_path / "l.txt"))


def test_a_runs_own_model_embeds_the_gallery(faces_run):
    with pytest.raises(ValueError, match="data must be people never seen in training"):
        evaluate(faces_run, plan=EvaluationPlan(gallery="faces", resamples=0))


def test_a_file_that_is_no_archive_is_said_to_be_damaged(tmp_path):
    (tmp_path / "e.npz").write_text("not an archive")
    with pytest.raises(ValueError, match=r"e\.npz.*it is no \.npz file"):
        evaluate(tmp_path / "e.npz")
