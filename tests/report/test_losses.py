import copy
import re

import pytest
from report.compared import compared

from cospair.report import write_loss_comparison
from cospair.report.learning_curves import curve_lines
from cospair.report.setting_words import chosen_words, setting_words
from cospair.report.standings import many_comparisons, standing, standings
from cospair.report.whiskers import scale_of, whisker
from cospair.study import CONTENDERS

RIVALS = len(CONTENDERS) - 1  # of the default
SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def whole():
    return compared()


@pytest.fixture
def result(whole):
    return copy.deepcopy(whole)


@pytest.fixture
def show(opened, tmp_path):
    def run(result, **options):
        path = write_loss_comparison(result, tmp_path / "c" / "page.html")
        assert path == tmp_path / "c" / "page.html"
        assert path.stat().st_size < 6_000_000
        return opened(path, **options)

    return run


def _names(page, place=0):
    """Names of the table's losses in the order in which they stand, without the untrained."""
    rows = page.locator(f"#losses-{place} .losses tbody:not(.untrained) tr:not(.family)").all()
    return [row.locator("th").get_attribute("data-sort") for row in rows]


def test_the_head_says_which_losses_are_really_better_and_worse(show, result):
    first = show(result).locator(".verdict p").first.inner_text()
    assert first.startswith(
        f"efficientnet-lite0: of {RIVALS} losses held against cospair's default, by AUC, 1 really "
        "better "
        "(all pairs, symmetric hinge); 5 really worse (pairs, 1 - s · pairs, symmetric hinge"
    )
    assert f"{RIVALS - 6} not shown to differ (all pairs, 1 - s · all pairs, squared" in first


def test_no_difference_is_no_claim(show, result):
    for part in result["encoders"]:
        for one in part["contenders"][1:]:
            one["against_reference"]["auc"]["better"] = None
    words = show(result).locator(".verdict p").first.inner_text()
    assert words.endswith(f"0 really better; 0 really worse; {RIVALS} not shown to differ.")


def test_a_row_holds_figures_differences_and_the_chosen_setting(show, result):
    page = show(result)
    row = page.locator("#losses-0 .losses tbody tr", has_text="all pairs, symmetric hinge").first
    cells = [" ".join(cell.inner_text().split()) for cell in row.locator("th, td").all()]
    assert cells[0] == "all pairs, symmetric hinge both margins 0.25 (3 of 4), 0.5 (1 of 4)"
    assert cells[1] == "0.9940 0.9902 to 0.9978"
    assert cells[2] == "+0.0090 ▲ better +0.0030 to +0.0140"
    assert cells[4] == "−0.81 ▲ better −1.41 to −0.31"
    assert cells[6:] == ["35.4", "1.95", "1,420"]
    default = page.locator("#losses-0 .losses tbody tr").nth(1).inner_text()
    assert "the default" in default
    untrained = page.locator("#losses-0 .untrained tr").all_inner_texts()
    assert untrained[0] == "no training"
    assert len(untrained) == 4


def test_whiskers_stand_where_the_figures_are(show, result):
    page = show(result)
    places = page.evaluate(
        """[...document.querySelectorAll('#losses-0 .losses tbody tr:not(.family)')].map((row) => {
          const box = row.querySelector('.whisker').getBoundingClientRect();
          const dot = row.querySelector('.whisker b').getBoundingClientRect();
          return [Number(row.cells[1].dataset.sort), dot.x + dot.width / 2 - box.x, box.width];
        })"""
    )
    part = result["encoders"][0]
    scale = scale_of(one["figures"]["auc"] for one in part["contenders"])
    assert len(places) == len(CONTENDERS) + 3  # untrained
    for value, at, width in places:
        assert at == pytest.approx(width * scale.place(value), abs=0.6)  # a pixel's rounding


def test_the_reader_sorts_best_first_then_worst_then_by_family_again(show, result):
    page = show(result)
    by_family = _names(page)
    found = {one["name"]: one["figures"] for one in result["encoders"][0]["contenders"]}
    for key, head in (("auc", "AUC"), ("eer", "EER")):
        button = page.locator("#losses-0 .losses").get_by_role("button", name=head, exact=True)
        button.focus()
        page.keyboard.press("Enter")
        values = [found[name][key]["value"] for name in _names(page)]
        assert values == sorted(values, reverse=key == "auc")
        page.keyboard.press("Enter")
        values = [found[name][key]["value"] for name in _names(page)]
        assert values == sorted(values, reverse=key == "eer")
        assert page.locator("#losses-0 tr.family:visible").count() == 1  # of what is untrained
        page.keyboard.press("Enter")
        assert _names(page) == by_family
        assert page.locator("#losses-0 th[aria-sort=none]").count() == 9
    assert page.locator("#losses-0 tr.family:visible").count() == 6
    assert _names(page, 1) == by_family


def test_sorting_by_name_and_rows_without_a_value(show, result):
    del result["encoders"][0]["contenders"][3]["seconds"]
    page = show(result)
    table = page.locator("#losses-0 .losses")
    table.get_by_role("button", name="Loss", exact=True).click()
    assert _names(page)[:2] == ["all pairs, 1 - s", "all pairs, squared hinges"]
    for _ in range(2):  # last in either order
        table.get_by_role("button", name="Seconds").click()
        assert _names(page)[-1] == "all pairs, 1 - s"


def test_the_settings_tried_are_told(show, result):
    page = show(result)
    fold = page.locator("#losses-0 details", has_text="Settings tried and chosen")
    fold.locator("summary").click()
    rows = [row.split("\t") for row in fold.locator("tbody tr").all_inner_texts()]
    assert len(rows) == RIVALS * 3 + 1
    assert rows[0][1:] == [
        "margin 0.1, positive margin 0.4",
        "not tried: nothing to choose",
        "4 of 4",
    ]
    assert sum(int(row[3][0]) for row in rows) == len(CONTENDERS) * 4


def test_a_line_for_each_loss_where_curves_exist(show, result):
    page = show(result)
    assert page.locator("#curves-0").count() == 0
    traces = page.evaluate("document.getElementById('curves-1-chart').data.map((t) => t.name)")
    assert traces == [one["name"] for one in result["encoders"][1]["contenders"]]


def test_a_line_stands_out_by_keyboard_and_by_pointer(show, result):
    page = show(result)
    opacity = "document.getElementById('curves-1-chart').data.map((t) => t.opacity)"
    buttons = page.locator("#curves-1-keys button")
    buttons.nth(4).focus()
    dimmed = page.evaluate(opacity)
    assert [i for i, one in enumerate(dimmed) if one == 1] == [4]
    buttons.nth(4).blur()
    assert set(page.evaluate(opacity)) == {1}
    buttons.nth(2).hover()
    assert page.evaluate(opacity)[2:4] == [1, 0.13]
    assert "on" in (buttons.nth(2).get_attribute("class") or "")


def test_without_curves_and_margins_it_is_said(show):
    page = show(compared(encoders=("efficientnet-lite0",), margins=()))
    assert "is not watched meanwhile" in page.locator("#curves").inner_text()
    assert "None: no margins were swept." in page.locator("#margins").inner_text()
    assert page.locator("nav").inner_text().count("Losses") == 1


def test_every_margin_has_its_shapes(show, result):
    page = show(result)
    assert page.locator("#shapes-0 li svg").count() == 18
    assert page.locator("#shapes-0 .at").all_inner_texts()[:3] == ["−1", "−0.5", "−0.25"]
    areas = page.evaluate(
        "[...document.querySelectorAll('#shapes-0 path.genuine')].map((p) => p.getBBox().height)"
    )
    assert all(0 < height <= 96 for height in areas)


def test_figures_and_means_are_drawn_against_the_margin(show, result):
    page = show(result)
    rows = [row for row in result["encoders"][1]["margins"] if row["form"] == "symmetric hinge"]
    drawn = page.evaluate("document.getElementById('margin-eer-1-chart').data[1]")
    assert drawn["y"] == [100 * row["figures"]["eer"]["value"] for row in rows]
    low = [y - reach for y, reach in zip(drawn["y"], drawn["error_y"]["arrayminus"], strict=True)]
    assert low == pytest.approx([100 * row["figures"]["eer"]["interval"][0] for row in rows])
    names = page.evaluate(
        "document.getElementById('margin-scores-1-chart').data.map((t) => t.name)"
    )
    assert names == ["guessing", "1 - s", "1 - s", "symmetric hinge", "symmetric hinge"]


def test_how_to_read_many_and_what_was_left_out(show, result, hostile):
    result["left_out"] = [{"key": "x", "name": hostile, "reason": "it is not installed"}]
    words = show(result).locator("#reading").inner_text()
    assert f"{2 * RIVALS} comparisons by AUC" in words
    assert f"here about {2 * RIVALS / 20:.1f} if all were equal" in words
    assert f"{hostile} is not in the tables: it is not installed." in words


def test_the_card_holds_what_is_needed_to_make_it_again(show, result):
    words = show(result).locator("#card").inner_text()
    for told in (
        "AT&T Laboratories Cambridge",
        "4 parts of the identities, 4 of them tested",
        f"25{SPACE}% of the training identities",
        "3 tried for each loss that has any",
        "56 x 64 pixels",
        "torch 2.13.0",
        result["command"],
    ):
        assert told in words
    assert "Symmetric hinge" in show(result).locator("#terms").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(show, result, scheme):
    page = show(result, width=390, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")
    for width in (390, 320, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_on_paper_the_table_is_whole_and_its_heads_are_there(show, result):
    page = show(result, width=690, scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#losses-0 .sorter").first.is_visible()
    assert page.locator("#curves-1-keys button").first.is_visible()
    wide = (
        "(([a]) => a.scrollWidth - a.clientWidth)(document.querySelectorAll('#losses-0 .scroll'))"
    )
    assert page.evaluate(wide) <= 0
    assert page.evaluate("document.getElementById('margin-auc-0-chart').layout.width") == 620


def test_hostile_names_stay_text(show, result, hostile):
    result["title"] = hostile
    result["encoders"][1]["contenders"][1]["name"] = hostile
    page = show(result)
    assert page.locator("h1").inner_text() == hostile
    assert hostile in _names(page, 1)
    assert hostile in page.locator("#curves-1-keys").inner_text()


def test_without_script_the_tables_stand(show, result):
    page = show(result, script=False)
    assert page.locator("#losses-0 .losses tbody tr").count() == 6 + len(CONTENDERS) + 3
    assert page.locator("#losses-0 .sorter").count() == 0
    assert page.locator("#shapes-0 li svg").count() == 18


def test_without_intervals(show):
    result = compared(encoders=("conv",))
    result["resamples"] = 0
    (part,) = result["encoders"]
    entries = [*part["contenders"], *part["baselines"], *part["margins"]]
    for one in entries:
        for found in one["figures"].values():
            found["interval"] = None
        for row in (one.get("against_reference") or {}).values():
            row |= {"difference_interval": None, "better": None}
    page = show(result)
    # some are the default's equals on these people, of whom no difference is shown
    assert " without an interval to tell (" in page.locator(".verdict").inner_text()
    assert page.locator("#losses-0 .whisker i").count() == 0


def test_missing_figures_are_said(show):
    result = compared(encoders=("conv",))
    one = result["encoders"][0]["contenders"][5]
    for name in ("eer", "tar@far=0.01"):
        one["figures"][name] = {"value": None, "interval": None, "folds": [None] * 4}
        one["against_reference"][name] |= {
            "b": None,
            "difference": None,
            "difference_interval": None,
            "better": None,
        }
    words = show(result).locator("#losses-0 .losses tbody tr", has_text=one["name"]).first
    assert words.inner_text().count("not available") == 3


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda r: [], TypeError, "result must be a dict, got list; pass what comparing losses"),
        (lambda r: {**r, "encoders": []}, ValueError, "got none under 'encoders'; pass what"),
        (lambda r: {"title": "t"}, ValueError, "must hold title, data, encoders, got none under"),
    ],
)
def test_wrong_input(result, tmp_path, change, error, words):
    with pytest.raises(error, match=re.escape(words)):
        write_loss_comparison(change(result), tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_standings_by_one_figure(result):
    part = result["encoders"][0]
    found = standings(part["contenders"])
    assert found["better"] == ["all pairs, symmetric hinge"]
    assert sum(map(len, found.values())) == RIVALS
    one = copy.deepcopy(part["contenders"][1])
    one["against_reference"]["eer"] |= {
        "better": None,
        "difference": 0.0,
        "difference_interval": None,
    }
    assert standing(one, "eer") == "not shown"  # equal on these people
    one["against_reference"]["eer"]["difference"] = 0.1
    assert standing(one, "eer") == "no interval"
    assert many_comparisons([{"contenders": [1, 2]}]).startswith("1 comparison by AUC")


def test_settings_in_words():
    assert setting_words({"margin": -0.25, "positive_margin": 1.0}) == (
        "margin −0.25, positive margin 1"
    )
    assert setting_words({"margin": 0.5, "positive_margin": 0.5}) == "both margins 0.5"
    tried = [{"base": 0.25, "alpha": 2.0}, {"base": 0.5, "alpha": 2.0}]
    splits = [{"chosen": tried[0]}, {"chosen": tried[1]}, {"chosen": tried[1]}]
    one = {"settings_tried": tried, "splits": splits}
    assert chosen_words(one) == "base 0.5 (2 of 3), 0.25 (1 of 3)"
    assert chosen_words({**one, "splits": splits[:1]}) == "base 0.25"


def test_a_curve_is_the_mean_over_the_splits_at_shared_points(result):
    part = result["encoders"][1]
    one = part["contenders"][1]
    one["splits"] = [
        {**one["splits"][0], "curve": [{"pictures": at, "auc": auc} for at, auc in curve]}
        for curve in ([(8, 0.5), (16, 0.75)], [(8, 0.7), (16, 0.95), (24, 1.0)])
    ]
    line = curve_lines(part)[1]
    assert line["pictures"] == [8, 16]
    assert line["auc"] == pytest.approx([0.6, 0.85])


def test_a_whisker_beyond_the_scale_stands_at_its_edge():
    scale = scale_of(
        [{"value": 0.9, "interval": [0.8523, 0.9177]}, {"value": 0.9, "interval": None}]
    )
    assert scale == pytest.approx((0.85, 0.92))
    assert 'data-beyond="low"' in whisker(scale, 0.5, None, 0.9, kind="worse")
    assert 'data-beyond="high"' in whisker(scale, 0.95, None, None, kind="better")
    assert "beyond" not in whisker(scale, 0.9, [0.8, 0.95], 0.9, kind="default")
    assert whisker(scale, None, None, 0.9, kind="no-interval") == ""
    assert scale_of([{"value": None, "interval": None}]) == (0.0, 1.0)
