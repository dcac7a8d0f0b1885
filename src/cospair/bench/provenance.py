"""What a row must carry to be believed later, and how rows are kept."""

from __future__ import annotations

import csv
import datetime
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import cospair

KNOWN = ("processor", "threads", "torch", "cospair", "commit", "date")


def provenance() -> dict[str, Any]:
    """Processor, threads, versions, commit and date."""
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cospair": cospair.__version__,
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
    }


def device_name(device: str) -> str:
    """The kind of device, and which where it is a GPU."""
    return "cpu" if device == "cpu" else f"{device} ({torch.cuda.get_device_name()})"


def instruction_set() -> str:
    """What the fused CPU kernels were built for on this processor; empty without them."""
    try:
        from cospair.kernels import _cpu  # pyright: ignore[reportAttributeAccessIssue]
    except ImportError:
        return ""
    return str(_cpu.instruction_set())


def processor() -> str:
    """The CPU's name, as far as the system tells it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _commit() -> str:
    """State of the checkout that cospair runs from, or that this is called in; else nothing."""
    for root in (Path(cospair.__file__).parents[2], Path.cwd()):
        if (root / "src" / "cospair").is_dir() and (root / ".git").exists():
            words = ["git", "-C", str(root), "describe", "--always", "--dirty"]
            try:
                found = subprocess.run(words, capture_output=True, text=True, check=False)
            except FileNotFoundError:
                return ""
            return found.stdout.strip()
    return ""


def check_place(path: Path, columns: Iterable[str]) -> None:
    """Refuse a file that rows of these columns cannot be appended to.

    Raises:
        ValueError: If its folder is missing, or its rows have other columns.
    """
    if not path.parent.is_dir():
        raise ValueError(f"{path} must lie in a folder that exists, got none; make it first")
    wanted = ",".join((*columns, *KNOWN))
    if path.exists() and path.stat().st_size:
        with path.open(newline="") as file:
            header = file.readline().strip()
        if header != wanted:
            raise ValueError(
                f"{path} must hold rows of the same columns, got {header!r}; give a new file"
            )


def save(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Append rows with their provenance.

    Raises:
        ValueError: If the file's folder is missing, or its rows have other columns.
    """
    check_place(path, rows[0])
    known = provenance()
    new = not path.exists() or not path.stat().st_size
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *known], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows({**row, **known} for row in rows)
