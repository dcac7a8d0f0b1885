"""Where a curve crosses a target, by hand; what is made of it is tested with the figures."""

import numpy as np

from cospair.evaluation.all_pairs import crossings
from cospair.evaluation.all_pairs.crossings import Range, Search, guessed_windows
from cospair.evaluation.all_pairs.score_axis import KEYS, Corners, Guess


def corners(*points: tuple[float, int, int]) -> Corners:
    keys, impostors, genuine = zip(*points, strict=True)
    return Corners(np.array(keys, float), np.array(impostors), np.array(genuine))


def far_over(pairs: int):
    return {"": lambda impostors, genuine: impostors > pairs}


def test_a_crossing_lies_between_two_corners_and_below_the_next_score():
    search = Search(far_over(4))
    search.take(corners((90, 0, 0), (80, 2, 0), (70, 2, 0), (50, 9, 0), (20, 9, 3)))
    found = search.finish()[""]
    assert found.inside == Range(50, 70, 7)
    assert found.above == Range(80, 90, 2)
    assert (found.before, found.after) == ((70, 2, 0), (50, 9, 0))


def test_the_next_score_is_known_where_a_genuine_pair_has_it():
    search = Search(far_over(4))
    search.take(corners((80, 2, 0), (70, 3, 1), (50, 9, 1)))
    found = search.finish()[""]
    assert found.above == Range(70, 71, 1)
    assert Range(70, 71, 1).known
    assert not found.inside.known


def test_corners_may_come_in_parts():
    points = [(90, 0, 0), (80, 2, 0), (70, 2, 0), (50, 9, 0), (20, 9, 3)]
    for cut in range(1, 5):
        search = Search(far_over(4))
        search.take(corners(*points[:cut]))
        search.take(corners(*points[cut:]))
        assert search.finish()[""].inside == Range(50, 70, 7)
        assert search.finish()[""].above == Range(80, 90, 2)


def test_nothing_stands_above_the_highest_score():
    search = Search(far_over(0))
    search.take(corners((90, 3, 0), (10, 4, 2)))
    found = search.finish()[""]
    assert found.inside == Range(90, KEYS + 1, 3)
    assert found.above is None


def test_a_target_that_is_never_passed_ends_at_the_lowest_score():
    search = Search(far_over(100))
    search.take(corners((90, 3, 0), (10, 4, 0)))
    found = search.finish()[""]
    assert found.inside.known
    assert found.above == Range(10, 90, 1)
    assert found.before == (10, 4, 0)


def test_windows_hold_the_rank_that_is_asked_for(monkeypatch):
    keys = np.arange(1000.0)
    guess = Guess(keys, 0, 999)
    for (low, high), share in zip(
        guessed_windows(guess, [0.0, 0.1, 0.5, 0.99], 1000), [0.0, 0.1, 0.5, 0.99], strict=True
    ):
        assert low <= 999 - share * 1000 < high
    assert guessed_windows(guess, [1e-4], 10**6)[0][1] == KEYS + 1
    monkeypatch.setattr(crossings, "CAPACITY", 400)
    low, high = guessed_windows(guess, [0.5], 1000)[0]
    assert high - low <= 362  # nine tenths of what may be kept
    assert guessed_windows(Guess(np.empty(0), 0, 0), [0.5], 10) == []
