"""Verification on faces of people never seen in training, over five splits.

    python benchmarks/faces.py                    # the table, about five minutes
    python benchmarks/faces.py --save rows.csv    # and append its rows to a file

Each seed keeps 10 of the 40 people for the test and trains on the other 30. A cell is the mean over
the seeds and its 95 % interval (Student's t over the five splits; people recur among splits, so it
says how a figure moves with the split, not how it would move with other people).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cospair import cosine_embedding_loss, data, evaluation, models, recipes, training
from cospair.bench.provenance import save
from cospair.models import Embedder
from cospair.recipes import FROM_SCRATCH, Recipe

T_95 = 2.776  # Student's t, 4 degrees of freedom
TEST_PEOPLE = 10

Split = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Represent = Callable[[Split, int], torch.Tensor]


def split_of(seed: int, recipe: Recipe) -> Split:
    """Prepared training pictures and classes, test pictures and labels."""
    faces = data.faces()
    train, test = data.split_identities(faces.labels, test=TEST_PEOPLE, seed=seed)
    config = recipes.config_for(recipe, [faces.picture(0).size], channels=1)
    pictures = models.prepared_all((faces.picture(i) for i in range(len(faces))), config)
    labels = torch.from_numpy(faces.labels)
    classes = torch.unique(labels[train], return_inverse=True)[1]
    return pictures[train], classes, pictures[test], labels[test]


def centred_pixels(split: Split, seed: int) -> torch.Tensor:
    """The pictures themselves, minus the training mean."""
    train, _, test, _ = split
    return (test.float() - train.float().mean(0)).flatten(1)


def frozen_features(centred: bool) -> Represent:
    """The trunk's features, with or without the training mean taken off."""

    def represent(split: Split, seed: int) -> torch.Tensor:
        train, _, test, _ = split
        model = Embedder(recipes.config_for(Recipe(), [(104, 128)], channels=1)).eval()
        with torch.no_grad():
            features = torch.cat([model.features(chunk) for chunk in test.split(32)])
            if not centred:
                return features
            return features - torch.cat([model.features(c) for c in train.split(32)]).mean(0)

    return represent


def head(recipe: Recipe) -> Represent:
    """A linear head over the frozen trunk, trained on every pair; 0 steps leave the whitening."""

    def represent(split: Split, seed: int) -> torch.Tensor:
        train, classes, test, _ = split
        model = Embedder(recipes.config_for(recipe, [(104, 128)], channels=1)).eval()
        views = training.feature_views(model, train, recipe, seed=seed)
        trained = training.train_head(views, classes, recipe, seed=seed)
        with torch.no_grad():
            return trained(torch.cat([model.features(chunk) for chunk in test.split(32)]))

    return represent


def whitening(split: Split, seed: int) -> torch.Tensor:
    """The head's starting point: within-class whitening, untrained."""
    train, classes, test, _ = split
    recipe = Recipe()
    model = Embedder(recipes.config_for(recipe, [(104, 128)], channels=1)).eval()
    views = training.feature_views(model, train, recipe, seed=seed)
    start = training.whitening(views, classes, recipe)
    with torch.no_grad():
        return start(torch.cat([model.features(chunk) for chunk in test.split(32)]))


def scratch_all_pairs(split: Split, seed: int) -> torch.Tensor:
    """The small convolutional encoder, every pair of P x K batches."""
    train, classes, test, _ = split
    config = recipes.config_for(FROM_SCRATCH, [(56, 64)], channels=1)
    return training.train_from_scratch(config, train, classes, FROM_SCRATCH, seed=seed).embed(test)


def scratch_random_pairs(split: Split, seed: int) -> torch.Tensor:
    """The same encoder, steps and pictures a step, half genuine and half impostor random pairs."""
    train, classes, test, _ = split
    config = recipes.config_for(FROM_SCRATCH, [(56, 64)], channels=1)
    torch.manual_seed(seed)
    model = Embedder(config)
    pairs = FROM_SCRATCH.people * FROM_SCRATCH.each // 4
    batches = data.PairSampler(
        classes.numpy(), genuine=pairs, impostor=pairs, batches=FROM_SCRATCH.steps, seed=seed
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=FROM_SCRATCH.learning_rate, weight_decay=FROM_SCRATCH.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: FROM_SCRATCH.pace(step))
    generator = torch.Generator().manual_seed(seed)
    for first, second, target in batches.batches_of(0):
        rows = torch.from_numpy(np.concatenate([first, second]))
        views = data.augment(train[rows], FROM_SCRATCH.augmentation(), generator)
        x1, x2 = model(views).chunk(2)
        cosine_embedding_loss(x1, x2, torch.from_numpy(target), FROM_SCRATCH.margin).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model.embed(test)


VARIANTS: dict[str, tuple[Recipe, Represent]] = {
    "pixels minus their mean": (FROM_SCRATCH, centred_pixels),
    "conv from scratch, random pairs": (FROM_SCRATCH, scratch_random_pairs),
    "conv from scratch, all pairs active": (FROM_SCRATCH, scratch_all_pairs),
    "EfficientNet-Lite0 features": (Recipe(), frozen_features(centred=False)),
    "the same minus their mean": (Recipe(), frozen_features(centred=True)),
    "within-class whitening": (Recipe(), whitening),
    "head, all pairs active, margins 1 / 0": (
        Recipe(),
        head(replace(Recipe(), margin=0.0, positive_margin=1.0)),
    ),
    "head, all pairs active (default)": (Recipe(), head(Recipe())),
}


def figures(seed: int, recipe: Recipe, represent: Represent) -> dict[str, float]:
    """Test figures of one split, and the seconds from prepared pictures to embeddings."""
    split = split_of(seed, recipe)
    start = time.perf_counter()
    embeddings = represent(split, seed)
    seconds = time.perf_counter() - start
    found = evaluation.verification_figures(embeddings, split[3], far=(1e-2,), resamples=0)
    tar = found["tar_at_far"][0]["tar"]
    return {"auc": found["auc"], "eer": found["eer"], "tar_1e-2": tar, "seconds": seconds}


def cell(values: list[float], form: str) -> str:
    """Mean and half the 95 % interval."""
    half = T_95 * statistics.stdev(values) / len(values) ** 0.5
    return f"{form.format(statistics.mean(values))} ± {form.format(half)}"


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="variants whose name holds this")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    print("| representation | AUC | EER % | TAR @ FAR 1e-2 % | seconds |\n|---|---|---|---|---|")
    for name, (recipe, represent) in VARIANTS.items():
        if asked.only and asked.only not in name:
            continue
        found = [figures(seed, recipe, represent) for seed in range(5)]
        columns = {key: [one[key] for one in found] for key in found[0]}
        percent = {key: [100 * value for value in columns[key]] for key in ("eer", "tar_1e-2")}
        print(
            f"| {name} | {cell(columns['auc'], '{:.4f}')} | {cell(percent['eer'], '{:.2f}')} "
            f"| {cell(percent['tar_1e-2'], '{:.1f}')} | "
            f"{statistics.median(columns['seconds']):.1f} |",
            flush=True,
        )
        if asked.save:
            rows = [{"representation": name, "seed": s, **row} for s, row in enumerate(found)]
            save(rows, asked.save)


if __name__ == "__main__":
    main()
