"""What is evaluated, whatever it came as: a run, a folder of pictures, embeddings or scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cospair import data
from cospair.data import EmbeddingSet, ImageSet, LfwPairs, ScoredPairs
from cospair.data.tables import CSV_SUFFIXES, PARQUET_SUFFIXES, open_table
from cospair.evaluation import Calibration, Threshold
from cospair.jobs.pictures import check_unseen, embedded, names_of, people_of, unseen_people
from cospair.jobs.plan import EvaluationPlan
from cospair.jobs.progress import Bar
from cospair.jobs.run_folder import RunFolder

if TYPE_CHECKING:
    from PIL.Image import Image

NOBODY = (-1, 0)  # integer labels of a gallery's junk and distractors (Market-1501)


@dataclass(frozen=True, eq=False)
class Origin:
    """Where something came from, and the run behind it, where there is one.

    Attributes:
        data: What the result says about the data, but for its counts.
        unseen: Whether the pictures were checked against those trained on.
        model: What the result says about the model, or None.
        threshold: The run's, or None.
        calibration: The run's, or None.
        seed: The run's, or 0.
    """

    data: Mapping[str, Any]
    unseen: bool = False
    model: Mapping[str, Any] | None = None
    threshold: Threshold | None = None
    calibration: Calibration | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class People:
    """Embeddings of labelled pictures.

    Attributes:
        rows: Real [n, d].
        labels: int64 or str [n].
        origin: Where they came from.
        cameras: int64 or str [n], or None.
        names: str [n], or None.
        picture: Gives the picture of a row, where there are pictures.
    """

    rows: Any
    labels: NDArray[Any]
    origin: Origin
    cameras: NDArray[Any] | None = None
    names: NDArray[np.str_] | None = None
    picture: Callable[[int], Image] | None = None
    identities: tuple[str, ...] = field(init=False)
    codes: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        """Number the identities."""
        people, codes = np.unique(self.labels, return_inverse=True)
        object.__setattr__(self, "identities", tuple(map(str, people)))
        object.__setattr__(self, "codes", codes.astype(np.int64))

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Scores:
    """Pairs that came as scores."""

    pairs: ScoredPairs
    origin: Origin


def kind_of(source: str | os.PathLike[str], plan: EvaluationPlan) -> str:
    """Whether a source is a "run", "pictures", "embeddings" or "scores"."""
    path, columns = Path(source), plan.columns or {}
    if path.is_dir():
        return "run" if RunFolder(path).begun else "pictures"
    if not path.exists() and str(source) in ("faces", "digits"):
        return "pictures"
    suffix = path.suffix.lower()
    if suffix in PARQUET_SUFFIXES and path.is_file():
        names = open_table("source", path).names
        return "scores" if columns.get("score", "score") in names else "embeddings"
    if suffix in (".npz", ".npy", *PARQUET_SUFFIXES):
        return "embeddings"
    if suffix in CSV_SUFFIXES:
        return "scores"
    raise ValueError(
        "source must be a run folder, a folder of pictures, embeddings (.npz, .npy, .parquet) or "
        f"scores (.csv, .parquet); got {source}, which {_what_it_is(path)}; check the path"
    )


def opened(
    source: str | os.PathLike[str], plan: EvaluationPlan, bar: Bar, *, dataset: str | None = None
) -> People | Scores:
    """Open a source; of a run the people it kept unseen, or those of `dataset`."""
    kind = kind_of(source, plan)
    if kind == "scores":
        pairs = data.read_scores(source, columns=plan.columns)
        return Scores(pairs, Origin(_file_card(pairs.source, pairs.sha256)))
    if kind == "embeddings":
        return people_of_file(
            data.read_embeddings(source, labels=plan.labels, columns=plan.columns)
        )
    if kind == "run":
        return people_of_run(source, bar, dataset=dataset)
    if plan.run is None:
        raise ValueError(
            "source must be a folder that `cospair train` finished, or a folder of pictures "
            f"together with the run whose model embeds it; got {source} alone; add --run RUN"
        )
    return people_of_run(plan.run, bar, dataset=str(source))


def check_asked(source: str | os.PathLike[str], plan: EvaluationPlan) -> None:
    """Refuse options that a source of its kind does not look at."""
    kind = kind_of(source, plan)
    if kind in ("run", "pictures") and plan.labels is not None:
        raise ValueError(
            f"labels must go with a .npy file; got them with {source}, whose folders are the "
            "labels; leave them out"
        )
    if kind == "scores" and plan.labels is not None:
        raise ValueError(
            f"labels must go with a .npy file; got them with the scores {source}; leave them out, "
            "or name the column, as --column label=NAME"
        )


def people_of_run(
    run: str | os.PathLike[str],
    bar: Bar,
    *,
    dataset: str | None = None,
    images: ImageSet | None = None,
) -> People:
    """Pictures embedded by a run's model: given, of a set, or those it kept unseen."""
    folder = RunFolder(Path(run))
    model, threshold, record = folder.load()
    chosen = images or unseen_people(record, dataset)
    rows, hashes = embedded(model, chosen, bar("embedding pictures"))
    check_unseen(record["train_pictures"], hashes, chosen)
    card = {
        "name": chosen.name,
        "credit": chosen.credit,
        "skipped": list(chosen.skipped),
        "train": record["data"]["train"],
    }
    origin = Origin(
        card, True, record["model"], threshold, folder.load_calibration(), record["seed"]
    )
    return People(rows, people_of(chosen), origin, names=names_of(chosen), picture=chosen.picture)


def with_run_of(source: str | os.PathLike[str], plan: EvaluationPlan) -> EvaluationPlan:
    """The plan, with the source itself as the run of other pictures where it is one."""
    run = plan.run is None and kind_of(source, plan) == "run"
    return replace(plan, run=source) if run else plan


def people_of_file(found: EmbeddingSet) -> People:
    """Embeddings that were read."""
    origin = Origin(_file_card(found.source, found.sha256))
    return People(found.rows, found.labels, origin, found.cameras, found.names)


def pictured(
    source: str | os.PathLike[str], pairs: LfwPairs, plan: EvaluationPlan, bar: Bar
) -> People:
    """The pictures that LFW's pairs name, in their order: of a folder, or of named embeddings."""
    kind = kind_of(source, plan)
    if kind == "embeddings":
        found = people_of_file(
            data.read_embeddings(source, labels=plan.labels, columns=plan.columns)
        )
        if found.names is None:
            raise ValueError(
                f"embeddings must have names where pairs name pictures; got {source} without; add "
                "names such as Ann_Lee_0001.jpg"
            )
        rows = data.lfw_rows(pairs, found.names.tolist())
        named = np.array(pairs.pictures)
        return People(
            np.asarray(found.rows)[rows], np.array(pairs.identities), found.origin, names=named
        )
    if kind != "pictures" or plan.run is None:
        raise ValueError(
            "pairs must go with a folder of pictures and --run, or with embeddings that have "
            f"names; got {source}, {kind}{' without --run' * (plan.run is None)}; name one"
        )
    return people_of_run(plan.run, bar, images=data.lfw_pictures(pairs, source))


def together(people: People, gallery: People) -> People:
    """Queries and gallery as one set, but for the gallery's pictures of nobody in particular."""
    if people.labels.dtype.kind != gallery.labels.dtype.kind:
        raise TypeError(
            f"gallery must have labels of the source's kind; got {gallery.labels.dtype} for "
            f"{people.labels.dtype}; use integers or strings in both"
        )
    if np.shape(people.rows)[1] != np.shape(gallery.rows)[1]:
        raise ValueError(
            f"gallery must have the source's {np.shape(people.rows)[1]} dimensions; got "
            f"{np.shape(gallery.rows)[1]}; embed both with one model"
        )
    _check_other_pictures(people, gallery)
    named = np.ones(len(gallery), bool)
    if gallery.labels.dtype.kind == "i":
        # 0 is a person where a query shows it, as in sets numbered from 0
        named = ~np.isin(gallery.labels, np.setdiff1d(NOBODY, people.labels[people.labels == 0]))
    kept = np.flatnonzero(named)

    def picture(row: int) -> Image:
        assert people.picture is not None
        assert gallery.picture is not None
        own = row < len(people)
        return people.picture(row) if own else gallery.picture(int(kept[row - len(people)]))

    return People(
        np.concatenate([np.asarray(people.rows), np.asarray(gallery.rows)[kept]]),
        np.concatenate([people.labels, gallery.labels[kept]]),
        people.origin,
        names=np.concatenate(
            [_rows_named(people, "row"), _rows_named(gallery, "gallery row")[kept]]
        ),
        picture=None if people.picture is None or gallery.picture is None else picture,
    )


def _rows_named(people: People, word: str) -> NDArray[Any]:
    """Names of the pictures, or where they stand in their file."""
    if people.names is not None:
        return np.asarray(people.names).astype(str)
    return np.array([f"{word} {row}" for row in range(len(people))])


def _check_other_pictures(people: People, gallery: People) -> None:
    if people.names is None or gallery.names is None:
        return
    shared = np.intersect1d(people.names, gallery.names)
    if len(shared):
        raise ValueError(
            f"gallery must hold other pictures than the source; got {len(shared)} in both, such as "
            f"{str(shared[0])!r}; take them out of one, or rename"
        )


def _file_card(source: str, sha256: str) -> dict[str, Any]:
    return {
        "name": Path(source).name,
        "credit": "",
        "source": source,
        "sha256": sha256,
        "skipped": [],
        "train": None,
    }


def _what_it_is(path: Path) -> str:
    return f"is a {path.suffix or 'nameless'} file" if path.exists() else "does not exist"
