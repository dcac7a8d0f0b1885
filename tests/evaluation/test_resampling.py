import numpy as np
from evaluation.examples import scored_people

from cospair.evaluation import identity_bootstrap, resampling
from cospair.evaluation.resampling import multiplicities, slots_of
from cospair.evaluation.verification import resampled_figures


def figures(impostors, genuine):
    return resampled_figures(impostors, genuine, (0.1, 0.01))


def test_copies_of_an_identity_never_meet():
    """The weights of each resample against a list of the copies drawn."""
    scores, identities, _ = scored_people(people=3, each=3)
    seen = []

    def keep(impostors, genuine):
        seen.append((impostors, genuine))
        return {"none": np.arange(impostors.shape[1], dtype=float)}

    draws = np.random.default_rng(2).integers(3, size=(100, 3))
    identity_bootstrap(scores, identities, keep, resamples=100, seed=2)
    impostors = np.concatenate([block[0][-1] for block in seen[1:]])
    genuine = np.concatenate([block[1][-1] for block in seen[1:]])
    for drawn, i, g in zip(draws, impostors, genuine, strict=True):
        copies = [(copy, person) for copy, person in enumerate(drawn)]
        meetings = sum(a[1] != b[1] for k, a in enumerate(copies) for b in copies[:k])
        assert (i, g) == (9 * meetings, 3 * len(copies))


def test_block_size_changes_nothing(monkeypatch):
    scores, identities, _ = scored_people()
    expected = identity_bootstrap(scores, identities, figures, resamples=101)
    for cells in (1, 3000, 10**5):
        monkeypatch.setattr(resampling, "BLOCK_CELLS", cells)
        assert identity_bootstrap(scores, identities, figures, resamples=101) == expected


def test_draws_of_a_resample_add_up_to_the_people():
    blocks = list(multiplicities(7, 3 * resampling.BLOCK_CELLS // 10, resamples=101, seed=4))
    assert [len(block) for block in blocks] == [3] * 33 + [2]
    times = np.concatenate(blocks)
    drawn = np.random.default_rng(4).integers(7, size=(101, 7))
    np.testing.assert_array_equal(times, [np.bincount(row, minlength=7) for row in drawn])


def test_slots_by_hand():
    steps = np.array([0.2, 0.6])  # from the top: above, at 0.6, between, at 0.2, below
    slots = slots_of(np.array([0.9, 0.6, 0.5, 0.3, 0.2, -1.0]), steps)
    assert slots.tolist() == [0, 1, 2, 2, 3, 4]
