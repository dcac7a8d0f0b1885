import pytest

from cospair.evaluation.verdicts import compared, many_figures


@pytest.mark.parametrize(
    ("a", "b", "interval", "lower", "better", "words"),
    [
        (0.5, 0.8, [0.1, 0.5], False, "b", "b is better by 0.3 (95 % interval 0.1 to 0.5)"),
        (0.8, 0.5, [-0.5, -0.1], False, "a", "a is better by 0.3 (95 % interval 0.1 to 0.5)"),
        (0.5, 0.8, [0.1, 0.5], True, "a", "a is better by 0.3 (95 % interval 0.1 to 0.5)"),
        (0.8, 0.5, [-0.5, -0.1], True, "b", "b is better by 0.3 (95 % interval 0.1 to 0.5)"),
        (
            0.5,
            0.8,
            [-0.125, 0.5],
            False,
            None,
            "no difference shown (95 % interval of b - a -0.125 to 0.5)",
        ),
        (
            0.5,
            0.8,
            [0.0, 0.5],
            False,
            None,
            "no difference shown (95 % interval of b - a 0 to 0.5)",
        ),
    ],
)
def test_words(a, b, interval, lower, better, words):
    found = compared(a, b, interval, "", lower_is_better=lower)
    assert (found["better"], found["verdict"]) == (better, words)
    assert found["difference"] == b - a
    assert found["difference_interval"] == interval


def test_without_an_interval():
    found = compared(0.5, 0.75, None, "no interval: no resamples were asked for")
    assert found["verdict"] == "b - a is 0.25; no interval: no resamples were asked for"
    assert found["better"] is None
    assert compared(0.5, 0.5, None, "no interval")["verdict"] == "no difference on these pairs"


def test_without_figures():
    found = compared(None, None, None, "insufficient data: 4 impostor pairs")
    assert found["verdict"] == "insufficient data: 4 impostor pairs"
    assert found["difference"] is None


def test_note_counts_the_figures():
    assert many_figures(5).startswith("5 figures, each with a 95 % interval of its own")
