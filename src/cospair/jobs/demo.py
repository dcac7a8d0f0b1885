"""The job `demo`: real faces to a model, figures, a report, a gallery and one answered query."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from cospair.gallery import Gallery
from cospair.jobs.evaluate import evaluate
from cospair.jobs.pictures import embedded, unseen_people
from cospair.jobs.run_folder import RunFolder, write_json
from cospair.jobs.train import train
from cospair.recipes import Recipe

_TEST_PEOPLE = 10


def demo(
    *,
    out: str | Path = "cospair-demo",
    recipe: Recipe | None = None,
    seed: int = 0,
    command: str = "",
    progress: bool = False,
) -> dict[str, Any]:
    """Train on 30 people's faces, test on 10 others, enrol those and ask who a picture shows.

    Args:
        out: Folder for everything the demo writes.
        recipe: How to train; None: the default.
        seed: Of the split and the training.
        command: What the user typed, for the record.
        progress: Show bars on standard error.

    Returns:
        The result of `evaluate`, with report (path), answer (the query) and seconds added.
    """
    start = time.perf_counter()
    folder = RunFolder(Path(out))
    train("faces", out=folder.path, recipe=recipe, test=_TEST_PEOPLE, seed=seed, progress=progress)
    report = folder.path / "report.html"
    result = evaluate(folder.path, report=report, command=command)
    answer = _ask(folder, seed)
    write_json(folder.path / "answer.json", answer)
    seconds = round(time.perf_counter() - start, 1)
    return {**result, "report": str(report), "answer": answer, "seconds": seconds}


def _ask(folder: RunFolder, seed: int) -> dict[str, Any]:
    """Enrol the test people but for one picture, and ask who that picture shows."""
    model, threshold, record = folder.load()
    images = unseen_people(record, None)
    embeddings, _ = embedded(model, images)
    query = int(np.random.default_rng(seed).integers(len(images)))
    others = [i for i in range(len(images)) if i != query]
    gallery = Gallery(threshold)
    gallery.enrol([images.identities[images.labels[i]] for i in others], embeddings[others])
    shown = folder.path / "query.png"
    images.picture(query).save(shown)
    return {
        "question": "identify",
        "query": str(shown),
        "truth": images.identities[images.labels[query]],
        "enrolled": len(gallery),
        "threshold": threshold.threshold,
        "candidates": gallery.identify(embeddings[query], top=3),
    }
