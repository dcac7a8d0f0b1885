"""Figures that say how good an encoder is, and the threshold to use it with.

NumPy arrays (or tensors) in, plain dicts out. Every figure counts pairs or ranks of cosine
similarities; ties, empty input and intervals are defined where the figure is.
"""

from cospair.evaluation.artefact import Rule, Threshold
from cospair.evaluation.hard_pairs import hardest_pairs
from cospair.evaluation.intervals import identity_bootstrap
from cospair.evaluation.pairs import PairScores, pair_scores
from cospair.evaluation.retrieval import retrieval_figures
from cospair.evaluation.roc import auc, equal_error_rate, roc_curve, tar_at_far
from cospair.evaluation.thresholds import choose_threshold, rates_at
from cospair.evaluation.verification import verification_figures

__all__ = [
    "PairScores",
    "Rule",
    "Threshold",
    "auc",
    "choose_threshold",
    "equal_error_rate",
    "hardest_pairs",
    "identity_bootstrap",
    "pair_scores",
    "rates_at",
    "retrieval_figures",
    "roc_curve",
    "tar_at_far",
    "verification_figures",
]
