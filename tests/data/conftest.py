"""A small folder of pictures."""

import pytest
from PIL import Image


@pytest.fixture
def two_people(tmp_path):
    """A folder that is good as it stands, for one more file to be added to."""
    for person in ("ann", "bob"):
        (tmp_path / person).mkdir()
        Image.new("L", (6, 4), 100).save(tmp_path / person / "1.png")
    return tmp_path
