"""The two sides of a retrieval: what is looked for, and the gallery it is looked for in.

Decisions of this file:
- Labels, and cameras, of both sides are numbered together, so that equal numbers mean equal names.
- Integer label -1 of a given gallery is junk and goes (Market-1501); a query's never does.
- A gallery of one identity is refused by `check_identities`: any ranking of it is perfect.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.inputs import Array, identity_labels, unit_rows

JUNK = -1


class Side(NamedTuple):
    """Pictures of one side: unit rows [n, d], identity codes [n], camera codes [n] or None."""

    rows: NDArray[np.float64]
    labels: NDArray[np.int64]
    cameras: NDArray[np.int64] | None

    def take(self, index: Any) -> Side:
        """Some of the pictures, by a slice or a mask."""
        cameras = None if self.cameras is None else self.cameras[index]
        return Side(self.rows[index], self.labels[index], cameras)


class Sides(NamedTuple):
    """Queries and gallery, whether they are one and the same, and junk pictures that went."""

    queries: Side
    items: Side
    itself: bool
    junk: int


def both_sides(
    query: Array,
    query_labels: Array,
    gallery: Array | None,
    gallery_labels: Array | None,
    cameras: Array | tuple[Array, Array] | None,
) -> Sides:
    """Queries and gallery, checked; the queries themselves twice where no gallery is given."""
    rows = unit_rows("query", query)
    labels = identity_labels("query_labels", query_labels, len(rows))
    if not len(rows):
        raise ValueError(
            "query must hold at least one row; got none; pass the pictures to look up."
        )
    if (gallery is None) != (gallery_labels is None):
        came = "gallery_labels" if gallery is None else "gallery"
        raise ValueError(
            f"gallery and gallery_labels must go together; got {came} alone; pass both or neither."
        )
    if gallery is None or gallery_labels is None:
        seen, _ = _camera_codes(cameras, len(rows), None)
        alone = Side(rows, _codes(labels), seen)
        return Sides(alone, alone, True, 0)
    others = unit_rows("gallery", gallery)
    names = identity_labels("gallery_labels", gallery_labels, len(others))
    if others.shape[1] != rows.shape[1]:
        raise ValueError(
            f"gallery must have the queries' width; got {others.shape[1]} columns for "
            f"{rows.shape[1]}; embed both with one model."
        )
    near, far = _joint_codes("gallery_labels", labels, names)
    seen, seen_far = _camera_codes(cameras, len(rows), len(others))
    kept = np.ones(len(names), bool) if names.dtype.kind == "U" else names != JUNK
    if not kept.any():
        came = f"{len(names)} rows, all of them junk (label -1)" if len(names) else "none"
        raise ValueError(
            f"gallery must hold at least one row that is not junk; got {came}; pass the pictures "
            "to look in."
        )
    items = Side(others, far, seen_far).take(kept)
    return Sides(Side(rows, near, seen), items, False, int((~kept).sum()))


def check_identities(items: Side) -> None:
    """Refuse a gallery in which every picture shows the same identity."""
    if (items.labels == items.labels[0]).all():
        raise ValueError(
            f"gallery must hold at least two identities; got {len(items.labels)} pictures of one, "
            "any ranking of which is perfect; add pictures of others."
        )


def _camera_codes(
    cameras: Array | tuple[Array, Array] | None, queries: int, gallery: int | None
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Camera codes of the queries, and of the gallery where there is one."""
    if cameras is None:
        return None, None
    if gallery is None:
        if isinstance(cameras, tuple):
            raise ValueError(
                "cameras must be one array where there is no gallery; got a tuple; pass "
                "cameras=query_cameras."
            )
        return _codes(identity_labels("cameras", cameras, queries)), None
    if not isinstance(cameras, tuple) or len(cameras) != 2:
        came = f"{len(cameras)} of them" if isinstance(cameras, tuple) else type(cameras).__name__
        raise ValueError(
            f"cameras must be a tuple of two arrays where there is a gallery; got {came}; pass "
            "cameras=(query_cameras, gallery_cameras)."
        )
    own, others = cameras
    return _joint_codes(
        "cameras[1]",
        identity_labels("cameras[0]", own, queries),
        identity_labels("cameras[1]", others, gallery),
    )


def _codes(labels: NDArray[Any]) -> NDArray[np.int64]:
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _joint_codes(
    name: str, queries: NDArray[Any], gallery: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes of both sides' labels, which must be of one kind; `name` is the gallery's argument."""
    if len(gallery) and gallery.dtype.kind != queries.dtype.kind:
        raise TypeError(
            f"{name} must be of the queries' kind; got {gallery.dtype} for {queries.dtype}; "
            "use integers or strings on both sides."
        )
    codes = _codes(np.concatenate([queries, gallery]))
    return codes[: len(queries)], codes[len(queries) :]
