from dataclasses import dataclass

import pytest
import torch

from cospair.gallery import Gallery


@dataclass(frozen=True)
class Point:
    threshold: float


def gallery(threshold: float = 0.5) -> Gallery:
    made = Gallery(Point(threshold))
    made.enrol(["ann", "bob", "ann"], torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
    return made


def test_a_name_scores_as_its_best_embedding():
    found = gallery().identify(torch.tensor([-4.0, 0.1]))
    assert [entry["name"] for entry in found] == ["ann", "bob"]
    assert found[0]["score"] == pytest.approx(4 / (16.01**0.5), abs=1e-6)
    assert found[0]["accepted"] is True
    assert found[1]["accepted"] is False


def test_a_score_equal_to_the_threshold_is_accepted():
    assert gallery(1.0).identify(torch.tensor([5.0, 0.0]))[0]["accepted"] is True


def test_verify_asks_one_name():
    assert gallery().verify(torch.tensor([0.0, 1.0]), "bob")["accepted"] is True
    assert gallery().verify(torch.tensor([0.0, 1.0]), "ann")["accepted"] is False
    with pytest.raises(ValueError, match=r"name must be enrolled, got 'eve'; enrol it"):
        gallery().verify(torch.tensor([0.0, 1.0]), "eve")


def test_equal_scores_are_ordered_by_name():
    made = Gallery(Point(0.5))
    made.enrol(["zoe", "ann"], torch.ones(2, 3))
    assert [entry["name"] for entry in made.identify(torch.ones(3), top=1)] == ["ann"]


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
def test_rows_that_match_nothing_or_everything_are_refused(bad):
    rows = torch.ones(3, 2)
    rows[1] = bad
    with pytest.raises(ValueError, match=r"finite and not zero, got a zero, NaN or infinite row 1"):
        Gallery(Point(0.5)).enrol(["a", "b", "c"], rows)


def test_what_does_not_fit_is_refused():
    made = gallery()
    with pytest.raises(ValueError, match=r"got 1 names for 2 embeddings"):
        made.enrol(["x"], torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"must have 2 dimensions like those enrolled, got 3"):
        made.enrol(["x"], torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"must have 2 dimensions like those enrolled, got 3"):
        made.identify(torch.ones(3))
    with pytest.raises(ValueError, match=r"must be \[n, d\], got shape \(2,\)"):
        made.enrol(["x"], torch.ones(2))
    with pytest.raises(ValueError, match=r"somebody enrolled before it is asked"):
        Gallery(Point(0.5)).identify(torch.ones(2))
    assert len(made) == 3
