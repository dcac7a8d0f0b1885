"""The job `evaluate`: a finished run and people it has never seen to figures and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from cospair import data, evaluation, models
from cospair.data import ImageSet
from cospair.jobs.run_folder import RunFolder, write_json
from cospair.jobs.train import picture_hashes, provenance


def evaluate(
    run: str | Path,
    dataset: str | None = None,
    *,
    report: str | Path | None = None,
    command: str = "",
    resamples: int = 1000,
) -> dict[str, Any]:
    """Verification and retrieval figures of a run on people unseen in training.

    Args:
        run: Folder that `train` finished.
        dataset: 'faces', 'digits' or a folder of other people's pictures; None: the run's own data,
            the test people it kept out.
        report: Where to write the HTML report; None: no report.
        command: What the user typed, for the record.
        resamples: Bootstrap resamples of the intervals; 0 for none.

    Returns:
        The whole result; that of the run's own test people also goes to its `figures.json`.

    Raises:
        ValueError: If the run or the data is not usable, in one sentence.
    """
    folder = RunFolder(Path(run))
    model, threshold, record = folder.load()
    images = unseen_people(record, dataset)
    pictures = models.prepared_all((images.picture(i) for i in range(len(images))), model.config)
    _check_unseen(record, pictures, images)
    embeddings = model.embed(pictures)
    pairs = evaluation.pair_scores(embeddings, images.labels)
    verification = evaluation.verification_figures(
        embeddings, images.labels, resamples=resamples, seed=record["seed"]
    )
    result = {
        "title": f"{images.name}: {verification['identities']} people never seen in training",
        "command": command,
        **provenance(record["seed"]),
        "data": {
            "name": images.name,
            "credit": images.credit,
            "skipped": list(images.skipped),
            "train": record["data"]["train"],
            "test": {"identities": len(np.unique(images.labels)), "pictures": len(images)},
        },
        "model": record["model"],
        "verification": verification,
        "retrieval": evaluation.retrieval_figures(
            embeddings, images.labels, resamples=resamples, seed=record["seed"]
        ),
        "threshold": {
            **record["threshold"],
            "test": evaluation.rates_at(pairs.scores, pairs.same, threshold.threshold),
        },
        "hard_pairs": evaluation.hardest_pairs(pairs, images.labels, images.identities),
    }
    if dataset is None:
        write_json(folder.figures, result)
    if report is not None:
        from cospair.report import write_report

        write_report(result, images.picture, report)
    return result


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


def _check_unseen(record: dict[str, Any], pictures: torch.Tensor, images: ImageSet) -> None:
    """Refuse pictures that the model was trained on, under whatever name they come."""
    trained = set(record["train_pictures"])
    seen = [i for i, found in enumerate(picture_hashes(pictures)) if found in trained]
    if seen:
        who = sorted({images.identities[images.labels[i]] for i in seen})
        raise ValueError(
            f"data must be people never seen in training, got {len(seen)} pictures the model was "
            f"trained on, of {', '.join(who[:3])}{' and others' if len(who) > 3 else ''}; leave "
            "the "
            "data out to evaluate the people the run kept unseen"
        )


def embed(model: models.Embedder, images: ImageSet) -> torch.Tensor:
    """Embeddings float32 [n, d] of a set's pictures."""
    pictures = models.prepared_all((images.picture(i) for i in range(len(images))), model.config)
    return model.embed(pictures)
