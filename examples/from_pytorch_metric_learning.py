"""From pytorch-metric-learning: the same number from both libraries, and the one line that changes.

    pip install pytorch-metric-learning
    python examples/from_pytorch_metric_learning.py

Its contrastive loss with cosine similarity costs max(0, pos_margin - s) for a genuine pair and
max(0, s - neg_margin) for an impostor pair, and averages the pairs of each kind that cost anything:
`AllPairsCosineEmbeddingLoss` with `reduction="active"`. The batch: 256 digits and a linear encoder.
"""

import time

import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss
from torch import Tensor, nn

from cospair import AllPairsCosineEmbeddingLoss, data

MARGIN = 0.25


def losses() -> dict[str, nn.Module]:
    """Both losses, one after the other."""
    return {
        "pytorch-metric-learning": ContrastiveLoss(
            pos_margin=1.0, neg_margin=MARGIN, distance=CosineSimilarity()
        ),
        "cospair": AllPairsCosineEmbeddingLoss(MARGIN, positive_margin=1.0, reduction="active"),
    }


def step(criterion: nn.Module, encoder: nn.Linear, x: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """Loss, the encoder's gradient, and the time of the quickest of five steps."""
    seconds = []
    for _ in range(5):
        encoder.zero_grad()
        start = time.perf_counter()
        loss = criterion(encoder(x), labels)
        loss.backward()
        seconds.append(time.perf_counter() - start)
    assert encoder.weight.grad is not None
    return loss.detach(), encoder.weight.grad.clone(), torch.tensor(1e3 * min(seconds))


digits = data.digits()
x = torch.from_numpy(np.asarray(digits.pictures[:256])).flatten(1) / 255
labels = torch.from_numpy(digits.labels[:256])
torch.manual_seed(0)
encoder = nn.Linear(64, 32)
gradients = []
for name, criterion in losses().items():
    loss, gradient, ms = step(criterion, encoder, x, labels)
    gradients.append(gradient)
    print(f"{name:24} loss {loss.item():.6f}  step {ms.item():.2f} ms")
apart = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
print(f"the encoder's gradients differ by {apart.item():.0e} of their length")
