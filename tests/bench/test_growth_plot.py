from xml.etree import ElementTree

import pytest

from cospair.bench import growth_plot, plan
from cospair.bench.all_pairs_variants import PRODUCT

SPACE = "{http://www.w3.org/2000/svg}"


def row(variant, n, milliseconds, mib=None, **others):
    base = {"variant": variant, "n": n, "d": 512, "margin": 0.5, "data": plan.TRAINED}
    return {
        **base,
        "direction": plan.BOTH,
        "median_ms": milliseconds,
        "extra_mib": mib,
        **others,
    }


def drawn(rows):
    machine = {"device": "cpu", "processor": "a <fast> one", "threads": 1, "malloc": "default"}
    versions = {"torch": "2", "date": "d"}
    return ElementTree.fromstring(growth_plot.svg({**machine, **versions, "rows": rows}))


def texts(picture):
    return {item.text for item in picture.iter(f"{SPACE}text")}


def rows_of(n):
    k = n / 1024
    yield row("a & b", n, 10 * k**2, 3 * k)
    yield row("c", n, 100 * k, 1024 * k**2)
    yield row(PRODUCT, n, 500 * k**2)


def test_time_and_memory_are_a_panel_each_with_slopes():
    picture = drawn([r for n in (4096, 1024, 2048) for r in rows_of(n)])
    assert len(list(picture.iter(f"{SPACE}polyline"))) == 3 + 2
    found = texts(picture)
    assert {
        "a & b 160 ms, N^2",
        "c 400 ms, N^1",
        f"{PRODUCT} 8 s, N^2",
        "a & b 12 MiB, N^1",
        "c 16 GiB, N^2",
        "rows of the batch (D = 512, margin 0.5, trained-like)",
        "a <fast> one, 1 thread, malloc default, torch 2, d",
    } <= found
    assert {"1024", "2048", "4096"} <= found


def test_a_slope_is_that_of_the_last_three_sizes():
    assert growth_plot.slope([(1, 99.0), (2, 1.0), (4, 2.0), (8, 4.0)]) == pytest.approx(1)
    assert growth_plot.slope([(1, 99.0)]) is None


def test_the_kind_with_the_most_sizes_is_drawn_and_gaps_are_not():
    rows = [r for n in (1024, 2048) for r in rows_of(n)]
    rows += [row("c", 2048, None, None), row("zero", 2048, 5.0, 0.0)]
    rows += [row(PRODUCT, 1024, 77.0, d=128), row("c", 1024, 77.0, d=128)]
    rows += [row(PRODUCT, n, 88.0, direction=plan.FORWARD) for n in (1024, 2048, 4096)]
    found = texts(drawn(rows))
    assert "zero 5 ms" in found
    assert not any("77" in words or "88" in words for words in found if words)
    memory = [words for words in found if words and words.startswith("zero")]
    assert memory == ["zero 5 ms"]


def test_without_memory_there_is_one_panel():
    picture = drawn([row("a", 1024, 1.0), row(PRODUCT, 1024, 2.0)])
    assert "a 1 ms" in texts(picture)
    assert not any("MiB" in words for words in texts(picture) if words)


def test_a_picture_is_an_svg(tmp_path):
    with pytest.raises(ValueError, match=r"must end in .svg, got '.png'"):
        growth_plot.write({}, tmp_path / "x.png")
