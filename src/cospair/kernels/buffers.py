"""Large gradient buffers that are handed out again once nobody uses them.

A fresh buffer costs a page fault for every 4 KiB at its first touch: two to six times the time of
the loss that fills it. Decisions of this file:

- A block is private anonymous memory, in huge pages where the system has them. It is free again
  when the last storage on it dies, views and `.data` of it included, because the storage holds the
  exporter whose death puts the block back.
- Small buffers come from torch: they fit the caches and its allocator.
- Free blocks are bounded in sum; `set_limit(0)` switches reuse off and gives all memory back.
- A private mapping is copied on write, so a forked child and its parent never write into each
  other's blocks.
- Such a storage cannot be resized in place (`resize_` to more elements raises, as for numpy's).
"""

from __future__ import annotations

import contextlib
import math
import mmap
import weakref
from collections import defaultdict, deque
from collections.abc import Sequence

import torch
from torch import Tensor

_LEAST_BYTES = 1 << 20
_HUGE_PAGE = 1 << 21
_DEFAULT_LIMIT_MIB = 1024

_free: defaultdict[int, deque[mmap.mmap]] = defaultdict(deque)
_lent: dict[int, weakref.ref[memoryview]] = {}
_limit_bytes = _DEFAULT_LIMIT_MIB << 20


def set_limit(mib: int = _DEFAULT_LIMIT_MIB) -> None:
    """Bound the memory of free blocks, in MiB; what is over goes back to the system at once.

    Args:
        mib: At least 0; 0 switches the reuse off.

    Raises:
        ValueError: If mib is negative.
    """
    global _limit_bytes
    if mib < 0:
        raise ValueError(f"mib must be at least 0, got {mib}; 0 switches reuse off")
    _limit_bytes = mib << 20
    _make_room(0)


def _make_room(size: int) -> None:
    """Give blocks back to the system, those of other sizes first, until `size` more fit."""
    for other in sorted(_free, key=lambda held: (held == size, -held)):
        while free_bytes() + size > _limit_bytes:
            try:
                _free[other].pop()
            except IndexError:
                break


def free_bytes() -> int:
    """Bytes of blocks that wait to be used again."""
    return sum(size * len(blocks) for size, blocks in list(_free.items()))


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """An uninitialised contiguous CPU tensor, on a block used before where one is free."""
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size < _LEAST_BYTES or not _limit_bytes or not hasattr(mmap, "MAP_PRIVATE"):
        return torch.empty(tuple(shape), dtype=dtype, device="cpu")
    try:
        exporter = _exporter(size)
    except OSError:  # no memory, or no more mappings: what is free goes back, and torch is asked
        _make_room(_limit_bytes)
        return torch.empty(tuple(shape), dtype=dtype, device="cpu")
    flat = torch.frombuffer(exporter, dtype=dtype, count=count)
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    # set_ rather than view: a gradient should be nobody's view
    return torch.empty(0, dtype=dtype, device="cpu").set_(
        flat.untyped_storage(), 0, tuple(shape), strides
    )


def _exporter(size: int) -> memoryview:
    """A view of a block of at least `size` bytes whose death puts the block back."""
    size = -(-size // _HUGE_PAGE) * _HUGE_PAGE
    block = _take(size)
    exporter = memoryview(block)

    key = id(exporter)

    def put_back(dead: weakref.ref[memoryview]) -> None:
        del _lent[key]
        _make_room(size)
        if free_bytes() + size <= _limit_bytes:
            _free[size].append(block)

    _lent[key] = weakref.ref(exporter, put_back)
    return exporter


def _take(size: int) -> mmap.mmap:
    try:
        return _free[size].pop()
    except IndexError:
        block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a system without huge pages: small ones serve
                block.madvise(mmap.MADV_HUGEPAGE)
        return block
