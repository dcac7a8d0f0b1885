"""The job `train`: labelled pictures to a model and a threshold chosen on people it never saw."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import cospair
from cospair import data, evaluation, models, recipes, training
from cospair.data import ImageSet
from cospair.evaluation import Calibration, Threshold
from cospair.evaluation.thresholds.artefact import check_rule
from cospair.files import write_whole
from cospair.jobs.calibration_people import CalibrationPeople
from cospair.jobs.operating_point import choose
from cospair.jobs.pictures import picture_hashes
from cospair.jobs.plan import FAR_OF_RULE
from cospair.jobs.run_folder import RunFolder, write_json
from cospair.models import Embedder
from cospair.recipes import Recipe

_FOLDS = 3
_HELD_SHARE = 0.2


class _People(NamedTuple):
    """Prepared pictures of training people with classes 0 to people - 1."""

    pictures: Tensor
    labels: Tensor


class _Trained(NamedTuple):
    model: Embedder
    calibration: CalibrationPeople
    chosen_on: str


def train(
    dataset: str,
    *,
    out: str | Path,
    recipe: Recipe | None = None,
    test: int | float = 0.25,
    rule: evaluation.Rule | None = None,
    far: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Train an encoder on a labelled set of pictures and choose its threshold.

    Args:
        dataset: 'faces', 'digits', or a folder `root/identity/*.jpg`.
        out: Folder for the model, its threshold, checkpoints and the record of the run.
        recipe: How to train; None: the default, over the pretrained trunk.
        test: Identities kept unseen for `evaluate`: a number, or a share.
        rule: How the threshold is chosen on calibration people; see `choose_threshold`. None:
            'far', or 'eer' where there are fewer than 100 impostor pairs to calibrate on and no
            `far` is given.
        far: FAR that rule 'far' allows, in (0, 1]; None: 0.01.
        seed: Of the split, the batches and the views; the same seed gives the same figures.
        progress: Show bars on standard error.

    Returns:
        The run's record: data, split, recipe, model hash, threshold, figures of calibration.

    Raises:
        ValueError: If the data or an option is not usable, in one sentence.
    """
    recipe = recipe or Recipe()
    rule, far = _asked(rule, far)
    images = data.load(dataset)
    train_rows, test_rows = data.split_identities(images.labels, test=test, seed=seed)
    _check_enough(images, train_rows, test_rows)
    folder = RunFolder(Path(out))
    folder.path.mkdir(parents=True, exist_ok=True)
    people, config = _prepare(images.subset(train_rows), recipe)
    fit = _fit_head if recipe.encoder == "efficientnet-lite0" else _fit_from_scratch
    trained = fit(people, config, recipe, folder, seed=seed, progress=progress)
    model_sha256 = models.save_embedder(trained.model, folder.model)
    trained.calibration.save(folder.calibration_people)
    threshold, calibration = _calibrated(trained, rule, far, model_sha256)
    threshold.to_json(folder.threshold)
    calibration.to_json(folder.calibration)
    record = {
        **provenance(seed),
        "data": _data_card(images, dataset, train_rows, test_rows),
        "train_pictures": picture_hashes(people.pictures),
        "model": _model_card(trained.model, recipe, model_sha256),
        "threshold": {
            "threshold": threshold.threshold,
            "rule": threshold.rule,
            "far_target": threshold.far_target,
            "chosen_on": threshold.chosen_on,
            "calibration": threshold.calibration,
        },
    }
    write_json(folder.record, record)
    folder.figures.unlink(missing_ok=True)  # another model's
    return record


def _check_enough(images: ImageSet, train_rows: np.ndarray, test_rows: np.ndarray) -> None:
    """People to train and calibrate on, and both kinds of pair among the test people."""
    people = np.unique(images.labels[train_rows], return_counts=True)[1]
    held = np.unique(images.labels[test_rows], return_counts=True)[1]
    if len(people) < 2 * _FOLDS or (people > 1).sum() < _FOLDS:
        raise ValueError(
            f"training needs at least {2 * _FOLDS} identities, {_FOLDS} of them with two pictures "
            f"or more, got {len(people)} identities, {(people > 1).sum()} with two pictures, after "
            f"{len(held)} were kept for the test; add pictures, or keep fewer identities for the "
            "test"
        )
    if len(held) < 2 or held.max() < 2:
        raise ValueError(
            "the test needs at least 2 identities, one of them with two pictures, got "
            f"{len(held)} with at most {held.max()}; keep more identities for the test"
        )


def _prepare(images: ImageSet, recipe: Recipe) -> tuple[_People, models.EmbedderConfig]:
    config = recipes.config_for_set(recipe, images)
    pictures = models.prepared_all((images.picture(i) for i in range(len(images))), config)
    classes = np.unique(images.labels, return_inverse=True)[1]
    return _People(pictures, torch.from_numpy(classes.astype(np.int64))), config


def _fit_head(
    people: _People,
    config: models.EmbedderConfig,
    recipe: Recipe,
    folder: RunFolder,
    *,
    seed: int,
    progress: bool,
) -> _Trained:
    """A head over frozen features; every training person calibrates a head trained without them."""
    model = Embedder(config)
    views = _cached_views(model, people, recipe, folder, seed=seed, progress=progress)
    features = training.plain_features(views, recipe)
    groups = []
    folds = data.identity_folds(people.labels.numpy(), _FOLDS, seed=seed)
    for rest, held in folds:
        fold = torch.unique(people.labels[rest], return_inverse=True)[1]
        head = training.train_head(views[:, rest], fold, recipe, seed=seed)
        with torch.no_grad():
            groups.append((head(features[held]), people.labels[held]))
    head = training.train_head(
        views, people.labels, recipe, seed=seed, folder=folder.checkpoints, progress=progress
    )
    count = int(people.labels.max()) + 1
    chosen_on = (
        f"{count} training people, each scored by a head trained without them ({_FOLDS} folds)"
    )
    return _Trained(
        Embedder(replace(config, dimensions=head.out_features), head),
        CalibrationPeople(tuple(groups)),
        chosen_on,
    )


def _fit_from_scratch(
    people: _People,
    config: models.EmbedderConfig,
    recipe: Recipe,
    folder: RunFolder,
    *,
    seed: int,
    progress: bool,
) -> _Trained:
    """An encoder from scratch; a fifth of the training people only calibrate."""
    held_people = max(2, round(_HELD_SHARE * (int(people.labels.max()) + 1)))
    rest, held = data.split_identities(people.labels.numpy(), test=held_people, seed=seed)
    classes = torch.unique(people.labels[rest], return_inverse=True)[1]
    model = training.train_from_scratch(
        config,
        people.pictures[rest],
        classes,
        recipe,
        seed=seed,
        folder=folder.checkpoints,
        progress=progress,
    )
    group = model.embed(people.pictures[held]), people.labels[held]
    count = len(torch.unique(people.labels[held]))
    chosen_on = f"{count} calibration people kept out of training"
    return _Trained(model, CalibrationPeople((group,)), chosen_on)


def _cached_views(
    model: Embedder,
    people: _People,
    recipe: Recipe,
    folder: RunFolder,
    *,
    seed: int,
    progress: bool,
) -> Tensor:
    """Features of the views, from the cache where the same pictures were there before."""
    from safetensors.torch import load_file, save

    how = (model.config, recipe.views, recipe.augmentation(), seed, tuple(people.pictures.shape))
    name = sha256(repr(how).encode() + people.pictures.numpy().tobytes()).hexdigest()[:32]
    path = folder.cache / f"features-{name}.safetensors"
    if path.exists():
        return load_file(path)["views"]
    views = training.feature_views(model, people.pictures, recipe, seed=seed, progress=progress)
    folder.cache.mkdir(exist_ok=True)
    write_whole(path, save({"views": views}))
    return views


def _asked(
    rule: evaluation.Rule | None, far: float | None
) -> tuple[evaluation.Rule | None, float | None]:
    """The rule and its FAR; no rule where the pairs are to decide."""
    if rule is None and far is not None:
        rule = "far"
    if rule == "far" and far is None:
        far = FAR_OF_RULE
    if rule is not None:
        check_rule(rule, far)
    return rule, far


def _calibrated(
    trained: _Trained, rule: evaluation.Rule | None, far: float | None, model_sha256: str
) -> tuple[Threshold, Calibration]:
    """A threshold, and what scores are worth as probabilities, from the same pairs."""
    pairs = trained.calibration.scored()
    if rule is None and (~pairs.same).sum() * FAR_OF_RULE >= 1:
        rule, far = "far", FAR_OF_RULE
    made_on: dict[str, Any] = {"chosen_on": trained.chosen_on, "model_sha256": model_sha256}
    threshold = choose(pairs, rule or "eer", far, **made_on)
    return threshold, evaluation.calibrate(pairs.scores, pairs.same, **made_on)


def provenance(seed: int) -> dict[str, Any]:
    """When, with what, from which seed."""
    return {
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "cospair": cospair.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "seed": seed,
    }


def _data_card(
    images: ImageSet, dataset: str, train_rows: np.ndarray, test_rows: np.ndarray
) -> dict[str, Any]:
    return {
        "name": images.name,
        "source": dataset if dataset == images.name else str(Path(dataset).resolve()),
        "credit": images.credit,
        "train": _counts(images, train_rows),
        "test": _counts(images, test_rows),
        "test_identities": sorted({images.identities[i] for i in images.labels[test_rows]}),
        "skipped": list(images.skipped),
    }


def _counts(images: ImageSet, rows: Sequence[int] | np.ndarray) -> dict[str, int]:
    return {"identities": len(np.unique(images.labels[rows])), "pictures": len(rows)}


def _model_card(model: Embedder, recipe: Recipe, model_sha256: str) -> dict[str, Any]:
    return {
        "name": model.config.encoder,
        "dimensions": model.config.dimensions,
        "sha256": model_sha256,
        "recipe": {**recipe.settings(), "dimensions": model.config.dimensions},
    }
