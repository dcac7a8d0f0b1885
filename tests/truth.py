"""The loss and its gradients in 300-bit arithmetic, straight from the definition."""

import mpmath
import torch
from torch import Tensor

mpmath.mp.prec = 300


def cosine(a: list, b: list):
    """Cosine of two rows, 0 where one is a zero row."""
    lengths = mpmath.sqrt(sum(x * x for x in a)) * mpmath.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else mpmath.mpf(0)


def rows(x: Tensor) -> list[list]:
    """A tensor's rows as exact numbers."""
    return [[mpmath.mpf(value) for value in row] for row in x.double().tolist()]


def pair(a: list, b: list, target: int, margin: float, positive_margin: float):
    """Loss of one pair and its gradient in both rows."""
    s = cosine(a, b)
    hinge = mpmath.mpf(positive_margin) - s if target == 1 else s - mpmath.mpf(margin)
    norm1, norm2 = (mpmath.sqrt(sum(x * x for x in row)) for row in (a, b))
    if hinge <= 0 or not norm1 or not norm2:
        return max(hinge, mpmath.mpf(0)), [mpmath.mpf(0)] * len(a), [mpmath.mpf(0)] * len(b)
    g1 = [-target * (y / norm2 - s * x / norm1) / norm1 for x, y in zip(a, b, strict=True)]
    g2 = [-target * (x / norm1 - s * y / norm2) / norm2 for x, y in zip(a, b, strict=True)]
    return hinge, g1, g2


def losses(
    x1: Tensor, x2: Tensor, target, *, margin: float = 0.0, positive_margin: float = 1.0
) -> list:
    """Loss of each pair, as 300-bit numbers."""
    targets = [int(t) for t in target]
    return [
        pair(a, b, t, margin, positive_margin)[0]
        for a, b, t in zip(rows(x1), rows(x2), targets, strict=True)
    ]


def gradients(x1: Tensor, x2: Tensor, target, *, margin: float = 0.0, positive_margin: float = 1.0):
    """Gradient of the sum of losses in both inputs, float64 [n, d] each."""
    targets = [int(t) for t in target]
    found = [
        pair(a, b, t, margin, positive_margin)
        for a, b, t in zip(rows(x1), rows(x2), targets, strict=True)
    ]
    return tuple(
        torch.tensor([[float(value) for value in row[side]] for row in found], dtype=torch.float64)
        for side in (1, 2)
    )
