"""One way to the pair loss in a process of its own: its first call, and the memory it takes.

The first call is a step of the first size, forward + backward where that is asked. With the import:
that of its library on top of torch, and the building of the loss. The compilers' caches are empty,
so that what is measured is what a new machine sees.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from cospair.bench import apart, malloc, memory, timing
from cospair.bench.plan import BOTH, Plan, restored
from cospair.bench.variants import Variant, variants


def ask(variant: Variant, plan: Plan) -> dict[str, Any]:
    """What `answer` finds for a variant, or why there is nothing under `failed`."""
    with tempfile.TemporaryDirectory() as empty:
        try:
            return apart.call(
                f"{__name__}:answer",
                {"variant": variant.name, "plan": asdict(plan)},
                library=variant.library,
                environment={
                    **malloc.environment(plan.malloc),
                    "TORCHINDUCTOR_CACHE_DIR": f"{empty}/inductor",
                    "TRITON_CACHE_DIR": f"{empty}/triton",
                },
            )
        except RuntimeError as error:
            return {"failed": str(error)}


def answer(here: apart.Here, given: Mapping[str, Any]) -> dict[str, Any]:
    """Measure in this process what is asked for."""
    plan = restored(Plan, given["plan"])
    if plan.threads is not None:
        torch.set_num_threads(plan.threads)
    variant = variants(plan.device, compiled=plan.compiled)[given["variant"]]
    cases = [_first_call(variant, plan, here.import_seconds)]
    for n, d in plan.sizes:
        for direction in plan.directions:
            extra = {"extra_mib": _extra_mib(variant, plan, (n, d), direction)}
            cases.append(((n, d, direction), extra))
    return {"cases": cases}


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
    torch.compiler.reset()
    supply = timing.batches(*size, plan.dtypes[0], plan.device)
    return memory.extra_mib(
        timing.loss_step(variant, variant.load(), supply, direction), plan.device
    )
