"""The job `match`: is this the same person as that, or who of these is it?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cospair import data
from cospair.gallery import Gallery
from cospair.jobs.operating_point import read_threshold
from cospair.jobs.pictures import embedded
from cospair.jobs.run_folder import RunFolder


def match(
    query: str | Path,
    reference: str | Path,
    *,
    run: str | Path,
    threshold: str | Path | None = None,
    top: int = 5,
) -> dict[str, Any]:
    """Match a picture against another picture, or against a folder of people.

    Args:
        query: A picture.
        reference: Another picture, or a folder `root/identity/*.jpg` to enrol.
        run: Folder that `train` finished.
        threshold: A threshold file for the run's model; None: the run's own.
        top: Names to return at most.

    Returns:
        query, threshold, candidates (name, score and accepted each, best first), and skipped: a
        sentence for each file of the folder that was left out.

    Raises:
        ValueError: If the run, the picture or the folder is not usable, in one sentence.
    """
    model, chosen, record = RunFolder(Path(run)).load()
    if threshold is not None:
        chosen = read_threshold(threshold, model_sha256=record["model"]["sha256"])
    gallery = Gallery(chosen)
    reference = Path(reference)
    skipped: list[str] = []
    if reference.is_dir():
        images = data.image_folder(reference)
        skipped = list(images.skipped)
        names = [images.identities[label] for label in images.labels]
        gallery.enrol(names, embedded(model, images)[0])
    else:
        enrolled = model.prepare(data.read_picture(reference))
        gallery.enrol([reference.name], model.embed(enrolled.unsqueeze(0)))
    embedding = model.embed(model.prepare(data.read_picture(query)).unsqueeze(0))[0]
    return {
        "question": "identify" if reference.is_dir() else "verify",
        "query": str(query),
        "enrolled": len(gallery),
        "threshold": chosen.threshold,
        "candidates": gallery.identify(embedding, top=top),
        "skipped": skipped,
    }
