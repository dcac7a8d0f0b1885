"""The people that a run's threshold is chosen on, kept so that it can be chosen again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from cospair import evaluation
from cospair.files import write_whole
from cospair.jobs.operating_point import Scored


# Comparing tensors gives tensors, so a generated == would raise.
@dataclass(frozen=True, eq=False)
class CalibrationPeople:
    """Embeddings of people none of whom the model that embedded them was trained on.

    Attributes:
        groups: Embeddings float32 [n, d] and classes int64 [n] of people whom one model embedded;
            scores of different models are not compared. A class has one number in all groups.
    """

    groups: tuple[tuple[Tensor, Tensor], ...]

    def scored(self) -> Scored:
        """Every pair of pictures of a group, one group after the other."""
        scores, same, identities = [], [], []
        for embeddings, classes in self.groups:
            pairs = evaluation.pair_scores(embeddings, classes)
            scores.append(pairs.scores)
            same.append(pairs.same)
            identities.append(classes.numpy()[np.stack([pairs.first, pairs.second], axis=1)])
        return Scored(np.concatenate(scores), np.concatenate(same), np.concatenate(identities))

    def save(self, path: Path) -> None:
        """Write them as safetensors, beside and renamed."""
        from safetensors.torch import save

        tensors = {}
        for number, (embeddings, classes) in enumerate(self.groups):
            tensors[f"embeddings.{number}"] = embeddings.contiguous()
            tensors[f"classes.{number}"] = classes.contiguous()
        write_whole(path, save(tensors))

    @classmethod
    def load(cls, path: Path) -> CalibrationPeople:
        """Read what `save` wrote.

        Raises:
            OSError: If there is no such file.
            ValueError: If it is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load(path.read_bytes())
            count = len(tensors) // 2
            groups = tuple(
                (tensors[f"embeddings.{number}"], tensors[f"classes.{number}"])
                for number in range(count)
            )
        except (SafetensorError, KeyError):
            raise ValueError(
                f"run must hold the calibration people that `cospair train` wrote, got a damaged "
                f"{path}; train again"
            ) from None
        return cls(groups)
