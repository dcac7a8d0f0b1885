"""Every class known beforehand: a classifier beside the default loss, on pictures held out.

    python benchmarks/closed_set.py                        # digits, some minutes
    python benchmarks/closed_set.py data/fashion --area 1024 --save rows.csv

Half of each class's pictures train, the other half test, over five splits. The same encoder, steps
and pictures a step, from scratch:

    classifier     softmax over 16 times the cosines to one learned vector a class; it answers
                   with the class of the nearest vector
    default        cospair's loss over all pairs; it answers with the class whose training
                   pictures have the nearest mean direction
    default, 5 nearest   the same encoder; the class of most of the five nearest training pictures

and each with a twentieth of the training pictures kept, where labels are few.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cospair import data, models, recipes, training
from cospair.bench.provenance import save
from cospair.recipes import FROM_SCRATCH, Recipe
from cospair.training import Objective

SPLITS = 5
T_95 = 2.776  # Student's t, 4 degrees of freedom


class Classifier(nn.Module):
    """Softmax over scaled cosines to learned class vectors."""

    def __init__(self, classes: int, dimensions: int) -> None:
        """One vector a class."""
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(classes, dimensions))

    def scores(self, embeddings: Tensor) -> Tensor:
        """Cosines [n, classes]."""
        return embeddings @ F.normalize(self.vectors, dim=1).T

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy."""
        return F.cross_entropy(16 * self.scores(embeddings), labels)


def halves(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that train, a share of half of each class, and all rows of the other halves."""
    generator = np.random.default_rng(seed)
    train, test = [], []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        half = len(rows) // 2
        train.append(rows[: max(4, round(share * half))])
        test.append(rows[half:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def accuracies(
    pictures: Tensor,
    labels: Tensor,
    config: models.EmbedderConfig,
    recipe: Recipe,
    share: float,
    seed: int,
) -> dict[str, float]:
    """Share of the test pictures that each way names rightly."""
    train, test = halves(labels.numpy(), share, seed)
    known, wanted = labels[train], labels[test]
    classes = int(labels.max()) + 1
    torch.manual_seed(seed)
    classifier = Classifier(classes, config.dimensions)
    batches = training.pk_batches(known, recipe, seed=seed)
    found = {}
    model = training.train_from_scratch(
        config, pictures[train], known, recipe, seed=seed, objective=Objective(classifier, batches)
    )
    with torch.no_grad():
        found["classifier"] = classifier.scores(model.embed(pictures[test])).argmax(1)
    model = training.train_from_scratch(config, pictures[train], known, recipe, seed=seed)
    gallery, queries = model.embed(pictures[train]), model.embed(pictures[test])
    means = torch.stack([gallery[known == label].mean(0) for label in range(classes)])
    found["default"] = (queries @ F.normalize(means, dim=1).T).argmax(1)
    nearest = known[(queries @ gallery.T).topk(5).indices]
    found["default, 5 nearest"] = nearest.mode(1).values
    return {name: float((answer == wanted).double().mean()) for name, answer in found.items()}


def cell(values: list[float]) -> str:
    """Mean and half the 95 % interval over splits, in percent."""
    half = T_95 * statistics.stdev(values) / len(values) ** 0.5
    return f"{100 * statistics.mean(values):.1f} ± {100 * half:.1f}"


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--area", type=int, default=256, help="pixels of a prepared picture")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    recipe = replace(FROM_SCRATCH, area=asked.area, steps=asked.steps, mirror=False)
    images = data.load(asked.data)
    config = recipes.config_for_set(recipe, images)
    pictures = models.prepared_all((images.picture(i) for i in range(len(images))), config)
    labels = torch.from_numpy(np.unique(images.labels, return_inverse=True)[1])
    for share in (1.0, 0.05):
        found = [
            accuracies(pictures, labels, config, recipe, share, seed) for seed in range(SPLITS)
        ]
        train = len(halves(labels.numpy(), share, 0)[0])
        for name in found[0]:
            print(f"{images.name}, {train} labelled, {name}: {cell([one[name] for one in found])}")
        if asked.save:
            save(
                [
                    {
                        "data": images.name,
                        "labelled": train,
                        "seed": seed,
                        "way": name,
                        "accuracy": v,
                    }
                    for seed, one in enumerate(found)
                    for name, v in one.items()
                ],
                asked.save,
            )


if __name__ == "__main__":
    main()
