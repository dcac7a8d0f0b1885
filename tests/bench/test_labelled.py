import math

import pytest
import torch
import torch.nn.functional as F

import cospair
from cospair.bench import labelled
from cospair.bench.plan import RANDOM, TRAINED

KINDS = (RANDOM, TRAINED)


def cosines(batch):
    """Mean cosines: within a class, of confusable classes, of others."""
    units = F.normalize(batch.x.detach(), dim=1)
    table = units @ units.T
    low = torch.minimum(batch.labels[:, None], batch.labels[None, :])
    apart = (batch.labels[:, None] - batch.labels[None, :]).abs()
    within = (apart == 0) & ~torch.eye(len(units), dtype=torch.bool)
    confusable = (apart == 1) & (low % 8 == 0)
    others = ~(confusable | (apart == 0))
    return [table[which].mean().item() for which in (within, confusable, others)]


def test_trained_like_batches_have_the_cosines_they_say():
    for batch in labelled.batches(512, 256, TRAINED, "cpu"):
        # means over 3584, 1024 and 257,000 pairs that share 64 means
        assert cosines(batch) == pytest.approx([0.7, 0.56, 0.0], abs=0.02)


def test_random_batches_know_no_classes():
    for batch in labelled.batches(512, 256, RANDOM, "cpu"):
        assert cosines(batch) == pytest.approx([0, 0, 0], abs=0.02)


@pytest.mark.parametrize("data", KINDS)
@pytest.mark.parametrize("n", [1, 8, 9, 20])
def test_eight_rows_a_class_in_random_order_the_same_in_every_process(data, n):
    first, second = labelled.batches(n, 4, data, "cpu"), labelled.batches(n, 4, data, "cpu")
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.labels, b.labels)
        assert a.labels.sort().values.tolist() == [i // 8 for i in range(n)]
        assert a.x.requires_grad
    assert not torch.equal(first[0].x, first[1].x)


@pytest.mark.parametrize("data", KINDS)
@pytest.mark.parametrize("n", [2, 40, 41])
def test_truth_is_the_librarys_loss_in_float64(data, n, monkeypatch):
    monkeypatch.setattr(labelled, "_TRUTH_NUMBERS", 7 * n)  # several blocks and a ragged one
    batch = labelled.batches(n, 8, data, "cpu")[0]
    margins = (-0.5, 0.0, 0.25, 0.99)
    for margin, found in zip(margins, labelled.truths(batch, margins), strict=True):
        expected = cospair.all_pairs_cosine_embedding_loss(
            batch.x.detach().double(),
            batch.labels,
            margin=margin,
            reduction="active",
            kernel="reference",
        )
        assert math.isclose(found, expected.item(), rel_tol=1e-12, abs_tol=1e-15)
