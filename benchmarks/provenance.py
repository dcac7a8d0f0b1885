"""What a row must carry to be believed later, and how rows are kept."""

from __future__ import annotations

import csv
import datetime
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

import cospair


def provenance() -> dict[str, object]:
    """Processor, threads, versions, commit and date."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return {
        "processor": models[0] if models else platform.processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cospair": cospair.__version__,
        "commit": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
    }


def save(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Append rows with their provenance."""
    known = provenance()
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *known])
        if new:
            writer.writeheader()
        writer.writerows({**row, **known} for row in rows)
