import re

from cospair.report.map_section import map_numbers, map_points, map_section

GIVEN = {
    "x": [0.0, 1.0, 0.25, 0.5],
    "y": [0.0, 0.5, 0.25, 0.125],
    "row": [3, 4, 8, 9],
    "identity": ["s10", "s2", "s10", "s<1>"],
}


def test_points_of_an_identity_come_together_and_names_in_natural_order():
    points = map_points({"map": GIVEN})
    assert points is not None
    assert points.names == ["s2", "s10", "s<1>"]
    assert points.identity == [0, 1, 1, 2]
    assert points.row == [4, 3, 8, 9]
    assert points.x == [1.0, 0.0, 0.25, 0.5]


def test_drawing_and_numbers_count_points_alike():
    points = map_points({"map": GIVEN})
    assert points is not None
    html = map_section(points, "By hand & eye.", None)
    drawn = [int(x) for x in re.findall(r'<use href="#shape-\d" x="(\d+)"', html)]
    # 36 units of margin on either side of 1000
    assert drawn == [36 + round(928 * x) for x in points.x]
    assert map_numbers(points, None) == {
        "row": points.row,
        "identity": points.identity,
        "names": points.names,
        "sheet": None,
    }
    assert "By hand &amp; eye." in html
    assert "s&lt;1&gt;" in html


def test_without_a_map_there_is_nothing():
    for result in ({}, {"map": None}, {"map": {"x": [], "y": [], "row": [], "identity": []}}):
        assert map_points(result) is None
    assert map_section(None, "", None) == ""
    assert map_numbers(None, None) is None


def test_many_identities_are_not_named_on_the_drawing():
    many = {
        "x": [0.01 * i for i in range(40)],
        "y": [0.0] * 40,
        "row": list(range(40)),
        "identity": [f"p{i}" for i in range(40)],
    }
    html = map_section(map_points({"map": many}), "", None)
    assert "<text" not in html
    assert html.count("<option") == 41
