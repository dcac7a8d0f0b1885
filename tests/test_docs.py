"""Every code block of the documentation runs, and prints what stands below it."""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
from pathlib import Path

import pytest

import cospair

ROOT = Path(__file__).parents[1]
BLOCKS = re.compile(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)
PAGES = [
    path.relative_to(ROOT) for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
]


def blocks():
    for page in PAGES:
        for number, found in enumerate(BLOCKS.finditer((ROOT / page).read_text()), start=1):
            yield pytest.param(found[1], found[2], id=f"{page}-{number}")


@pytest.mark.parametrize(("code", "printed"), list(blocks()))
def test_code_block(code, printed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "block", "exec"), {"__name__": "__main__"})
    if printed is not None:
        assert out.getvalue() == printed


def modules():
    yield cospair.__name__
    for found in pkgutil.walk_packages(cospair.__path__, "cospair."):
        if not found.name.endswith("._cpu"):
            yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_examples_in_docstrings(name):
    if "triton" in name and name.endswith("_device"):
        pytest.importorskip("triton")
    failed, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failed == 0
