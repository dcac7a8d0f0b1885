import pytest

from cospair.files import write_whole


def test_a_file_is_the_old_one_or_the_new_one(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    (tmp_path / "file.part").mkdir()  # the new one cannot be written
    with pytest.raises(OSError, match="directory"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    (tmp_path / "file.part").rmdir()
    write_whole(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"new")]
