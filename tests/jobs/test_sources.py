import json
from itertools import pairwise

import numpy as np
import pytest
from jobs.sources import embeddings, people, scores

from cospair import data, evaluation
from cospair.evaluation import Threshold
from cospair.evaluation.verification.figures import pair_figures
from cospair.evaluation.verification.lfw import lfw_protocol
from cospair.jobs import EvaluationPlan, evaluate

QUICK = EvaluationPlan(resamples=100, far=(0.1, 0.01))


def plan(**changes):
    return EvaluationPlan(**{"resamples": 100, "far": (0.1, 0.01), **changes})


def test_embeddings_give_the_figures_of_their_rows(tmp_path):
    rows, labels, _ = people()
    result = evaluate(embeddings(tmp_path / "e.npz", rows, labels), plan=QUICK)
    expected = evaluation.verification_figures(rows, labels, far=(0.1, 0.01), resamples=100)
    assert result["verification"] == expected
    assert result["retrieval"] == evaluation.retrieval_figures(rows, labels, resamples=100)
    assert result["model"] is None
    assert result["threshold"] is None
    assert result["calibration"] is None
    assert result["data"]["sha256"] == data.read_embeddings(tmp_path / "e.npz").sha256
    assert result["data"]["test"] == {"identities": 8, "pictures": 40}
    hardest = result["hard_pairs"]["impostor"][0]
    assert hardest["first_identity"] == labels[hardest["first"]] != labels[hardest["second"]]
    json.dumps(result, allow_nan=False)


def test_scores_give_the_figures_of_their_pairs(tmp_path):
    rows, labels, _ = people()
    result = evaluate(scores(tmp_path / "s.csv", rows, labels), plan=QUICK)
    pairs = evaluation.pair_scores(rows, labels)
    identities = labels[np.stack([pairs.first, pairs.second], axis=1)]
    assert result["verification"] == pair_figures(
        pairs.scores, pairs.same, identities=identities, far=(0.1, 0.01), resamples=100
    )
    assert result["retrieval"] is None
    bare = evaluate(scores(tmp_path / "t.csv", rows, labels, with_people=False), plan=QUICK)
    assert bare["verification"]["auc"] == result["verification"]["auc"]
    assert bare["verification"]["auc_interval"] is None
    assert bare["data"]["test"] == {"identities": None, "pictures": None}


def test_a_threshold_chosen_on_other_people_and_then_applied_from_its_file(tmp_path):
    rows, labels, _ = people()
    other_rows, other_labels, _ = people("q", seed=1)
    source = embeddings(tmp_path / "e.npz", rows, labels)
    others = embeddings(tmp_path / "o.npz", other_rows, other_labels)
    result = evaluate(source, plan=plan(calibrate_on=others, far=(0.05,)))
    found = evaluation.pair_scores(other_rows, other_labels)
    chosen = evaluation.choose_threshold(found.scores, found.same, rule="far", far_target=0.05)
    assert result["threshold"]["threshold"] == chosen.threshold
    assert result["threshold"]["chosen_on"] == "8 people of o.npz, 40 pictures"
    assert "calibration_identities" not in result["threshold"]
    pairs = evaluation.pair_scores(rows, labels)
    rates = evaluation.rates_at(pairs.scores, pairs.same, chosen.threshold)
    assert result["threshold"]["test"].items() >= rates.items()
    assert result["threshold"]["test"]["far_interval"] is not None
    assert 0 < result["calibration"]["min_cllr"] <= result["calibration"]["cllr"] < 1

    chosen.to_json(tmp_path / "t.json")
    applied = evaluate(source, plan=plan(threshold=tmp_path / "t.json"))
    assert applied["threshold"]["test"] == result["threshold"]["test"]
    assert applied["calibration"] is None


def test_the_people_calibrated_on_are_not_tested_on(tmp_path):
    rows, labels, _ = people()
    source = embeddings(tmp_path / "e.npz", rows, labels)
    with pytest.raises(ValueError, match=r"must not hold people .* calibrated on; got 8 of them"):
        evaluate(source, plan=plan(calibrate_on=source))
    pairs = evaluation.pair_scores(rows, labels)
    chosen = evaluation.choose_threshold(
        pairs.scores, pairs.same, calibration_identities=["p3", "z"]
    )
    chosen.to_json(tmp_path / "t.json")
    with pytest.raises(ValueError, match=r"calibrated on; got 1 of them, 'p3'; test on other"):
        evaluate(source, plan=plan(threshold=tmp_path / "t.json"))
    with pytest.raises(ValueError, match=r"calibrate_on must be of the source's kind; got scores"):
        evaluate(source, plan=plan(calibrate_on=scores(tmp_path / "s.csv", rows, labels)))


def test_queries_against_a_gallery(tmp_path):
    rows, labels, names = people()
    queries = np.arange(40) % 5 == 0
    enrolled = ~queries & (labels != "p7")
    cameras = np.arange(40) % 2
    query = embeddings(
        tmp_path / "q.npz", rows[queries], labels[queries], names[queries], cameras[queries]
    )
    gallery = embeddings(
        tmp_path / "g.npz", rows[enrolled], labels[enrolled], names[enrolled], cameras[enrolled]
    )
    result = evaluate(query, plan=plan(gallery=gallery))
    sides = (rows[queries], labels[queries], rows[enrolled], labels[enrolled])
    seen = (cameras[queries], cameras[enrolled])
    shot = result["retrieval"].pop("single_gallery_shot")
    assert result["retrieval"] == evaluation.retrieval_figures(*sides, cameras=seen, resamples=100)
    assert result["retrieval"]["skipped_queries"] == 1
    assert shot["draws"] == 10
    assert result["open_set"]["unmated"] == 1
    both = queries | enrolled
    order = np.concatenate([np.flatnonzero(queries), np.flatnonzero(enrolled)])
    assert both.sum() == len(order) == result["verification"]["pictures"]
    expected = evaluation.verification_figures(rows[order], labels[order], resamples=0)
    assert result["verification"]["auc"] == expected["auc"]
    whole = embeddings(tmp_path / "w.npz", rows, labels, names)
    with pytest.raises(ValueError, match=r"gallery must hold other pictures .* got 40 in both"):
        evaluate(whole, plan=plan(gallery=whole))
    bare = embeddings(tmp_path / "b.npz", rows[enrolled], labels[enrolled])
    with pytest.raises(ValueError, match=r"cameras must be known .* got none of the gallery"):
        evaluate(query, plan=plan(gallery=bare))
    narrow = embeddings(tmp_path / "n.npz", rows[enrolled][:, 1:], labels[enrolled])
    with pytest.raises(ValueError, match=r"gallery must have the source's 16 dimensions; got 15"):
        evaluate(query, plan=plan(gallery=narrow))


def test_junk_and_distractors_of_a_gallery_are_nobody(tmp_path):
    rows, _, _ = people()
    labels = np.repeat(np.arange(1, 9), 5)
    queries = np.arange(40) % 5 == 0
    gallery_labels = np.concatenate([labels[~queries], [-1, -1, 0, 0]])
    gallery_rows = np.concatenate([rows[~queries], rows[:4]])
    query = embeddings(tmp_path / "q.npz", rows[queries], labels[queries])
    gallery = embeddings(tmp_path / "g.npz", gallery_rows, gallery_labels)
    result = evaluate(query, plan=plan(gallery=gallery))
    assert result["verification"]["pictures"] == 40
    assert result["retrieval"]["gallery"]["junk"] == 2
    named = embeddings(tmp_path / "s.npz", gallery_rows, gallery_labels.astype(str))
    with pytest.raises(TypeError, match=r"gallery must have labels of the source's kind; got <U"):
        evaluate(query, plan=plan(gallery=named))


@pytest.fixture
def pairs_file(tmp_path):
    lines = ["2\t4"]
    for fold in range(2):
        lines += [f"p{4 * fold + i}\t1\t{2 + i}" for i in range(4)]
        lines += [f"p{4 * fold + i}\t1\tp{(4 * fold + i + 1) % 8}\t2" for i in range(4)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    return tmp_path / "pairs.txt"


def test_lfws_protocol_over_named_embeddings(tmp_path, pairs_file):
    rows, labels, names = people()
    shuffled = np.random.default_rng(0).permutation(40)
    source = embeddings(tmp_path / "e.npz", rows[shuffled], labels[shuffled], names[shuffled])
    result = evaluate(source, plan=plan(pairs=pairs_file))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    place = {(name.split("/")[0], int(name[-8:-4])): row for row, name in enumerate(names)}
    cosines, same = [], []
    for line in pairs_file.read_text().splitlines()[1:]:
        cells = line.split("\t")
        one = (cells[0], int(cells[1]))
        other = (cells[0], int(cells[2])) if len(cells) == 3 else (cells[2], int(cells[3]))
        cosines.append(round(float(unit[place[one]] @ unit[place[other]]), 12))
        same.append(one[0] == other[0])
    assert result["lfw"] == lfw_protocol(cosines, same, folds=2)
    assert result["verification"]["genuine_pairs"] == 8
    assert result["retrieval"] is None
    bare = embeddings(tmp_path / "b.npz", rows, labels)
    with pytest.raises(ValueError, match=r"embeddings must have names where pairs name pictures"):
        evaluate(bare, plan=plan(pairs=pairs_file))
    with pytest.raises(ValueError, match=r"pairs must go with a folder of pictures and --run, or"):
        evaluate(scores(tmp_path / "s.csv", rows, labels), plan=plan(pairs=pairs_file))


def test_lfws_pairs_over_pictures(tmp_path, faces_run):
    record = json.loads((faces_run / "run.json").read_text())
    faces, held = data.faces(), record["data"]["test_identities"][:4]
    for person in held:
        (tmp_path / "lfw" / person).mkdir(parents=True)
        rows = np.flatnonzero(faces.labels == faces.identities.index(person))[:3]
        for number, row in enumerate(rows, start=1):
            faces.picture(row).save(tmp_path / "lfw" / person / f"{person}_{number:04d}.png")
    lines = [f"{person}\t1\t{n}" for person in held for n in (2, 3)]
    lines += [f"{a}\t1\t{b}\t{n}" for a, b in pairwise(held) for n in (1, 2)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    asked = plan(run=faces_run, pairs=tmp_path / "pairs.txt")
    result = evaluate(tmp_path / "lfw", plan=asked)
    assert result["lfw"] is None  # no folds
    figures = result["verification"]
    assert (figures["genuine_pairs"], figures["impostor_pairs"]) == (8, 6)
    assert figures["pictures"] == 12
    assert result["threshold"]["threshold"] == record["threshold"]["threshold"]


def test_a_folder_of_pictures_needs_a_run():
    with pytest.raises(ValueError, match=r"with the run whose model embeds it; got .* add --run"):
        evaluate("digits")


def test_a_threshold_of_another_model_is_refused(tmp_path, faces_run):
    chosen = evaluation.choose_threshold([0.9, 0.1], [True, False], model_sha256="f" * 64)
    chosen.to_json(tmp_path / "t.json")
    with pytest.raises(ValueError, match=r"of the model whose scores it cuts; got one of model ff"):
        evaluate(faces_run, plan=plan(threshold=tmp_path / "t.json"))
    assert Threshold.from_json(tmp_path / "t.json").threshold == 0.9


def test_a_set_too_large_to_hold_has_the_same_sections(tmp_path, monkeypatch):
    rows, labels, _ = people()
    source = embeddings(tmp_path / "e.npz", rows, labels)
    others = embeddings(tmp_path / "o.npz", *people("q", seed=1)[:2])
    asked = plan(calibrate_on=others, resamples=0)
    held = evaluate(source, plan=asked)
    monkeypatch.setattr("cospair.jobs.sections.HELD_PAIRS", 100)
    many = evaluate(source, plan=asked)
    assert many["verification"]["auc"] == held["verification"]["auc"]
    assert many["verification"]["tar_at_far"] == held["verification"]["tar_at_far"]
    assert many["hard_pairs"] == held["hard_pairs"]
    rates = many["threshold"]["test"]
    for name in ("false_accepts", "false_rejects", "far", "frr", "accuracy", "balanced_accuracy"):
        assert rates[name] == held["threshold"]["test"][name]
    assert rates["far_interval"] is None
    assert many["calibration"] is None
    monkeypatch.setattr("cospair.jobs.operating_point.HELD_PAIRS", 100)
    with pytest.raises(
        ValueError, match=r"a threshold must be chosen on at most 100 pairs; got 40 pict"
    ):
        evaluate(source, plan=asked)


@pytest.mark.parametrize(
    ("source", "changes", "sentence"),
    [
        ("nothing.npz", {}, r"embeddings must be a file; got nothing\.npz, which does not exist"),
        ("nothing", {}, r"source must be a run folder, .* got nothing, which does not exist; che"),
        ("e.txt", {}, r"source must be a run folder, .* got .*e\.txt, which is a \.txt file"),
        ("e.npz", {"resamples": 50}, r"resamples must be 0 or at least 100; got 50"),
        ("e.npz", {"columns": {"label": "pid"}}, r"must hold the arrays 'embeddings' and 'pid'"),
        ("one.npz", {}, r"got 10 genuine and 0 impostor pairs"),
        ("apart.npz", {}, r"got 0 genuine and 28 impostor pairs"),
        ("s.csv", {"gallery": "e.npz"}, r"gallery must go with embeddings or pictures; got the sc"),
        ("e.npz", {"gallery": "s.csv"}, r"gallery must be embeddings or pictures; got the scores"),
    ],
)
def test_what_cannot_be_evaluated_is_said(tmp_path, monkeypatch, source, changes, sentence):
    monkeypatch.chdir(tmp_path)
    rows, labels, _ = people()
    embeddings(tmp_path / "e.npz", rows, labels)
    embeddings(tmp_path / "one.npz", rows[:5], labels[:5])
    embeddings(tmp_path / "apart.npz", rows[::5], labels[::5])
    scores(tmp_path / "s.csv", rows, labels)
    (tmp_path / "e.txt").write_text("x")
    with pytest.raises(ValueError, match=sentence):
        evaluate(source, plan=plan(**changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"threshold": "t", "calibrate_on": "c"}, r"threshold and calibrate_on must not both be"),
        ({"rule": "eer"}, r"rule must go with calibrate_on; got 'eer' alone"),
        ({"pairs": "p", "gallery": "g"}, r"pairs and gallery must not both be given; got both"),
        ({"far": (0.1, 1.5)}, r"far must lie in \(0, 1\]; got 1.5; give a share"),
    ],
)
def test_options_that_do_not_go_together(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        EvaluationPlan(**changes)


def test_the_result_is_saved_and_its_place_checked_first(tmp_path):
    rows, labels, _ = people()
    source = embeddings(tmp_path / "e.npz", rows, labels)
    result = evaluate(source, plan=QUICK, save=tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text()) == json.loads(json.dumps(result))
    with pytest.raises(ValueError, match=r"r\.html must lie in a folder that exists; got none"):
        evaluate("no such source.npz", report=tmp_path / "none" / "r.html")


def test_a_person_called_0_in_both_files_is_a_person(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 4)
    for first in (0, 1):
        query = embeddings(tmp_path / "q.npz", rng.normal(size=(20, 16)), labels + first)
        gallery = embeddings(tmp_path / "g.npz", rng.normal(size=(20, 16)), labels + first)
        figures = evaluate(query, plan=plan(gallery=gallery))["verification"]
        assert (figures["pictures"], figures["genuine_pairs"]) == (40, 140)


def test_hard_pairs_have_the_names_of_their_pictures_or_rows(tmp_path):
    rows, labels, names = people()
    named = embeddings(tmp_path / "n.npz", rows[::2], labels[::2], names[::2])
    bare = embeddings(tmp_path / "b.npz", rows[1::2], labels[1::2])
    assert "first_name" not in evaluate(bare, plan=QUICK)["hard_pairs"]["genuine"][0]
    for pair in evaluate(named, plan=QUICK)["hard_pairs"]["genuine"]:
        assert pair["first_name"] == names[2 * pair["first"]]
    for pair in evaluate(named, plan=plan(gallery=bare))["hard_pairs"]["genuine"]:
        row = pair["second"]
        assert pair["second_name"] == (names[2 * row] if row < 20 else f"gallery row {row - 20}")
