"""The job `match`: is this the same person as that, or who of these is it?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cospair import data
from cospair.gallery import Gallery
from cospair.jobs.pictures import embedded
from cospair.jobs.run_folder import RunFolder


def match(
    query: str | Path, reference: str | Path, *, run: str | Path, top: int = 5
) -> dict[str, Any]:
    """Match a picture against another picture, or against a folder of people.

    Args:
        query: A picture.
        reference: Another picture, or a folder `root/identity/*.jpg` to enrol.
        run: Folder that `train` finished.
        top: Names to return at most.

    Returns:
        query, threshold, and candidates: name, score and accepted each, best first.

    Raises:
        ValueError: If the run, the picture or the folder is not usable, in one sentence.
    """
    model, threshold, _ = RunFolder(Path(run)).load()
    gallery = Gallery(threshold)
    reference = Path(reference)
    if reference.is_dir():
        images = data.image_folder(reference)
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
        "threshold": threshold.threshold,
        "candidates": gallery.identify(embedding, top=top),
    }
