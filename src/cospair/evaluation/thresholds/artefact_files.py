"""Files of artefacts, and what every artefact says about where it comes from."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cospair.files import write_whole


def write_artefact(path: str | os.PathLike[str], format_name: str, artefact: Any) -> None:
    """Write a dataclass as JSON under its format's name, whole or not at all."""
    content = {"format": format_name, **asdict(artefact)}
    written = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_whole(path, written.encode())


def read_artefact(
    path: str | os.PathLike[str],
    kind: str,
    format_name: str,
    artefact: type[Any],
    added: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Fields of a dataclass from its file; `added` holds what files of earlier formats lack."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{kind} must be a file like run/{kind}.json; got {os.fspath(path)!r}, no JSON; name "
            "one that to_json or `cospair train` wrote."
        ) from error
    found = content if isinstance(content, dict) else {}
    found = {**added.get(str(found.get("format")), {}), **found}
    names = {item.name for item in fields(artefact)}
    if set(found) != {"format", *names} or found.pop("format") not in (format_name, *added):
        raise ValueError(
            f"{kind} must be a file of format {format_name!r}, like run/{kind}.json; got other "
            f"fields in {os.fspath(path)!r}; write it again with to_json or `cospair train`."
        )
    found["calibration_identities"] = _hashes(found["calibration_identities"])
    return found


def provenance(values: NDArray[np.float64], flags: NDArray[np.bool_]) -> dict[str, Any]:
    """Which calibration data, which versions, when."""
    from cospair import __version__  # the front door stands above this room: not at import

    return {
        "calibration_sha256": hashlib.sha256(values.tobytes() + flags.tobytes()).hexdigest(),
        "versions": {
            "cospair": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _hashes(value: Any) -> tuple[str, ...]:
    """Hashes of names as JSON holds them."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(
            f"calibration_identities must be a list of hashes; got {value!r}; calibrate again."
        )
    return tuple(value)
