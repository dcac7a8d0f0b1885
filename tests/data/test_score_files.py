import numpy as np
import pytest
from data.test_embedding_files import parquet
from hypothesis import given
from hypothesis import strategies as st

from cospair.data import read_scores

BIG = 2**53 + 1


def csv(tmp_path, text, name="s.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "words", [("1", "0"), ("+1", "-1"), ("1", "-1"), ("true", "false"), ("True", "FALSE"),
              ("1.0", "0.0")]
)  # fmt: skip
@pytest.mark.parametrize("column", ["same", "label"])
def test_every_kind_of_truth(tmp_path, words, column):
    yes, no = words
    found = read_scores(csv(tmp_path, f"score,{column}\n0.9,{yes}\n-0.2,{no}\n1e-3,{no}\n"))
    assert found.scores.tolist() == [0.9, -0.2, 1e-3]
    assert found.same.tolist() == [True, False, False]
    assert found.identities is None
    assert found.pictures is None
    assert len(found) == 3


def test_truth_from_identities_which_keep_their_zeros(tmp_path):
    text = "score,first_identity,second_identity\n.9,7,7\n.2,7,007\n.1,8,7\n"
    found = read_scores(csv(tmp_path, text))
    assert found.identities is not None
    assert found.identities.tolist() == [["7", "7"], ["7", "007"], ["8", "7"]]
    assert found.same.tolist() == [True, False, False]


def test_integer_identities_are_never_floats(tmp_path):
    text = f"score,first_identity,second_identity\n.9,{BIG},{BIG}\n.2,{BIG},{BIG - 1}\n"
    found = read_scores(csv(tmp_path, text))
    assert found.identities is not None
    assert found.identities.dtype == np.int64
    assert found.identities.tolist() == [[BIG, BIG], [BIG, BIG - 1]]
    assert found.same.tolist() == [True, False]


def test_pictures_and_other_names_of_columns(tmp_path):
    text = "a;b;cosine;y;first_identity;second_identity\nx;y;.9;1;ann;ann\nx;z;.2;0;ann;bob\n"
    columns = {"score": "cosine", "same": "y", "first": "a", "second": "b"}
    found = read_scores(csv(tmp_path, text), columns=columns)
    assert found.pictures is not None
    assert found.pictures.tolist() == [["x", "y"], ["x", "z"]]
    assert found.identities is not None
    assert found.same.tolist() == [True, False]


def test_parquet(tmp_path):
    path = parquet(
        tmp_path / "s.parquet",
        score=[0.9, 0.2],
        same=[True, False],
        first_identity=["7", "7"],
        second_identity=["7", "007"],
    )
    found = read_scores(path)
    assert found.same.tolist() == [True, False]
    assert found.identities is not None
    assert found.identities.tolist() == [["7", "7"], ["7", "007"]]
    signed = parquet(tmp_path / "t.parquet", score=[1, 0], label=[1, -1])
    assert read_scores(signed).same.tolist() == [True, False]
    assert read_scores(signed).scores.dtype == np.float64


HEAD = "score,same\n"
PEOPLE = "score,first_identity,second_identity\n"
PICTURES = "score,same,first,second\n"


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("", ValueError, r"scores must hold data; got .*s\.csv, which is empty"),
        (HEAD, ValueError, r"scores must hold at least one row; got .* with none"),
        (
            "cosine,same\n1,1\n",
            ValueError,
            r"must have a column 'score'; got .* with columns 'cosine', 'same'; rename one or say",
        ),
        ("score\n1\n", ValueError, r"column 'same' \(or 'label'\), or 'first_identity' and 'seco"),
        ("score,score\n1,1\n", ValueError, r"must name each column once; got score, score in"),
        (HEAD + "1,1\n1\n", ValueError, r"must have 2 cells in every line, .* got 1 in line 3 of"),
        (HEAD + "1,1\n\nx,0\n", ValueError, r"must hold numbers; got 'x' in line 4 of"),
        (HEAD + "1,1\n,0\n", ValueError, r"'score' must be filled in every row; got nothing in li"),
        (HEAD + "1,1\nnan,0\n", ValueError, r"must hold finite numbers; got nan in line 3 of"),
        (HEAD + "1,1\n-inf,0\n", ValueError, r"must hold finite numbers; got -inf in line 3 of"),
        (HEAD + "1,1\n1,2\n", ValueError, r"must hold 1 and 0, \+1 and -1, .* got '2' in line 3"),
        (HEAD + "1,1\n1,0\n1,-1\n", ValueError, r"or true and false; got '-1' in line 4 of"),
        (HEAD + "1,1\n1,1\n", ValueError, r"got 2 genuine and 0 impostor pairs in .*s\.csv; add"),
        (HEAD + "1,0\n", ValueError, r"got 0 genuine and 1 impostor pairs in .*s\.csv; add"),
        (PEOPLE + "1,1.0,1.0\n1,1.0,2.0\n", TypeError, r"got the float 1.0 in line 2, and floa"),
        (PEOPLE + "1,1,1.0\n1,1,2\n", TypeError, r"got the float 1.0 in line 2, and floats"),
        ("score,first_identity\n1,a\n", ValueError, r"must have a column 'second_identity'"),
        (
            "score,same,first_identity,second_identity\n1,1,a,a\n1,1,a,b\n",
            ValueError,
            r"what its identities say; got True in line 3 of .*; drop one",
        ),
        (
            PICTURES + "1,1,a,b\n1,0,a,c\n1,0,b,a\n",
            ValueError,
            r"stand once; got a and b in line 2",
        ),
        (
            PICTURES + "1,1,a,a\n1,0,a,c\n",
            ValueError,
            r"of two pictures; got 'a' against itself in",
        ),
        ('score,same\n"1,1\n', ValueError, r"scores must be a CSV file in UTF-8; got .*s\.csv \("),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, error, sentence):
    with pytest.raises(error, match=sentence):
        read_scores(csv(tmp_path, text))


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(ValueError, match=r"scores must be a file; got .*, which does not exist"):
        read_scores(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"scores must be a file of kind .csv, .tsv, .parquet, .p"):
        read_scores(csv(tmp_path, "x", name="s.txt"))
    (tmp_path / "l.csv").write_bytes("score,same\n1,é\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"must be a CSV file in UTF-8; got .*; save it again"):
        read_scores(tmp_path / "l.csv")
    with pytest.raises(ValueError, match=r"columns must be given for score, .* got 'embedding'"):
        read_scores(csv(tmp_path, HEAD + "1,1\n0,0\n"), columns={"embedding": "e"})


PAIRS = st.lists(
    st.tuples(st.floats(-1, 1), st.integers(-(2**63), 2**63 - 1), st.booleans()),
    min_size=1,
    max_size=20,
)


@given(PAIRS)
def test_every_number_comes_back_as_it_was(tmp_path_factory, pairs):
    rows = [(score, a, a if same else a // 2 - 1) for score, a, same in pairs]
    rows += [(0.5, 1, 1), (0.5, 1, 2)]
    text = PEOPLE + "".join(f"{score!r},{a},{b}\n" for score, a, b in rows)
    found = read_scores(csv(tmp_path_factory.mktemp("s"), text))
    assert found.scores.tolist() == [score for score, _, _ in rows]
    assert found.identities is not None
    assert found.identities.tolist() == [[a, b] for _, a, b in rows]
    assert found.same.tolist() == [a == b for _, a, b in rows]
