"""The threshold that a reader moves: what must follow, counted anew from the scores."""

import re
from statistics import NormalDist

import numpy as np
import pytest

from cospair.report import formats

RNG = np.random.default_rng(11)
# Scores with ties, negative ones among them, on a grid that the slider's steps can reach.
GENUINE = RNG.normal(0.35, 0.2, 60).clip(-0.9, 0.9).round(2)
IMPOSTOR = RNG.normal(0.0, 0.15, 240).clip(-0.9, 0.9).round(2)
CHOSEN = 0.21


def _pairs(scores, kind, hardest_first):
    order = np.argsort(-scores if kind == "impostor" else scores, kind="stable")[:60]
    assert hardest_first == (kind == "impostor")
    return [
        {
            "first": int(i) % 100,
            "second": (int(i) + 1) % 100,
            "score": float(scores[i]),
            "first_identity": "s1",
            "second_identity": "s1" if kind == "genuine" else "s2",
        }
        for i in order
    ]


@pytest.fixture
def counts(result, counted_curve):
    """A result whose every threshold is drawn."""
    result["verification"] |= counted_curve(GENUINE, IMPOSTOR)
    result["verification"] |= {"tar_at_far": [_tar(0.1), _tar(0.01)], "eer_threshold": 0.1937}
    result["threshold"] = {"threshold": CHOSEN, "rule": "eer", "test": None}
    result["hard_pairs"] = {
        "impostor": _pairs(IMPOSTOR, "impostor", True),
        "genuine": _pairs(GENUINE, "genuine", False),
    }
    return result


def _share(scores, t):
    return sum(1 for score in scores.tolist() if score >= t) / len(scores)


def _tar(far):
    """TAR at the lowest threshold with FAR <= far, by trying every score."""
    t = float(min(t for t in np.unique([*GENUINE, *IMPOSTOR]) if _share(IMPOSTOR, t) <= far))
    return {
        "far": far,
        "tar": _share(GENUINE, t),
        "tar_interval": None,
        "threshold": t,
        "achieved_far": _share(IMPOSTOR, t),
        "impostor_pairs": len(IMPOSTOR),
        "note": "",
    }


def _truth(t):
    """Counts by comparing each score with the threshold."""
    accepts = sum(1 for score in IMPOSTOR.tolist() if score >= t)
    rejects = sum(1 for score in GENUINE.tolist() if score < t)
    total = len(GENUINE) + len(IMPOSTOR)
    return {
        "accepts": accepts,
        "rejects": rejects,
        "far": accepts / len(IMPOSTOR),
        "frr": rejects / len(GENUINE),
        "accuracy": (total - accepts - rejects) / total,
    }


def _marker(page, chart):
    trace = page.evaluate(
        f"document.getElementById('{chart}-chart').data.find((t) => t.name === 'threshold')"
    )
    return trace["x"][0], trace["y"][0]


def _settle(page):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def _check(page, t):
    """Everything on the page that must say the same."""
    _settle(page)
    truth = _truth(t)
    for name in ("far", "frr", "accuracy"):
        assert page.locator(f"#reading-{name}").inner_text() == formats.percent(truth[name])
    state = page.locator("#state").inner_text()
    assert state == (
        f"At {formats.score(t)}, {truth['accepts']} of 240 impostor pairs wrongly accepted and "
        f"{truth['rejects']} of 60 genuine pairs wrongly rejected; "
        f"{300 - truth['accepts'] - truth['rejects']} of 300 pairs judged right."
    )
    assert page.locator("#impostor-wrong").inner_text().startswith(f"{truth['accepts']} (")
    assert page.locator("#genuine-right").inner_text() == str(60 - truth["rejects"])
    _check_markers(page, t, truth)
    _check_gallery(page, "impostor", truth["accepts"])
    _check_gallery(page, "genuine", truth["rejects"])


def _check_markers(page, t, truth):
    floor, normal = 0.5 / len(IMPOSTOR), NormalDist()
    x, y = _marker(page, "roc")
    # shares times 100, in float64 on both sides
    assert (x, y) == pytest.approx((100 * max(truth["far"], floor), 100 * (1 - truth["frr"])))
    x, y = _marker(page, "det")
    for place, rate, least in ((x, truth["far"], floor), (y, truth["frr"], 0.5 / len(GENUINE))):
        # the deviate is undone by the distribution itself, to about 1e-9
        assert normal.cdf(place) == pytest.approx(min(max(rate, least), 0.6), abs=1e-8)
    line = page.evaluate("document.getElementById('scores-chart').layout.shapes[0].x0")
    assert line == pytest.approx(t, abs=1e-12)


def _check_gallery(page, kind, mistakes):
    cards = page.locator(f"#pairs-{kind} > li")
    shown = [card for card in cards.all() if card.is_visible()]
    bright = [card for card in shown if "dim" not in (card.get_attribute("class") or "")]
    assert len(bright) == min(mistakes, 12)
    wrong = "wrongly accepted" if kind == "impostor" else "wrongly rejected"
    assert all(wrong in card.inner_text() for card in bright)
    assert not any("wrongly" in card.inner_text() for card in shown[len(bright) :])
    tally = page.locator(f"#tally-{kind}").inner_text()
    name = "false match" if kind == "impostor" else "false non-match"
    if mistakes == 0:
        assert tally.startswith(f"No {name} at this threshold.")
    else:
        assert re.match(rf"{mistakes} {name}(es)? at this threshold", tally)


def test_the_page_starts_at_the_chosen_threshold(visit, counts):
    page = visit(counts)
    _check(page, CHOSEN)
    assert page.locator("button", has_text="Chosen").get_attribute("aria-pressed") == "true"


def test_the_arrow_keys_move_it(visit, counts):
    page = visit(counts)
    slider = page.locator("#threshold-range")
    slider.focus()
    for key, presses in (
        ("ArrowRight", 3),
        ("ArrowLeft", 10),
        ("PageUp", 1),
        ("Home", 1),
        ("End", 1),
    ):
        for _ in range(presses):
            page.keyboard.press(key)
        _check(page, float(slider.input_value()))
    assert page.locator("#reading-frr").inner_text() == formats.percent(1)


@pytest.mark.parametrize("t", [-0.5, 0.0, 0.1, 0.30000000000000004, 0.301, 0.9])
def test_moving_it_by_script(visit, counts, t):
    page = visit(counts)
    page.locator("#threshold-range").evaluate(
        "(slider, t) => { slider.value = t; slider.dispatchEvent(new Event('input')); }", t
    )
    _check(page, float(page.locator("#threshold-range").input_value()))


def test_a_number_can_be_typed(visit, counts):
    page = visit(counts)
    page.locator("#threshold-number").fill("0.3")  # a score of many pairs: all of them are accepted
    _check(page, 0.3)
    page.locator("#threshold-number").fill("")
    _check(page, 0.3)
    assert float(page.locator("#threshold-range").input_value()) == pytest.approx(0.3, abs=1e-9)


def test_the_buttons_go_to_their_thresholds(visit, counts):
    page = visit(counts)
    places = {"EER": 0.1937, "Chosen": CHOSEN}
    for row in counts["verification"]["tar_at_far"]:
        places[f"FAR {formats.limit(row['far'])}"] = row["threshold"]
    for name, t in places.items():
        button = page.get_by_role("button", name=name, exact=True)
        button.focus()
        page.keyboard.press("Enter")
        _check(page, t)
        assert page.locator("[data-stop][aria-pressed=true]").count() == 1


def test_it_is_said_once_the_hand_rests(visit, counts):
    page = visit(counts)
    said = page.locator("#threshold-said")
    assert said.get_attribute("aria-live") == "polite"
    page.locator("#threshold-range").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert said.inner_text() == ""
    page.wait_for_timeout(700)
    assert said.text_content() == page.locator("#state").text_content()


def test_more_mistakes_can_be_shown_and_folded_again(visit, counts):
    page = visit(counts)
    page.locator("#threshold-number").fill("0")
    mistakes = _truth(0)["accepts"]
    assert mistakes > 60
    more = page.locator('.more[data-kind="impostor"]')
    assert more.inner_text() == "Show 48 more"
    assert "the hardest 60 are kept here" in page.locator("#tally-impostor").inner_text()
    more.focus()
    page.keyboard.press("Enter")
    assert page.locator("#pairs-impostor > li:visible").count() == 60
    page.keyboard.press("Enter")
    assert page.locator("#pairs-impostor > li:visible").count() == 12


def test_between_drawn_points_the_stricter_one_counts(visit, result):
    """A thinned curve: of the drawn points the last whose threshold is not below."""
    result["verification"]["tar_at_far"], result["threshold"] = [], None
    roc = result["verification"]["roc"]
    page = visit(result)
    for t in (-0.3, 0.1234, 0.2001, 0.45):
        page.locator("#threshold-number").fill(str(t))
        at = max(i for i, threshold in enumerate(roc["threshold"]) if threshold >= t)
        assert page.locator("#reading-far").inner_text() == formats.percent(roc["far"][at])
    assert "This page holds 500 points of the curve" in page.locator("#decisions").inner_text()


def test_numbers_are_written_as_in_the_tables(visit, counts):
    """The script's own rounding against Python's, ties and near ends included."""
    page = visit(counts)
    far = np.concatenate(
        [
            RNG.random(300),
            np.arange(0, 2001) / 2000,
            10.0 ** -np.arange(2, 12),
            1 - 10.0 ** -np.arange(2, 10),
        ]
    )
    expected = [formats.percent(share) for share in far]
    written = page.evaluate(f"({PERCENT})({far.tolist()})")
    assert written == expected


def _script(name):
    from importlib.resources import files

    return files("cospair.report").joinpath(f"script/{name}.js").read_text("utf-8")


PERCENT = f"(shares) => {{ {_script('writing')}; return shares.map(percent); }}"


def test_without_a_curve_there_is_no_slider(visit, result):
    result["verification"]["roc"] = None
    page = visit(result)
    assert page.locator("#threshold-range").count() == 0
    assert "without a curve there is no threshold to move" in page.locator("#curves").inner_text()


def test_on_paper_the_threshold_is_told_in_words(visit, counts):
    page = visit(counts)
    page.locator("#threshold-number").fill("0.3")
    page.emulate_media(media="print")
    assert not page.locator("#console").is_visible()
    assert page.locator("#state").is_visible()
    assert page.locator("#state").inner_text().startswith("At 0.300, ")


def test_the_slider_stays_in_sight(visit, counts):
    page = visit(counts, width=390)
    page.locator("#pairs-genuine").scroll_into_view_if_needed()
    box = page.locator("#console").bounding_box()
    assert 0 <= box["y"] < 10
    assert box["height"] < 170  # of 900: the pictures keep the most of the screen
