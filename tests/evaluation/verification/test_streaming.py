import copy
from typing import Any, cast

import numpy as np
import pytest
from evaluation.examples import scored_pairs, scored_people
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import two_processes

from cospair.evaluation.verification import streaming
from cospair.evaluation.verification.figures import pair_figures
from cospair.evaluation.verification.streaming import VerificationMetric

FAR = (0.25, 0.1)


def metric_of(*portions):
    metric = VerificationMetric(far=FAR)
    for portion in portions:
        metric.update(*portion)
    return metric


def equal_states(metric, other):
    state, expected = metric.state_dict(), other.state_dict()
    assert list(state) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array)
        assert state[name].dtype == array.dtype


@st.composite
def pairs_of_people(draw):
    """Scores on a coarse grid, flags and names of both people: many equal pairs, both kinds."""
    names = st.sampled_from(draw(st.sampled_from([["ann", "bob", "cid"], [7, 2**53, 2**53 + 1]])))
    people = draw(st.lists(st.tuples(names, names), max_size=30))
    first = draw(names)
    other = draw(names.filter(lambda name: name != first))
    people = np.array([(first, first), (first, other), *people])
    grid = draw(st.lists(st.integers(-3, 3), min_size=len(people), max_size=len(people)))
    return np.array(grid) / 4, people[:, 0] == people[:, 1], people


@settings(deadline=None)
@given(pairs_of_people(), st.booleans(), st.data())
def test_portions_and_merges_in_any_order_change_no_bit(pairs, known, data):
    pairs = pairs if known else pairs[:2]
    whole = metric_of(pairs)
    order = data.draw(st.permutations(range(len(pairs[0]))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    portions = [[kind[part] for kind in pairs] for part in np.split(np.array(order), cuts)]
    metrics = [metric_of(portion) for portion in portions]
    small = data.draw(st.sampled_from([0, 1 << 16]))
    total = VerificationMetric(far=FAR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "SMALL", small)  # 0: compact at every portion
        for metric in data.draw(st.permutations(metrics)):
            total.merge(metric)
        one_by_one = metric_of(*portions)
    assert len(total) == len(one_by_one) == len(whole) == len(order)
    equal_states(total, whole)
    equal_states(one_by_one, whole)
    figures = whole.compute(resamples=0)
    assert total.compute(resamples=0) == one_by_one.compute(resamples=0) == figures
    names = dict(zip(("scores", "same", "identities"), pairs, strict=False))
    assert pair_figures(**names, far=FAR, resamples=0) == figures


def test_intervals_are_those_of_all_pairs_at_once():
    scores, identities, same = scored_people(9, 4, decimals=1)
    metric = metric_of(*((scores[k::5], same[k::5], identities[k::5]) for k in range(5)))
    assert len(metric.state_dict()["scores"]) < len(metric)  # equal pairs are one
    calls = []
    found = metric.compute(resamples=200, seed=3, progress=lambda *step: calls.append(step))
    expected = pair_figures(scores, same, identities=identities, far=FAR, resamples=200, seed=3)
    assert found == expected
    assert found["auc_interval"] is not None
    assert calls[-1] == (200, 200)


@settings(deadline=None)
@given(scored_pairs())
def test_a_state_is_the_metric(pairs):
    metric = metric_of(pairs)
    loaded = metric_of(([0.5], [True]))
    loaded.load_state_dict(metric.state_dict())
    equal_states(loaded, metric)
    assert (len(loaded), loaded.compute(resamples=0)) == (len(metric), metric.compute(resamples=0))
    state = metric.state_dict()
    expected = metric.compute(resamples=0)
    loaded.load_state_dict(state)
    for array in state.values():  # arrays are not shared
        array[:] = 0
    assert metric.compute(resamples=0) == loaded.compute(resamples=0) == expected


def test_a_state_of_people_goes_through_a_file(tmp_path):
    scores, identities, same = scored_people(5, 3, decimals=1)
    metric = metric_of((scores, same, identities.astype(str)))
    state: dict[str, Any] = metric.state_dict()
    np.savez(tmp_path / "state.npz", **state)
    loaded = VerificationMetric(far=FAR)
    with np.load(tmp_path / "state.npz") as state:
        loaded.load_state_dict(state)
    equal_states(loaded, metric)
    assert loaded.compute(resamples=100) == metric.compute(resamples=100)


def test_merging_leaves_the_other_alone_and_may_be_with_itself():
    metric, other = metric_of(([0.5, 0.1], [1, 0])), metric_of(([0.5], [1]))
    metric.merge(other)
    assert (len(metric), len(other)) == (3, 1)
    metric.merge(metric)
    assert len(metric) == 6
    assert metric.state_dict()["counts"].tolist() == [2, 4]
    assert copy.deepcopy(metric).compute(resamples=0) == metric.compute(resamples=0)


def test_reset_forgets_all():
    metric = metric_of(([0.5, 0.1], [1, 0], [[1, 1], [1, 2]]))
    metric.reset()
    assert len(metric) == 0
    metric.update([0.5, 0.1], [1, 0])  # without people now
    assert metric.compute()["identities"] is None


def test_a_pair_has_no_first_and_second():
    metric = metric_of(([0.5, 0.5], [0, 0], [["b", "a"], ["a", "b"]]))
    assert metric.state_dict()["counts"].tolist() == [2]
    assert metric.state_dict()["people"].tolist() == [[0, 1]]


def test_empty_portions_are_nothing():
    metric = metric_of(([], []), ([0.5], [1]), ([], []), ([], [], np.zeros((0, 2), int)))
    assert len(metric) == 1
    metric.merge(VerificationMetric())
    assert len(metric) == 1


def test_memory_is_that_of_distinct_pairs(monkeypatch):
    monkeypatch.setattr(streaming, "SMALL", 100)
    metric = VerificationMetric()
    rng, most = np.random.default_rng(0), 0
    for _ in range(200):
        metric.update(rng.integers(8, size=50) / 8, rng.random(50) < 0.5)
        distinct = len(metric._distinct.scores) if metric._distinct else 0
        most = max(most, distinct + sum(len(part.scores) for part in metric._waiting))
    assert len(metric) == 10_000
    assert most <= 16 + 100  # the distinct pairs and those that may wait


def test_figures_need_both_kinds_but_portions_do_not():
    metric = metric_of(([0.5] * 3, [1] * 3))
    with pytest.raises(ValueError, match="got 3 genuine and 0 impostor pairs; add pictures"):
        metric.compute()
    with pytest.raises(ValueError, match="got 0 genuine and 0 impostor pairs"):
        VerificationMetric().compute()
    metric.update([0.1], [False])
    assert metric.compute()["auc"] == 1.0
    with pytest.raises(ValueError, match="resamples must be 0 or at least 100; got 5"):
        metric.compute(resamples=5)


@pytest.mark.parametrize(
    ("portion", "error", "text"),
    [
        (([0.1], [True, False]), ValueError, r"one truth value per score; got shape \(2,\)"),
        (([np.inf], [True]), ValueError, "scores must be finite; got inf at position 0"),
        (([0.1], [-1]), TypeError, "same must hold True and False"),
        (([0.1], [1], [[1, 2]]), ValueError, "identities must be equal where same is True"),
        (
            ([0.1], [1], [1, 1]),
            ValueError,
            r"identities must be \[p, 2\]; got \(2,\)|got \(2,\) for",
        ),
        (([0.1], [1], [[1.0, 1.0]]), TypeError, "identities must be integers or strings"),
        (
            ([0.1], [1], [["a", "a"]]),
            TypeError,
            "identities must be of one kind; got <U1 after int64",
        ),
        (
            ([0.1], [1]),
            ValueError,
            "got pairs without them after pairs with them; pass them always",
        ),
    ],
)
def test_portions_that_do_not_fit_are_refused_and_change_nothing(portion, error, text):
    metric = metric_of(([0.5, 0.1], [1, 0], [[1, 1], [1, 2]]))
    with pytest.raises(error, match=text):
        metric.update(*portion)
    assert len(metric) == 2


def test_merges_that_do_not_fit_are_refused():
    metric = metric_of(([0.5], [1]))
    with pytest.raises(ValueError, match="got pairs with them after pairs without them"):
        metric.merge(metric_of(([0.5], [1], [[1, 1]])))
    nothing = cast(Any, {})
    with pytest.raises(
        TypeError, match="other must be a VerificationMetric; got dict; load a state"
    ):
        metric.merge(nothing)
    with pytest.raises(ValueError, match=r"each far must lie in \(0, 1\]; got 0"):
        VerificationMetric(far=[0])


STATE = {"scores": [0.5], "same": [True], "counts": [2], "names": [7], "people": [[0, 0]]}


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"counts": None}, ValueError, "got an array missing; pass what state_dict returned"),
        ({"names": None}, ValueError, "got names or people alone"),
        ({"counts": [1, 1]}, ValueError, r"got \(2,\) counts of \(1,\) scores"),
        ({"counts": [0]}, ValueError, "got counts that count nothing"),
        ({"counts": [1.5]}, ValueError, "got counts that count nothing"),
        ({"people": [[0, 1]]}, ValueError, "got people that are no places in names"),
        ({"people": [0]}, ValueError, "got people that are no places in names"),
        ({"same": [False]}, ValueError, "identities must be equal where same is True"),
        ({"names": [7.0]}, TypeError, "names must be integers or strings"),
        ({"scores": [np.nan]}, ValueError, "scores must be finite"),
    ],
)
def test_states_that_do_not_fit_are_refused_and_change_nothing(change, error, text):
    metric = metric_of(([0.5, 0.1], [1, 0]))
    state = {name: value for name, value in (STATE | change).items() if value is not None}
    with pytest.raises(error, match=text):
        metric.load_state_dict(state)
    assert len(metric) == 2
    metric.load_state_dict(STATE)
    assert len(metric) == 2
    assert metric.state_dict()["names"].tolist() == [7]


PROCESS = """
import numpy as np
from cospair.evaluation.verification.streaming import VerificationMetric

pairs = np.load(f"{folder}/pairs.npz")
metric = VerificationMetric(far=[0.1])
share = slice(0, 10) if rank == 0 else slice(10, None)
metric.update(pairs["scores"][share], pairs["same"][share], pairs["people"][share])

states = [None] * dist.get_world_size()
dist.all_gather_object(states, metric.state_dict())
total = VerificationMetric(far=[0.1])
for state in states:
    part = VerificationMetric()
    part.load_state_dict(state)
    total.merge(part)
np.savez(f"{folder}/{rank}.npz", **total.state_dict())
"""


def test_two_processes_with_uneven_shares_see_what_one_sees(tmp_path):
    scores, people, same = scored_people(6, 3, decimals=2)
    np.savez(tmp_path / "pairs.npz", scores=scores, people=people, same=same)
    two_processes(PROCESS, tmp_path)
    whole = metric_of((scores, same, people))
    for rank in range(2):
        loaded = VerificationMetric(far=FAR)
        with np.load(tmp_path / f"{rank}.npz") as state:
            loaded.load_state_dict(state)
        equal_states(loaded, whole)
        assert loaded.compute(resamples=100) == whole.compute(resamples=100)
