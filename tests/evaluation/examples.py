"""Labelled rows, scored pairs and an exact figure that several of these tests look at."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from cospair.evaluation import pair_scores


@st.composite
def scored_pairs(draw):
    """Scores on a coarse grid around 0, so that ties are common, with both kinds present."""
    flags = [True, False, *draw(st.lists(st.booleans(), max_size=22))]
    grid = draw(st.lists(st.integers(-6, 6), min_size=len(flags), max_size=len(flags)))
    return np.array(grid) / 8, np.array(flags)


def labelled(people, each, seed=0, noise=1.0, features=8):
    """Rows around one centre a person, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), each)
    rows = rng.normal(size=(people, features))[labels]
    return rows + noise * rng.normal(size=rows.shape), labels


def scored_people(people=7, each=4, decimals=12):
    """Scores, identities of both pictures, genuine flags; few decimals make many ties."""
    rows, labels = labelled(people, each, noise=1.3, features=6)
    pairs = pair_scores(rows, labels)
    identities = np.stack([labels[pairs.first], labels[pairs.second]], axis=1)
    return np.round(pairs.scores, decimals), identities, pairs.same


def at_scores(scores):
    """Rows whose cosine with [1, 0] is each score."""
    scores = np.asarray(scores, dtype=float)
    return np.stack([scores, np.sqrt(1 - scores**2)], axis=1)


def exact_ap(order, rule):
    """AP of a list of True and False in rank order, from its definition."""
    ranks = [rank for rank, match in enumerate(order, 1) if match]
    total = Fraction(0)
    for hits, rank in enumerate(ranks, 1):
        now = Fraction(hits, rank)
        before = Fraction(hits - 1, rank - 1) if rank > 1 else Fraction(1)
        total += now if rule == "step" else (now + before) / 2
    return total / len(ranks)
