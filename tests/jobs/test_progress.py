import io

import pytest
from rich.console import Console

from cospair.jobs import progress


def test_nobody_looks():
    with progress.bars(shown=False) as bar:
        assert bar("work") is None


@pytest.mark.parametrize(("patience", "seen"), [(0.0, True), (60.0, False)])
def test_a_bar_is_seen_once_work_lasts(monkeypatch, patience, seen):
    stream = io.StringIO()
    monkeypatch.setattr(progress, "PATIENCE_S", patience)
    monkeypatch.setattr(
        "rich.console.Console", lambda stderr: Console(file=stream, force_terminal=True, width=80)
    )
    with progress.bars(shown=True) as bar:
        say = bar("embedding pictures")
        assert say is not None
        for done in range(1, 5):
            say(done, 5)
    assert ("embedding pictures" in stream.getvalue()) is seen
