from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from cospair.data.pairs import PairSampler, all_pairs, sample_pairs

FORTY = np.repeat(np.arange(40), 10)
OPTIONS = {"genuine": 4, "impostor": 6, "batches": 5, "seed": 0}
labelled = st.lists(st.integers(-2, 4), min_size=2, max_size=14)


def brute_force(labels):
    """The genuine and the impostor pairs as sets."""
    kinds = {1: set(), -1: set()}
    for i, j in combinations(range(len(labels)), 2):
        kinds[1 if labels[i] == labels[j] else -1].add((i, j))
    return kinds


def as_list(pairs):
    first, second, target = pairs
    assert first.dtype == second.dtype == target.dtype == np.int64
    return list(zip(first.tolist(), second.tolist(), target.tolist(), strict=True))


@settings(deadline=None)
@given(labels=st.lists(st.integers(-2, 4), max_size=14))
def test_all_pairs_are_those_of_two_loops(labels):
    expected = [
        (i, j, 1 if labels[i] == labels[j] else -1) for i, j in combinations(range(len(labels)), 2)
    ]
    assert as_list(all_pairs(labels)) == expected


def test_all_pairs_of_a_tensor():
    first, second, target = all_pairs(torch.tensor([3, 3, 8]))
    assert (first.tolist(), second.tolist(), target.tolist()) == ([0, 0, 1], [1, 2, 2], [1, -1, -1])


@settings(deadline=None)
@given(labels=labelled, data=st.data())
def test_asking_for_all_pairs_gives_each_once(labels, data):
    kinds = brute_force(labels)
    seed = data.draw(st.integers(0, 2**40))
    drawn = sample_pairs(labels, genuine=len(kinds[1]), impostor=len(kinds[-1]), seed=seed)
    assert sorted(as_list(drawn)) == as_list(all_pairs(labels))


@settings(deadline=None)
@given(labels=labelled, seed=st.integers(0, 2**40), data=st.data())
def test_pairs_repeat_as_little_as_they_can(labels, seed, data):
    kinds = brute_force(labels)
    genuine = data.draw(st.integers(0, 3 * len(kinds[1])))
    impostor = (
        data.draw(st.integers(0 if genuine else 1, 3 * len(kinds[-1]) or 0)) if kinds[-1] else 0
    )
    if genuine + impostor == 0:
        return
    drawn = as_list(sample_pairs(labels, genuine=genuine, impostor=impostor, seed=seed))
    for target, wanted in ((1, genuine), (-1, impostor)):
        times = Counter((i, j) for i, j, kind in drawn if kind == target)
        assert sum(times.values()) == wanted
        assert set(times) <= kinds[target]
        if wanted:
            assert len(times) == min(wanted, len(kinds[target]))
            assert max(times.values()) - min(times.values()) <= 1


def test_pairs_of_a_large_set_take_little_memory():
    # 5e11 pairs: listing them is out of the question.
    labels = np.repeat(np.arange(10_000), 100)
    first, second, target = sample_pairs(labels, genuine=500, impostor=500, seed=0)
    np.testing.assert_array_equal(labels[first] == labels[second], target == 1)
    assert (first < second).all()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 1000


def test_every_pair_is_equally_likely():
    # Sizes 3, 2, 1: 4 genuine and 11 impostor pairs, 8,000 draws of one of each.
    labels = [0, 0, 0, 1, 1, 2]
    source = np.random.default_rng(0)
    times = Counter()
    for _ in range(8000):
        times.update(as_list(sample_pairs(labels, genuine=1, impostor=1, seed=source)))
    genuine = [count for (_, _, target), count in times.items() if target == 1]
    impostor = [count for (_, _, target), count in times.items() if target == -1]
    assert (len(genuine), len(impostor)) == (4, 11)
    # five standard deviations: sqrt(8000 * 1/4 * 3/4) = 38.7, sqrt(8000 * 1/11 * 10/11) = 25.7
    np.testing.assert_allclose(genuine, 2000, atol=5 * 38.7)
    np.testing.assert_allclose(impostor, 8000 / 11, atol=5 * 25.7)


def test_kinds_are_mixed():
    _, _, target = sample_pairs(FORTY, genuine=50, impostor=50, seed=0)
    assert 10 < (target[:50] == 1).sum() < 40


def test_one_picture_gives_impostor_pairs_only():
    drawn = as_list(sample_pairs([0, 0, 7], genuine=1, impostor=2, seed=0))
    assert sorted(drawn) == [(0, 1, 1), (0, 2, -1), (1, 2, -1)]


def test_seed_or_generator():
    first, again, other = (
        as_list(sample_pairs(FORTY, genuine=5, impostor=5, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again != other
    source = np.random.default_rng(0)
    one, two = (as_list(sample_pairs(FORTY, genuine=5, impostor=5, seed=source)) for _ in range(2))
    assert one != two


@settings(deadline=None)
@given(
    labels=labelled.filter(lambda labels: len(brute_force(labels)[1]) > 0 < len(set(labels)) - 1),
    genuine=st.integers(0, 6),
    impostor=st.integers(1, 6),
    batches=st.integers(1, 8),
    seed=st.integers(0, 2**40),
)
def test_batches_hold_both_kinds_and_an_epoch_repeats_late(
    labels, genuine, impostor, batches, seed
):
    kinds = brute_force(labels)
    sampler = PairSampler(labels, genuine=genuine, impostor=impostor, batches=batches, seed=seed)
    drawn = [as_list(batch) for batch in sampler]
    assert len(drawn) == len(sampler) == batches
    for target, wanted in ((1, genuine), (-1, impostor)):
        parts = [[(i, j) for i, j, kind in batch if kind == target] for batch in drawn]
        assert {len(part) for part in parts} == {wanted}
        assert all(set(part) <= kinds[target] for part in parts)
        assert all(len(set(part)) == min(wanted, len(kinds[target])) for part in parts)
        times = Counter(pair for part in parts for pair in part)
        assert len(times) == min(wanted * batches, len(kinds[target]))
        assert not times or max(times.values()) - min(times.values()) <= 1


def test_epochs_differ_and_resume():
    sampler = PairSampler(FORTY, **OPTIONS)
    epochs = [[as_list(batch) for batch in sampler] for _ in range(2)]
    assert epochs[0] != epochs[1]
    running = iter(sampler)
    next(running)
    state = sampler.state_dict()
    assert state == {**OPTIONS, "epoch": 2, "pictures": 400, "identities": 40}
    resumed = PairSampler(FORTY, **OPTIONS)
    resumed.load_state_dict(state)
    assert [as_list(batch) for batch in resumed][1:] == [as_list(batch) for batch in running]
    with pytest.raises(ValueError, match="same settings"):
        PairSampler(FORTY, **{**OPTIONS, "genuine": 3}).load_state_dict(state)


class Pairwise(Dataset):
    def __getitem__(self, index):
        first, second, target = index
        return FORTY[first], FORTY[second], target


def test_a_data_loader_takes_it_as_sampler():
    loader = DataLoader(Pairwise(), sampler=PairSampler(FORTY, **OPTIONS), batch_size=None)
    batches = list(loader)
    assert len(batches) == 5
    for first, second, target in batches:
        assert target.dtype == torch.int64
        assert torch.equal(first == second, target == 1)
        assert int(target.sum()) == 4 - 6


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"genuine": 0, "impostor": 0}, ValueError, "must not both be 0; got 0 and 0; ask"),
        ({"genuine": -1}, ValueError, "genuine must be at least 0; got -1"),
        ({"impostor": 1.5}, TypeError, r"impostor must be an int; got 1\.5"),
        ({"labels": [0, 1, 2]}, ValueError, "genuine must be 0 where no identity has two.*got 4"),
        ({"labels": [0, 0]}, ValueError, "impostor must be 0 where there are fewer.*got 6"),
        ({"labels": []}, ValueError, "genuine must be 0"),
        ({"labels": [0.0, 1.0]}, TypeError, "labels must be integers"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, error, words):
    options = {"labels": FORTY, **OPTIONS, **change}
    labels, batches = options.pop("labels"), options.pop("batches")
    with pytest.raises(error, match=words):
        sample_pairs(labels, **options)
    with pytest.raises(error, match=words):
        PairSampler(labels, batches=batches, **options)


def test_batches_are_at_least_one():
    with pytest.raises(ValueError, match="batches must be at least 1; got 0"):
        PairSampler(FORTY, **{**OPTIONS, "batches": 0})
