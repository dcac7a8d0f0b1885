"""Training: one visible loop on accelerate, over every pair of P x K batches.

Decisions of this file:

- A step's batch and its random views depend on the seed and the step's number alone, so that a
  resumed run sees what the uninterrupted one would have seen, and the same seed gives the same
  figures.
- After every `save_every` steps a checkpoint is written beside and renamed; a run that finds one in
  its folder goes on from there.
- Over a frozen trunk only a linear head is trained, on features computed once; it starts as the
  within-class whitening of the training people's features.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cospair.data import PKSampler, augment
from cospair.files import write_whole
from cospair.losses import AllPairsCosineEmbeddingLoss
from cospair.models import Embedder, EmbedderConfig, linear, whitened_projection
from cospair.recipes import Recipe

Examples = Callable[[Sequence[int], torch.Generator], Tensor]
Figure = Callable[[nn.Module], float]
Observer = Callable[[int, nn.Module], None]  # called with (steps done, model)

_LAST, _BEST, _STATE = "last.safetensors", "best.safetensors", "last.state.pt"
_METRICS = "metrics.jsonl"


class Objective(NamedTuple):
    """What a run minimises, and on which rows of the training set."""

    criterion: nn.Module  # (embeddings [n, d], labels [n]) -> loss []; its parameters are trained
    batches: Sequence[list[int]]  # one a step


def recipe_objective(recipe: Recipe, labels: Tensor, *, seed: int) -> Objective:
    """The recipe's own: every pair of P x K batches."""
    criterion = AllPairsCosineEmbeddingLoss(
        recipe.margin,
        positive_margin=recipe.positive_margin,
        power=recipe.power,
        reduction="active",
    )
    return Objective(criterion, pk_batches(labels, recipe, seed=seed))


def pk_batches(labels: Tensor, recipe: Recipe, *, seed: int) -> Sequence[list[int]]:
    """Rows of P identities with K pictures each, a batch a step."""
    people = min(recipe.people, int(labels.max()) + 1)
    sampler = PKSampler(labels.numpy(), p=people, k=recipe.each, batches=recipe.steps, seed=seed)
    return list(sampler.batches_of(0))


# ---- over a frozen trunk -----------------------------------------------------------------------


@torch.no_grad()
def feature_views(
    model: Embedder, pictures: Tensor, recipe: Recipe, *, seed: int, progress: bool = False
) -> Tensor:
    """Trunk features of every picture as it is, mirrored, and in random views.

    Args:
        model: Its trunk is used.
        pictures: Prepared pictures, uint8 [n, c, h, w].
        recipe: How many views, and whether mirror images count.
        seed: The views are the same for the same seed.
        progress: Show a bar on standard error.

    Returns:
        Features float32 [views, n, f]; view 0 is the picture, view 1 its mirror image (or itself).
    """
    generator = torch.Generator().manual_seed(seed)
    mirrored = pictures.flip(3) if recipe.mirror else pictures
    random_views = [
        augment(pictures, recipe.augmentation(), generator) for _ in range(recipe.views)
    ]
    chunks = [chunk for view in (pictures, mirrored, *random_views) for chunk in view.split(32)]
    features = [model.trunk(chunk) for chunk in _bar(chunks, "features", shown=progress)]
    return torch.cat(features).view(2 + recipe.views, len(pictures), -1)


def plain_features(views: Tensor, recipe: Recipe) -> Tensor:
    """Features [n, f] as `Embedder` computes them at test time."""
    return (views[0] + views[1]) / 2 if recipe.mirror else views[0]


def whitening(views: Tensor, labels: Tensor, recipe: Recipe) -> nn.Linear:
    """Where a head starts: within-class whitening of views [views, n, f] with classes [n]."""
    rows, classes = views.flatten(0, 1), labels.repeat(len(views))
    return whitened_projection(rows, classes, shrink=recipe.shrink)


def train_head(
    views: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    objective: Objective | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> nn.Linear:
    """A linear head over frozen features, whitened to start with, trained on every pair.

    Args:
        views: Features of the training pictures, float32 [views, n, f].
        labels: Class of each picture, 0 to classes - 1, int64 [n].
        recipe: What to do.
        seed: The same seed gives the same head.
        objective: As in `run`.
        folder: Where metrics and checkpoints go; None: nowhere.
        progress: Show a bar on standard error.

    Returns:
        Linear layer from features to embeddings (not yet of length 1).
    """
    start = whitening(views, labels, recipe)
    with torch.no_grad():
        white = start(views)
    turn = nn.Linear(white.shape[2], white.shape[2], bias=False)
    nn.init.eye_(turn.weight)

    def examples(rows: Sequence[int], generator: torch.Generator) -> Tensor:
        return white[torch.randint(len(white), (len(rows),), generator=generator), rows]

    run(
        turn,
        examples,
        labels,
        recipe,
        seed=seed,
        data=views,
        objective=objective,
        folder=folder,
        progress=progress,
    )
    turn = turn.cpu()
    with torch.no_grad():
        return linear(turn.weight @ start.weight, turn.weight @ start.bias)


# ---- from scratch ------------------------------------------------------------------------------


def train_from_scratch(
    config: EmbedderConfig,
    pictures: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    objective: Objective | None = None,
    figure: Figure | None = None,
    observe: Observer | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Embedder:
    """A convolutional encoder trained on every pair of augmented batches.

    Args:
        config: The encoder.
        pictures: Prepared training pictures, uint8 [n, c, h, w].
        labels: Class of each picture, 0 to classes - 1, int64 [n].
        recipe: What to do.
        seed: The same seed gives the same encoder.
        objective: As in `run`.
        figure: Error of a model on held-out people, lower is better; the best model is returned.
        observe: As in `run`.
        folder: Where metrics and checkpoints go; None: nowhere.
        progress: Show a bar on standard error.

    Returns:
        The encoder in evaluation mode.
    """
    torch.manual_seed(seed)
    model = Embedder(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def examples(rows: Sequence[int], generator: torch.Generator) -> Tensor:
        return augment(pictures[rows], recipe.augmentation(), generator)

    run(
        model,
        examples,
        labels,
        recipe,
        seed=seed,
        data=pictures,
        objective=objective,
        figure=figure,
        observe=observe,
        folder=folder,
        progress=progress,
    )
    return model.eval()


# ---- the loop ----------------------------------------------------------------------------------


def run(
    model: nn.Module,
    examples: Examples,
    labels: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    data: Tensor,
    objective: Objective | None = None,
    figure: Figure | None = None,
    observe: Observer | None = None,
    folder: str | os.PathLike[str] | None = None,
    save_every: int = 100,
    progress: bool = False,
) -> None:
    """Train a model in place; it ends as the best one where a figure is given, else as the last.

    Args:
        model: Batches in, embeddings [n, d] of any length out.
        examples: Gives the model's input for rows of the training set.
        labels: Class of each row, 0 to classes - 1, int64 [n].
        recipe: Loss, batches, steps and rates.
        seed: Of batches and views.
        data: What the examples are made of; a checkpoint made on other data is not taken up.
        objective: Another loss or other batches than the recipe's; not with `folder`, whose
            checkpoints know the recipe alone.
        figure: Error of a model on held-out people; taken every `save_every` steps.
        observe: Called after every step.
        folder: Where `metrics.jsonl` and the checkpoints go; an unfinished run there is resumed.
        save_every: Steps between checkpoints.
        progress: Show a bar on standard error.
    """
    from accelerate import Accelerator

    assert objective is None or folder is None
    accelerator = Accelerator()
    objective = objective or recipe_objective(recipe, labels, seed=seed)
    criterion = objective.criterion.to(accelerator.device)
    learned = [*model.parameters(), *criterion.parameters()]
    optimizer = torch.optim.AdamW(
        learned, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.pace(step))
    wrapped, optimizer, scheduler = accelerator.prepare(model, optimizer, scheduler)
    keeper = _Keeper(model, optimizer, scheduler, folder, figure)
    if folder is not None:
        digest = sha256(labels.numpy().tobytes() + data.numpy().tobytes()).hexdigest()
        keeper.identity = f"{recipe} seed {seed} data {digest}"
    wrapped.train()
    for step in _bar(range(keeper.resume(), recipe.steps), "training", shown=progress):
        rows = objective.batches[step]
        inputs = examples(rows, torch.Generator().manual_seed((seed << 32) + step))
        embeddings = wrapped(inputs.to(accelerator.device))
        loss = criterion(embeddings, labels[rows].to(accelerator.device))
        accelerator.backward(loss)
        keeper.record(step + 1, loss.item(), scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if observe is not None:
            observe(step + 1, model)
            wrapped.train()
        if (step + 1) % save_every == 0 or step + 1 == recipe.steps:
            keeper.save(step + 1)
            wrapped.train()
    keeper.finish()


class _Keeper:
    """What a run leaves in its folder: metrics, the last and the best checkpoint."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        scheduler: Any,
        folder: str | os.PathLike[str] | None,
        figure: Figure | None,
    ) -> None:
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.folder, self.figure = None if folder is None else Path(folder), figure
        self.best = math.inf
        self.best_tensors: dict[str, Tensor] | None = None
        self.records: list[dict[str, float]] = []
        self.identity = ""

    def record(self, step: int, loss: float, learning_rate: float) -> None:
        self.records.append({"step": step, "loss": loss, "learning_rate": learning_rate})

    def save(self, step: int) -> None:
        tensors = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if self.figure is not None:
            error = self.figure(self.model)
            self.records[-1]["held_out_error"] = error
            improved = error < self.best
        else:
            error, improved = math.inf, True
        if improved:
            self.best, self.best_tensors = error, tensors
        if self.folder is not None:
            self._write(self.folder, step, tensors, improved=improved)
        self.records.clear()

    def _write(
        self, folder: Path, step: int, tensors: dict[str, Tensor], *, improved: bool
    ) -> None:
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _METRICS).open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in self.records)
        content = save({name: value.cpu().contiguous() for name, value in tensors.items()})
        if improved:
            write_whole(folder / _BEST, content)
        write_whole(folder / _LAST, content)
        # all that a resumed run takes up is in one file, so that its parts are of one step
        state = {
            "identity": self.identity,
            "step": step,
            "model": tensors,
            "best": self.best,
            "best_model": self.best_tensors,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }
        written = io.BytesIO()
        torch.save(state, written)
        write_whole(folder / _STATE, written.getvalue())

    def resume(self) -> int:
        """Take up the same run in the folder, if any; returns the steps it has done."""
        if self.folder is None:
            return 0
        path, step = self.folder / _STATE, 0
        state: dict[str, Any] = torch.load(path, weights_only=True) if path.exists() else {}
        if state.get("identity") == self.identity:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
            self.best, self.best_tensors = state["best"], state["best_model"]
            step = int(state["step"])
        self._keep_metrics(self.folder / _METRICS, step)
        return step

    def _keep_metrics(self, path: Path, steps: int) -> None:
        """Drop the lines, one a step, that a broken-off or another run left past these steps."""
        if path.exists():
            write_whole(path, b"".join(path.read_bytes().splitlines(keepends=True)[:steps]))

    def finish(self) -> None:
        if self.best_tensors is not None:
            self.model.load_state_dict(self.best_tensors)


def _bar(items: Sequence[Any], what: str, *, shown: bool) -> Any:
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), disable=not shown, transient=True)
