import pytest

from cospair import data
from cospair.jobs import match


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A folder of six people of the faces, three pictures each."""
    root = tmp_path_factory.mktemp("people")
    faces = data.faces()
    for label in range(6):
        (root / faces.identities[label]).mkdir()
        rows = [i for i, found in enumerate(faces.labels) if found == label][:4]
        for number, row in enumerate(rows):
            place = root / faces.identities[label] if number else root.parent
            faces.picture(row).save(place / f"{faces.identities[label]}-{number}.png")
    return root


def test_a_picture_against_people(faces_run, people):
    answer = match(people.parent / "s2-0.png", people, run=faces_run, top=3)
    assert answer["enrolled"] == 18
    assert [len(answer["candidates"]), answer["candidates"][0]["name"]] == [3, "s2"]
    scores = [candidate["score"] for candidate in answer["candidates"]]
    assert scores == sorted(scores, reverse=True)


def test_a_picture_against_itself_and_against_another(faces_run, people):
    picture = people.parent / "s3-0.png"
    itself = match(picture, picture, run=faces_run)["candidates"][0]
    assert itself["score"] == pytest.approx(1.0, abs=1e-6)
    assert itself["accepted"] is True
    other = match(picture, people.parent / "s5-0.png", run=faces_run)["candidates"][0]
    assert other["score"] < itself["score"]


def test_what_is_no_picture(faces_run, people, tmp_path):
    with pytest.raises(ValueError, match=r"must be a readable picture file, got .*none\.png"):
        match(tmp_path / "none.png", people, run=faces_run)
