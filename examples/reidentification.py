"""Re-identification: in the loss each query against 1,000 gallery rows, in the end a ranking.

    python examples/reidentification.py [people/]   # identity/camera_anything.jpg, or AT&T's faces

The faces get two made-up cameras: every second picture is shrunk to 16 pixels across, as from afar.
A head learns on frozen ImageNet features; identities it never saw are ranked, by the camera rule.
"""

import argparse

import numpy as np
import torch
from torch import Tensor

from cospair import cosine_embedding_loss, data, models, recipes, training
from cospair.evaluation import retrieval_figures

RECIPE, CHANCE = recipes.Recipe(views=2, area=64 * 56), np.random.default_rng(0)


def query_loss(x: Tensor, query: int, gallery: Tensor, labels: np.ndarray) -> Tensor:
    """An embedding, expanded, against its matches and as many others as make 1,000 rows."""
    matches = np.setdiff1d(np.flatnonzero(labels == labels[query]), [query])
    others = CHANCE.choice(np.flatnonzero(labels != labels[query]), 1000 - len(matches))
    rows = gallery[np.concatenate([matches, others])]
    target = torch.ones(1000).index_fill(0, torch.arange(len(matches), 1000), -1)
    weight = torch.where(target > 0, 1 / len(matches), 1 / len(others))  # both kinds count half
    return cosine_embedding_loss(x.expand(1000, -1), rows, target, margin=0.1, weight=weight)


parser = argparse.ArgumentParser()
parser.add_argument("source", nargs="?", default="faces")
parser.add_argument("--rounds", type=int, default=8, help="of 20 steps, 16 queries each")
given = parser.parse_args()
images = data.load(given.source)
pictures = [images.picture(row) for row in range(len(images))]
cameras = np.array([file.stem.split("_")[0] for file in images.pictures])
if given.source == "faces":
    cameras = np.array(["near", "far"] * 200)
    pictures[1::2] = [picture.resize((16, 20)) for picture in pictures[1::2]]
train, held = data.split_identities(images.labels, test=0.25, seed=0)
config = recipes.config_for(RECIPE, [pictures[0].size], channels=len(pictures[0].getbands()))
prepared = models.prepared_all(pictures, config)
views = training.feature_views(models.Embedder(config), prepared, RECIPE, seed=0)
views = (views - views[:, train].mean((0, 1))) / (views[:, train].std((0, 1)) + 1e-6)
seen, labels = views[:, train].flatten(0, 1), np.tile(images.labels[train], len(views))
torch.manual_seed(0)
head = torch.nn.Linear(seen.shape[1], 128)
optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
for _ in range(given.rounds):
    gallery = head(seen).detach()
    for queries in CHANCE.integers(len(seen), size=(20, 16)):
        optimizer.zero_grad()
        for row in queries:
            query_loss(head(seen[row]), row, gallery, labels).backward()
        optimizer.step()
unseen = training.plain_features(views[:, held], RECIPE)
for name, rows in {"features": unseen, "trained head": head(unseen).detach()}.items():
    found = retrieval_figures(rows, images.labels[held], cameras=cameras[held], resamples=0)
    print(f"{name}: CMC@1 {found['cmc']['1']:.4f}, mAP {found['map']:.4f}")
