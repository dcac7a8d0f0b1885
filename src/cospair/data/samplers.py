"""Samplers that decide which pictures a batch holds.

Decisions:
- A batch depends on (seed, epoch) and its place in the epoch alone. Resuming inside an epoch is
  therefore: load the state, iterate, and pass over the batches already used. The state names the
  epoch in progress, never a place inside it, because a DataLoader with workers fetches ahead.
- A loop that never calls `set_epoch` still gets another epoch each time it iterates.
- Choice is a walk: every value once, in random order, before any comes again. At the seam of two
  walks the second is rearranged so that a batch does not meet the same value twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from torch.utils.data import Sampler

from cospair.data.inputs import random_generator, rows_by_identity, whole_number

Batch = TypeVar("Batch")


class EpochSampler(Sampler[Batch], ABC):
    """What samplers of batches share: a length, a seed, an epoch and the state to resume from.

    Args:
        batches: Batches an epoch, at least 1.
        seed: At least 0.
    """

    def __init__(self, *, batches: int, seed: int) -> None:
        """Check the options and stand before epoch 0."""
        self.batches = whole_number("batches", batches, least=1)
        self.seed = whole_number("seed", seed, least=0)
        self.epoch = 0
        self._begun = False

    @abstractmethod
    def batches_of(self, epoch: int) -> Iterator[Batch]:
        """Return the batches of one epoch, always the same for the same options."""

    @abstractmethod
    def settings(self) -> dict[str, int]:
        """Return what, beside the epoch, decides the batches."""

    def __len__(self) -> int:
        """Return the number of batches an epoch."""
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches of the epoch set, or of the next one where that has been begun."""
        if self._begun:
            self.epoch += 1
        self._begun = True
        return self.batches_of(self.epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives, counted from 0."""
        self.epoch = whole_number("epoch", epoch, least=0)
        self._begun = False

    def state_dict(self) -> dict[str, int]:
        """Return the epoch in progress and the settings, as plain ints."""
        return {"epoch": self.epoch, **self.settings()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next iteration repeat the epoch that `state` was taken in.

        Args:
            state: What `state_dict` of a sampler with the same settings returned.

        Raises:
            ValueError: If the state belongs to other settings, with which its batches cannot be
                repeated.
        """
        expected = self.settings()
        found = {name: state.get(name) for name in expected}
        if found != expected or "epoch" not in state:
            raise ValueError(
                f"state must come from a sampler with the same settings {expected}; got {state!r}; "
                f"build the sampler as it was when the state was saved"
            )
        self.set_epoch(state["epoch"])


class PKSampler(EpochSampler[list[int]]):
    """Batches of p identities with k pictures each, to be given to a DataLoader as `batch_sampler`.

    An epoch walks all identities before it repeats one, and a batch never holds an identity
    twice. The k pictures are distinct where the identity has as many; where it has m < k, each is
    taken k // m times or once more.

    Args:
        labels: Integer [n], the identity of each picture; any integers.
        p: Identities a batch, from 2 (one alone gives no impostor pair) to the number there are.
        k: Pictures an identity, at least 2 (one alone gives no genuine pair).
        batches: Batches an epoch, at least 1.
        seed: At least 0.

    Raises:
        TypeError: If labels are not integers, or an option is not an int.
        ValueError: If an option is outside its range.

    Example:
        >>> sampler = PKSampler([0, 0, 1, 1, 2, 2], p=2, k=2, batches=3, seed=0)
        >>> [len(batch) for batch in sampler]
        [4, 4, 4]
    """

    # accelerate reads these two of a batch sampler when it shares batches among processes.
    drop_last = False
    batch_size: int

    def __init__(self, labels: ArrayLike, *, p: int, k: int, batches: int, seed: int) -> None:
        """Check the options and group the rows by identity."""
        super().__init__(batches=batches, seed=seed)
        self._groups = rows_by_identity(labels)
        self.p = whole_number("p", p, least=2)
        self.k = whole_number("k", k, least=2)
        self.batch_size = self.p * self.k
        if self.p > len(self._groups):
            raise ValueError(
                f"p must be at most the number of identities; got p={self.p} for "
                f"{len(self._groups)} identities; lower p or give pictures of more identities"
            )

    def batches_of(self, epoch: int) -> Iterator[list[int]]:
        """Yield `batches` lists of p * k rows, the k of an identity side by side."""
        generator = random_generator(self.seed, epoch)
        walked = walk(len(self._groups), block=self.p, blocks=self.batches, generator=generator)
        for identities in walked:
            drawn = [_draw(self._groups[identity], self.k, generator) for identity in identities]
            yield np.concatenate(drawn).tolist()

    def settings(self) -> dict[str, int]:
        """Return p, k, batches, seed and the number of pictures and identities."""
        return {
            "p": self.p,
            "k": self.k,
            "batches": self.batches,
            "seed": self.seed,
            "pictures": sum(len(rows) for rows in self._groups),
            "identities": len(self._groups),
        }


def walk(total: int, *, block: int, blocks: int, generator: np.random.Generator) -> np.ndarray:
    """Draw 0..total-1 in random order, all of them before any again, cut into blocks.

    Args:
        total: How many values there are, at least 1; may be as large as the pairs of a large set,
            since memory grows with what is drawn.
        block: Values a block. A block repeats no value where block <= total, and else as little
            as it can.
        blocks: Number of blocks.
        generator: Where the chance comes from.

    Returns:
        int64 [blocks, block].
    """
    need = block * blocks
    if need <= total:
        return generator.choice(total, need, replace=False).reshape(blocks, block)
    drawn = np.empty(need, dtype=np.int64)
    done = 0
    while done < need:
        order = generator.permutation(total)
        opened = done % block
        if opened:
            order = _avoiding(order, drawn[done - opened : done], block - opened)
        order = order[: need - done]
        drawn[done : done + len(order)] = order
        done += len(order)
    return drawn.reshape(blocks, block)


def _avoiding(order: np.ndarray, already: np.ndarray, room: int) -> np.ndarray:
    """Move to the front the `room` values of a walk that the open block holds least often."""
    counts = np.bincount(already, minlength=len(order))
    # The stable sort keeps the random order among values held equally often.
    front = np.argsort(counts[order], kind="stable")[:room]
    return np.concatenate([order[front], np.delete(order, front)])


def _draw(rows: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """Return k of an identity's rows, none more than once oftener than another."""
    whole, rest = divmod(k, len(rows))
    return np.concatenate([np.tile(rows, whole), generator.permutation(rows)[:rest]])
