import json
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
    assert "score 1.0000 against threshold" in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "no-such-folder"), "no-such-folder"),
        (("train", "faces", "--test", "40"), "40"),
        (("train", "faces", "--margin", "3"), "margin must be a cosine in [-1, 1], got 3.0"),
        (("evaluate", "nothing-here"), "run must be a folder that `cospair train` finished"),
        (("match", "a.png", "b.png", "--run", "nothing-here"), "run must be a folder"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_2(words, sentence, tmp_path):
    result = cospair(*words, cwd=tmp_path)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_a_wrong_word_is_a_usage_error(tmp_path):
    assert cospair("train", "faces", "--encoder", "resnet", cwd=tmp_path).returncode == 2
    assert cospair("frobnicate", cwd=tmp_path).returncode == 2
