import copy

import numpy as np
import pytest

from cospair.report import write_comparison

NAMES = ("plain", "whitened")


def _figure(a, b, ends, better, verdict="as computed"):
    return {
        "a": a,
        "b": b,
        "difference": None if a is None else b - a,
        "difference_interval": ends,
        "better": better,
        "verdict": verdict,
    }


@pytest.fixture
def comparison():
    return {
        "genuine_pairs": 450,
        "impostor_pairs": 4500,
        "identities": 10,
        "figures": {
            "auc": _figure(0.9512, 0.9731, [0.0104, 0.0352], "b"),
            "eer": _figure(0.05, 0.0625, [0.004, 0.03], "a"),
            "tar@far=0.01": _figure(0.75, 0.8125, [-0.01, 0.13], None),
            "tar@far=0.001": _figure(0.5, 0.5, None, None, "no difference on these pairs"),
            "tar@far=1e-05": _figure(None, None, None, None, "insufficient data: 4500 impostors"),
        },
        "interval": {
            "method": "paired identity bootstrap",
            "confidence": 0.95,
            "resamples": 1000,
            "seed": 3,
        },
        "note": "5 figures, each with an interval <of its own>.",
    }


@pytest.fixture
def second(result, counted_curve):
    rng = np.random.default_rng(1)
    other = copy.deepcopy(result)
    other["verification"] |= counted_curve(rng.normal(0.5, 0.2, 45), rng.normal(0, 0.2, 450))
    other["verification"]["tar_at_far"], other["threshold"] = [], None
    other["model"] = {"name": "another <model>", "sha256": "fedcba98"}
    return other


@pytest.fixture
def show(opened, result, second, comparison, tmp_path):
    def run(*, names=NAMES, **options):
        path = write_comparison(result, second, comparison, tmp_path / "c" / "page.html", names)
        assert path == tmp_path / "c" / "page.html"
        assert path.stat().st_size < 6_000_000
        return opened(path, **options)

    return run


def _rows(page):
    rows = page.locator(".differences tbody tr").all()
    return [[cell.strip() for cell in row.inner_text().split("\t")] for row in rows]


def test_every_figure_stands_with_its_difference_and_verdict(show):
    space = "\N{NO-BREAK SPACE}"
    assert _rows(show()) == [
        ["AUC", "0.9512", "0.9731", "+0.0219", "+0.0104 to +0.0352", "whitened is better"],
        [
            "EER",
            f"5.0{space}%",
            f"6.2{space}%",
            f"+1.25{space}points",
            f"+0.40 to +3.00{space}points",
            "plain is better",
        ],
        [
            f"TAR at FAR 1{space}%",
            f"75.0{space}%",
            f"81.2{space}%",
            f"+6.25{space}points",
            f"−1.00 to +13.00{space}points",
            "no difference shown",
        ],
        [
            f"TAR at FAR 0.1{space}%",
            f"50.0{space}%",
            f"50.0{space}%",
            f"+0.00{space}points",
            "none",
            "no difference on these pairs",
        ],
        [
            f"TAR at FAR 0.001{space}%",
            "not available",
            "not available",
            "not available",
            "none",
            "insufficient data: 4500 impostors",
        ],
    ]


def test_the_head_says_which_figures_decide(show):
    words = show().locator(".verdict").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert words.split("\n\n") == [
        "plain is better by EER.",
        "whitened is better by AUC.",
        "No difference shown by TAR at FAR 1 %.",
    ]


@pytest.mark.parametrize(
    ("key", "name"),
    [("cmc_1", "CMC@1"), ("map", "mAP"), ("map_at_r", "MAP@R"), ("something new", "something new")],
)
def test_figures_of_retrieval_have_their_names(show, comparison, key, name):
    comparison["figures"] = {key: _figure(0.5, 0.75, [0.125, 0.375], "b")}
    page = show()
    assert _rows(page)[0][0] == name
    assert ("MAP@R" in page.locator("#terms").inner_text()) == (key in ("map", "map_at_r"))


def test_how_the_intervals_were_made_and_how_to_read_them(show):
    words = show().locator("#figures .basis").inner_text()
    assert "450 genuine and 4,500 impostor pairs of 10 identities" in words
    assert "paired identity bootstrap (1,000 resamples, seed 3)" in words
    assert "each with an interval <of its own>." in words


def test_both_curves_are_on_one_chart(show, result, second):
    page = show()
    names = page.evaluate("document.getElementById('roc-chart').data.map((t) => t.name)")
    assert names == ["guessing", *NAMES]
    for place, given in ((1, result), (2, second)):
        drawn = page.evaluate(f"document.getElementById('roc-chart').data[{place}].y")
        # every point of the result is drawn, in per cent
        assert {round(y, 9) for y in drawn} >= {
            round(100 * tar, 9) for tar in given["verification"]["roc"]["tar"]
        }
    legend = page.locator("#roc .legend").inner_text()
    assert all(name in legend for name in NAMES)


def test_the_axis_changes_by_keyboard(show):
    page = show()
    page.locator('input[value="log"]').focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.getElementById('roc-chart').layout.xaxis.type") == "linear"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(show, scheme):
    page = show(width=390, scheme=scheme)
    for width in (390, 320, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_hostile_names_stay_text(show, hostile):
    page = show(names=("A", hostile))
    assert page.locator("h1").inner_text() == f"A beside {hostile}"
    assert f"{hostile} is better" in page.locator(".differences").inner_text()


def test_printing_and_the_two_cards(show):
    page = show(scheme="dark")
    card = page.locator("#card").inner_text()
    assert "another <model>" in card
    assert "fedcba98" in card
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.getElementById('roc-chart').layout.font.color") == "#16191d"


def test_without_curves_it_is_said(result, second, comparison, tmp_path, opened):
    for given in (result, second):
        given["verification"]["roc"] = None
    page = opened(write_comparison(result, second, comparison, tmp_path / "page.html"))
    assert "None: no curve was computed." in page.locator("#curves").inner_text()
    assert "A beside B" in page.title()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"result_a": []}, TypeError, "result_a must be a dict, got list; pass what evaluation"),
        ({"result_b": {"title": "x"}}, ValueError, "result_b must hold title, .*, got none under"),
        ({"comparison": None}, TypeError, "comparison must be a dict, got NoneType; pass what"),
        ({"comparison": {}}, ValueError, "comparison must hold figures, got none; pass what"),
        ({"names": ("A", "A")}, ValueError, r"names must be two different names, got \('A', 'A'\)"),
        ({"names": "AB"}, ValueError, "names must be two different names, got 'AB'; pass a name"),
        ({"names": ("A",)}, ValueError, "names must be two different names"),
    ],
)
def test_wrong_input(result, second, comparison, tmp_path, change, error, words):
    given = {
        "result_a": result,
        "result_b": second,
        "comparison": comparison,
        "path": tmp_path / "page.html",
        "names": NAMES,
    }
    with pytest.raises(error, match=words):
        write_comparison(**given | change)
    assert list(tmp_path.iterdir()) == []
