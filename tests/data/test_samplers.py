import copy
import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from cospair.data.samplers import EpochSampler, PKSampler, walk

FORTY = np.repeat(np.arange(40), 10)
OPTIONS = {"p": 8, "k": 4, "batches": 10, "seed": 0}
# Sizes 1 to 7 a person: more and fewer than k, with people of one picture among them.
people = st.lists(st.integers(1, 7), min_size=2, max_size=12)


def generator():
    return np.random.default_rng(0)


@settings(deadline=None)
@given(sizes=people, k=st.integers(2, 6), batches=st.integers(1, 12), data=st.data())
def test_batches_hold_p_identities_with_k_pictures_each(sizes, k, batches, data):
    p = data.draw(st.integers(2, len(sizes)))
    seed = data.draw(st.integers(0, 2**40))
    labels = data.draw(st.permutations(np.repeat(np.arange(len(sizes)), sizes).tolist()))
    sampler = PKSampler(labels, p=p, k=k, batches=batches, seed=seed)
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == batches
    walked = []
    for batch in drawn:
        assert len(batch) == p * k == sampler.batch_size
        identities = [labels[row] for row in batch]
        assert set(Counter(identities).values()) == {k}
        assert len(set(identities)) == p
        # k pictures side by side, each taken k // m times or once more
        for start in range(0, p * k, k):
            assert len(set(identities[start : start + k])) == 1
            size = sizes[identities[start]]
            times = Counter(batch[start : start + k]).values()
            assert len(times) == min(size, k)
            assert max(times) - min(times) <= 1
        walked += identities[::k]
    # every identity once before any comes again
    for start in range(0, len(walked), len(sizes)):
        part = walked[start : start + len(sizes)]
        assert len(set(part)) == len(part)


@settings(deadline=None)
@given(
    total=st.integers(1, 20),
    block=st.integers(1, 50),
    blocks=st.integers(1, 12),
    seed=st.integers(0, 2**32),
)
def test_walk_repeats_as_little_as_it_can(total, block, blocks, seed):
    drawn = walk(total, block=block, blocks=blocks, generator=np.random.default_rng(seed))
    assert (drawn.shape, drawn.dtype) == ((blocks, block), np.int64)
    for row in drawn:
        times = np.bincount(row, minlength=total)
        assert times.max() - times.min() <= 1
    line = drawn.ravel()
    for start in range(0, len(line), total):
        part = line[start : start + total].tolist()
        assert len(set(part)) == len(part)
        assert 0 <= min(part) <= max(part) < total


def test_walk_needs_no_memory_for_what_it_does_not_draw():
    drawn = walk(10**15, block=5, blocks=2, generator=generator())
    assert len(set(drawn.ravel().tolist())) == 10


def test_walk_is_fair():
    # 3 of 7 in each of 21,000 walks: each value comes 9,000 times, standard deviation 72.
    source = generator()
    drawn = [walk(7, block=3, blocks=1, generator=source) for _ in range(21_000)]
    counts = np.bincount(np.concatenate(drawn).ravel(), minlength=7)
    np.testing.assert_allclose(counts, 9000, atol=5 * 72)


@settings(deadline=None, max_examples=30)
@given(epoch=st.integers(0, 2**40), seed=st.integers(0, 2**70), used=st.integers(0, 10))
def test_an_epoch_is_resumed_exactly(epoch, seed, used):
    options = {**OPTIONS, "seed": seed}
    sampler = PKSampler(FORTY, **options)
    sampler.set_epoch(epoch)
    running = iter(sampler)
    for _ in range(used):
        next(running)
    state = json.loads(json.dumps(sampler.state_dict()))
    rest = list(running)
    resumed = PKSampler(FORTY, **options)
    resumed.load_state_dict(state)
    assert resumed.epoch == epoch
    assert list(resumed)[used:] == rest
    assert list(resumed) == list(sampler)


def test_every_iteration_is_another_epoch():
    sampler = PKSampler(FORTY, **OPTIONS)
    epochs = [list(sampler) for _ in range(3)]
    assert sampler.epoch == 2
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    sampler.set_epoch(1)
    assert list(sampler) == epochs[1]
    assert list(sampler) == epochs[2]


def test_an_epoch_left_half_way_is_not_given_again():
    sampler = PKSampler(FORTY, **OPTIONS)
    first = next(iter(sampler))
    assert next(iter(sampler)) != first
    assert sampler.epoch == 1


def test_seed_decides_and_global_state_is_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), copy.deepcopy(np.random.get_state())  # noqa: NPY002
    first, again = (list(PKSampler(FORTY, **OPTIONS)) for _ in range(2))
    assert first == again
    assert list(PKSampler(FORTY, **{**OPTIONS, "seed": 1})) != first
    torch.testing.assert_close(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == str(numpy_state)  # noqa: NPY002


def test_a_data_loader_takes_it_as_batch_sampler():
    labels = torch.from_numpy(FORTY)
    sampler = PKSampler(FORTY, **OPTIONS)
    loader = DataLoader(TensorDataset(labels), batch_sampler=sampler)
    assert len(loader) == 10
    expected = PKSampler(FORTY, **OPTIONS)
    for epoch in range(2):
        expected.set_epoch(epoch)
        found = [batch.tolist() for (batch,) in loader]
        assert found == [[FORTY[row] for row in batch] for batch in expected]


def test_rows_are_plain_ints():
    batch = next(iter(PKSampler(FORTY, **OPTIONS)))
    assert {type(row) for row in batch} == {int}


def test_processes_of_accelerate_share_the_batches():
    data_loader = pytest.importorskip("accelerate.data_loader")
    whole = list(PKSampler(FORTY, **OPTIONS))
    shares = [
        list(data_loader.BatchSamplerShard(PKSampler(FORTY, **OPTIONS), 2, process))
        for process in range(2)
    ]
    assert [batch for both in zip(*shares, strict=True) for batch in both] == whole


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"p": 41}, ValueError, "p must be at most the number of identities; got p=41 for 40"),
        ({"p": 1}, ValueError, "p must be at least 2; got 1"),
        ({"k": 1}, ValueError, "k must be at least 2; got 1"),
        ({"batches": 0}, ValueError, "batches must be at least 1; got 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0; got -1"),
        ({"p": 2.0}, TypeError, r"p must be an int; got 2\.0"),
        ({"k": True}, TypeError, "k must be an int; got True"),
        ({"batches": "3"}, TypeError, "batches must be an int; got '3'"),
        ({"labels": [0.5, 1.5]}, TypeError, "labels must be integers"),
        ({"labels": []}, ValueError, "for 0 identities"),
    ],
)
def test_options_that_cannot_be_are_refused(change, error, words):
    options = {"labels": FORTY, **OPTIONS, **change}
    with pytest.raises(error, match=words):
        PKSampler(options.pop("labels"), **options)


@pytest.mark.parametrize(("epoch", "error"), [(-1, ValueError), (1.0, TypeError)])
def test_epochs_that_cannot_be_are_refused(epoch, error):
    with pytest.raises(error, match="epoch must be"):
        PKSampler(FORTY, **OPTIONS).set_epoch(epoch)


@pytest.mark.parametrize("change", [{"p": 4}, {"seed": 1}, {"k": 5}, {"batches": 3}])
def test_a_state_of_other_settings_is_refused(change):
    state = PKSampler(FORTY, **OPTIONS).state_dict()
    with pytest.raises(ValueError, match="state must come from a sampler with the same settings"):
        PKSampler(FORTY, **{**OPTIONS, **change}).load_state_dict(state)


def test_a_state_of_other_data_or_without_epoch_is_refused():
    sampler = PKSampler(FORTY, **OPTIONS)
    with pytest.raises(ValueError, match=r"'pictures': 400.*'pictures': 390"):
        sampler.load_state_dict(PKSampler(FORTY[10:], **OPTIONS).state_dict())
    state = sampler.state_dict()
    del state["epoch"]
    with pytest.raises(ValueError, match="same settings"):
        sampler.load_state_dict(state)


def test_the_common_part_stands_on_no_feet_of_its_own():
    with pytest.raises(TypeError, match="abstract"):
        EpochSampler(batches=1, seed=0)  # pyright: ignore[reportAbstractUsage]
