"""The memory of gradients and losses, which is handed out again once nobody uses it.

A fresh buffer costs a page fault for every 4 KiB at its first touch, two to six times the time of
the loss that fills it, and a small one torch's way to its allocator. `csrc/blocks.cpp` keeps the
blocks. Decisions:

- A block is free again when the last storage on it dies, views and `.data` of it included: it is
  lent to torch through DLPack, which says so.
- Free blocks are bounded in sum; `set_limit(0)` switches reuse off and gives all memory back.
- A private mapping is copied on write, so a forked child and its parent never write into each
  other's blocks.
- Such a storage cannot be resized in place (`resize_` to more elements raises, as for numpy's).
"""

from __future__ import annotations

from cospair.kernels import cpu

_DEFAULT_LIMIT_MIB = 1024


def set_limit(mib: int = _DEFAULT_LIMIT_MIB) -> None:
    """Bound the memory of free blocks, in MiB; what is over goes back to the system at once.

    Args:
        mib: At least 0; 0 switches the reuse off.

    Raises:
        ValueError: If mib is negative.
    """
    if mib < 0:
        raise ValueError(f"mib must be at least 0, got {mib}; 0 switches reuse off")
    if cpu._cpu is not None:
        cpu._cpu.limit_free_blocks(mib << 20)


def free_bytes() -> int:
    """Bytes of blocks that wait to be used again."""
    return 0 if cpu._cpu is None else cpu._cpu.free_block_bytes()
