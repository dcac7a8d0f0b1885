import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cospair.data import EmbeddingSet, read_embeddings, write_embeddings

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3) + 1
LABELS = np.array(["ann", "ann", "007", "bob"])
BIG = 2**53 + 1  # the first integer that a float64 cannot hold


@pytest.fixture
def npz(tmp_path):
    """Writes a .npz file of good arrays, some of them replaced or, with None, left out."""

    def write(**changes):
        arrays = {"embeddings": ROWS, "labels": LABELS, **changes}
        np.savez(tmp_path / "e.npz", **{k: v for k, v in arrays.items() if v is not None})
        return tmp_path / "e.npz"

    return write


@pytest.fixture
def npy(tmp_path):
    np.save(tmp_path / "e.npy", ROWS)
    return tmp_path / "e.npy"


def parquet(path, **columns):
    """A Parquet file; arrays of two dimensions become lists."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    table = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in columns.items()}
    pq.write_table(pyarrow.table(table), path)
    return path


def test_npz_keeps_every_label_and_its_dtype(npz):
    found = read_embeddings(npz(cameras=[1, 2, 1, 2], names=["a", "b", "c", "d"]))
    assert_array_equal(found.rows, ROWS)
    assert found.rows.dtype == np.float32
    assert found.labels.tolist() == ["ann", "ann", "007", "bob"]
    assert found.cameras is not None
    assert found.cameras.dtype == np.int64
    assert found.names is not None
    assert found.names.tolist() == ["a", "b", "c", "d"]
    assert len(found.sha256) == 64
    labels = read_embeddings(npz(labels=np.array([BIG, BIG - 1, -1, 0]))).labels
    assert labels.tolist() == [BIG, BIG - 1, -1, 0]
    assert labels.dtype == np.int64


def test_arrays_of_other_names_are_told_by_role(npz):
    path = npz(embeddings=None, labels=None, features=ROWS, pids=LABELS)
    found = read_embeddings(path, columns={"embedding": "features", "label": "pids"})
    assert_array_equal(found.rows, ROWS)
    with pytest.raises(
        ValueError,
        match=r"'embeddings' and 'labels'; got .* with 'features', 'pids'; save them by these",
    ):
        read_embeddings(path)
    with pytest.raises(ValueError, match=r"columns must be given for embedding, .* got 'pid'"):
        read_embeddings(path, columns={"pid": "pids"})
    with pytest.raises(ValueError, match=r"'embeddings' and 'labels' and 'cam'; got"):
        read_embeddings(npz(), columns={"camera": "cam"})


def test_npy_stays_on_disk(npy, tmp_path):
    np.save(tmp_path / "labels.npy", LABELS)
    found = read_embeddings(npy, labels=tmp_path / "labels.npy")
    assert isinstance(found.rows, np.memmap)
    assert_array_equal(found.rows, ROWS)
    assert found.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("l.txt", "ann\nann\n007\nbob\n", ["ann", "ann", "007", "bob"]),
        ("l.txt", "7\n7\n-1\n0\n", [7, 7, -1, 0]),
        ("l.txt", "7\n7\n007\n0\n", ["7", "7", "007", "0"]),  # leading zeros stay
        ("l.txt", f"{BIG}\n{BIG - 1}\n0\n0", [BIG, BIG - 1, 0, 0]),
        ("l.txt", "9223372036854775808\n1\n1\n2\n", ["9223372036854775808", "1", "1", "2"]),
        ("l.csv", "label,camera,name\na,1,x\na,2,y\nb,1,z\nc,1,w\n", ["a", "a", "b", "c"]),
        ("l.csv", "person\na\na\nb\nc\n", ["a", "a", "b", "c"]),  # the one column there is
        ("l.csv", "\ufefflabel;camera\na;1\na;2\nb;1\n\nc;1\n", ["a", "a", "b", "c"]),
        ("l.tsv", "label\tcamera\na\t1\na\t2\nb\t1\nc\t1\n", ["a", "a", "b", "c"]),
    ],
)
def test_labels_beside_a_npy_file(npy, tmp_path, name, text, labels):
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = read_embeddings(npy, labels=tmp_path / name)
    assert found.labels.tolist() == labels
    assert (found.labels.dtype == np.int64) == isinstance(labels[0], int)


@pytest.mark.parametrize("fixed", [False, True])
def test_parquet_of_lists(tmp_path, fixed):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    kind = pyarrow.list_(pyarrow.float32(), 3) if fixed else pyarrow.list_(pyarrow.float32())
    table = {
        "label": ["ann", "ann", "007", "bob"],
        "embedding": pyarrow.array(ROWS.tolist(), kind),
        "camera": pyarrow.array([2, 1, 2, 1], pyarrow.uint8()),
    }
    pq.write_table(pyarrow.table(table), tmp_path / "e.parquet")
    found = read_embeddings(tmp_path / "e.parquet")
    assert_array_equal(found.rows, ROWS)
    assert found.labels.tolist() == LABELS.tolist()
    assert found.cameras is not None
    assert found.cameras.dtype == np.int64


@pytest.mark.parametrize("first", [0, 1])
def test_parquet_of_numbered_columns_in_the_order_of_their_numbers(tmp_path, first):
    wide = np.arange(48.0).reshape(4, 12)
    columns = {f"e{i + first}": wide[:, i] for i in reversed(range(12))}
    path = parquet(tmp_path / "e.parquet", label=LABELS, x0=[9] * 4, x1=[9] * 4, **columns)
    assert_array_equal(read_embeddings(path, columns={"embedding": "e"}).rows, wide)
    with pytest.raises(ValueError, match=r"a column of lists 'embedding', or columns of numbers"):
        read_embeddings(path)  # e and x both
    alone = parquet(tmp_path / "f.parquet", label=LABELS, **columns)
    assert_array_equal(read_embeddings(alone).rows, wide)


def test_parquet_without_what_is_needed(tmp_path):
    path = parquet(tmp_path / "e.parquet", pid=LABELS, vector=ROWS)
    with pytest.raises(
        ValueError, match=r"must have a column 'label'; got .* with columns 'pid', 'vector'; rename"
    ):
        read_embeddings(path)
    found = read_embeddings(path, columns={"label": "pid", "embedding": "vector"})
    assert_array_equal(found.rows, ROWS)
    ragged = parquet(tmp_path / "r.parquet", label=["a", "b"], embedding=[[1.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match=r"lists of one length; got 2 numbers in row 1 and 1"):
        read_embeddings(ragged)
    gap = parquet(tmp_path / "g.parquet", label=[1, None], embedding=[[1.0], [2.0]])
    with pytest.raises(ValueError, match=r"'label' must be filled in every row; got nothing in r"):
        read_embeddings(gap)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_what_is_written_is_read_again(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    for labels, cameras in ((LABELS, None), (np.array([BIG, 1, 1, -1]), np.array([1, 2, 3, 4]))):
        written = EmbeddingSet(ROWS, labels, cameras, np.array(["a", "b", "c", "d"]))
        write_embeddings(tmp_path / f"e{suffix}", written)
        found = read_embeddings(tmp_path / f"e{suffix}")
        assert_array_equal(found.rows, ROWS)
        assert found.labels.dtype.kind == labels.dtype.kind
        assert found.labels.tolist() == labels.tolist()
        assert (found.cameras is None) is (cameras is None)
        if found.cameras is not None:
            assert found.cameras.tolist() == [1, 2, 3, 4]
        assert found.names is not None
        assert found.names.tolist() == ["a", "b", "c", "d"]
    assert [path.name for path in tmp_path.iterdir()] == [f"e{suffix}"]


def test_only_two_kinds_are_written(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .npz or .parquet; got .*e\.csv; choo"):
        write_embeddings(tmp_path / "e.csv", EmbeddingSet(ROWS, LABELS))
    with pytest.raises(ValueError, match=r"path must lie in a folder that exists; got .*none"):
        write_embeddings(tmp_path / "none" / "e.npz", EmbeddingSet(ROWS, LABELS))


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"labels": np.array([1.0, 1, 2, 3])}, TypeError, r"got floats such as 1.0, which collide"),
        ({"labels": np.array([1j, 1, 2, 3])}, TypeError, r"labels .* got dtype complex128"),
        ({"labels": np.array(["a", "", "b", "c"])}, ValueError, r"not be empty; got '' in row 1"),
        ({"labels": LABELS[:3]}, ValueError, r"one for each embedding; got 3 labels for 4 embed"),
        ({"labels": LABELS.reshape(4, 1)}, ValueError, r"labels must be one-dimensional; got sha"),
        ({"labels": np.array([2**63] * 4, np.uint64)}, ValueError, r"must fit 64 bits .* in row 0"),
        ({"labels": np.array(["a", "b", 3, 4], object)}, TypeError, r"labels must be saved as pla"),
        ({"cameras": [1.5] * 4}, TypeError, r"cameras must be integers or strings; got floats"),
        ({"cameras": [1]}, ValueError, r"cameras must be one for each .* got 1 cameras for 4"),
        ({"names": ["a", "b", "c", "a"]}, ValueError, r"different pictures; got 'a' in row 0 and"),
        ({"embeddings": ROWS[0]}, ValueError, r"embeddings must be \[n, d\] .* got shape \(3,\)"),
        ({"embeddings": ROWS[:0]}, ValueError, r"with a row and a column at least; got shape \(0"),
        ({"embeddings": ROWS > 1}, TypeError, r"embeddings must be real numbers; got dtype bool"),
        (
            {"embeddings": np.where(ROWS == 8, np.nan, ROWS)},
            ValueError,
            r"embeddings must be finite; got nan in row 2; repair or drop it",
        ),
        ({"labels": None}, ValueError, r"must hold the arrays 'embeddings' and 'labels'; got"),
    ],
)
def test_what_does_not_fit_is_said(npz, changes, error, sentence):
    with pytest.raises(error, match=sentence):
        read_embeddings(npz(**changes))


def test_a_row_that_is_not_finite_is_found_in_a_later_block(npy, tmp_path, monkeypatch):
    monkeypatch.setattr("cospair.data.embedding_sets._BLOCK_CELLS", 6)  # two rows
    rows = ROWS.copy()
    rows[3, 1] = np.inf
    np.save(npy, rows)
    np.save(tmp_path / "l.npy", LABELS)
    with pytest.raises(ValueError, match=r"embeddings must be finite; got inf in row 3"):
        read_embeddings(npy, labels=tmp_path / "l.npy")


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("1.0\n1.0\n2\n3\n", TypeError, r"got the float 1.0 in line 1, and floats collide"),
        ("a\na\n\nb\n", ValueError, r"labels must not be empty; got '' in line 3"),
        ("a\na\nb\n", ValueError, r"got 3 labels for 4 embeddings in .*e\.npy and .*l\.txt"),
    ],
)
def test_labels_that_do_not_fit(npy, tmp_path, text, error, sentence):
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(error, match=sentence):
        read_embeddings(npy, labels=tmp_path / "l.txt")


def test_files_that_are_not_there_or_not_whole(npy, npz, tmp_path):
    with pytest.raises(ValueError, match=r"embeddings must be a file; got .*none\.npz, which does"):
        read_embeddings(tmp_path / "none.npz")
    with pytest.raises(ValueError, match=r"must be a file; got .*, which is a folder; check"):
        read_embeddings(tmp_path)
    (tmp_path / "empty.npz").touch()
    with pytest.raises(ValueError, match=r"must hold data; got .*empty\.npz, which is empty"):
        read_embeddings(tmp_path / "empty.npz")
    (tmp_path / "e.json").write_text("{}")
    with pytest.raises(ValueError, match=r"file of kind \.npz, \.npy, \.parquet, \.pq; got"):
        read_embeddings(tmp_path / "e.json")
    with pytest.raises(ValueError, match=r"labels must be given with a \.npy file .* without a"):
        read_embeddings(npy)
    with pytest.raises(ValueError, match=r"labels must be given with a \.npy file .* with a file"):
        read_embeddings(npz(), labels=npy)
    whole = npz().read_bytes()
    npz().write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a file of arrays must be whole; got .*e\.npz \("):
        read_embeddings(tmp_path / "e.npz")
    whole = npy.read_bytes()
    npy.write_bytes(whole[:-4])
    np.save(tmp_path / "l.npy", LABELS)
    with pytest.raises(ValueError, match=r"a file of arrays must be whole; got .*e\.npy \("):
        read_embeddings(npy, labels=tmp_path / "l.npy")
    (tmp_path / "e.parquet").write_text(json.dumps({}))
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=r"embeddings must be a Parquet file; got .*e\.parquet"):
        read_embeddings(tmp_path / "e.parquet")


def test_the_hash_is_that_of_the_bytes(npy, tmp_path):
    from hashlib import sha256

    (tmp_path / "l.txt").write_text("a\na\nb\nc\n")
    found = read_embeddings(npy, labels=tmp_path / "l.txt").sha256
    assert found == sha256(npy.read_bytes() + (tmp_path / "l.txt").read_bytes()).hexdigest()


def test_parquet_without_its_package(npz, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "e.parquet").write_text("x")
    with pytest.raises(RuntimeError, match=r"a Parquet file needs the package pyarrow, .* pip ins"):
        read_embeddings(tmp_path / "e.parquet")
    with pytest.raises(RuntimeError, match=r"a Parquet file needs the package pyarrow, which wri"):
        write_embeddings(tmp_path / "out.parquet", EmbeddingSet(ROWS, LABELS))
