import pytest

from cospair.report.open_set import open_set_numbers, open_set_section


@pytest.fixture
def figures():
    row = {
        "false_alarm": 0.1,
        "rank": 1,
        "dir": 0.8125,
        "dir_interval": [0.7, 0.9],
        "threshold": 0.528,
        "achieved_false_alarm": 0.083,
        "unmated": 48,
        "note": "",
    }
    note = "insufficient data: 48 unmated probes cannot show a false alarm rate of 0.01"
    none = dict.fromkeys(("dir", "dir_interval", "threshold", "achieved_false_alarm"))
    return {
        "mated": 40,
        "unmated": 48,
        "mated_identities": 5,
        "unmated_identities": 6,
        "gallery": {"pictures": 24, "identities": 7, "junk": 0},
        "dir_at_false_alarm": [row, {**row, **none, "false_alarm": 0.01, "note": note}],
        "at_thresholds": [
            {
                "threshold": 0.5,
                "false_alarm": 0.167,
                "false_alarm_interval": [0.1, 0.3],
                "dir": {"1": 0.875},
                "dir_interval": {"1": [0.75, 0.95]},
            }
        ],
        "curve": {
            "threshold": [2.0, 0.9, 0.1],
            "false_alarm": [0.0, 0.0, 1.0],
            "dir": {"1": [0.0, 0.5, 0.9], "5": [0.0, 0.6, 1.0]},
        },
    }


@pytest.mark.parametrize(
    "written",
    [
        "40 pictures of 5 identities",
        "48 pictures of 6 identities",
        "24 pictures of 7 identities",
        ">81.2\N{NO-BREAK SPACE}%<",
        "70.0\N{NO-BREAK SPACE}% to 90.0\N{NO-BREAK SPACE}%",
        ">8.3\N{NO-BREAK SPACE}%<",
        ">insufficient data<",
        ">insufficient data: 48 unmated probes cannot show a false alarm rate of 0.01.<",
        ">87.5\N{NO-BREAK SPACE}%<",
        "75.0\N{NO-BREAK SPACE}% to 95.0\N{NO-BREAK SPACE}%",
        ">16.7\N{NO-BREAK SPACE}%<",
        "rank 5",
    ],
)
def test_each_figure_is_written(figures, written):
    assert written in open_set_section(figures)


def test_the_curve_for_the_script(figures):
    assert open_set_numbers(figures) == {
        "unmated": 48,
        "false_alarm": [0.0, 0.0, 1.0],
        "dir": [[0.0, 0.5, 0.9], [0.0, 0.6, 1.0]],
        "ranks": ["1", "5"],
    }


def test_at_most_three_ranks_are_drawn(figures):
    figures["curve"]["dir"] = {str(k): [0.0, 0.5, 1.0] for k in range(1, 6)}
    drawn = open_set_numbers(figures)
    assert drawn is not None
    assert drawn["ranks"] == ["1", "2", "3"]
    assert "rank 4" not in open_set_section(figures)


@pytest.mark.parametrize("curve", [None, {"threshold": [], "false_alarm": [], "dir": {"1": []}}])
def test_without_a_curve_it_is_said(figures, curve):
    figures["curve"] = curve
    assert "None: no curve was computed." in open_set_section(figures)
    assert open_set_numbers(figures) is None


def test_without_figures_there_is_no_section():
    assert open_set_section(None) == ""
    assert open_set_numbers(None) is None


def test_the_chart_is_drawn(visit, result, figures):
    page = visit(result | {"open_set": figures})
    drawn = page.evaluate("document.getElementById('open-set-chart').data.map((t) => t.y)")
    assert drawn == [[0, 50, 90], [0, 60, 100]]
    # FAR 0 has no place on a logarithmic axis: half a query from nothing
    left = page.evaluate("document.getElementById('open-set-chart').data[0].x[0]")
    assert left == pytest.approx(100 * 0.5 / 48)
    assert "Detection and identification rate" in page.locator("#terms").inner_text()
