"""Figures that say how good an encoder is, and the threshold to use it with.

NumPy arrays (or tensors) in, plain dicts out. Every figure counts pairs or ranks of cosine
similarities; ties, empty input and intervals are defined where the figure is.
"""

from cospair.evaluation.intervals import identity_bootstrap
from cospair.evaluation.retrieval import retrieval_figures
from cospair.evaluation.thresholds import Threshold, choose_threshold, rates_at
from cospair.evaluation.verification import (
    PairScores,
    auc,
    equal_error_rate,
    hardest_mistakes,
    pair_scores,
    roc_curve,
    tar_at_far,
    verification_figures,
)

__all__ = [
    "PairScores",
    "Threshold",
    "auc",
    "choose_threshold",
    "equal_error_rate",
    "hardest_mistakes",
    "identity_bootstrap",
    "pair_scores",
    "rates_at",
    "retrieval_figures",
    "roc_curve",
    "tar_at_far",
    "verification_figures",
]
