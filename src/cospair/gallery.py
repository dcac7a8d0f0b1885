"""A gallery: enrolled embeddings by name, queried at a threshold that knows where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


class OperatingPoint(Protocol):
    """A threshold artefact, as `cospair.evaluation.Threshold`: a gallery takes no bare number."""

    @property
    def threshold(self) -> float:
        """Accept when score >= threshold."""
        ...


class Gallery:
    """Enrolled embeddings in memory; a name's score is its best enrolled embedding's.

    Args:
        operating_point: The threshold artefact that decides.

    Example:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> gallery = Gallery(SimpleNamespace(threshold=0.5))
        >>> gallery.enrol(["ann", "bob"], torch.eye(2))
        >>> gallery.identify(torch.tensor([0.8, 0.6]))[0]
        {'name': 'ann', 'score': 0.8, 'accepted': True}
    """

    def __init__(self, operating_point: OperatingPoint) -> None:
        """Start empty."""
        self.operating_point = operating_point
        self.names: list[str] = []
        self._rows = torch.empty(0, 0)

    def __len__(self) -> int:
        """Number of enrolled embeddings."""
        return len(self.names)

    def enrol(self, names: Sequence[str], embeddings: Tensor) -> None:
        """Add embeddings [n, d] under names [n]; a name may have many.

        Raises:
            ValueError: For numbers that do not match, another dimension, or rows that are zero,
                NaN or infinite, which would match nothing or everything.
        """
        rows = _unit_rows(embeddings)
        if len(names) != len(rows):
            raise ValueError(
                f"names must be one for each embedding, got {len(names)} names for {len(rows)} "
                "embeddings; pair them up"
            )
        if len(self) and rows.shape[1] != self._rows.shape[1]:
            raise ValueError(
                f"embeddings must have {self._rows.shape[1]} dimensions like those enrolled, got "
                f"{rows.shape[1]}; use one model for a gallery"
            )
        self._rows = torch.cat([self._rows, rows]) if len(self) else rows
        self.names.extend(names)

    def identify(self, embedding: Tensor, *, top: int = 5) -> list[dict[str, Any]]:
        """The best names for an embedding [d], highest score first.

        Args:
            embedding: One embedding, any length but zero.
            top: Names to return at most.

        Returns:
            A dict a name: name, score (cosine, -1 to 1), accepted (score >= threshold).

        Raises:
            ValueError: If nothing is enrolled or the embedding does not fit.
        """
        if not len(self):
            raise ValueError(
                "a gallery must have somebody enrolled before it is asked, got an empty one; "
                "call enrol first"
            )
        scores = self._scores(embedding)
        best: dict[str, float] = {}
        for name, score in zip(self.names, scores.tolist(), strict=True):
            best[name] = max(score, best.get(name, -1.0))
        ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:top]
        return [self._answer(name, score) for name, score in ranked]

    def verify(self, embedding: Tensor, name: str) -> dict[str, Any]:
        """Whether an embedding [d] is the named person's.

        Raises:
            ValueError: If the name is not enrolled or the embedding does not fit.
        """
        mine = [i for i, enrolled in enumerate(self.names) if enrolled == name]
        if not mine:
            raise ValueError(
                f"name must be enrolled, got {name!r}; enrol it or ask for one of the "
                f"{len(set(self.names))} names there"
            )
        return self._answer(name, self._scores(embedding)[mine].max().item())

    def _scores(self, embedding: Tensor) -> Tensor:
        query = _unit_rows(embedding.unsqueeze(0))[0]
        if query.shape[0] != self._rows.shape[1]:
            raise ValueError(
                f"an embedding must have {self._rows.shape[1]} dimensions like those enrolled, "
                f"got {query.shape[0]}; use the gallery's model"
            )
        return (self._rows @ query).clamp(-1.0, 1.0)

    def _answer(self, name: str, score: float) -> dict[str, Any]:
        accepted = score >= self.operating_point.threshold
        return {"name": name, "score": round(score, 6), "accepted": accepted}


def _unit_rows(embeddings: Tensor) -> Tensor:
    """Rows of length 1 in float64."""
    if embeddings.ndim != 2:
        raise ValueError(
            f"embeddings must be [n, d], got shape {tuple(embeddings.shape)}; give one row each"
        )
    rows = embeddings.detach().cpu().to(torch.float64)
    lengths = rows.norm(dim=1, keepdim=True)
    wrong = ~(torch.isfinite(lengths) & (lengths > 0)).flatten()
    if bool(wrong.any()):
        raise ValueError(
            "embeddings must be finite and not zero, got a zero, NaN or infinite row "
            f"{int(wrong.nonzero()[0])}; look at the picture it came from"
        )
    return rows / lengths
