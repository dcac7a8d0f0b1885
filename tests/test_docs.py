"""Every code block of the documentation runs, and prints what stands below it.

A block stands for itself, but on pages that tell a story: there the blocks follow each other in one
folder, commands too. Below ```text about the numbers may differ a little, as those of trained
networks do between machines.
"""

import contextlib
import doctest
import importlib
import io
import math
import pkgutil
import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import cospair
from cospair import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STORIES = {DOCS / "start.md", DOCS / "bad_input.md", *(DOCS / "tutorials").glob("*.md")}
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
BLOCKS = re.compile(
    r"^```(python|sh)\n(.*?)^```$(?:\n+^```text( about)?\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)
# What the front door and the command reference show, and what nobody imports.
ELSEWHERE = {"cospair.cli", "cospair.files", "cospair.losses", "cospair.memory"}
# Installed for the benchmarks alone; `make bench` brings it.
OPTIONAL = ("sentence_transformers",)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
NEAR = {"rel_tol": 0.25, "abs_tol": 0.05}  # a network trained by another processor's arithmetic


class Block(NamedTuple):
    """Code or commands of a page, and what they print where the page says so."""

    language: str
    code: str
    about: bool
    printed: str | None


def block_of(found):
    return Block(found[1], found[2], bool(found[3]), found[4])


def runs(page, block):
    """Python everywhere; commands where a story says what they print."""
    return block.language == "python" or (page in STORIES and block.printed is not None)


def blocks(page):
    found = map(block_of, BLOCKS.finditer(page.read_text()))
    return [block for block in found if runs(page, block)]


def single_blocks():
    for page in PAGES:
        if page not in STORIES:
            for number, block in enumerate(blocks(page), start=1):
                yield pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")


def names(pages):
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in sorted(pages)]


def printed_by(block, names_so_far):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if block.language == "python":
            exec(compile(block.code, "block", "exec"), names_so_far)
        else:
            out.writelines(map(command, block.code.splitlines()))
    return out.getvalue()


def run(block, names_so_far):
    for library in OPTIONAL:
        if re.search(rf"^\s*(import|from) {library}\b", block.code, re.MULTILINE):
            pytest.importorskip(library, reason=f"{library} is not installed: make bench brings it")
    check(block, printed_by(block, names_so_far))


def command(line):
    """What a command prints; of a refused one, the sentence and the exit code."""
    words = shlex.split(line, comments=True)
    assert words[0] == "cospair", f"only cospair runs in the tests, got {line!r}"
    out, error = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        patch.setenv("COLUMNS", "80")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = exit_code(cli.main)
    said = error.getvalue() if code else out.getvalue()
    return "".join(f"{line.rstrip()}\n" for line in said.splitlines())  # tables end in spaces


def exit_code(call):
    with pytest.raises(SystemExit) as left:
        call()
    return left.value.code


def check(block, printed):
    if block.printed is None:
        return
    if not block.about:
        assert printed == block.printed
        return
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", block.printed).split()
    for found, written in zip(numbers(printed), numbers(block.printed), strict=True):
        assert math.isclose(found, written, **NEAR), f"{found} for {written} in:\n{printed}"


def numbers(text):
    return [float(word.replace(",", "")) for word in NUMBER.findall(text)]


@pytest.mark.parametrize("block", list(single_blocks()))
def test_code_block(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(block, {"__name__": "__main__"})


@pytest.mark.parametrize("page", names(STORIES))
def test_story(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names_so_far = {"__name__": "__main__"}
    for block in blocks(page):
        run(block, names_so_far)


def test_every_room_has_a_page_in_the_reference():
    rooms = {found.name for found in pkgutil.iter_modules(cospair.__path__)}
    public = {f"cospair.{name}" for name in rooms if not name.startswith("_")} - ELSEWHERE
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    assert public <= set(re.findall(r"automodule:: (\S+)", pages))


def test_the_picture_of_the_loss_is_the_one_the_library_draws(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    drawn = importlib.import_module("extensions.loss_picture").picture()
    kept = (DOCS / "loss.svg").read_text()
    assert NUMBER.sub("#", drawn) == NUMBER.sub("#", kept)
    assert numbers(drawn) == pytest.approx(
        numbers(kept), abs=0.11
    )  # one rounding of the last place


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
