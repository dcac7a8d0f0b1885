"""Measuring the losses beside their rivals, on the machine at hand.

How it is measured, everywhere in this room:

- Variants run in one process and take turns: a round is one timed stretch of each, and every round
  starts with another one.
- One call goes unmeasured before each stretch: it pays for the caches and page tables that the
  predecessor left. Batches rotate.
- A step drops the gradients it made, inside the timing: each variant pays for its own.
- What a loss needs beside its time, the first call and the peak of memory, comes from a process of
  its own.
"""

from cospair.bench.pairs import pairs
from cospair.bench.plan import Plan

__all__ = ["Plan", "pairs"]
