import json
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cospair import __version__, data
from cospair.cli import app

RUN = CliRunner()


def cospair(*words: str, cwd=None) -> subprocess.CompletedProcess[str]:
    program = "from cospair.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    arguments = ["train", "faces", "--out", str(folder), "--test", "10", "--steps", "2", "--json"]
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["data"]["test"]["identities"] == 10
    return folder


@pytest.mark.parametrize("verb", ["demo", "train", "evaluate", "match"])
def test_every_verb_has_help_that_is_its_jobs_first_line(verb):
    result = RUN.invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output
    assert verb in RUN.invoke(app, ["--help"]).output


def test_version():
    assert RUN.invoke(app, ["--version"]).output.strip() == f"cospair {__version__}"


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


def test_match_says_who(run, tmp_path):
    data.faces().picture(0).save(tmp_path / "a.png")
    result = RUN.invoke(
        app, ["match", str(tmp_path / "a.png"), str(tmp_path / "a.png"), "--run", str(run)]
    )
    assert result.exit_code == 0, result.output
    assert "the same person: score 1.0000 against threshold" in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "no-such-folder"), "no-such-folder"),
        (("train", "faces", "--test", "40"), "40"),
        (
            ("train", "faces", "--test", "inf"),
            "--test must be a share above 0 and below 1, or a whole",
        ),
        (("train", "faces", "--test", "2.5"), "from 2, got 2.5; give one of them"),
        (("train", "faces", "--test", "1"), "from 2, got 1; give one of them"),
        (
            ("train", "faces", "--test", "37"),
            "got 3 identities, 3 with two pictures, after 37 were kept",
        ),
        (("train", "faces", "--seed", "-3"), "Invalid value for '--seed'"),
        (("train", "faces", "--encoder", "resnet"), "'resnet' is not one of"),
        (("frobnicate",), "frobnicate"),
        (
            ("train", "faces", "--out", "file", "--encoder", "conv"),
            "file: File exists; choose another path",
        ),
        (("match", "none.png", "none.png", "--run", "RUN"), "none.png: there is no such file"),
        (("evaluate", "DAMAGED"), "got a damaged"),
        (("evaluate", "FOREIGN"), "one model and its own threshold"),
        (("train", "faces", "--margin", "3"), "margin must be a cosine in [-1, 1], got 3.0"),
        (("evaluate", "nothing-here"), "run must be a folder that `cospair train` finished"),
        (("match", "a.png", "b.png", "--run", "nothing-here"), "run must be a folder"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_2(words, sentence, run, tmp_path):
    (tmp_path / "file").write_text("here already")
    places = {"RUN": run}
    for name, spoilt in (("DAMAGED", "run.json"), ("FOREIGN", "model.safetensors")):
        places[name] = tmp_path / name
        shutil.copytree(run, places[name])
        with (places[name] / spoilt).open("ab") as file:
            file.write(b" ")
        if name == "DAMAGED":
            (places[name] / spoilt).write_text("{}")
    result = cospair(*(str(places.get(word, word)) for word in words), cwd=tmp_path)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_without_a_word_it_shows_its_help(tmp_path):
    result = cospair(cwd=tmp_path)
    assert result.returncode == 2
    assert "train" in result.stdout + result.stderr


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


def test_brackets_in_names_are_shown(run, tmp_path):
    place = tmp_path / "[red]bob.png"
    data.faces().picture(0).save(place)
    result = RUN.invoke(app, ["match", str(place), str(place), "--run", str(run)])
    assert "[red]bob.png" in result.output
    assert "the same person: score 1.0000" in result.output


def test_an_interruption_says_how_to_go_on(tmp_path):
    program = """
import sys
from cospair import cli, jobs
def interrupted(*a, **k): raise KeyboardInterrupt
jobs.train = interrupted
sys.argv = ["cospair", "train", "faces"]
cli.main()
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 130
    assert "interrupted; training goes on from its last checkpoint" in result.stderr
    assert "Traceback" not in result.stderr
