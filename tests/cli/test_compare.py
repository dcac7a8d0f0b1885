import json
from dataclasses import replace

import pytest
from cli.conftest import RUN, cospair
from report.compared import compared

from cospair import recipes
from cospair.cli import app, show
from cospair.study import CONTENDERS

TINY = replace(recipes.FROM_SCRATCH, area=16 * 16, people=4, each=2, mirror=False)
WORDS = [
    *("compare", "digits", "--encoder", "conv", "--steps", "2", "--loss", "all-pairs-torch"),
    *("--folds", "2", "--splits", "1", "--no-sweep", "--resamples", "100"),
]


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Small pictures, and a terminal of 80 columns."""
    monkeypatch.setitem(recipes.RECIPES, "conv", TINY)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_data_to_a_table_a_result_and_a_page(tiny):
    first = RUN.invoke(app, [*WORDS, "--out", "run"])
    assert first.exit_code == 0, first.output
    for words in ("cospair's default", "all pairs, 1 - s", "untrained: pixels", "really better: "):
        assert words in first.stdout
    assert "report: run/report.html" in first.stdout
    assert all(len(line) <= 80 for line in first.stdout.splitlines())
    page = (tiny / "run" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    kept = sorted((tiny / "run" / "trials").iterdir())
    assert len(kept) == 5  # the default; three settings and the chosen one of the other
    times = [path.stat().st_mtime_ns for path in kept]
    again = RUN.invoke(app, [*WORDS, "--out", "run", "--json"])
    found = json.loads(again.stdout)
    assert found == json.loads((tiny / "run" / "comparison.json").read_text())
    assert [one["key"] for one in found["encoders"][0]["contenders"]] == [
        "default",
        "all-pairs-torch",
    ]
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert sorted((tiny / "run" / "trials").iterdir()) == kept


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("digits", "--loss", "tripled"), "loss must be one of default, pairs-torch"),
        (("digits", "--folds", "3", "--splits", "4"), "splits must be from 1 to the number of"),
        (("digits", "--resamples", "50"), "resamples must be 0 (no intervals) or at least 100"),
        (("digits", "--margin", "2"), "Invalid value for '--margin'"),
        (("digits", "--margin", "0.2", "--no-sweep"), "--margin must go with the sweep; got 0.2"),
        (("no-such-folder",), "no-such-folder"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_2(words, sentence, tmp_path):
    result = cospair("compare", *words, cwd=tmp_path)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_the_tables_say_what_is_real_and_what_was_left_out(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = compared()
    result["left_out"] = [{"key": "x", "name": "[x]", "reason": "x is not installed"}]
    show.losses(result)
    written = capsys.readouterr().out
    assert all(len(line) <= 80 for line in written.splitlines())
    words = " ".join(written.split())
    assert "pairs, 1 - s 0.9550 6.1 % 73.0 % -0.0300 worse 32.4" in words
    assert "cospair's default 0.9850 3.4 % 91.0 % 31.4" in words
    assert "really better: all pairs, symmetric hinge really worse: pairs, 1 - s;" in words
    assert "3 settings were tried for each loss but the default" in words
    assert "left out: [x]; x is not installed" in words
    assert f"{2 * (len(CONTENDERS) - 1)} comparisons by AUC" in words
