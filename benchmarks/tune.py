"""How the default head was chosen: cross-validation by identity on training people alone.

    python benchmarks/tune.py

For each of five seeds, 10 of the 40 people are kept out; among the other 30 every candidate is
cross-validated in five folds of people, and the candidate with the lowest mean EER is that seed's
choice. Only then are the 10 people looked at, once, with the seed's own choice.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

import torch

from cospair import data, evaluation, models, recipes, training
from cospair.models import Embedder
from cospair.recipes import Recipe

FOLDS = 5
TEST_PEOPLE = 10

Split = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
CANDIDATES = {
    f"positive margin {positive}, margin {margin}": replace(
        Recipe(), positive_margin=positive, margin=margin
    )
    for positive, margin in (
        (1.0, 0.0),
        (1.0, 0.25),
        (0.6, 0.1),
        (0.5, 0.0),
        (0.4, 0.1),
        (0.3, 0.1),
    )
}
WHITENING = "whitening, untrained"


def split_of(seed: int, recipe: Recipe) -> Split:
    """Prepared training pictures and classes, test pictures and labels."""
    faces = data.faces()
    train, test = data.split_identities(faces.labels, test=TEST_PEOPLE, seed=seed)
    config = recipes.config_for(recipe, [faces.picture(0).size], channels=1)
    pictures = models.prepared_all((faces.picture(i) for i in range(len(faces))), config)
    labels = torch.from_numpy(faces.labels)
    classes = torch.unique(labels[train], return_inverse=True)[1]
    return pictures[train], classes, pictures[test], labels[test]


def trained(recipe: Recipe, model: Embedder, views: torch.Tensor, split: Split, seed: int):
    """Embeddings of the test people by a head that is trained on all training people."""
    layer = training.train_head(views, split[1], recipe, seed=seed)
    with torch.no_grad():
        return layer(torch.cat([model.features(chunk) for chunk in split[2].split(32)]))


def fold_eer(views: torch.Tensor, classes: torch.Tensor, recipe: Recipe | None, seed: int) -> float:
    """Mean EER over held-out folds of training people; no recipe leaves the whitening untrained."""
    features = training.plain_features(views, recipe or Recipe())
    errors = []
    for rest, held in data.identity_folds(classes.numpy(), FOLDS, seed=seed):
        fold = torch.unique(classes[rest], return_inverse=True)[1]
        if recipe is None:
            rows = views[:, rest].flatten(0, 1)
            layer = models.whitened_projection(
                rows, fold.repeat(len(views)), shrink=Recipe().shrink
            )
        else:
            layer = training.train_head(views[:, rest], fold, recipe, seed=seed)
        with torch.no_grad():
            pairs = evaluation.pair_scores(layer(features[held]), classes[held])
        errors.append(evaluation.equal_error_rate(pairs.scores, pairs.same)["eer"])
    return statistics.mean(errors)


def main() -> None:
    """Choose within each seed, then look at its test people."""
    choices, tests = [], []
    table: dict[str, list[float]] = {name: [] for name in (WHITENING, *CANDIDATES)}
    for seed in range(5):
        split = split_of(seed, Recipe())
        model = Embedder(recipes.config_for(Recipe(), [(104, 128)], channels=1)).eval()
        views = training.feature_views(model, split[0], Recipe(), seed=seed)
        table[WHITENING].append(fold_eer(views, split[1], None, seed))
        for name, recipe in CANDIDATES.items():
            table[name].append(fold_eer(views, split[1], recipe, seed))
        choice = min(CANDIDATES, key=lambda name: table[name][-1])
        choices.append(choice)
        found = evaluation.verification_figures(
            trained(CANDIDATES[choice], model, views, split, seed),
            split[3],
            far=(1e-2,),
            resamples=0,
        )
        tests.append((found["auc"], found["eer"], found["tar_at_far"][0]["tar"]))
        print(f"seed {seed}: {choice}; test EER {100 * found['eer']:.2f} %", flush=True)
    print("\n| candidate | cross-validated EER %, mean of five seeds | chosen by |\n|---|---|---|")
    for name, errors in table.items():
        print(f"| {name} | {100 * statistics.mean(errors):.2f} | {choices.count(name)} |")
    auc, eer, tar = (statistics.mean(column) for column in zip(*tests, strict=True))
    print(f"\nnested test: AUC {auc:.4f}, EER {100 * eer:.2f} %, TAR @ FAR 1e-2 {100 * tar:.1f} %")


if __name__ == "__main__":
    main()
