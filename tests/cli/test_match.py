from cli.conftest import RUN

from cospair import data
from cospair.cli import app


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
