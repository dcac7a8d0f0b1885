import tracemalloc

import numpy as np
import pytest
from evaluation.examples import labelled
from hypothesis import given, settings
from hypothesis import strategies as st

from cospair.evaluation.retrieval import match_ranks as file
from cospair.evaluation.retrieval.match_ranks import (
    MatchRanks,
    least_exceeding,
    least_reaching,
    match_ranks,
    rounded,
)
from cospair.evaluation.retrieval.matches import matching_runs
from cospair.evaluation.retrieval.sides import both_sides
from cospair.evaluation.verification.pairs import SCORE_DECIMALS, cosines

GRID = 10**SCORE_DECIMALS


def found_in(sides, progress=None):
    """All blocks as {query: [(score, above, tied, matches), ...]}."""
    found = {}
    for ranks in match_ranks(sides, matching_runs(sides), progress):
        assert isinstance(ranks, MatchRanks)
        assert ranks.offsets[0] == 0
        assert ranks.offsets[-1] == len(ranks.scores)
        for i, query in enumerate(ranks.queries.tolist()):
            part = slice(ranks.offsets[i], ranks.offsets[i + 1])
            columns = (ranks.scores, ranks.above, ranks.tied, ranks.matches)
            found[query] = list(zip(*(column[part].tolist() for column in columns), strict=True))
    return found


def expected_in(sides):
    """The same from all scores and masks, item by item."""
    queries, items, itself, _ = sides
    scores = cosines(queries.rows, items.rows)
    expected = {}
    for i in range(len(scores)):
        alike = queries.labels[i] == items.labels
        left_out = np.arange(len(alike)) == (i if itself else -1)
        if queries.cameras is not None:
            left_out |= alike & (queries.cameras[i] == items.cameras)
        met, hits = scores[i][~left_out], scores[i][alike & ~left_out]
        if len(hits):
            expected[i] = [
                (s, int((met > s).sum()), int((met == s).sum()), int((hits == s).sum()))
                for s in sorted(set(hits.tolist()), reverse=True)
            ]
    return expected


def awkward(people=5, each=5, seed=0):
    """Rows with duplicates, multiples, opposites and zero rows, on a coarse grid of many ties."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, size=(people * each, 3)).astype(float)
    rows[1], rows[2], rows[7] = rows[0], -3 * rows[0], 0
    return rows, rng.integers(people, size=people * each), rng.integers(3, size=people * each)


@pytest.mark.parametrize("with_cameras", [False, True])
@pytest.mark.parametrize("itself", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_all_scores(itself, with_cameras, seed):
    rows, labels, cameras = awkward(seed=seed)
    others, other_labels, other_cameras = awkward(each=8, seed=seed + 10)
    seen = (cameras if itself else (cameras, other_cameras)) if with_cameras else None
    gallery = (None, None) if itself else (others, other_labels)
    sides = both_sides(rows, labels, *gallery, seen)
    found = found_in(sides)
    assert found == expected_in(sides)
    assert list(found) == sorted(found)  # in the queries' order


@pytest.mark.parametrize("cells", [1, 60, 1000])
def test_blocks_change_nothing_and_report_progress(monkeypatch, cells):
    rows, labels = labelled(6, 4, noise=1.2)
    labels[0] = 77  # without a match
    sides = both_sides(rows, labels, None, None, None)
    expected, steps = found_in(sides), []
    monkeypatch.setattr(file, "BLOCK_CELLS", cells)
    assert found_in(sides, lambda done, of: steps.append((done, of))) == expected
    assert len(expected) == 23
    assert steps[-1] == (23, 23)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_duplicated_pictures_tie_wherever_they_stand():
    rng = np.random.default_rng(3)
    one, others = rng.normal(size=(1, 64)), rng.normal(size=(500, 64))
    gallery = np.concatenate([others[:250], one, others[250:], 7 * one, one / 3])
    labels = np.zeros(503, int)
    labels[[250, 502]] = 1
    found = found_in(both_sides(one, [1], gallery, labels, None))
    assert found == {0: [(1.0, 0, 3, 2)]}


def test_memory_is_that_of_a_block(monkeypatch):
    rows, labels = labelled(300, 10, features=4)
    sides = both_sides(rows, labels, None, None, None)
    runs = matching_runs(sides)
    monkeypatch.setattr(file, "BLOCK_CELLS", 1 << 16)
    tracemalloc.start()
    for _ in match_ranks(sides, runs):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6  # a block is 0.5 MB; all scores would be 72 MB


def test_no_match_no_block():
    sides = both_sides([[1.0, 0.0]], [1], [[1.0, 0.0]], [2], None)
    assert found_in(sides) == {}


@settings(max_examples=200, deadline=None)
@given(st.integers(-GRID, GRID))
def test_edges_are_the_first_floats_that_round_to_a_score_and_beyond(steps):
    scores = rounded(np.array([steps / GRID]))
    reaching, exceeding = least_reaching(scores), least_exceeding(scores)
    assert np.round(reaching, SCORE_DECIMALS) == scores
    assert np.round(np.nextafter(reaching, -2), SCORE_DECIMALS) < scores
    assert np.round(exceeding, SCORE_DECIMALS) > scores
    assert np.round(np.nextafter(exceeding, -2), SCORE_DECIMALS) == scores


def test_rounded_as_the_scores_of_pairs():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(60, 9))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[5], rows[9] = 0, -rows[3]
    np.testing.assert_array_equal(rounded(rows @ rows.T), cosines(rows, rows))
    assert not np.signbit(rounded(np.array([-1e-14]))).any()
