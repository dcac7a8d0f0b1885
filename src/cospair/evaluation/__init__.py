"""Figures that say how good an encoder is, and the threshold to use it with.

NumPy arrays (or tensors) in, plain dicts out. Every figure counts pairs or ranks of cosine
similarities; ties, empty input and intervals are defined where the figure is.
"""

from cospair.evaluation.all_pairs.figures import all_pairs_figures
from cospair.evaluation.bootstrap.binomial import clopper_pearson
from cospair.evaluation.bootstrap.intervals import identity_bootstrap
from cospair.evaluation.calibration.artefact import Calibration, calibrate
from cospair.evaluation.calibration.cllr import calibration_figures, cllr, min_cllr
from cospair.evaluation.comparison import compare_models, compare_scores
from cospair.evaluation.retrieval.figures import retrieval_figures
from cospair.evaluation.retrieval.open_set import open_set_figures
from cospair.evaluation.retrieval.single_shot import single_gallery_shot
from cospair.evaluation.thresholds.apart import check_apart
from cospair.evaluation.thresholds.artefact import Rule, Threshold
from cospair.evaluation.thresholds.choosing import choose_threshold, rates_at
from cospair.evaluation.verification.figures import pair_figures, verification_figures
from cospair.evaluation.verification.hard_pairs import hardest_pairs
from cospair.evaluation.verification.lfw import lfw_protocol
from cospair.evaluation.verification.pairs import PairScores, pair_scores
from cospair.evaluation.verification.roc import (
    auc,
    best_accuracy,
    det_curve,
    equal_error_rate,
    roc_curve,
    tar_at_far,
)
from cospair.evaluation.verification.streaming import VerificationMetric

__all__ = [
    "Calibration",
    "PairScores",
    "Rule",
    "Threshold",
    "VerificationMetric",
    "all_pairs_figures",
    "auc",
    "best_accuracy",
    "calibrate",
    "calibration_figures",
    "check_apart",
    "choose_threshold",
    "cllr",
    "clopper_pearson",
    "compare_models",
    "compare_scores",
    "det_curve",
    "equal_error_rate",
    "hardest_pairs",
    "identity_bootstrap",
    "lfw_protocol",
    "min_cllr",
    "open_set_figures",
    "pair_figures",
    "pair_scores",
    "rates_at",
    "retrieval_figures",
    "roc_curve",
    "single_gallery_shot",
    "tar_at_far",
    "verification_figures",
]
