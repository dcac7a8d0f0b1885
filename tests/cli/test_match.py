from cli.conftest import RUN

from cospair import data
from cospair.cli import app
from cospair.evaluation import Threshold


def test_match_says_who(run, tmp_path):
    data.faces().picture(0).save(tmp_path / "a.png")
    result = RUN.invoke(
        app, ["match", str(tmp_path / "a.png"), str(tmp_path / "a.png"), "--run", str(run)]
    )
    assert result.exit_code == 0, result.output
    assert "the same person: score 1.0000 against threshold" in result.output


def test_brackets_in_names_are_shown(run, tmp_path):
    place = tmp_path / "[red]bob.png"
    data.faces().picture(0).save(place)
    result = RUN.invoke(app, ["match", str(place), str(place), "--run", str(run)])
    assert "[red]bob.png" in result.output
    assert "the same person: score 1.0000" in result.output


def test_match_by_another_threshold(run, tmp_path):
    place = tmp_path / "strict.json"
    chosen = RUN.invoke(
        app, ["threshold", str(run), "--far", "0.002", "--out", str(place)], env={"COLUMNS": "80"}
    )
    assert chosen.exit_code == 0, chosen.output
    words = " ".join(chosen.output.split())
    assert "FAR at most 0.2 %" in words
    assert "FAR on calibration people 0." in words
    data.faces().picture(0).save(tmp_path / "a.png")
    picture = str(tmp_path / "a.png")
    result = RUN.invoke(
        app, ["match", picture, picture, "--run", str(run), "--threshold", str(place)]
    )
    assert f"against threshold {Threshold.from_json(place).threshold:.4f}" in result.output


def test_match_names_what_it_left_out(run, tmp_path):
    for row, name in ((0, "ann"), (10, "bob")):
        (tmp_path / "people" / name).mkdir(parents=True)
        data.faces().picture(row).save(tmp_path / "people" / name / "1.png")
    (tmp_path / "people" / "ann" / "broken.jpg").write_bytes(b"\xff\xd8 no")
    picture = str(tmp_path / "people" / "bob" / "1.png")
    result = RUN.invoke(app, ["match", picture, str(tmp_path / "people"), "--run", str(run)])
    assert "'ann/broken.jpg' was left out" in result.output
