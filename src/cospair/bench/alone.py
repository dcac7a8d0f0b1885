"""One variant in a process of its own: its first call, and the peak of the memory it takes.

- The first call is a step of the first size, forward + backward where that is asked. With the
  import: that of its library on top of torch, and the building of the loss. The compilers' caches
  are empty, so that what is measured is what a new machine sees.
- The memory is the growth of the resident peak over a baseline with torch, the library, the inputs
  and one step behind it, all it held for reuse given back; so gradients count, and so does
  cospair's pool of them. On a CUDA device it is the growth of torch's allocated peak.
- Where the system cannot reset its peak (anything but Linux) no figure is made.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cospair.bench import timing
from cospair.bench.plan import BOTH, Plan
from cospair.bench.variants import Variant, variants
from cospair.kernels import buffers

_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): resets the peak to the current resident set

# The library is imported before cospair.bench is, or cospair's own import would seem free.
_PROGRAM = """
import importlib, sys, time
import torch
start = time.perf_counter()
importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - start
from cospair.bench import alone
alone.answer(seconds, sys.argv[2])
"""


def ask(variant: Variant, plan: Plan) -> dict[str, Any]:
    """What `answer` prints for a variant, or why there is nothing under `failed`."""
    words = json.dumps([variant.name, asdict(plan)])
    with tempfile.TemporaryDirectory() as empty:
        found = subprocess.run(
            [sys.executable, "-c", _PROGRAM, variant.library, words],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(place for place in sys.path if place),
                "TORCHINDUCTOR_CACHE_DIR": f"{empty}/inductor",
                "TRITON_CACHE_DIR": f"{empty}/triton",
            },
        )
    if found.returncode:
        last = found.stderr.strip().splitlines()[-1:] or [f"exit code {found.returncode}"]
        return {"failed": last[0]}
    return json.loads(found.stdout.splitlines()[-1])


def answer(import_seconds: float, words: str) -> None:
    """Measure in this process what `words` ask for, and print it as one line of JSON."""
    name, options = json.loads(words)
    plan = Plan(**{**options, "sizes": tuple(map(tuple, options["sizes"]))})
    if plan.threads is not None:
        torch.set_num_threads(plan.threads)
    variant = variants(plan.device, compiled=plan.compiled)[name]
    cases = [_first_call(variant, plan, import_seconds)]
    for n, d in plan.sizes:
        for direction in plan.directions:
            extra = {"extra_mib": _extra_mib(variant, plan, (n, d), direction)}
            cases.append(((n, d, direction), extra))
    print(json.dumps({"cases": cases}))


def _first_call(
    variant: Variant, plan: Plan, import_seconds: float
) -> tuple[tuple[int, int, str], dict[str, float | None]]:
    n, d = plan.sizes[0]
    direction = BOTH if BOTH in plan.directions else plan.directions[0]
    supply = timing.batches(n, d, plan.dtypes[0], plan.device)
    start = time.perf_counter()
    loss = variant.load()
    import_seconds += time.perf_counter() - start
    step = timing.loss_step(variant, loss, supply, direction)
    timing.wait_for(plan.device)
    start = time.perf_counter()
    step(0)
    timing.wait_for(plan.device)
    seconds = time.perf_counter() - start
    return (n, d, direction), {
        "first_call_ms": round(seconds * 1e3, 2),
        "first_call_with_import_ms": round((seconds + import_seconds) * 1e3, 2),
    }


def _extra_mib(variant: Variant, plan: Plan, size: tuple[int, int], direction: str) -> float | None:
    """Growth of the peak in a step of a warmed variant."""
    torch.compiler.reset()
    supply = timing.batches(*size, plan.dtypes[0], plan.device)
    step = timing.loss_step(variant, variant.load(), supply, direction)
    step(0)
    timing.wait_for(plan.device)
    growth = _cuda_growth if plan.device == "cuda" else _resident_growth
    grown = growth(step)
    return None if grown is None else round(grown / 2**20, 1)


def _cuda_growth(step: timing.Step) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(1)
    return torch.cuda.max_memory_allocated() - before


def _resident_growth(step: timing.Step) -> int | None:
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
