"""A Siamese network: one encoder sees both pictures of a pair; digits, 8 x 8, from scikit-learn.

    python examples/siamese.py [--steps 200]

Every batch mixes similar and dissimilar pairs half and half. A quarter of the pictures of every
digit never trains: all their pairs are verified, by pixels and by the encoder.
"""

import argparse

import numpy as np
import torch
from torch import nn

from cospair import CosineEmbeddingLoss, data
from cospair.evaluation import verification_figures

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
steps = parser.parse_args().steps

digits = data.digits()
pixels = torch.from_numpy(np.asarray(digits.pictures)).flatten(1) / 255
held = np.arange(len(digits)) % 4 == 0
training, labels = pixels[~held], digits.labels[~held]

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 32))
criterion = CosineEmbeddingLoss(margin=0.25)
optimizer = torch.optim.AdamW(encoder.parameters(), lr=2e-3)
sampler = data.PairSampler(labels, genuine=64, impostor=64, batches=steps, seed=0)
for step, (first, second, target) in enumerate(sampler, start=1):
    # The weights are shared, so both sides go through in one batch.
    x1, x2 = encoder(torch.cat([training[first], training[second]])).chunk(2)
    loss = criterion(x1, x2, torch.from_numpy(target))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % max(1, steps // 4) == 0:
        print(f"step {step}: loss {loss.item():.4f}")

with torch.no_grad():
    embeddings = encoder(pixels[held])
for name, rows in (("pixels", pixels[held]), ("encoder", embeddings)):
    found = verification_figures(rows, digits.labels[held], resamples=0)
    print(
        f"{name:8} {found['genuine_pairs']} genuine and {found['impostor_pairs']} impostor "
        f"pairs: AUC {found['auc']:.4f}, EER {found['eer']:.2%}"
    )
