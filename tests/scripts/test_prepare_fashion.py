import gzip
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from cospair import data

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare_fashion.py"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("PIL")
    spec = importlib.util.spec_from_file_location("prepare_fashion", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_idx(path, values):
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(head + values.tobytes()))


@pytest.fixture
def source(tmp_path):
    """Four pictures a class, three of them in the training part; the first pixel is the class."""
    folder = tmp_path / "source"
    folder.mkdir()
    for part, each in (("train", 3), ("t10k", 1)):
        labels = np.tile(np.arange(10, dtype=np.uint8), each)
        pictures = np.full((10 * each, 28, 28), 200, dtype=np.uint8)
        pictures[:, 0, 0] = labels
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", pictures)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


def test_the_folder_it_makes(script, source, tmp_path, monkeypatch, capsys):
    out = tmp_path / "new" / "fashion"
    arguments = ["prepare_fashion.py", str(out), "--each", "2", "--source", str(source)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert script.main() == 0
    assert "10 classes, 20 pictures" in capsys.readouterr().out
    assert [entry.name for entry in out.parent.iterdir()] == ["fashion"]
    found = data.image_folder(out)
    assert found.identities == tuple(sorted(script.CLASSES))
    assert np.bincount(found.labels).tolist() == [2] * 10
    for index, label in enumerate(found.labels):
        picture = found.picture(index)
        assert (picture.mode, picture.size) == ("L", (28, 28))
        assert script.CLASSES[np.asarray(picture)[0, 0]] == found.identities[label]


def test_the_seed_decides(script):
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    first, again, other = (script.choose(labels, each=5, seed=seed) for seed in (1, 1, 2))
    for name in script.CLASSES:
        assert first[name].tolist() == again[name].tolist() == sorted(set(first[name].tolist()))
    assert any(first[name].tolist() != other[name].tolist() for name in script.CLASSES)


def test_wrong_input_is_one_sentence(script, source, tmp_path, monkeypatch, capsys):
    def refused(out, *options):
        arguments = ["prepare_fashion.py", str(out), *map(str, options)]
        monkeypatch.setattr(sys, "argv", arguments)
        assert script.main() == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
        return printed.err

    out = tmp_path / "out"
    assert "OUT must not exist yet" in refused(source, "--source", source)
    assert "got 5, and t-shirt has 4" in refused(out, "--each", 5, "--source", source)
    assert "--each must be at least 1" in refused(out, "--each", 0, "--source", source)
    assert "apt-get install dataset-fashion-mnist" in refused(out, "--source", tmp_path)
    labels = source / "t10k-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    labels.write_bytes(b"no gzip")
    assert "must be a gzip file" in refused(out, "--source", source)
    labels.write_bytes(whole[:-9])
    assert "must be a gzip file" in refused(out, "--source", source)
    for content in (
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x01\0\0",
        b"\0\0\x08\x01\0\0\0\x0a123",
        b"\0\0\x0d\x01",
    ):
        labels.write_bytes(gzip.compress(content))
        assert "must be an idx file of bytes" in refused(out, "--source", source)
