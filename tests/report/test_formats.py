import pytest

from cospair.report import formats

NAN = float("nan")


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (0.5, "50.0 %"),
        (0.0123, "1.2 %"),
        (0.00084, "0.08 %"),
        (0.00001, "0.001 %"),
        (0.9991, "99.9 %"),
        (0.99996, "99.996 %"),
        (0, "0 %"),
        (1.0, "100 %"),
        (None, "not available"),
        (NAN, "not available"),
    ],
)
def test_percent(share, written):
    assert formats.percent(share).replace("\N{NO-BREAK SPACE}", " ") == written


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (0.98126, "0.9813"),
        (0.99994, "0.9999"),
        (0.99996, "> 0.9999"),
        (0.00004, "< 0.0001"),
        (1.0, "1.0000"),
        (0.0, "0.0000"),
        (NAN, "not available"),
    ],
)
def test_decimal(share, written):
    assert formats.decimal(share).replace("\N{NO-BREAK SPACE}", " ") == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.21344, "0.2134"), (-1.5, "−1.5000"), (0.0, "0.0000"), (None, "not available")],
)
def test_plain(value, written):
    assert formats.plain(value) == written


@pytest.mark.parametrize(("share", "written"), [(0.1, "10 %"), (0.001, "0.1 %"), (0.07, "7 %")])
def test_limit(share, written):
    assert formats.limit(share).replace("\N{NO-BREAK SPACE}", " ") == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.4125, "0.412"),
        (-0.05, "−0.050"),
        (float("inf"), "above every score"),
        (-float("inf"), "below every score"),
        (NAN, "not available"),
        (None, "not available"),
    ],
)
def test_score(value, written):
    assert formats.score(value) == written


def test_count():
    assert formats.count(4500) == "4,500"
    assert formats.count(None) == "not available"


def test_interval():
    assert formats.interval([0.25, 0.5], formats.decimal) == "0.2500 to 0.5000"
    assert formats.interval(None, formats.decimal) == "no interval"
    assert formats.interval(None, formats.decimal, "no interval: one value") == (
        "no interval: one value"
    )
    assert formats.interval([NAN, 0.5], formats.decimal) == "no interval"


@pytest.mark.parametrize(
    ("iso", "written"),
    [
        ("2025-11-22T12:40:00+00:00", "22 November 2025, 12:40 UTC"),
        ("2025-01-02T03:04:05", "2 January 2025, 03:04"),
        ("2025-01-02T03:04:05+02:00", "2 January 2025, 03:04 UTC+02:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_moment(iso, written):
    assert formats.moment(iso) == written


@pytest.mark.parametrize(
    ("value", "given"), [(NAN, None), (float("inf"), None), (None, None), (1, 1.0)]
)
def test_finite(value, given):
    assert formats.finite(value) == given
