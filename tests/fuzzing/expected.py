"""What a batch must give, and how far a kernel may be off.

An error is in units of the last place (ulp) of the true value in the result's dtype; a gradient's
is that of its largest wrong element, in ulp of its row's largest true element. No unit is smaller
than what the cosine inside resolves (`Bound`): a margin within 1e-16 of the cosine leaves no
figures of the hinge, in any arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fuzzing.cases import Inputs
from fuzzing.geometry import Mask
from fuzzing.wide import Array, Wide, parts, two_product, two_sum


@dataclass(frozen=True)
class Bound:
    """How far a kernel may be off in one dtype, and below what its figures end."""

    loss_ulps: float
    gradient_ulps: float
    hinge: float = 2.0**-50  # what the cosine resolves, absolutely
    gap: float = 2.0**-100  # what 1 - |s| resolves, where that is the loss
    angle: float = 0.0  # the same, as a multiple of the angle
    slope: float = 2.0**-49  # what a gradient resolves, times its row's length


BOUNDS = {
    "cpu": {
        "float16": Bound(0.51, 0.51),
        "bfloat16": Bound(0.51, 0.51),
        "float32": Bound(0.51, 2.5),  # the gradient is computed in float
        "float64": Bound(2.0, 8.0, hinge=2.0**-60, gap=2.0**-110, slope=2.0**-60),
    },
    # plain torch in float64: near +-1 its figures end at the angle that float64 resolves
    "reference": {
        "float16": Bound(0.51, 0.51, angle=2.0**-50),
        "bfloat16": Bound(0.51, 0.51, angle=2.0**-50),
        "float32": Bound(1.0, 1.0, angle=2.0**-50),
        "float64": Bound(8.0, 64.0, angle=2.0**-50),
    },
}


@dataclass(frozen=True)
class Expected:
    """What a batch must give under its margins, weights and upstream gradient."""

    hinge: Wide  # [n], before max(0, .)
    resolution: Array  # [n], of the hinge
    weight: Array
    divisor: Wide
    factor: Wide  # [n], what a slope is multiplied by where the pair costs
    active: Mask
    tie: Mask  # whether it costs is beyond the resolution


def expected(inputs: Inputs, bound: Bound) -> Expected:
    """The truth of a batch."""
    g, b = inputs.geometry, inputs.batch
    genuine = inputs.target.double().numpy() == 1
    sign = np.where(g.near, np.sign(g.cosine.high), 0.0)
    rest = (g.gap * -sign).where(g.near)
    rest = Wide(
        *(np.where(g.near, p, q) for p, q in zip(parts(rest), parts(g.cosine), strict=True))
    )
    hinge_genuine = Wide(*two_sum(inputs.positive_margin, -sign)) - rest
    hinge_impostor = Wide(*two_sum(sign, -inputs.margin)) + rest
    hinge = Wide(
        *(
            np.where(genuine, p, q)
            for p, q in zip(parts(hinge_genuine), parts(hinge_impostor), strict=True)
        )
    )
    anchored = g.near & (sign == np.where(genuine, inputs.positive_margin, inputs.margin))
    angle = np.sqrt(2 * g.gap.high)
    resolution = np.where(anchored, bound.gap + bound.angle * angle, bound.hinge)
    weight = np.ones(b.n) if inputs.weight is None else inputs.weight.double().numpy()
    divisor = Wide(np.ones(()))
    if b.reduction == "mean":
        divisor = Wide(np.array(float(b.n))) if inputs.weight is None else Wide(weight).total()
        divisor = divisor if divisor.high else Wide(np.ones(()))
    upstream = np.broadcast_to(inputs.upstream.double().numpy(), (b.n,))
    factor = Wide(*two_product(np.where(genuine, -weight, weight), upstream)) / divisor
    return Expected(
        hinge=hinge,
        resolution=resolution,
        weight=weight,
        divisor=divisor,
        factor=factor,
        active=hinge.high > 0,
        tie=(np.abs(hinge.high) <= 2 * resolution) & ~g.same & ~g.broken,
    )
