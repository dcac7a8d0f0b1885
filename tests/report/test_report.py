"""The page's text and structure, without a browser."""

import json
import os
import re
import sys
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cospair.report import write_report

LIMIT = 6_000_000
VOID = {"meta", "link", "img", "input", "br"}
INLINE = {"a", "b", "code", "i", "strong", "time"}
SCHEME = "http"


class Page(HTMLParser):
    """Collects what the tests ask for, and fails on tags that do not nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._part(tag)
        if tag not in VOID:
            self.open.append(tag)

    def _part(self, tag):
        if tag not in INLINE:
            self.words.append(" ")

    def handle_endtag(self, tag):
        self._part(tag)
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def write(tmp_path, picture, monkeypatch):
    """Write and read a page; the chart library, 5 MB that no text depends on, stays out."""
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "window.Plotly = null;")

    def run(result):
        path = write_report(result, picture, tmp_path / "report.html")
        return Page(path.read_text("utf-8"))

    return run


def _set(result, path, value):
    *outer, last = path.split(".")
    for key in outer:
        result = result[key]
    result[last] = value


def test_path_is_returned_and_folders_are_made(result, picture, tmp_path):
    path = write_report(result, picture, str(tmp_path / "new" / "folder" / "page.html"))
    assert path == tmp_path / "new" / "folder" / "page.html"
    assert path.read_bytes().startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("path", "value", "written"),
    [
        ("verification.auc", 0.98765, "0.988"),
        ("verification.auc_interval", [0.9712, 0.9961], "0.971 to 0.996"),
        ("verification.eer", 0.0612, "6.1 %"),
        ("verification.eer_interval", [0.0417, 0.0891], "4.2 % to 8.9 %"),
        ("verification.interval.resamples", 1234, "1,234 resamples"),
        ("verification.interval.confidence", 0.9, "90 % intervals"),
        ("verification.genuine_pairs", 12345, "12,345 genuine"),
        ("retrieval.cmc", {"1": 0.7777, "5": 0.8888}, "CMC@1 77.8 %"),
        ("retrieval.cmc", {"1": 0.7777, "5": 0.8888}, "CMC@5 88.9 %"),
        ("retrieval.map", 0.6543, "mAP 65.4 %"),
        ("retrieval.map_interval", [0.6111, 0.7222], "61.1 % to 72.2 %"),
        ("retrieval.average_precision", "trapezoid", "trapezoid"),
        ("threshold.threshold", -0.1234, "at least −0.123"),
        ("threshold.far_target", 0.005, "at most 0.5 % of the calibration impostor pairs"),
        ("threshold.chosen_on", "seven calibration people", "seven calibration people"),
        ("threshold.test.far", 0.02, "90 wrongly accepted, FAR 2.0 %"),
        ("threshold.test.frr", 0.04, "18 wrongly rejected, FRR 4.0 %"),
        ("threshold.test.accuracy", 0.9191, "91.9 %"),
        ("data.name", "A new set", "A new set"),
        ("data.credit", "Somebody's work", "Somebody's work"),
        ("data.train.pictures", 4321, "30 identities, 4,321 pictures"),
        ("data.skipped", ["a.png: broken"], "a.png: broken"),
        ("model.name", "tiny net", "tiny net"),
        ("model.dimensions", 77, "77 dimensions"),
        ("model.sha256", "abcdef0123", "abcdef0123"),
        ("model.recipe", {"warmup": 31}, "warmup 31"),
        ("seed", 4711, "4711"),
        ("versions", {"torch": "9.9"}, "torch 9.9"),
        ("command", "cospair evaluate x", "cospair evaluate x"),
        ("created", "2024-02-03T04:05:06Z", "3 February 2024, 04:05 UTC"),
        ("title", "Title & more", "Title & more"),
    ],
)
def test_each_figure_is_written(result, write, path, value, written):
    _set(result, path, value)
    assert written in write(result).text


def test_tar_at_each_far(result, write):
    for row, tar in zip(result["verification"]["tar_at_far"], (0.91, 0.82, 0.73), strict=True):
        row.update(tar=tar, tar_interval=[tar - 0.011, tar + 0.022])
    words = write(result).text
    for far, tar in (("10", "91.0"), ("1", "82.0"), ("0.1", "73.0")):
        assert f"TAR at FAR {far} % {tar} %" in words
    assert "80.9 % to 84.2 %" in words


def test_a_tar_that_the_data_cannot_show_is_said_in_words(result, write):
    note = "insufficient data: 700 impostor pairs allow no FAR of 0.001"
    result["verification"]["tar_at_far"][2].update(
        tar=None, tar_interval=None, threshold=None, achieved_far=None, note=note
    )
    words = write(result).text
    assert "TAR at FAR 0.1 % insufficient data 700 impostor pairs allow no FAR" in words
    assert note in words  # the table under the curve


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("accuracy", "the most calibration pairs judged right"),
        ("eer", "as many false accepts as false rejects"),
        ("far", "the lowest that lets at most the allowed share"),
        ("a rule of my own", "a rule of my own"),
    ],
)
def test_each_rule_is_explained(result, write, rule, words):
    result["threshold"].update(rule=rule, far_target=None)
    assert words in write(result).text


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("threshold", None, "None: no threshold was chosen"),
        ("threshold.test", None, "None: the threshold was not tried on test identities."),
        ("retrieval", None, "None: retrieval was not measured."),
        ("hard_pairs", None, "None: no hard pairs were listed"),
        ("hard_pairs.impostor", [], "None: No impostor pair was listed."),
        ("hard_pairs.genuine", [], "None: No genuine pair was listed."),
        ("command", None, "None: no command was recorded."),
        ("model.recipe", {}, "None: no recipe was recorded."),
        ("data.skipped", [], "Files skipped none"),
        ("verification.roc", None, "None: no curve was computed."),
        ("verification.histogram", None, "None: no histogram was computed."),
        ("verification.interval", None, "No intervals were computed."),
        ("verification.auc_interval", None, "no interval"),
        ("verification.auc", float("nan"), "AUC not available"),
        ("verification.tar_at_far", [], "EER"),
        ("created", None, "not stated"),
    ],
)
def test_what_is_missing_is_said_in_words(result, write, path, value, words):
    _set(result, path, value)
    assert words in write(result).text


def test_only_the_required_sections(result, write):
    keys = ("title", "data", "model", "verification")
    words = write({key: result[key] for key in keys}).text
    assert words.count("None: ") == 4


def test_pairs_of_one_kind_only(result, write):
    nan = float("nan")
    result["verification"].update(auc=nan, eer=nan, auc_interval=[nan, nan], eer_interval=None)
    result["verification"]["histogram"]["genuine"] = [0] * 80
    result["threshold"]["threshold"] = float("inf")
    result["threshold"]["test"].update(genuine_pairs=0, frr=nan, accuracy=1.0)
    words = write(result).text
    assert "0 genuine pairs: FRR not available" in words
    assert "above every score" in words


def test_every_string_is_escaped(result, write, hostile):
    def spoil(value):
        if isinstance(value, dict):
            return {key: spoil(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoil(item) for item in value]
        return hostile if isinstance(value, str) else value

    spoiled: dict[str, Any] = spoil(result)  # pyright: ignore[reportAssignmentType]
    spoiled["model"]["recipe"][hostile] = hostile
    spoiled["verification"]["tar_at_far"][0].update(tar=None)
    page = write(spoiled)
    assert len(page.named("script")) == 3
    # Markup of our own uses <b>, never around this name.
    assert page.text.count(hostile) > 20
    named = [image["alt"] for image in page.named("img")]
    assert all(alt.endswith(f"identity {hostile}") for alt in named)


def test_numbers_for_the_script_are_safe_json(result, picture, tmp_path):
    path = write_report(result, picture, tmp_path / "page.html")
    html = path.read_text("utf-8")
    (written,) = re.findall(r'id="report-numbers">(.*?)</script>', html, re.DOTALL)
    assert not set("<>&") & set(written)
    numbers = json.loads(written)
    assert numbers["roc"]["threshold"][0] is None  # infinity has no place in JSON
    assert numbers["roc"]["tar"] == result["verification"]["roc"]["tar"]
    assert numbers["threshold"]["far"] == result["threshold"]["test"]["far"]


def test_nothing_is_loaded_from_anywhere(result, picture, tmp_path):
    path = write_report(result, picture, tmp_path / "page.html")
    assert path.stat().st_size < LIMIT
    page = Page(path.read_text("utf-8"))
    for _, attrs in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert (attrs.get(name) or "#").startswith(("#", "data:"))
    policy = next(a for a in page.named("meta") if "http-equiv" in a)["content"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert SCHEME not in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]


def test_own_files_load_nothing():
    from importlib.resources import files

    for name in ("style.css", "charts.js", "template.html"):
        own = files("cospair.report").joinpath(name).read_text("utf-8")
        for way in (SCHEME + ":", SCHEME + "s:", "@import", "url(", "fetch(", "XMLHttpRequest"):
            assert way not in own


def test_structure(result, write):
    page = write(result)
    assert page.named("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert max(np.diff(levels)) == 1  # no level is skipped on the way down
    names = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(names) == len(set(names))
    aims = [link["href"][1:] for link in page.named("a")]
    aims += [attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs]
    assert set(aims) <= set(names)
    assert all(image["alt"] for image in page.named("img"))
    assert all(chart.get("aria-label") for chart in page.named("div") if chart.get("role"))


def test_at_most_twelve_pairs_of_each_kind(result, write):
    for pairs in result["hard_pairs"].values():
        pairs += pairs
    assert len(write(result).named("img")) == 2 * 2 * 12


def test_a_picture_is_asked_for_once(result, picture, tmp_path):
    asked = []

    def counted(index):
        asked.append(index)
        return picture(index)

    write_report(result, counted, tmp_path / "page.html")
    assert len(asked) == len(set(asked)) > 0


def test_each_pair_says_what_the_threshold_makes_of_it(result, write):
    result["threshold"]["threshold"] = result["hard_pairs"]["impostor"][0]["score"]
    result["hard_pairs"]["impostor"] = result["hard_pairs"]["impostor"][:2]
    words = write(result).text
    first, second = result["hard_pairs"]["impostor"]
    assert f"{first['second_identity']} wrongly accepted" in words
    assert f"{second['second_identity']} rightly rejected" in words


def test_size_stays_below_the_limit_with_the_worst_pictures(result, tmp_path):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, size=(400, 300, 3), dtype=np.uint8))
    for pairs in result["hard_pairs"].values():
        for place, pair in enumerate(pairs):
            pair.update(first=2 * place, second=2 * place + 1)
    result["data"]["skipped"] = [f"{i}.png: not a picture" for i in range(5000)]
    path = write_report(result, lambda index: noise, tmp_path / "page.html")
    assert path.stat().st_size < LIMIT
    assert "and 4,900 more" in path.read_text("utf-8")


def test_an_older_page_stays_when_writing_fails(result, picture, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")

    def refuse(*paths):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_report(result, picture, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_page_stays_when_a_picture_cannot_be_read(result, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")

    def missing(index):
        raise FileNotFoundError(f"picture {index}")

    with pytest.raises(FileNotFoundError, match="picture"):
        write_report(result, missing, path)
    assert path.read_text() == "old"


def test_same_result_same_bytes(result, picture, tmp_path):
    first = write_report(result, picture, tmp_path / "a.html").read_bytes()
    assert write_report(result, picture, tmp_path / "b.html").read_bytes() == first


def test_the_page_takes_the_usual_permissions(result, picture, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    path = write_report(result, picture, tmp_path / "page.html")
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_result_must_be_a_dict(picture, tmp_path):
    with pytest.raises(TypeError, match=r"result must be a dict, got list; pass what evaluation"):
        write_report([], picture, tmp_path / "page.html")  # pyright: ignore[reportArgumentType]


def test_picture_must_be_callable(result, tmp_path):
    with pytest.raises(TypeError, match=r"picture must be a function of an index, got list; pass"):
        write_report(result, [], tmp_path / "page.html")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("key", ["title", "data", "model", "verification"])
def test_a_required_section_is_missing(result, picture, tmp_path, key):
    del result[key]
    with pytest.raises(ValueError, match=f"result must hold .*, got none under '{key}'; add it"):
        write_report(result, picture, tmp_path / "page.html")


def test_without_plotly_the_error_says_what_to_install(result, picture, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ImportError, match=r"pip install 'cospair\[report\]'"):
        write_report(result, picture, tmp_path / "page.html")
