import pytest

from cospair.report.calibration import calibration_section


@pytest.fixture
def calibration():
    return {
        "method": "platt",
        "prior": 0.25,
        "cllr": 0.21344,
        "min_cllr": 0.19,
        "cllr_interval": [0.00001, 0.26],
        "min_cllr_interval": None,
        "reliability": {
            "probability": [0.125, 0.875],
            "observed": [0.25, 1.0],
            "low": [0.1, None],
            "high": [0.4, None],
            "pairs": [4321, 7],
        },
    }


def _words(calibration):
    return calibration_section(calibration).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    "written",
    [
        ">Cllr</th><td>0.2134</td><td>&lt; 0.0001 to 0.2600<",
        ">min-Cllr</th><td>0.1900</td><td>no interval<",
        "by a logistic curve (Platt)",
        ">12.5 %</th><td>25.0 %</td><td>10.0 % to 40.0 %</td><td>4,321<",
        ">87.5 %</th><td>100 %</td><td>none</td><td>7<",
        "Pairs weigh as if 25.0 % of all were genuine.",
    ],
)
def test_each_figure_is_written(calibration, written):
    assert written in _words(calibration)


def test_without_intervals_there_is_no_column_for_them(calibration):
    del calibration["reliability"]["low"], calibration["reliability"]["high"]
    assert ">12.5 %</th><td>25.0 %</td><td>4,321<" in _words(calibration)


@pytest.mark.parametrize("told", [None, {"probability": [], "observed": [], "pairs": []}])
def test_without_groups_there_is_no_diagram(calibration, told):
    calibration["reliability"] = told
    assert "reliability" not in _words(calibration)
    assert "0.2134" in _words(calibration)


def test_without_calibration_there_is_no_section():
    assert calibration_section(None) == ""


def test_the_bars_reach_from_end_to_end(visit, result, calibration):
    page = visit(result | {"calibration": calibration})
    trace = page.evaluate("document.getElementById('reliability-chart').data[1]")
    assert trace["y"] == [25, 100]
    # differences of shares, times 100, in float64
    assert trace["error_y"]["array"] == pytest.approx([15, 0])
    assert trace["error_y"]["arrayminus"] == pytest.approx([15, 0])
