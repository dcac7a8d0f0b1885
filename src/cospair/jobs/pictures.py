"""Pictures that a run's model embeds: which ones, and never those it was trained on unawares."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cospair import data, models
from cospair.data import ImageSet
from cospair.jobs.progress import Say

_BATCH = 64


def unseen_people(record: dict[str, Any], dataset: str | None) -> ImageSet:
    """Pictures of the people a run kept out of training, or all of another set."""
    if dataset is not None:
        return data.load(dataset)
    images = data.load(record["data"]["source"])
    held = set(record["data"]["test_identities"])
    rows = [i for i, label in enumerate(images.labels) if images.identities[label] in held]
    found = {images.identities[label] for label in images.labels[rows]}
    if found != held:
        raise ValueError(
            f"data must hold the {len(held)} test people the run kept out, got "
            f"{record['data']['source']} without {', '.join(sorted(held - found)[:3])}; restore it "
            "or name other data"
        )
    return images.subset(np.array(rows))


def embedded(
    model: models.Embedder, images: ImageSet, progress: Say | None = None
) -> tuple[Tensor, list[str]]:
    """Embeddings float32 [n, d] of a set's pictures, a batch at a time, and pictures' hashes."""
    rows, hashes = [], []
    for start in range(0, len(images), _BATCH):
        batch = range(start, min(start + _BATCH, len(images)))
        pictures = models.prepared_all((images.picture(i) for i in batch), model.config)
        rows.append(model.embed(pictures))
        hashes.extend(picture_hashes(pictures))
        if progress is not None:
            progress(batch.stop, len(images))
    return torch.cat(rows) if rows else model.embed(torch.empty(0)), hashes


def picture_hashes(pictures: Tensor) -> list[str]:
    """The first 16 hexadecimal digits of the SHA-256 of each prepared picture."""
    return [sha256(picture.numpy().tobytes()).hexdigest()[:16] for picture in pictures]


def check_unseen(trained: Collection[str], hashes: list[str], images: ImageSet) -> None:
    """Refuse pictures that the model was trained on, under whatever name they come."""
    known = set(trained)
    seen = [i for i, found in enumerate(hashes) if found in known]
    if seen:
        who = sorted({images.identities[images.labels[i]] for i in seen})
        raise ValueError(
            f"data must be people never seen in training, got {len(seen)} pictures the model was "
            f"trained on, of {', '.join(who[:3])}{' and others' if len(who) > 3 else ''}; leave "
            "the data out to evaluate the people the run kept unseen"
        )


def names_of(images: ImageSet) -> np.ndarray:
    """A name for each picture, str [n]: identity/file, or identity/number without files."""
    people = [images.identities[label] for label in images.labels]
    files = (
        [f"{number:05d}" for number in range(len(images))]
        if isinstance(images.pictures, np.ndarray)
        else [Path(file).name for file in images.pictures]
    )
    return np.array([f"{person}/{file}" for person, file in zip(people, files, strict=True)])


def people_of(images: ImageSet) -> np.ndarray:
    """The identity of each picture by name, str [n]."""
    return np.array(images.identities)[images.labels]
