"""Measuring the losses beside their rivals, on the machine at hand.

How it is measured, everywhere in this room:

- Variants of a size run in one process, started for that size, and take turns: a round is one timed
  stretch of each, and every round starts with another one.
- One call goes unmeasured before each stretch: it pays for the caches and page tables that the
  predecessor left. Batches rotate.
- A step drops the gradients it made, inside the timing: each variant pays for its own.
- What a loss needs beside its time, the first call and the peak of memory, comes from a process of
  its own.
"""

from cospair.bench.all_pairs import all_pairs
from cospair.bench.pairs import pairs
from cospair.bench.plan import AllPairsPlan, Plan

__all__ = ["AllPairsPlan", "Plan", "all_pairs", "pairs"]
