"""Each term of the report in one line, for somebody who meets it the first time."""

from __future__ import annotations

from collections.abc import Iterable

from cospair.report.markup import definitions, text

TERMS = {
    "Score": "How alike two pictures are to the model: the cosine of the angle between their "
    "embeddings, from −1 to 1. Higher is more alike.",
    "Genuine pair": "Two pictures of the same identity. They should score high.",
    "Impostor pair": "Two pictures of different identities. They should score low.",
    "Threshold": "The score from which a pair is accepted as the same identity.",
    "FAR": "False accept rate: the share of impostor pairs that are wrongly accepted.",
    "FRR": "False reject rate: the share of genuine pairs that are wrongly rejected.",
    "TAR": "True accept rate: the share of genuine pairs that are accepted, 1 − FRR.",
    "TAR@FAR": "The TAR at the lowest threshold that keeps the FAR within the stated limit.",
    "Accuracy": "The share of all pairs, genuine and impostor together, that are judged right.",
    "EER": "Equal error rate: the error where FAR and FRR are the same. Lower is better.",
    "ROC": "The curve of TAR against FAR as the threshold moves.",
    "DET": "The curve of FRR against FAR, on axes that spread small rates.",
    "AUC": "Area under the ROC curve: how often a genuine pair outscores an impostor pair. "
    "0.5 is guessing, 1 is perfect.",
    "CMC@k": "The share of queries that find their identity among the first k results.",
    "mAP": "Mean average precision: how near the top all the right results stand, over queries.",
    "Interval": "The range in which the figure plausibly lies for other identities of the same "
    "kind. Few identities make it wide.",
}
RETRIEVAL = {
    "MAP@R": "Mean average precision of the first R results, R being the right ones there are.",
    "R-precision": "The share of right results among the first R.",
    "mINP": "R over the rank of the last right result, over queries: what the hardest one costs.",
    "Recall@k": "The share of all right results that stand among the first k.",
}
CALIBRATION = {
    "Cllr": "Cost of the log-likelihood ratio: what trusting the probabilities costs, in bits.",
}
OPEN_SET = {
    "DIR": "Detection and identification rate: of the enrolled, the share found above the "
    "threshold and ranked among the first.",
    "False alarm": "A query of somebody who is not enrolled that scores above the threshold.",
}
LOSSES = {
    "Loss": "What training makes small: which scores of a batch are wrong, and by how much.",
    "The default": "The loss that cospair trains with: every pair of a batch, in its recipe's own "
    "setting, for which nothing is tried here.",
    "Margin": "Impostor pairs cost only where they score above it.",
    "1 - s": "The form of the loss in which a genuine pair of score s costs 1 − s, however alike "
    "it is already.",
    "Symmetric hinge": "The form in which a genuine pair costs only while it scores below the "
    "margin.",
    "Triplet": "An anchor, a picture of the same identity and one of another: the latter is to be "
    "farther by a margin. Semi-hard takes the nearest that is farther than the genuine one.",
    "MSE": "Mean squared error: scores or embeddings are drawn to fixed values, as in regression.",
    "Split": "One part of the identities tested by what was trained on the others.",
    "Validation people": "Training identities that are kept out while settings are tried.",
}


def glossary(more: Iterable[dict[str, str]] = (), *, without: Iterable[str] = ()) -> str:
    """Write the terms, less some, and those of further sections, as a definition list."""
    terms = {term: line for term, line in TERMS.items() if term not in set(without)}
    for section in more:
        terms |= section
    return definitions(((term, text(line)) for term, line in terms.items()), name="glossary")
