"""Embeddings laid out in a plane, for the eyes alone: no figure is read off a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

PERPLEXITY = 30  # neighbours that a point of a t-SNE map heeds, where there are three times as many
FEWEST = 10  # below this many pictures neighbourhoods mean nothing
MOST_EXACT = 300  # up to this many, trees cost more time than the distances they save
DECIMALS = 4


def embedding_map(
    embeddings: ArrayLike,
    labels: ArrayLike,
    identities: Sequence[str],
    *,
    most: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Lay embeddings out in a plane: by t-SNE where scikit-learn is installed, else by PCA.

    Rows are scaled to length 1 first, so that neighbours are those of the cosine similarity. Of a
    set with more than `most` rows whole identities are drawn at random until `most` is reached.

    Args:
        embeddings: Real [n, d], finite; an array or a tensor.
        labels: Integer [n], index of each row's identity in `identities`.
        identities: Name of each label.
        most: Rows on the map at most.
        seed: Seed of the draw and of t-SNE.

    Returns:
        {"x", "y": places in [0, 1], "row": rows of `embeddings`, ascending, "identity": their
        names, "method": how the map was made and what it can tell, in words}.

    Raises:
        TypeError: If `labels` are not integers or embeddings are not real numbers.
        ValueError: If a row is not finite, shapes disagree, there are fewer than two rows, a label
            is no index of `identities`, or `most` is below 2.

    Example:
        >>> placed = embedding_map([[1, 0], [0, 1], [0, 2]], [0, 1, 1], ["ann", "bob"])
        >>> placed["identity"], placed["x"]
        (['ann', 'bob', 'bob'], [1.0, 0.0, 0.0])

    References:
        van der Maaten, Hinton (2008), Visualizing data using t-SNE.
    """
    rows, index = _checked(embeddings, labels, len(identities), most)
    kept = _drawn(index, most, seed)
    placed, method = _laid_out(_unit(rows[kept]), seed)
    if len(kept) < len(rows):
        method += (
            f" {len(kept):,} of {len(rows):,} pictures are drawn: identities chosen at random."
        )
    x, y = _into_square(placed).round(DECIMALS).T
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "row": kept.tolist(),
        "identity": [str(identities[label]) for label in index[kept]],
        "method": method,
    }


def _checked(
    embeddings: ArrayLike, labels: ArrayLike, identities: int, most: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    given, index = _array(embeddings), _array(labels)
    if given.dtype.kind not in "fiu":
        raise TypeError(
            f"embeddings must be real numbers, got dtype {given.dtype}; pass an encoder's output"
        )
    if index.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers, got dtype {index.dtype}; pass indices into identities"
        )
    if given.ndim != 2 or len(given) < 2 or given.shape[1] < 1 or index.shape != given.shape[:1]:
        raise ValueError(
            "embeddings must be [n, d] with n at least 2, and labels [n], got "
            f"{list(given.shape)} and {list(index.shape)}; pass one label a row"
        )
    rows = given.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(f"embeddings must be finite, got NaN or inf in row {bad[0]}; leave it out")
    if index.min() < 0 or index.max() >= identities:
        raise ValueError(
            f"labels must index {identities} identities, got {index.min()} to {index.max()}; "
            "pass a name for each label"
        )
    if most < 2:
        raise ValueError(f"most must be at least 2, got {most!r}; pass a number of points")
    return rows, index.astype(np.int64)


def _array(given: Any) -> NDArray[Any]:
    """Any array or tensor as NumPy has it."""
    return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1; a row of zeros stays. The largest entry is taken out first: no overflow."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.divide(scaled, length, out=scaled, where=length > 0)


def _drawn(index: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Rows on the map, ascending: all, or those of identities in random order, up to `most`."""
    if len(index) <= most:
        return np.arange(len(index))
    people, codes = np.unique(index, return_inverse=True)
    turn = np.random.default_rng(seed).permutation(len(people))
    return np.sort(np.argsort(turn[codes], kind="stable")[:most])


def _laid_out(rows: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], str]:
    placed, share = _principal(rows)
    if len(rows) < FEWEST or share == 0:
        return placed, _principal_words(share)
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        return placed, _principal_words(share)
    # Starting from the principal components keeps the large shape and makes runs agree.
    start = (placed / placed[:, 0].std() * 1e-4).astype(np.float32)
    neighbours = min(PERPLEXITY, (len(rows) - 1) / 3)
    method = "exact" if len(rows) <= MOST_EXACT else "barnes_hut"
    drawing = TSNE(perplexity=neighbours, init=start, random_state=seed, method=method)
    found = drawing.fit_transform(rows)
    return found.astype(np.float64), (
        f"t-SNE (perplexity {neighbours:.0f}): neighbours on the map are neighbours among the "
        "embeddings; distances between groups, and their sizes, mean little."
    )


def _principal(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The two directions of most variance, and the share of the variance that they hold."""
    centred = rows - rows.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    # Of the two signs the one that puts the farthest point on the positive side.
    placed = left[:, :2] * lengths[:2]
    placed *= np.sign(placed[np.abs(placed).argmax(axis=0), range(placed.shape[1])])
    if placed.shape[1] < 2:
        placed = np.hstack([placed, np.zeros_like(placed)])
    total = float((lengths**2).sum())
    return placed, float((lengths[:2] ** 2).sum()) / total if total > 1e-20 else 0.0


def _principal_words(share: float) -> str:
    return (
        f"Principal components: the two axes hold {100 * share:.0f} % of the variance, so groups "
        "that overlap here may still stand apart."
    )


def _into_square(placed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shifted and scaled into [0, 1], both axes alike, so that distances keep their shape."""
    low = placed.min(axis=0)
    width = float((placed.max(axis=0) - low).max())
    return (placed - low) / width if width > 0 else np.full_like(placed, 0.5)
