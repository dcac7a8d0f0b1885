import numpy as np
import pytest
from numpy.testing import assert_allclose

from cospair.report.page_numbers import page_numbers
from cospair.report.verification_charts import densities, histogram_figure


def test_each_histogram_has_area_one(result):
    drawn = page_numbers(result)["histogram"]
    for kind in ("genuine", "impostor"):
        # 80 sums in float64
        assert_allclose(np.dot(drawn[kind], np.diff(drawn["edges"])), 1, rtol=1e-13)


def test_densities_by_hand():
    histogram = {"edges": [0.0, 0.5, 0.75], "genuine": [1, 3], "impostor": [0, 0]}
    drawn = densities(histogram)
    # 1/4 of the pairs over a width of 1/2; 3/4 over 1/4
    assert drawn == {"edges": [0.0, 0.5, 0.75], "genuine": [0.5, 3.0], "impostor": [0.0, 0.0]}


@pytest.mark.parametrize("bins", [1, 19, 21, 80, 333])
def test_the_table_tells_all_pairs_in_few_rows(bins):
    rng = np.random.default_rng(bins)
    counts = rng.integers(1, 50, size=(2, bins))
    histogram = {
        "edges": np.linspace(-1, 1, bins + 1).tolist(),
        "genuine": counts[0].tolist(),
        "impostor": counts[1].tolist(),
    }
    html = histogram_figure({"verification": {"histogram": histogram}})
    rows = html.count('<th scope="row">')
    assert 1 <= rows <= 20
    assert "−1.000 to " in html
    assert " to 1.000" in html


def test_arrays_are_taken_as_well_as_lists(result):
    plain = page_numbers(result)
    for section in ("roc", "histogram"):
        figures = result["verification"][section]
        result["verification"][section] = {key: np.array(x) for key, x in figures.items()}
    assert page_numbers(result) == plain
