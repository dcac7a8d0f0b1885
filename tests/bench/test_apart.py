import os

import pytest

from cospair.bench import apart

MODULE = """
import os, sys

def answers(here, given):
    assert here.import_seconds >= 0
    print("noise of a library", end="")
    here.say("one")
    here.say("two")
    return [given["words"], os.environ["ASKED"], os.getpid()]

def refuses(here, given):
    raise RuntimeError("no memory here; ask for less")

def breaks(here, given):
    raise KeyError("lost")

def dies(here, given):
    os._exit(7)
"""


@pytest.fixture
def words(tmp_path, monkeypatch):
    (tmp_path / "told.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("words")
def test_a_function_is_called_in_another_process_and_heard():
    said = []
    environment = {**os.environ, "ASKED": "yes"}
    given = {"words": ["ä", None, 0.1]}
    found = apart.call("told:answers", given, environment=environment, say=said.append)
    assert found[:2] == [given["words"], "yes"]
    assert found[2] != os.getpid()
    assert said == ["one", "two"]


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("refuses", "^no memory here; ask for less$"),
        ("breaks", "^KeyError: 'lost'$"),
        ("dies", "^its process ended with code 7$"),
    ],
)
def test_what_fails_there_is_one_sentence_here(function, sentence):
    with pytest.raises(RuntimeError, match=sentence):
        apart.call(f"told:{function}", {})
