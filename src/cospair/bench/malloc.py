"""Whether glibc's malloc keeps the big blocks that are freed, or gives them back to the system.

A block given back costs a page fault for every 4 KiB when it is next touched, which can be most of
a loss's time. Left alone, glibc decides by what the process freed before, so that a figure depends
on its predecessors. The two ways are therefore measured on purpose, each in a process that was
started so:

- default: nothing is set.
- kept: every block comes from the heap and stays there.
- returned: a block of 128 KiB or more is mapped for itself and unmapped when it is freed.

The thresholds are glibc's own names for it; before its version 2.35 it ignores a high
MALLOC_MMAP_THRESHOLD_, so what keeps blocks on the heap is that none may be mapped.
"""

from __future__ import annotations

import os
import platform
from types import MappingProxyType

_VARIABLES = MappingProxyType(
    {
        "default": {},
        "kept": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34)},
        "returned": {
            "MALLOC_MMAP_THRESHOLD_": str(1 << 17),
            "MALLOC_TRIM_THRESHOLD_": str(1 << 17),
        },
    }
)
_SET_BY_GLIBC = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")

MALLOCS = tuple(_VARIABLES)


def check(malloc: str) -> None:
    """Refuse what malloc cannot be told here.

    Raises:
        RuntimeError: For 'kept' and 'returned' where the C library is not glibc.
    """
    library = platform.libc_ver()[0]
    if malloc != "default" and library != "glibc":
        raise RuntimeError(
            f"malloc {malloc} needs glibc, which alone can be told so, found "
            f"{library or platform.system()}; measure with malloc default"
        )


def environment(malloc: str) -> dict[str, str]:
    """The environment of a process whose malloc works so."""
    others = {name: value for name, value in os.environ.items() if name not in _SET_BY_GLIBC}
    return {**others, **_VARIABLES[malloc]}
