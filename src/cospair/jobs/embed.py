"""The job `embed`: pictures to a file of embeddings that any tool reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cospair import data
from cospair.data import EmbeddingSet
from cospair.jobs.pictures import embedded, names_of, people_of
from cospair.jobs.progress import bars
from cospair.jobs.run_folder import RunFolder


def embed(
    dataset: str,
    *,
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    progress: bool = False,
) -> dict[str, Any]:
    """Embeddings of a folder of pictures, with their labels and names, into a file.

    Args:
        dataset: 'faces', 'digits', or a folder `root/identity/*.jpg`.
        run: Folder that `train` finished.
        out: File to write, .npz or .parquet.
        progress: Show a bar on standard error.

    Returns:
        {"name" of the data, "pictures", "identities", "dimensions", "trained_on": how many of the
        pictures the model was trained on, "skipped", "path"}.

    Raises:
        ValueError: If the run, the data or the suffix is not usable, in one sentence.
    """
    place = Path(out)
    data.check_embedding_path(place)
    model, _, record = RunFolder(Path(run)).load()
    images = data.load(dataset)
    with bars(shown=progress) as bar:
        rows, hashes = embedded(model, images, bar("embedding pictures"))
    trained = set(record["train_pictures"])
    people = people_of(images)
    data.write_embeddings(place, EmbeddingSet(rows.numpy(), people, names=names_of(images)))
    return {
        "name": images.name,
        "pictures": len(images),
        "identities": len(set(people.tolist())),
        "dimensions": rows.shape[1],
        "trained_on": sum(found in trained for found in hashes),
        "skipped": list(images.skipped),
        "path": str(place),
    }
