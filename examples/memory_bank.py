"""A memory of batches gone by: many pairs out of a small batch; digits, 8 x 8, from scikit-learn.

    python examples/memory_bank.py [--steps 200] [--seeds 3]

A batch of 4 digits with 2 pictures each holds 4 genuine and 24 impostor pairs. `CrossBatchMemory`
pairs it with the last 256 embeddings too, at the price of one product with them. Both ways start
from the same weights and see the same batches; pictures that neither has seen judge.
"""

import argparse

import numpy as np
import torch
from torch import Tensor, nn

from cospair import AllPairsCosineEmbeddingLoss, CrossBatchMemory, data
from cospair.evaluation import verification_figures


def trained(criterion: nn.Module, x: Tensor, labels: Tensor, steps: int, seed: int) -> nn.Module:
    """An encoder that saw the batches of a seed."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 32))
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=2e-3)
    for rows in data.PKSampler(labels, p=4, k=2, batches=steps, seed=seed):
        optimizer.zero_grad()
        criterion(encoder(x[rows]), labels[rows]).backward()
        optimizer.step()
    return encoder


parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--seeds", type=int, default=3)
given = parser.parse_args()

digits = data.digits()
pixels = torch.from_numpy(np.asarray(digits.pictures)).flatten(1) / 255
labels = torch.from_numpy(digits.labels)
held = torch.arange(len(digits)) % 4 == 0
for name in ("the batch alone", "with its memory"):
    figures = []
    for seed in range(given.seeds):
        criterion = AllPairsCosineEmbeddingLoss(0.25, reduction="active")
        if name == "with its memory":
            criterion = CrossBatchMemory(256, 32, margin=0.25, reduction="active")
        encoder = trained(criterion, pixels[~held], labels[~held], given.steps, seed)
        with torch.no_grad():
            rows = encoder(pixels[held])
        figures.append(verification_figures(rows, labels[held], resamples=0))
    auc, eer = (sum(found[key] for found in figures) / given.seeds for key in ("auc", "eer"))
    print(f"{name}: AUC {auc:.4f}, EER {eer:.2%}, mean of {given.seeds} seeds")
