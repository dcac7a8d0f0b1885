"""From pytorch-metric-learning: the same number from both libraries, and the one line that changes.

    pip install pytorch-metric-learning
    python examples/from_pytorch_metric_learning.py

Its contrastive loss with cosine similarity costs max(0, pos_margin - s) for a genuine pair and
max(0, s - neg_margin) for an impostor pair, and averages the pairs of each kind that cost anything:
`AllPairsCosineEmbeddingLoss` with `reduction="active"`. The batch: 256 digits and a linear encoder.
"""

import time
from typing import Any

import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss
from torch import Tensor, nn

from cospair import AllPairsCosineEmbeddingLoss, data

MARGIN = 0.25
margins: Any = {"pos_margin": 1.0, "neg_margin": MARGIN}  # annotated as whole numbers there
before = ContrastiveLoss(**margins, distance=CosineSimilarity())
after = AllPairsCosineEmbeddingLoss(MARGIN, positive_margin=1.0, reduction="active")

digits = data.digits()
pixels = torch.from_numpy(np.asarray(digits.pictures[:256])).flatten(1) / 255
labels = torch.from_numpy(digits.labels[:256])
torch.manual_seed(0)
encoder = nn.Linear(64, 32)


def step(criterion: nn.Module) -> tuple[float, Tensor]:
    """Loss and the encoder's gradient."""
    encoder.zero_grad()
    loss = criterion(encoder(pixels), labels)
    loss.backward()
    assert encoder.weight.grad is not None
    return loss.item(), encoder.weight.grad.clone()


gradients = []
for name, criterion in (("pytorch-metric-learning", before), ("cospair", after)):
    loss, gradient = step(criterion)
    ms = []
    for _ in range(20):
        start = time.perf_counter()
        step(criterion)
        ms.append(1e3 * (time.perf_counter() - start))
    gradients.append(gradient)
    print(f"{name:24} loss {loss:.6f}  quickest step {min(ms):.2f} ms")
apart = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
print(f"the encoder's gradients differ by {apart.item():.0e} of their length")
