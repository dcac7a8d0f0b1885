from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cospair.evaluation.verification.tally import joined, kinds_of, tally_of

PAIR = st.tuples(st.integers(-2, 2), st.sampled_from("abcd"), st.sampled_from("abcd"))


def tally(pairs, known=True):
    scores = np.array([score for score, _, _ in pairs], float)
    people = np.array([names for _, *names in pairs], "U1").reshape(-1, 2)
    same = people[:, 0] == people[:, 1]
    return tally_of(scores, same, people if known else None)


@given(st.lists(st.lists(PAIR, min_size=1, max_size=12), min_size=1, max_size=4))
def test_joined_parts_count_every_pair_once(parts):
    found = joined([tally(part) for part in parts])
    assert found.people is not None
    assert found.names is not None
    rows = zip(found.scores, *found.names[found.people].T.tolist(), strict=True)
    counted = dict(zip(rows, found.counts.tolist(), strict=True))
    expected = Counter((score, *sorted(names)) for part in parts for score, *names in part)
    assert counted == expected
    assert list(counted) == sorted(counted)  # names ascend, so places do
    np.testing.assert_array_equal(found.same, found.people[:, 0] == found.people[:, 1])


@given(st.lists(st.lists(PAIR, min_size=1, max_size=12), min_size=1, max_size=4))
def test_joined_parts_of_unknown_people_count_kinds(parts):
    found = joined([tally(part, known=False) for part in parts])
    assert found.people is None
    counted = dict(zip(zip(found.scores, found.same, strict=True), found.counts, strict=True))
    assert counted == Counter((score, a == b) for part in parts for score, a, b in part)
    assert list(counted) == sorted(counted)


@pytest.mark.parametrize(("people", "kind"), [([0, 0], 0), ([1, 0], 1), ([0, 1], 1), ([2, 2], 8)])
def test_kinds_are_places_in_the_table_of_people(people, kind):
    assert kinds_of(np.array([people]), 3).tolist() == [kind]
