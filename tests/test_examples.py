"""Every example runs and prints figures that mean something."""

import re
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("name", "arguments", "figure", "least"),
    [
        ("siamese", ["--steps", "50"], r"encoder .* AUC (\S+),", 0.9),
        ("metric_learning", ["--steps", "30"], r"trained +AUC (\S+) ", 0.9),
        ("memory_bank", ["--steps", "30", "--seeds", "1"], r"with its memory: AUC (\S+),", 0.8),
        ("reidentification", ["--rounds", "2"], r"trained head: CMC@1 (\S+),", 0.5),
    ],
)
def test_example(name, arguments, figure, least, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    found = re.search(figure, capsys.readouterr().out)
    assert found is not None
    assert least <= float(found[1]) <= 1


def test_faces_are_recognised(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["face_recognition", "--steps", "5"])
    runpy.run_path(str(EXAMPLES / "face_recognition.py"), run_name="__main__")
    assert "threshold" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("pytorch_metric_learning") is None, reason="a rival, not installed")
def test_both_libraries_say_the_same(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["from_pytorch_metric_learning"])
    runpy.run_path(str(EXAMPLES / "from_pytorch_metric_learning.py"), run_name="__main__")
    losses = re.findall(r"loss (\S+) ", capsys.readouterr().out)
    assert len(losses) == 2
    assert losses[0] == losses[1]
