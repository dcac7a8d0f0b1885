"""The page as a reader meets it: opened in headless Chromium with the network cut off."""

import shutil

import pytest

from cospair.report import write_report

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on the path")
    with driver.sync_playwright() as play:
        running = play.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def visit(browser, picture, tmp_path):
    """Open the page of a result; at the end, nothing may have gone wrong or to the network."""
    trouble, contexts = [], []

    def gate(route):
        if route.request.url.startswith("file:"):
            return route.continue_()
        trouble.append(route.request.url)
        return route.abort()

    def asked(request):
        if not request.url.startswith(("file:", "data:")):
            trouble.append(request.url)

    def run(result, *, width=1440, scheme="light"):
        path = write_report(result, picture, tmp_path / "page.html")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.route("**/*", gate)
        page = context.new_page()
        page.on("request", asked)
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield run
    for context in contexts:
        context.close()
    assert trouble == []


def _traces(page, name):
    return page.locator(f"#{name}-chart svg .scatterlayer .trace").count()


def _overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_both_charts_are_drawn(visit, result):
    page = visit(result)
    assert _traces(page, "roc") == 5  # guessing, curve, TAR at fixed FAR, EER, threshold
    assert _traces(page, "scores") == 2
    assert page.locator("#scores-chart .shapelayer path").count() == 1
    assert "threshold 0.330" in page.locator("#scores-chart").inner_text()
    assert page.locator(".modebar-btn").count() == 0


def test_the_threshold_stands_where_it_was_measured(visit, result):
    page = visit(result)
    chosen = page.evaluate(
        "document.getElementById('roc-chart').data.find((t) => t.name === 'chosen threshold')"
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
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert len(widths) == 48
    assert min(widths) > 0


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
    # The policy forbids the evaluation that playwright's own waiting needs.
    looks = (page.wait_for_timeout(50) or page.evaluate(ink) for _ in range(100))
    assert "#e9ecef" in looks


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


def test_a_bare_result_opens(visit, result):
    keys = ("title", "data", "model", "verification")
    bare = {key: result[key] for key in keys}
    bare["verification"] |= {"tar_at_far": [], "eer": float("nan")}
    page = visit(bare, width=390)
    assert _traces(page, "roc") == 2
    assert _overflow(page) <= 0


def test_without_charts_the_script_has_nothing_to_do(visit, result):
    result["verification"].update(roc=None, histogram=None)
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
