import numpy as np
import pytest
from evaluation.examples import at_scores

from cospair.evaluation.retrieval.matches import matching_runs
from cospair.evaluation.retrieval.probes import Probes, accepted_probes, found_probes
from cospair.evaluation.retrieval.sides import both_sides

# best first: mated at ranks 1 and 3, a tie of an unmated and a mated probe, an unmated one
PROBES = Probes(
    np.array([0.9, 0.8, 0.5, 0.5, -0.1]), np.array([1, 3, 0, 2, 0]), np.array([0, 1, 2, 1, 3])
)


def test_ties_share_a_threshold():
    assert PROBES.ends.tolist() == [0, 1, 2, 4, 5]
    assert PROBES.thresholds[0] == np.nextafter(0.9, 1)
    assert PROBES.thresholds[1:].tolist() == [0.9, 0.8, 0.5, -0.1]


@pytest.mark.parametrize(
    ("threshold", "accepted"), [(2, 0), (0.91, 0), (0.9, 1), (0.6, 2), (0.5, 4), (0, 4), (-0.1, 5)]
)
def test_place_of_a_threshold_accepts_as_it_does(threshold, accepted):
    place = PROBES.at_or_above(np.array([float(threshold)]))
    assert PROBES.ends[place].tolist() == [accepted]
    assert (PROBES.scores >= threshold).sum() == accepted


def test_weights_count_as_copies():
    times = np.array([[1.0, 1, 1, 1], [0, 2, 3, 1]])
    found = accepted_probes(PROBES, (1, 2, 3), times)
    assert found.unmated.T.tolist() == [[0, 0, 0, 1, 2], [0, 0, 0, 3, 4]]
    assert found.found[1].T.tolist() == [[0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert found.found[2].T.tolist() == [[0, 1, 1, 2, 2], [0, 0, 0, 2, 2]]
    assert found.found[3].T.tolist() == [[0, 1, 2, 3, 3], [0, 0, 2, 4, 4]]
    assert found.mated.tolist() == [3, 4]


def test_probes_are_found_best_first():
    gallery = at_scores([0.9, 0.6, 0.7])
    sides = both_sides(at_scores([1.0] * 3), [8, 5, 6], gallery, [5, 5, 6], None)
    found = found_probes(sides, matching_runs(sides), None)
    assert found.scores.tolist() == [0.9, 0.9, 0.7]
    assert found.ranks.tolist() == [0, 1, 2]
    assert found.identities.tolist() == [2, 0, 1]
