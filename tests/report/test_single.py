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
VOID = {"meta", "link", "input", "br"}
INLINE = {"a", "abbr", "b", "code", "i", "strong", "time"}
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
        ("verification.auc", 0.98765, "0.9877"),
        ("verification.auc_interval", [0.9712, 0.9961], "0.9712 to 0.9961"),
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
        ("threshold.test.far", 0.02, "wrongly accepts 2.0 % of impostor pairs"),
        ("threshold.test.frr", 0.04, "wrongly rejects 4.0 % of genuine pairs"),
        ("threshold.test.far_interval", [0.011, 0.033], "(1.1 % to 3.3 %)"),
        ("threshold.test.false_accepts", 91, "4,500, 91 wrong"),
        ("threshold.calibration_sha256", "fedcba", "Calibration SHA-256 fedcba"),
        ("retrieval.map_at_r", 0.5432, "MAP@R 54.3 %"),
        ("retrieval.map_at", {"10": {"hits": 0.625}}, "mAP@10, over hits 62.5 %"),
        ("retrieval.recall", {"5": 0.4321}, "Recall@5 43.2 %"),
        ("retrieval.gallery", {"pictures": 4711, "junk": 3}, "Gallery 4,711 pictures; 3 junk"),
        ("retrieval.skipped_by_camera", 2, "without a match, 2 of them by the camera rule"),
        (
            "retrieval.single_gallery_shot",
            {"cmc": {"1": 0.75}, "cmc_deviation": {"1": 0.0125}, "draws": 10},
            "CMC@1 75.0 % ± 1.2 %: mean and deviation of 10 draws",
        ),
        ("calibration.cllr", 0.1234, "Cllr 0.1234 0.1700 to 0.2600"),
        ("calibration.method", "isotonic", "Probabilities by a rising staircase"),
        ("map.method", "Laid out by hand.", "Laid out by hand."),
        ("data.sha256", "1234abcd", "1234abcd"),
        ("data.source", "faces.npz", "Source faces.npz"),
        ("seconds", 12.5, "12.5 seconds"),
        ("threshold.test.accuracy", 0.9191, "91.9 %"),
        ("data.name", "A new set", "A new set"),
        ("data.credit", "Somebody's work", "Somebody's work"),
        ("data.train.pictures", 4321, "30 identities, 4,321 pictures"),
        ("data.skipped", ["a.png: broken"], "a.png: broken"),
        ("model.name", "tiny net", "tiny net"),
        ("model.dimensions", 77, "77 dimensions"),
        ("model.sha256", "abcdef0123", "abcdef0123"),
        ("model.recipe", {"warmup": 31}, "learning rate rises 31"),
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
        ("model", None, "None: the scores or embeddings came as they are"),
        ("calibration", None, "Not measured open-set identification, calibration of probabilities"),
        ("map", None, "a map of the embeddings"),
        ("verification.identities", None, "impostor pairs of 100 pictures."),
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
    for section in ("Scores as probabilities", "on a map", "nobody is enrolled"):
        assert section not in words


def test_pairs_of_one_kind_only(result, write):
    nan = float("nan")
    result["verification"].update(auc=nan, eer=nan, auc_interval=[nan, nan], eer_interval=None)
    result["verification"]["histogram"]["genuine"] = [0] * 80
    result["threshold"]["threshold"] = float("inf")
    result["threshold"]["test"].update(genuine_pairs=0, frr=nan, accuracy=1.0)
    words = write(result).text
    assert "FRR 3.1 % not available" in words or "not available" in words
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
    named = [view["aria-label"] for view in page.named("svg") if "aria-label" in view]
    assert sum(words.endswith(f"identity {hostile}") for words in named) == 240


def test_numbers_for_the_script_are_safe_json(result, picture, tmp_path):
    path = write_report(result, picture, tmp_path / "page.html")
    html = path.read_text("utf-8")
    (written,) = re.findall(r'id="report-numbers">(.*?)</script>', html, re.DOTALL)
    assert not set("<>&") & set(written)
    numbers = json.loads(written)
    assert numbers["roc"]["threshold"][0] is None  # infinity has no place in JSON
    assert set(numbers["roc"]["tar"]) >= set(result["verification"]["roc"]["tar"])
    assert numbers["stops"][0]["threshold"] == result["threshold"]["threshold"]


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

    room = files("cospair.report")
    own_files = [room.joinpath(name) for name in ("style.css", "dark.css", "template.html")]
    own_files += room.joinpath("script").iterdir()
    assert len(own_files) > 10
    for file in own_files:
        # the name of SVG's space, which is no address
        own = file.read_text("utf-8").replace(f"{SCHEME}://www.w3.org/2000/svg", "")
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
    named = [view for view in page.named("svg") if view.get("role") == "img"]
    assert all(view["aria-label"] for view in named)
    assert all(view.get("role") or view.get("aria-hidden") for view in page.named("svg"))
    assert all(chart.get("aria-label") for chart in page.named("div") if chart.get("role"))


def test_at_most_sixty_pairs_of_each_kind(result, write):
    for pairs in result["hard_pairs"].values():
        pairs += pairs
    assert len([item for item in write(result).named("li") if "data-score" in item]) == 2 * 60


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
    for kind, pairs in enumerate(result["hard_pairs"].values()):
        for place, pair in enumerate(pairs):
            pair.update(first=4 * place + 2 * kind, second=4 * place + 2 * kind + 1)
    points = 2000
    result["map"] = {
        "x": rng.random(points).tolist(),
        "y": rng.random(points).tolist(),
        "row": list(range(points)),
        "identity": [f"person {i // 4}" for i in range(points)],
        "method": "noise",
    }
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
    with pytest.raises(
        TypeError, match=r"picture must be a function of an index or None, got list"
    ):
        write_report(result, [], tmp_path / "page.html")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("key", ["title", "data", "verification"])
def test_a_required_section_is_missing(result, picture, tmp_path, key):
    del result[key]
    with pytest.raises(ValueError, match=f"result must hold .*, got none under '{key}'; add it"):
        write_report(result, picture, tmp_path / "page.html")


def test_without_plotly_the_error_says_what_to_install(result, picture, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ImportError, match=r"pip install 'cospair\[report\]'"):
        write_report(result, picture, tmp_path / "page.html")


def test_without_pictures_pairs_and_points_are_named(result, write, tmp_path):
    path = write_report(result, None, tmp_path / "page.html")
    page = Page(path.read_text("utf-8"))
    assert page.named("image") == []
    pair = result["hard_pairs"]["impostor"][0]
    assert f"rows {pair['first']} and {pair['second']}" in page.text
    assert page.text.count("rows ") >= 120


def test_why_there_is_no_interval_is_said(result, write):
    reason = "no interval: the same value in every resample, so no variation was seen"
    result["retrieval"].update(cmc_1_interval=None, interval={"notes": {"cmc_1": reason}})
    result["verification"]["interval"]["notes"] = {"auc": "no interval: fewer than 2 identities"}
    result["verification"]["auc_interval"] = None
    row = result["verification"]["tar_at_far"][0]
    row.update(tar_interval=None, note="no interval: undefined in 80 of 1000 resamples")
    words = write(result).text
    assert words.count(reason) == 2  # the tile, and below the table
    assert f"CMC@1: {reason}." in words
    assert words.count("no interval: fewer than 2 identities") == 1
    assert words.count(row["note"]) == 2


def test_why_a_rate_at_the_threshold_has_no_interval_is_said(result, write):
    result["threshold"]["test"]["interval"] = {"notes": {"far": "no interval: <one> value"}}
    assert "FAR on test: no interval: <one> value." in write(result).text


def test_a_perfect_auc_is_only_written_where_it_is_one(result, write):
    result["verification"].update(auc=0.99999, auc_interval=[0.9997, 1.0])
    assert "AUC > 0.9999 0.9997 to 1.0000" in write(result).text


def test_the_menu_leads_to_every_section_there_is(result, write):
    page = write(result | {"open_set": None, "calibration": None})
    links = [link["href"] for link in page.named("a")]
    assert "#embeddings" in links
    assert "#calibration" not in links
    sections = [
        s["id"] for s in page.named("section") if s.get("aria-labelledby", "").endswith("-title")
    ]
    assert set(links) == {f"#{name}" for name in sections if name != "hard-pairs"}


def test_recipe_settings_are_in_words(result, write):
    result["model"]["recipe"] = {"people": 24, "mirror": True, "area": 13312, "my_own": None}
    words = write(result).text
    assert "Identities in a batch, at most 24" in words
    assert "Mirror images show the same identity yes" in words
    assert "Pixels of a prepared picture, about 13,312" in words
    assert "My own none" in words


def test_how_exact_the_curve_is(result, write):
    assert re.search(r"holds \d+ points of the curve", write(result).text)
    result["verification"].update(
        genuine_pairs=1,
        impostor_pairs=1,
        tar_at_far=[],
        threshold=None,
        roc={"threshold": [2.0, 0.9, 0.1], "far": [0.0, 0.0, 1.0], "tar": [0.0, 1.0, 1.0]},
    )
    result["threshold"] = None
    assert "Every threshold of these pairs is drawn: 3 points." in write(result).text
