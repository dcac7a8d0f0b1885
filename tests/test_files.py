import os
from pathlib import Path

import pytest

from cospair.files import write_whole


def _files(folder):
    return [(p.name, p.read_bytes()) for p in folder.iterdir()]


def test_a_file_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            write_whole(path, b"new")
    assert _files(tmp_path) == [("file", b"old")]
    write_whole(path, b"new")
    assert _files(tmp_path) == [("file", b"new")]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"):
        write_whole(tmp_path / "gone" / "file", b"")
    assert not Path(tmp_path / "gone").exists()
