import pytest

from cospair.report.lfw import lfw_section


@pytest.fixture
def figures():
    return {
        "pairs": 6000,
        "folds": 10,
        "accuracy": 0.9912,
        "accuracy_std": 0.0041,
        "fold_accuracy": [0.99, 0.9875],
        "fold_threshold": [0.31, 0.305],
        "val": {
            "far": 0.001,
            "val": 0.9625,
            "val_interval": [0.95, 0.975],
            "achieved_far": 0.0007,
            "note": "",
        },
    }


@pytest.mark.parametrize(
    "written",
    [
        "99.1 % ± 0.41 %",
        "6,000 in 10 folds",
        "VAL at FAR 0.1 %",
        "96.2 % (95.0 % to 97.5 %)",
        "0.07 %",
        "98.8 %",
        "0.305",
    ],
)
def test_each_figure_is_written(figures, written):
    assert written in lfw_section(figures).replace("\N{NO-BREAK SPACE}", " ")


def test_a_val_that_the_folds_cannot_show_is_said_in_words(figures):
    figures["val"].update(val=None, note="insufficient data: <180> impostor pairs")
    html = lfw_section(figures)
    assert "insufficient data: &lt;180&gt; impostor pairs" in html
    assert "96.2" not in html


def test_without_the_protocol_there_is_no_section():
    assert lfw_section(None) == ""
