"""What a training run leaves on disk, and how the other jobs find it again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cospair import models
from cospair.evaluation import Calibration, Threshold
from cospair.files import write_whole

RECORDED = {"created", "versions", "seed", "data", "model", "threshold", "train_pictures"}


@dataclass(frozen=True)
class RunFolder:
    """A folder with a model, its threshold artefact and a record of the run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The model file, safetensors."""
        return self.path / "model.safetensors"

    @property
    def threshold(self) -> Path:
        """The threshold artefact, JSON."""
        return self.path / "threshold.json"

    @property
    def calibration(self) -> Path:
        """What scores are worth as probabilities, JSON."""
        return self.path / "calibration.json"

    @property
    def calibration_people(self) -> Path:
        """Embeddings of the people whom the threshold was chosen on, safetensors."""
        return self.path / "calibration-people.safetensors"

    @property
    def begun(self) -> bool:
        """Whether training has left anything here."""
        places = (self.model, self.threshold, self.record, self.checkpoints)
        return any(place.exists() for place in places)

    @property
    def record(self) -> Path:
        """What was trained on what, JSON."""
        return self.path / "run.json"

    @property
    def figures(self) -> Path:
        """Figures on the test people, JSON."""
        return self.path / "figures.json"

    @property
    def cache(self) -> Path:
        """Features that need not be computed twice."""
        return self.path / "cache"

    @property
    def checkpoints(self) -> Path:
        """Metrics and checkpoints of the training loop."""
        return self.path / "training"

    def load(self) -> tuple[models.Embedder, Threshold, dict[str, Any]]:
        """Model, threshold and record of a finished run.

        Raises:
            ValueError: If the folder is not that of a finished run.
        """
        missing = [p.name for p in (self.model, self.threshold, self.record) if not p.is_file()]
        if missing:
            raise ValueError(
                f"run must be a folder that `cospair train` finished, got {self.path} without "
                f"{', '.join(missing)}; train one with `cospair train DATA --out {self.path}`"
            )
        record, threshold = self._record(), self._threshold()
        found = models.file_sha256(self.model)
        if found != threshold.model_sha256:
            raise ValueError(
                f"run must hold one model and its own threshold, got {self.model.name} with hash "
                f"{found[:12]} beside a threshold for {threshold.model_sha256[:12]}; train again"
            )
        return models.load_embedder(self.model), threshold, record

    def load_calibration(self) -> Calibration | None:
        """The run's calibration; None for a run of an earlier version.

        Raises:
            ValueError: If the file is damaged.
        """
        if not self.calibration.is_file():
            return None
        try:
            return Calibration.from_json(self.calibration)
        except (TypeError, ValueError):
            raise ValueError(
                f"run must hold the calibration that `cospair train` wrote, got a damaged "
                f"{self.calibration}; train again"
            ) from None

    def _record(self) -> dict[str, Any]:
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
        except ValueError:
            record = None
        if not isinstance(record, dict) or not record.keys() >= RECORDED:
            raise ValueError(
                "run must hold the record that `cospair train` wrote, got a damaged "
                f"{self.record}; "
                "train again"
            )
        return record

    def _threshold(self) -> Threshold:
        try:
            return Threshold.from_json(self.threshold)
        except (TypeError, ValueError):
            raise ValueError(
                f"run must hold the threshold that `cospair train` wrote, got a damaged "
                f"{self.threshold}; train again"
            ) from None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dict as JSON, beside and renamed."""
    write_whole(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
