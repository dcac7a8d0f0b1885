import json

import numpy as np
import pytest
from cli.conftest import RUN, cospair

from cospair import data
from cospair.cli import app


def test_evaluate_prints_a_table_of_80_columns(run, tmp_path):
    result = RUN.invoke(
        app, ["evaluate", str(run), "--report", str(tmp_path / "r.html")], env={"COLUMNS": "80"}
    )
    assert result.exit_code == 0, result.output
    for word in (
        "AUC",
        "EER",
        "TAR @ FAR 0.1 %",
        "CMC@1",
        "mAP",
        "threshold",
        "FAR on unseen people",
    ):
        assert word in result.output
    assert max(map(len, result.output.splitlines())) <= 80
    assert (tmp_path / "r.html").exists()


def test_evaluate_as_json_is_the_result(run):
    result = RUN.invoke(app, ["evaluate", str(run), "--json"])
    assert json.loads(result.stdout) == json.loads((run / "figures.json").read_text())


def test_pictures_trained_on_are_not_evaluated(run, tmp_path):
    faces = data.faces()
    for label in range(40):
        for row in [i for i, found in enumerate(faces.labels) if found == label][:2]:
            folder = tmp_path / "copy" / faces.identities[label]
            folder.mkdir(parents=True, exist_ok=True)
            faces.picture(row).save(folder / f"{row}.png")
    result = RUN.invoke(app, ["evaluate", str(run), str(tmp_path / "copy")])
    assert isinstance(result.exception, ValueError)
    assert "got 60 pictures the model was trained on" in str(result.exception)


def shown(*words):
    """The lines of the table of an evaluation, at 80 columns."""
    result = RUN.invoke(app, ["evaluate", *map(str, words)], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    return [" ".join(line.split()) for line in lines]


def test_a_file_of_embeddings_with_people_to_calibrate_on(people_file, tmp_path):
    source = people_file("e.npz")
    others = people_file("o.npz", prefix="q", seed=1)
    words = (source, "--calibrate-on", others, "--rule", "eer", "--far", "0.05", "--resamples", 100)
    lines = shown(*words, "--save", tmp_path / "f.json")
    figures = json.loads((tmp_path / "f.json").read_text())
    assert lines[0] == "e.npz: 780 pairs of 8 identities"
    assert lines[1] == "pairs 80 genuine, 700 impostor"
    low, high = figures["verification"]["auc_interval"]
    assert f"AUC {figures['verification']['auc']:.4f} {low:.4f} .. {high:.4f}" in lines
    assert sum(line.startswith("TAR @ FAR") for line in lines) == 1
    assert f"threshold {figures['threshold']['threshold']:.4f} rule eer" in lines
    assert any(line.startswith("FAR on test people") for line in lines)
    assert "chosen on 8 people of o.npz, 40 pictures" in lines
    assert any(line.startswith("Cllr, bits") for line in lines)
    assert lines[-1] == f"figures {tmp_path / 'f.json'}"[:80]


def test_queries_against_a_gallery(people_file, tmp_path):
    found = data.read_embeddings(people_file())
    queries = np.arange(len(found)) % 5 == 0
    assert found.names is not None
    for name, kept in (("q.npz", queries), ("g.npz", ~queries & (found.labels != "p7"))):
        np.savez(tmp_path / name, embeddings=found.rows[kept], labels=found.labels[kept])
    lines = shown(tmp_path / "q.npz", "--gallery", tmp_path / "g.npz", "--resamples", "0")
    assert "queries 7, 1 without a match" in lines
    assert "open set 7 probes enrolled, 1 not" in lines
    assert any(line.startswith("CMC@1, one shot") for line in lines)
    assert any("insufficient data: 1 unmated" in line for line in lines)
    assert any(line.startswith("no interval for AUC, EER") for line in lines)


def test_two_files_are_compared(people_file):
    a, b = people_file("a.npz"), people_file("b.npz", noise=3)
    lines = shown(a, b, "--far", "0.1", "--resamples", "100")
    assert "A B B - A 95 % interval" in lines
    assert any(line.startswith("AUC 0.") and " .. " in line for line in lines)
    assert any(line.startswith("AUC: A is better by") for line in lines)


def test_lfws_pairs(people_file, tmp_path):
    names = data.read_embeddings(people_file()).names
    assert names is not None
    found = dict(np.load(people_file()))
    found["names"] = [f"{name.split('/')[0]}_{row % 5:04d}" for row, name in enumerate(names)]
    np.savez(tmp_path / "n.npz", **found)
    folds = [[f"p{p}\t1\t2", f"p{p}\t1\t3", f"p{p}\t1\tp0\t2", f"p{p}\t2\tp0\t2"] for p in (1, 2)]
    (tmp_path / "pairs.txt").write_text("\n".join(["2\t2", *folds[0], *folds[1]]))
    lines = shown(tmp_path / "n.npz", "--pairs", tmp_path / "pairs.txt", "--resamples", "0")
    assert any(line.startswith("LFW accuracy") and "over 2 folds" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("e.npz", "--column", "label"), "--column must be ROLE=NAME, got 'label'; write for exam"),
        (("e.npz", "--rule", "best"), "'best' is not one of"),
        (("e.npz", "--threshold", "none.json"), "none.json: No such file or directory; choose"),
        (("e.npz", "--far", "0"), "far must lie in (0, 1]; got 0; give a share like 0.01"),
        (("e.npz", "--report", "none/r.html"), "none/r.html must lie in a folder that exists"),
        (("pictures",), "got pictures alone; add --run RUN"),
        (("e.npz", "e.npz", "--gallery", "e.npz"), "compared over all pairs; got --gallery or"),
        (("pd.csv",), "got the float 1.0 in line 2, and floats collide"),
    ],
)
def test_a_wrong_word_is_one_line(words, sentence, people_file, tmp_path):
    people_file()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pd.csv").write_text("score,first_identity,second_identity\n.9,1.0,1.0\n.1,1,2\n")
    result = cospair("evaluate", *words, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_embed_writes_what_evaluate_reads(run, tmp_path):
    for person in ("s1", "s2"):
        (tmp_path / "people" / person).mkdir(parents=True)
        for row in range(3):
            place = tmp_path / "people" / person / f"{row}.png"
            data.faces().picture(10 * (person == "s2") + row).save(place)
    words = ["embed", str(tmp_path / "people"), "--run", str(run), "-o", str(tmp_path / "e.npz")]
    result = RUN.invoke(app, words, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    assert "pictures" in result.output
    assert shown(tmp_path / "e.npz", "--resamples", "0")[1] == "pairs 6 genuine, 9 impostor"
