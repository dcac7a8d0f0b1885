import json
from dataclasses import replace

from jobs.conftest import QUICK

from cospair.jobs import demo


def test_the_whole_thing(tmp_path):
    result = demo(out=tmp_path / "demo", recipe=replace(QUICK, steps=3), command="cospair demo")
    folder = tmp_path / "demo"
    assert (folder / "report.html").stat().st_size < 6_000_000
    assert json.loads((folder / "answer.json").read_text()) == result["answer"]
    answer = result["answer"]
    assert answer["enrolled"] == 99
    assert answer["truth"] in {candidate["name"] for candidate in answer["candidates"]}
    assert (folder / "query.png").exists()
    assert answer["candidates"][0]["accepted"] is (
        answer["candidates"][0]["score"] >= answer["threshold"]
    )
