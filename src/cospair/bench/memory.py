"""How much memory a step takes: the growth of the peak.

On the CPU it is the growth of the resident peak over a baseline with all that is held for reuse
given back; so gradients count, and so does cospair's pool of them. On a CUDA device it is the
growth of torch's allocated peak. Where the system cannot reset its peak (anything but Linux) no
figure is made.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch

from cospair.kernels import buffers

_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): resets the peak to the current resident set


def extra_mib(step: Callable[[int], object], device: str) -> float | None:
    """Growth of the peak in the second step, in MiB; None where it cannot be known."""
    step(0)
    grown = _cuda_growth(step) if device == "cuda" else _resident_growth(step)
    return None if grown is None else round(grown / 2**20, 1)


def _cuda_growth(step: Callable[[int], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(1)
    return torch.cuda.max_memory_allocated() - before


def _resident_growth(step: Callable[[int], object]) -> int | None:
    buffers.set_limit(0)
    buffers.set_limit()
    _trim()
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return None
    before = _status("VmRSS")
    step(1)
    return max(0, _status("VmHWM") - before)


def _trim() -> None:
    """Give what malloc holds back to the system, where it can be asked to."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"{name}:"))
    return int(found.split()[1]) << 10
