"""Matrix products in the precision of their operands, whatever the user allows elsewhere.

Proofs of what a product may be off stand on that: a product that is silently taken in bfloat16 or
TF32 would be off by a thousand times as much.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_EXACT = ("ieee", "none")  # none: nobody allowed anything


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Within it, products of float32 matrices are float32's; no graph, no autocast."""
    restore = _allow_nothing(device)
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        restore()


def _allow_nothing(device: torch.device) -> Any:
    """Forbid narrower products on a device; what undoes it."""
    backend: Any = torch.backends.mkldnn if device.type == "cpu" else torch.backends.cuda
    matmul = backend.matmul
    if not hasattr(matmul, "fp32_precision"):  # torch before 2.9 knows one setting for all
        allowed = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        return lambda: torch.set_float32_matmul_precision(allowed)
    allowed = matmul.fp32_precision
    if allowed in _EXACT:
        return lambda: None
    matmul.fp32_precision = "ieee"
    return lambda: setattr(matmul, "fp32_precision", allowed)
