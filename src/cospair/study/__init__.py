"""Losses against each other: the same encoder, budget and seeds, as many settings tried for each.

`contenders` lists the losses, `material` prepares the pictures once, `trials` trains and keeps what
a training leaves, `procedure` chooses settings and compares, `margins` sweeps the margin.
"""

from cospair.study.contenders import CONTENDERS, Contender
from cospair.study.margins import MARGINS
from cospair.study.material import Material, gathered
from cospair.study.procedure import StudyPlan, compared_losses

__all__ = [
    "CONTENDERS",
    "MARGINS",
    "Contender",
    "Material",
    "StudyPlan",
    "compared_losses",
    "gathered",
]
