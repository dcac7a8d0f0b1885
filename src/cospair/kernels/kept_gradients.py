"""Gradients that a graph's forward has computed, kept until its backward asks for them.

An operator's outputs must not depend on who calls it, so it cannot hand gradients over by itself.
It returns a ticket instead: one byte, always 0, whose address is known here. Decisions of this
file:

- A ticket gives its gradients once. Whoever comes again, or with a copy of the ticket, gets None
  and computes them anew: nothing rests on the ticket but time.
- When a ticket dies unused its gradients go with it, as a graph's do.
"""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, Tensor | None]

_kept: dict[int, tuple[weakref.ref[memoryview], Gradients]] = {}


def keep(gradients: Gradients) -> Tensor:
    """A ticket, uint8 [1], for `take`."""
    exporter = memoryview(bytearray(1))
    ticket = torch.frombuffer(exporter, dtype=torch.uint8)
    address = ticket.data_ptr()

    def forget(_: weakref.ref[memoryview]) -> None:
        _kept.pop(address, None)

    _kept[address] = (weakref.ref(exporter, forget), gradients)
    return ticket


def none_kept() -> Tensor:
    """A ticket for nothing."""
    return torch.zeros(1, dtype=torch.uint8)


def take(ticket: Tensor, wanted: tuple[bool, bool]) -> Gradients | None:
    """The gradients of a ticket, or None where they were taken, others are wanted or it is none."""
    found = _kept.get(ticket.data_ptr())
    if found is None or tuple(g is not None for g in found[1]) != wanted:
        return None
    exporter, gradients = found
    _kept[ticket.data_ptr()] = (exporter, (None, None))
    return gradients
