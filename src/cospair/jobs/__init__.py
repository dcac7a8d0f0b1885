"""Whole jobs, from data to a result: what the command line's verbs call.

A job is one file with one function. It knows every room and holds no idea of its own: it loads,
calls and puts together. Its result is a plain dict.
"""

from cospair.jobs.compare_losses import compare_losses, default_plan
from cospair.jobs.demo import demo
from cospair.jobs.embed import embed
from cospair.jobs.evaluate import evaluate
from cospair.jobs.match import match
from cospair.jobs.plan import EvaluationPlan
from cospair.jobs.threshold import threshold
from cospair.jobs.train import train

__all__ = [
    "EvaluationPlan",
    "compare_losses",
    "default_plan",
    "demo",
    "embed",
    "evaluate",
    "match",
    "threshold",
    "train",
]
