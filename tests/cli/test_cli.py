import shutil
import subprocess
import sys

import pytest
from cli.conftest import RUN, cospair

from cospair import __version__
from cospair.cli import app


@pytest.mark.parametrize("verb", ["demo", "train", "embed", "evaluate", "compare", "match"])
def test_every_verb_has_help_that_is_its_jobs_first_line(verb):
    result = RUN.invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output
    assert verb in RUN.invoke(app, ["--help"]).output


def test_version():
    assert RUN.invoke(app, ["--version"]).output.strip() == f"cospair {__version__}"


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
        (
            ("evaluate", "nothing-here"),
            "source must be a run folder, a folder of pictures, em",
        ),
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


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("train", "training goes on from its last checkpoint with the same command"),
        ("compare_losses", "it goes on from the trials that are done with the same command"),
        ("evaluate", "there is nothing to resume, the same command starts again"),
    ],
)
def test_an_interruption_says_how_to_go_on(verb, words, tmp_path):
    program = f"""
import sys
from cospair import cli, jobs
def interrupted(*a, **k): raise KeyboardInterrupt
jobs.{verb} = interrupted
sys.argv = ["cospair", "{verb.partition("_")[0]}", "faces"]
cli.main()
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 130
    assert result.stderr == f"cospair: interrupted; {words}\n"
    assert "Traceback" not in result.stderr
