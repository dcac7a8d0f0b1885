import numpy as np
import pytest

from cospair.evaluation.retrieval.matches import exclusions, kept_queries, matching_runs
from cospair.evaluation.retrieval.sides import both_sides

ROWS = np.eye(6)


def listed(runs, which):
    """{query: items} of the gallery as it was given."""
    query, place = which(runs)
    found = {}
    for q, p in zip(query.tolist(), place.tolist(), strict=True):
        found.setdefault(q, set()).add(int(runs.order[p]))
    return found


def test_runs_of_a_gallery_with_cameras():
    sides = both_sides(
        ROWS[:3], [5, 6, 9], ROWS, [6, 5, 7, 5, 6, 5], ([1, 2, 1], [2, 1, 1, 2, 2, 3])
    )
    runs = matching_runs(sides)
    assert listed(runs, lambda r: r.matching()) == {0: {3, 5}}
    assert listed(runs, lambda r: r.left_out()) == {0: {1}, 1: {0, 4}}
    assert runs.matches.tolist() == [2, 0, 0]
    assert kept_queries(runs, sides.itself)[1] == {"skipped_queries": 2, "skipped_by_camera": 1}


def test_runs_of_a_gallery_without_cameras_leave_nothing_out():
    runs = matching_runs(both_sides(ROWS[:2], [5, 8], ROWS, [6, 5, 7, 5, 6, 5], None))
    assert listed(runs, lambda r: r.matching()) == {0: {1, 3, 5}}
    assert listed(runs, lambda r: r.left_out()) == {}


@pytest.mark.parametrize("cameras", [None, [0, 0, 1, 1, 0, 1]])
def test_runs_of_queries_among_themselves(cameras):
    labels = ["b", "a", "b", "b", "c", "a"]
    runs = matching_runs(both_sides(ROWS, labels, None, None, cameras))
    matches, left_out = listed(runs, lambda r: r.matching()), listed(runs, lambda r: r.left_out())
    for i in range(6):
        alike = {j for j in range(6) if labels[j] == labels[i]}
        out = {i} if cameras is None else {j for j in alike if cameras[j] == cameras[i]}
        assert left_out.get(i) == out
        assert matches.get(i, set()) == alike - out


def test_some_queries():
    runs = matching_runs(both_sides(ROWS, [1, 2, 1, 2, 1, 3], None, None, None))
    some = runs.take(np.array([3, 4]))
    assert listed(some, lambda r: r.matching()) == {0: {1}, 1: {0, 2}}


def test_exclusions_are_cameras_or_the_picture_itself_or_nothing():
    alone = both_sides(ROWS, np.arange(6), None, None, None)
    assert [part.tolist() for part in exclusions(alone)] == [[0, 1, 2, 3, 4, 5]] * 2
    apart = both_sides(ROWS[:1], [1], ROWS, np.arange(6), None)
    queries, items = exclusions(apart)
    assert not np.isin(queries, items).any()


@pytest.mark.parametrize(
    ("cameras", "text"),
    [
        (None, "got 2 queries without a match; pass"),
        (([1, 1], [1, 1]), "got 2 queries without a match, 1 of them for the camera rule; pass"),
    ],
)
def test_no_match_at_all_is_refused(cameras, text):
    labels = [1, 2] if cameras else [3, 4]
    runs = matching_runs(both_sides(ROWS[:2], labels, ROWS[:2], [1, 7], cameras))
    with pytest.raises(ValueError, match=text):
        kept_queries(runs, False)
