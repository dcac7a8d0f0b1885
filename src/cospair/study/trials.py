"""One training, and what it leaves: embeddings of people it never saw.

Decisions of this file:
- A trial is decided by its material, loss, setting, rows and seed alone, and is kept under their
  hash: an interrupted comparison goes on, and one that asks for more reuses what was done.
- The seconds of a trial are those of its training. A loss's own milliseconds are its forward pass,
  mining included; its backward pass runs with the encoder's and is not told apart.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cospair import training
from cospair.data import PairSampler
from cospair.evaluation import auc, pair_scores
from cospair.files import write_whole
from cospair.study.contenders import CONTENDERS, Settings
from cospair.study.material import Material, Rows
from cospair.training import Objective

_CURVE_POINTS = 8
_CURVE_PICTURES = 400
_EDITION = 1  # raised when a trial of the same name would come out otherwise


@dataclass(frozen=True)
class Trial:
    """One training to be done.

    Attributes:
        contender: Key of the loss.
        settings: Its hyper-parameters.
        train: Rows to learn from.
        held: Rows to embed, of other people.
        seed: Of the start, the batches and the views.
        curve: Whether to follow the held-out AUC during training.
    """

    contender: str
    settings: Settings
    train: Rows
    held: Rows
    seed: int
    curve: bool = False

    def key(self, material: Material) -> str:
        """What the trial is kept under."""
        told = {
            **asdict(self),
            "train": self.train.tolist(),
            "held": self.held.tolist(),
            "settings": dict(sorted(self.settings.items())),
            "material": material.sha256,
            "edition": _EDITION,
        }
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


class Outcome(NamedTuple):
    """What a trial left."""

    embeddings: Tensor  # float32 [held, d]
    seconds: float
    loss_ms: float  # median of a step
    pictures_per_second: float
    curve: list[dict[str, float]]  # of {"pictures", "auc"}, pictures seen so far


def outcome_of(trial: Trial, material: Material, folder: Path) -> Outcome:
    """What a trial leaves, from the folder where it was done before."""
    from safetensors import safe_open
    from safetensors.torch import save

    path = folder / f"{trial.contender}-{trial.key(material)}.safetensors"
    if path.exists():
        with safe_open(str(path), framework="pt") as file:
            told = json.loads(file.metadata()["outcome"])
            return Outcome(file.get_tensor("embeddings"), **told)
    outcome = carried_out(trial, material)
    told = {name: value for name, value in outcome._asdict().items() if name != "embeddings"}
    folder.mkdir(parents=True, exist_ok=True)
    content = save(
        {"embeddings": outcome.embeddings.contiguous()},
        metadata={"outcome": json.dumps(told), "settings": json.dumps(dict(trial.settings))},
    )
    write_whole(path, content)
    return outcome


def carried_out(trial: Trial, material: Material) -> Outcome:
    """Train, and embed the held-out people."""
    torch.manual_seed(trial.seed)
    recipe, classes = material.recipe, material.classes(trial.train)
    dimensions = material.config.dimensions if material.views is None else material.views.shape[2]
    contender = CONTENDERS[trial.contender]
    criterion = _Timed(contender.make(trial.settings, int(classes.max()) + 1, dimensions))
    objective = Objective(criterion, _batches(trial, material, classes))
    curve: list[dict[str, float]] = []
    start, watched = time.perf_counter(), 0.0
    if material.views is not None:
        head = training.train_head(
            material.views[:, trial.train], classes, recipe, seed=trial.seed, objective=objective
        )
        seconds = time.perf_counter() - start
        with torch.no_grad():
            found = head(training.plain_features(material.views, recipe)[trial.held])
    else:
        some = watched_rows(material.labels, trial.held)

        def observe(step: int, model: nn.Module) -> None:
            nonlocal watched
            if not trial.curve or step * _CURVE_POINTS % recipe.steps >= _CURVE_POINTS:
                return
            before = time.perf_counter()
            pairs = pair_scores(model.embed(material.pictures[some]), material.labels[some])  # type: ignore[operator]
            seen = sum(len(batch) for batch in objective.batches[:step])
            curve.append({"pictures": seen, "auc": auc(pairs.scores, pairs.same)})
            watched += time.perf_counter() - before

        model = training.train_from_scratch(
            material.config,
            material.pictures[trial.train],
            classes,
            recipe,
            seed=trial.seed,
            objective=objective,
            observe=observe,
        )
        seconds = time.perf_counter() - start - watched
        found = model.embed(material.pictures[trial.held])
    pictures = sum(len(batch) for batch in objective.batches)
    return Outcome(
        found, seconds, statistics.median(criterion.milliseconds), pictures / seconds, curve
    )


def watched_rows(labels: Rows, held: Rows) -> Rows:
    """Some of the held-out rows, as many of each person, so that both kinds of pair are there."""
    people, codes = np.unique(labels[held], return_inverse=True)
    each = max(2, _CURVE_PICTURES // len(people))
    most = _CURVE_PICTURES // each
    kept = [held[codes == person][:each] for person in range(min(len(people), most))]
    return np.sort(np.concatenate(kept))


def _batches(trial: Trial, material: Material, classes: Tensor) -> list[list[int]]:
    """As many pictures a step for every loss: P x K of them, or half as many random pairs."""
    recipe = material.recipe
    whole = list(training.pk_batches(classes, recipe, seed=trial.seed))
    if CONTENDERS[trial.contender].family != "pairs":
        return whole
    each = max(len(whole[0]) // 4, 1)
    sampler = PairSampler(
        classes.numpy(), genuine=each, impostor=each, batches=recipe.steps, seed=trial.seed
    )
    return [[*first.tolist(), *second.tolist()] for first, second, _ in sampler.batches_of(0)]


class _Timed(nn.Module):
    """A loss that notes how long its forward pass takes."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.milliseconds: list[float] = []

    def forward(self, embeddings: Tensor, labels: Tensor) -> Any:
        start = time.perf_counter()
        loss = self.loss(embeddings, labels)
        self.milliseconds.append(1e3 * (time.perf_counter() - start))
        return loss
