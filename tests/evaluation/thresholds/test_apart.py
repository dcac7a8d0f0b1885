import hashlib

import numpy as np
import pytest
import torch

from cospair.evaluation.calibration.artefact import calibrate
from cospair.evaluation.thresholds.apart import check_apart, identity_hashes
from cospair.evaluation.thresholds.choosing import choose_threshold

PAIRS = [0.9, 0.7, 0.6, 0.1], [True, True, False, False]


@pytest.mark.parametrize("make", [choose_threshold, calibrate])
def test_people_calibrated_on_are_refused(make):
    made = make(*PAIRS, calibration_identities=["ann", "bob", "bob", "cleo"])
    check_apart(made, ["dora", "annie"])
    with pytest.raises(ValueError, match=r"must not hold people.*got 1 of them, 'bob'; test on"):
        check_apart(made, ["dora", "bob", "bob"])
    everybody = choose_threshold(*PAIRS, calibration_identities=list("abcd"))
    with pytest.raises(ValueError, match="got 4 of them, 'a', 'b', 'c' and others"):
        check_apart(everybody, list("dcba"))


@pytest.mark.parametrize(
    "people", [[7, 2**53 + 1], np.array([2**53 + 1, 7, 7]), torch.tensor([7, 2**53 + 1])]
)
def test_whole_numbers_are_names_of_their_own(people):
    made = choose_threshold(*PAIRS, calibration_identities=people)
    assert len(made.calibration_identities) == 2
    check_apart(made, [2**53, 8])
    check_apart(made, ["7"])
    with pytest.raises(ValueError, match=f"got 1 of them, {2**53 + 1}"):
        check_apart(made, torch.tensor([2**53 + 1]))


def test_hashes_stand_for_the_names():
    expected = [hashlib.sha256(f"str {name}".encode()).hexdigest()[:16] for name in ("ann", "母")]
    assert identity_hashes("names", ["母", "ann", "ann"]) == tuple(sorted(expected))
    assert identity_hashes("names", None) == ()


def test_an_artefact_without_names_is_refused():
    with pytest.raises(ValueError, match="artefact must hold the names of its calibration people"):
        check_apart(choose_threshold(*PAIRS), ["ann"])


def test_floats_are_no_names():
    with pytest.raises(TypeError, match="calibration_identities must be integers or strings"):
        choose_threshold(*PAIRS, calibration_identities=[0.5, 1.5])
    made = choose_threshold(*PAIRS, calibration_identities=["ann"])
    with pytest.raises(TypeError, match="identities must be integers or strings"):
        check_apart(made, [0.5])
