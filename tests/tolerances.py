"""How far a result may stand from the truth, by dtype: one rounding and what is said beside it."""

import torch

# Half a unit in the last place is what rounding a perfect result costs. The rest covers the wide
# arithmetic behind it and, for narrow types, rounding twice (float64 to float32 to the type).
ULPS = {torch.float64: 8.0, torch.float32: 1.0, torch.bfloat16: 0.51, torch.float16: 0.51}


def relative(dtype: torch.dtype) -> float:
    """Largest relative error of a value that no cancellation touched."""
    return ULPS[dtype] * torch.finfo(dtype).eps
