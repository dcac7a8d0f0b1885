"""The page as a reader meets it: opened in headless Chromium with the network cut off."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cospair.report import write_report


def _traces(page, name):
    return page.locator(f"#{name}-chart svg .scatterlayer .trace").count()


def _await(page, words, wanted):
    """Wait for a value; the policy forbids the evaluation that playwright's own waiting needs."""
    looks = (page.wait_for_timeout(50) or page.evaluate(words) for _ in range(100))
    assert wanted in looks


def _overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_every_chart_is_drawn(visit, result):
    page = visit(result)
    assert _traces(page, "roc") == 5  # guessing, curve, TAR at fixed FAR, EER, threshold
    assert _traces(page, "det") == 3  # FAR = FRR, curve, threshold
    assert _traces(page, "scores") == 2
    assert _traces(page, "cmc") == 1
    assert _traces(page, "reliability") == 2
    assert page.locator("#scores-chart .shapelayer path").count() == 1
    assert "threshold 0.330" in page.locator("#scores-chart").inner_text()
    assert page.locator(".modebar-btn").count() == 0


def test_the_threshold_stands_where_it_was_measured(visit, result):
    page = visit(result)
    chosen = page.evaluate(
        "document.getElementById('roc-chart').data.find((t) => t.name === 'threshold')"
    )
    test = result["threshold"]["test"]
    # per cent of a float64 share, rounded once or twice on the way
    assert chosen["x"][0] == pytest.approx(100 * test["far"], rel=1e-12)
    assert chosen["y"][0] == pytest.approx(100 * (1 - test["frr"]), rel=1e-12)


def test_numbers_and_pictures_are_visible(visit, result):
    page = visit(result)
    values = page.locator(".tile .value")
    assert values.count() == 7
    assert all(value.is_visible() and value.inner_text() for value in values.all())
    shown = page.locator(".faces svg:visible")
    assert shown.count() == 48
    sizes = page.evaluate(
        "[...document.querySelectorAll('li:not([hidden]) .faces use')]"
        ".map((use) => use.getBBox().width)"
    )
    assert sizes == [92] * 48


def test_a_pair_shows_its_two_pictures(visit, result):
    """Each picture has a grey of its own; the screen must show it."""
    page = visit(result, shown=lambda row: Image.new("L", (92, 112), 40 + 2 * row))
    for pair, card in zip(
        result["hard_pairs"]["genuine"][:3], page.locator("#pairs-genuine > li").all(), strict=False
    ):
        for side, view in zip(("first", "second"), card.locator("svg").all(), strict=True):
            tone = np.asarray(Image.open(BytesIO(view.screenshot())).convert("L"))
            middle = tone[tone.shape[0] // 2, tone.shape[1] // 2]
            # a lossy format may move a flat grey by a little
            assert abs(int(middle) - (40 + 2 * pair[side])) <= 3


def test_nothing_overflows_sideways(visit, result):
    result["title"] = "W" * 60
    result["model"]["recipe"]["w" * 60] = "v" * 90
    page = visit(result, width=390)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")
    for width in (390, 320, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert _overflow(page) <= 0


def test_colours_follow_the_scheme(visit, result):
    page = visit(result)
    ink = "document.getElementById('roc-chart').layout.font.color"
    assert page.evaluate(ink) == "#16191d"
    page.emulate_media(color_scheme="dark")
    _await(page, ink, "#e9ecef")


def test_the_colours_can_be_turned_by_hand(visit, result):
    page = visit(result)
    button = page.get_by_role("button", name="Dark colours")
    ink = "getComputedStyle(document.body).color"
    assert button.get_attribute("aria-pressed") == "false"
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.evaluate(ink) == "rgb(233, 236, 239)"
    chart = "document.getElementById('roc-chart').layout.font.color"
    assert page.evaluate(chart) == "#e9ecef"
    page.keyboard.press("Enter")
    assert page.evaluate(ink) == "rgb(22, 25, 29)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(visit, result, scheme):
    """WCAG 2.2, 1.4.3: text at least 4.5 times as bright as its ground, or the reverse."""
    page = visit(result, scheme=scheme)
    names = ("page", "surface", "raised", "ink", "muted", "accent")
    colours = {
        name: page.evaluate(
            f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')"
        )
        for name in names
    }
    bright = {name: _brightness(value.strip()) for name, value in colours.items()}
    for ground in names[:3]:
        for words in names[3:]:
            high, low = sorted((bright[ground], bright[words]), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5


def _brightness(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_keyboard_reaches_the_figures_first(visit, result):
    page = visit(result)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the figures"
    assert page.locator(".skip").bounding_box()["x"] >= 0


def test_the_command_can_be_copied(visit, result):
    page = visit(result)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == result["command"]
    assert page.evaluate("getSelection().toString()") == result["command"]


def test_without_script_the_tables_and_pictures_stand(visit, result):
    page = visit(result, script=False)
    assert page.locator("noscript p").bounding_box()["height"] > 0
    assert not page.locator("#console").is_visible()
    assert page.locator(".faces svg:visible").count() == 240
    assert page.locator("#map").is_visible()


def test_the_axis_changes_by_keyboard(visit, result):
    page = visit(result)
    kind = "document.getElementById('roc-chart').layout.xaxis.type"
    assert page.evaluate(kind) == "log"
    page.locator('input[value="log"]').focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(kind) == "linear"
    assert _traces(page, "roc") == 5


def test_folds_open_by_keyboard(visit, result):
    page = visit(result)
    page.locator("#roc summary").focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("FAR reached").is_visible()


def test_printing_opens_folds_and_turns_light(visit, result):
    page = visit(result, scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    chart = "document.getElementById('roc-chart').layout"
    assert page.evaluate(f"[{chart}.font.color, {chart}.width]") == ["#16191d", 620]
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert page.evaluate(f"{chart}.font.color") == "#e9ecef"


def test_paper_is_light(visit, result):
    page = visit(result, scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(22, 25, 29)"
    assert not page.locator("nav").is_visible()


def test_without_pictures_the_page_opens(visit, result):
    page = visit(result, shown=None, width=390)
    assert page.locator(".faces").count() == 0
    assert "rows " in page.locator("#pairs-impostor").inner_text()
    assert _overflow(page) <= 0


def test_a_bare_result_opens(visit, result):
    keys = ("title", "data", "model", "verification")
    bare = {key: result[key] for key in keys}
    bare["verification"] |= {"tar_at_far": [], "eer": float("nan"), "eer_threshold": float("nan")}
    page = visit(bare, width=390)
    assert _traces(page, "roc") == 3  # guessing, curve, threshold
    assert _overflow(page) <= 0


def test_without_charts_the_script_has_nothing_to_do(visit, result):
    result["verification"].update(roc=None, histogram=None)
    for section in ("retrieval", "calibration", "map"):
        result[section] = None
    assert visit(result).locator(".chart").count() == 0


def test_hostile_strings_stay_text(visit, result, hostile):
    result["title"] = hostile
    result["hard_pairs"]["impostor"][0]["first_identity"] = hostile
    page = visit(result)
    assert page.locator("h1").inner_text() == hostile
    assert _traces(page, "roc") == 5


def test_a_script_from_outside_the_page_does_not_run(browser, result, picture, tmp_path):
    """The policy is the second wall, should a string ever slip through unescaped."""
    page = browser.new_page()
    page.goto(write_report(result, picture, tmp_path / "page.html").as_uri())
    ran = page.evaluate(
        """() => {
          const refused = new Promise((done) => addEventListener(
            "securitypolicyviolation", (event) => done(event.violatedDirective)));
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          return refused;
        }"""
    )
    assert ran == "script-src-elem"
    assert page.evaluate("window.ran") is None
    page.context.close()
