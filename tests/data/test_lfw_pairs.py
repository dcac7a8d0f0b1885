import numpy as np
import pytest
from PIL import Image

from cospair.data import lfw_pictures, lfw_rows, read_lfw_pairs

PEOPLE = {"Ann": 3, "Bob_Lee": 2, "Cy": 1}
STANDARD = """2\t1
Ann\t1\t3
Ann\t1\tBob_Lee\t2
Bob_Lee\t1\t2
Cy\t1\tAnn\t2
"""


@pytest.fixture
def faces(tmp_path):
    for shade, (name, count) in enumerate(PEOPLE.items()):
        (tmp_path / "lfw" / name).mkdir(parents=True)
        for number in range(1, count + 1):
            value = 10 * shade + number
            picture = Image.new("L", (4, 4), value)
            picture.save(tmp_path / "lfw" / name / f"{name}_{number:04d}.png")
    return tmp_path / "lfw"


def listed(tmp_path, text):
    (tmp_path / "pairs.txt").write_text(text, encoding="utf-8")
    return read_lfw_pairs(tmp_path / "pairs.txt")


def test_the_standard_file_in_file_order(tmp_path, faces):
    pairs = listed(tmp_path, STANDARD)
    assert pairs.folds == 2
    assert pairs.same.tolist() == [True, False, True, False]
    named = [[pairs.pictures[i] for i in side] for side in (pairs.first, pairs.second)]
    assert named[0] == ["Ann/Ann_0001", "Ann/Ann_0001", "Bob_Lee/Bob_Lee_0001", "Cy/Cy_0001"]
    assert named[1][:2] == ["Ann/Ann_0003", "Bob_Lee/Bob_Lee_0002"]
    images = lfw_pictures(pairs, faces)
    assert len(images) == len(pairs.pictures) == 6
    for row, name in enumerate(pairs.pictures):
        person, number = name.split("/")[0], int(name[-4:])
        assert images.identities[images.labels[row]] == person == pairs.identities[row]
        shade = 10 * list(PEOPLE).index(person) + number
        assert np.asarray(images.picture(row)).tolist() == [[shade] * 4] * 4


@pytest.mark.parametrize(
    ("text", "folds"),
    [
        (STANDARD.replace("2\t1\n", "", 1), None),  # no header
        (STANDARD.replace("2\t1\n", "2\n", 1), None),  # the views for development: pairs alone
        (STANDARD.replace("\t", "  ").replace("\n", "\r\n"), 2),
        ("\ufeff" + STANDARD + "\n\n", 2),
    ],
)
def test_other_forms_of_the_file(tmp_path, text, folds):
    pairs = listed(tmp_path, text)
    assert pairs.folds == folds
    assert pairs.same.tolist() == [True, False, True, False]


def test_names_with_blanks_between_tabs(tmp_path):
    pairs = listed(tmp_path, "Ann Lee\t1\t2\nAnn Lee\t1\tBob\t1\n")
    assert pairs.pictures[0] == "Ann Lee/Ann Lee_0001"


@pytest.mark.parametrize("form", ["{}.jpg", "{}", "some/where/{}.png"])
def test_rows_of_named_embeddings(tmp_path, form):
    pairs = listed(tmp_path, STANDARD)
    stems = [name.split("/")[1] for name in reversed(pairs.pictures)]
    names = ["Zoe_0001.jpg", *(form.format(stem) for stem in stems)]
    assert lfw_rows(pairs, names).tolist() == [6, 5, 4, 3, 2, 1]
    with pytest.raises(ValueError, match=r"names must hold every .* got none for Ann_0001 \(1 mi"):
        lfw_rows(pairs, names[:-1])
    with pytest.raises(ValueError, match=r"apart by their last part; got 'Zoe_0001' twice"):
        lfw_rows(pairs, ["a/Zoe_0001.png", *names])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"pairs must hold data; got"),
        ("\n", r"got 0 genuine and 0 impostor pairs"),
        ("2\t2\nAnn\t1\t3\nAnn\t1\tBob\t2\n", r"states; got 2 for 8 in .*; get the whole file"),
        ("Ann\t1\t3\nAnn\t2\t3\n", r"got 2 genuine and 0 impostor pairs in .*; add those"),
        ("Ann\t1\tBob\t2\n", r"got 0 genuine and 1 impostor pairs in .*; add those"),
        ("Ann\t1\t1\nAnn\t1\tBob\t2\n", r"with two pictures, .* got line 1 of"),
        ("Ann\t1\t2\nAnn\t1\tAnn\t2\n", r"with two people; got line 2 of"),
        ("Ann\t1\t2\n\nAnn\tone\tBob\t2\n", r"got line 3 of .*; repair it"),
        ("Ann\t1\t2\nAnn\t1\tBob\t2\t3\n", r"got line 2 of .*; repair it"),
        ("Ann\t1\t2\nAnn\t-1\tBob\t2\n", r"got line 2 of .*; repair it"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        listed(tmp_path, text)


def test_a_picture_that_is_missing_is_named(tmp_path, faces):
    pairs = listed(tmp_path, STANDARD)
    (faces / "Bob_Lee" / "Bob_Lee_0002.png").unlink()
    (faces / "Cy" / "Cy_0001.png").unlink()
    sentence = r"every picture that the pairs name; got none for Bob_Lee/Bob_Lee_0002 \(2 missing"
    with pytest.raises(ValueError, match=sentence):
        lfw_pictures(pairs, faces)
    (faces / "Bob_Lee" / "Bob_Lee_0002.jpg").write_text("no picture")
    (faces / "Cy" / "Cy_0001.jpg").write_text("no picture")
    with pytest.raises(ValueError, match=r"must be readable; got .*Bob_Lee_0002\.jpg: it is not a"):
        lfw_pictures(pairs, faces)
    with pytest.raises(ValueError, match=r"root must be a folder; got .*none, which is none"):
        lfw_pictures(pairs, tmp_path / "none")
    with pytest.raises(ValueError, match=r"pairs must be a file; got .*none\.txt, which does not"):
        read_lfw_pairs(tmp_path / "none.txt")
