"""Direction, not magnitude: metric learning on every pair of a batch, in an ordinary torch loop.

    python examples/metric_learning.py [--steps 150]

`PKSampler` hands a DataLoader batches of 10 digits with 8 pictures each; the loss takes all 3,160
pairs of such a batch. At the end every embedding is made longer or shorter by a random factor: the
cosine loss and the figures stay, a mean squared error of the same pairs does not.
"""

import argparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from cospair import AllPairsCosineEmbeddingLoss, data
from cospair.evaluation import retrieval_figures, verification_figures


def report(name: str, rows: Tensor, labels: Tensor, criterion: nn.Module) -> None:
    """Print the figures, the loss and a mean squared error of the similar pairs."""
    pairs = verification_figures(rows, labels, resamples=0)
    ranks = retrieval_figures(rows, labels, resamples=0)
    first, second, target = map(torch.from_numpy, data.all_pairs(labels))
    similar = target > 0
    squared = nn.MSELoss()(rows[first[similar]], rows[second[similar]])
    print(
        f"{name:9} AUC {pairs['auc']:.6f}  mAP {ranks['map']:.6f}  "
        f"cosine loss {criterion(rows, labels).item():.6f}  MSE {squared.item():.6f}"
    )


parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=150)
steps = parser.parse_args().steps

digits = data.digits()
pixels = torch.from_numpy(np.asarray(digits.pictures)).flatten(1) / 255
labels = torch.from_numpy(digits.labels)
held = torch.arange(len(digits)) % 4 == 0

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 32))
criterion = AllPairsCosineEmbeddingLoss(0.25, reduction="active")
optimizer = torch.optim.AdamW(encoder.parameters(), lr=2e-3)
sampler = data.PKSampler(digits.labels[~held.numpy()], p=10, k=8, batches=steps, seed=0)
loader = DataLoader(TensorDataset(pixels[~held], labels[~held]), batch_sampler=sampler)
for pictures, classes in loader:
    optimizer.zero_grad()
    criterion(encoder(pictures), classes).backward()
    optimizer.step()

with torch.no_grad():
    embeddings = encoder(pixels[held])
factors = torch.empty(len(embeddings), 1).uniform_(0.1, 10.0)
report("pixels", pixels[held], labels[held], criterion)
report("trained", embeddings, labels[held], criterion)
report("rescaled", embeddings * factors, labels[held], criterion)
