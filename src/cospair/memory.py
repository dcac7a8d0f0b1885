"""Cross-batch memory: the loss of a batch against the embeddings of earlier batches.

Decisions of this file:

- A batch enters the bank after its own loss. The bank therefore holds other batches only, no row
  meets itself, and the pairs within the batch keep both of their gradients.
- What is kept is all in buffers, the number of rows ever added among them: it gives the place of
  the next row and how many slots are filled, so a checkpoint is complete and nothing can disagree.
- That number is read where it costs nothing. On an accelerator and in a compiled graph the whole
  ring is used instead, and slots not filled yet weigh 0: no synchronisation, one shape.
- The loss reads a copy of the bank while gradients are wanted: `backward` comes after the batch has
  been added, and what autograd saved must be what the loss saw.
- A row that is not finite makes the loss of its own step NaN, and enters the bank as a zero row:
  kept as it is it would make every loss NaN until it is replaced, thousands of steps later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from cospair import _checks, kernels
from cospair.kernels import Kernel
from cospair.losses import all_pairs_cosine_embedding_loss

MemoryReduction: TypeAlias = Literal["mean", "sum", "balanced", "active"]
Gather: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_BUFFERS = ("rows", "row_labels", "added")


class CrossBatchMemory(torch.nn.Module):
    r"""Loss of a batch within itself and against a bank of the last rows of earlier batches.

    .. math::
        L = L_\text{pairs}(x) + \text{memory\_weight} \cdot L_\text{pairs}(x, \text{bank})

    Both terms are `all_pairs_cosine_embedding_loss` with the same options: every pair i < j of the
    batch, and every pair of a batch row with a bank row. Gradients reach the batch alone. In
    training mode the batch is then added to the bank; in evaluation mode the bank stays as it is.

    The paper adds the batch first and compares it with its own detached copy too; here these pairs
    stand in the first term. With `reduction='sum'` and `memory_weight=1` the gradient is the one of
    the paper's memory term, without the pairs of a row with itself. While embeddings still change
    fast, the bank's are soon stale: train the first thousand steps with
    `AllPairsCosineEmbeddingLoss`, or `clear` the bank then.

    Under `torch.compile` the bank's size is fixed, so one graph serves while it fills.

    Args:
        size: Rows the bank keeps, at least 1.
        dim: Features of a row, at least 1.
        margin: Cosine above which an impostor pair costs, in [-1, 1].
        positive_margin: Cosine below which a genuine pair costs, in [-1, 1].
        reduction: 'mean', 'sum', 'balanced' or 'active', of each term by itself.
        power: 1 for hinges, 2 for squared hinges.
        memory_weight: What the second term is multiplied by, finite and not negative.
        kernel: 'auto', 'reference', 'cpu' or 'triton'.
        dtype: Of the bank's rows: float16, bfloat16, float32 or float64. Rows of a dtype that it
            cannot hold come in divided by their largest entry, which leaves their cosines alone.
        gather: Called by `add` with the detached embeddings and labels, returns those to be added;
            for several processes, each of which must then get the same rows in the same order, and
            must call as often. A module-level function, where the bank is to be pickled.

    Raises:
        ValueError: For sizes, a margin, a weight or words outside these rules, when constructed.
        TypeError: For options of the wrong type, a dtype that is not one of these among them.

    Example:
        >>> import torch
        >>> memory = CrossBatchMemory(4, 2, margin=0.5, reduction="sum")
        >>> labels = torch.tensor([7, 8])
        >>> memory(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), labels)  # the bank is empty
        tensor(0.)
        >>> memory(torch.tensor([[0.6, 0.8], [0.8, 0.6]]), labels)  # 0.46 within, 1.4 against it
        tensor(1.8600)
        >>> len(memory), memory.labels
        (4, tensor([7, 8, 7, 8]))

    References:
        Wang et al., Cross-Batch Memory for Embedding Learning, CVPR 2020.
        https://arxiv.org/abs/1912.06798
    """

    rows: Tensor  # [size, dim]; slots not filled yet hold zeros
    row_labels: Tensor  # [size] int64
    added: Tensor  # [] int64: rows ever added; the next one's slot is added % size

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        margin: float = 0.0,
        positive_margin: float = 1.0,
        reduction: MemoryReduction = "mean",
        power: int = 1,
        memory_weight: float = 1.0,
        kernel: Kernel = "auto",
        dtype: torch.dtype = torch.float32,
        gather: Gather | None = None,
    ) -> None:
        """Check and keep the options; the bank is empty."""
        super().__init__()
        _checks.check_reduction(reduction, MemoryReduction)
        self.size, self.dim = _checked_count("size", size), _checked_count("dim", dim)
        self.margin = _checks.checked_margin("margin", margin)
        self.positive_margin = _checks.checked_margin("positive_margin", positive_margin)
        self.reduction: MemoryReduction = reduction
        _checks.check_power(power)
        self.power = power
        self.memory_weight = _checked_factor("memory_weight", memory_weight)
        self.kernel: Kernel = kernels.checked_name(kernel)
        self.gather = gather
        self.register_buffer("rows", torch.zeros(size, dim, dtype=_checked_dtype(dtype)))
        self.register_buffer("row_labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("added", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch within itself and against the bank; in training mode it is then added.

        Args:
            x: Embeddings, (N, dim), float16, bfloat16, float32 or float64; N may be 0.
            labels: Integer labels, (N), any width.

        Returns:
            Loss, (), in the promoted dtype of the embeddings and the bank.

        Raises:
            ValueError: For shapes or devices that are not the bank's.
            TypeError: For embeddings or labels of the wrong type; float labels among them.
        """
        self._check(x, labels)
        loss = self._loss(x, labels)
        if self.training:
            self.add(x, labels)
        return loss

    @torch.no_grad()
    def add(self, embeddings: Tensor, labels: Tensor) -> None:
        """Put rows into the bank, in place of the oldest; of more than `size` the last `size`.

        Args:
            embeddings: (N, dim), float16, bfloat16, float32 or float64; detached here. A row that
                is not finite becomes a zero row.
            labels: Integer labels, (N), any width, kept exactly (those of uint64 from 2**63 on as
                the int64 of the same bits).

        Raises:
            ValueError: For shapes or devices that are not the bank's.
            TypeError: For embeddings or labels of the wrong type; float labels among them.
        """
        self._check(embeddings, labels)
        embeddings, labels = embeddings.detach(), labels.detach()
        if self.gather is not None:
            embeddings, labels = self.gather(embeddings, labels)
            self._check(embeddings, labels)
        n = embeddings.shape[0]
        kept = min(n, self.size)
        slots = (self.added + torch.arange(n - kept, n, device=self.added.device)) % self.size
        self.rows.index_copy_(0, slots, _fitted(embeddings[n - kept :], self.rows.dtype))
        self.row_labels.index_copy_(0, slots, labels[n - kept :].to(torch.int64))
        self.added += n

    def clear(self) -> None:
        """Empty the bank."""
        self.rows.zero_()
        self.row_labels.zero_()
        self.added.zero_()

    def __len__(self) -> int:
        """Rows in the bank; synchronises on an accelerator."""
        return min(int(self.added), self.size)

    @property
    def embeddings(self) -> Tensor:
        """Rows in the bank, (len, dim), a view in the ring's order; synchronises as `len` does.

        The oldest row stands first until the bank is full, and then at `added % size`.
        """
        return self.rows[: len(self)]

    @property
    def labels(self) -> Tensor:
        """Labels of `embeddings`, (len) int64, a view."""
        return self.row_labels[: len(self)]

    def extra_repr(self) -> str:
        """The options, as they would be written."""
        return (
            f"{self.size}, {self.dim}, margin={self.margin!r}, "
            f"positive_margin={self.positive_margin!r}, reduction={self.reduction!r}, "
            f"power={self.power}, memory_weight={self.memory_weight!r}, dtype={self.rows.dtype}"
        )

    def _loss(self, x: Tensor, labels: Tensor) -> Tensor:
        options: dict[str, Any] = {
            "margin": self.margin,
            "positive_margin": self.positive_margin,
            "reduction": self.reduction,
            "power": self.power,
            "kernel": self.kernel,
        }
        labels = labels.to(torch.int64)
        rows, row_labels, weight = self._bank()
        if self.training and x.requires_grad and torch.is_grad_enabled():
            rows, row_labels = rows.clone(), row_labels.clone()
        within = all_pairs_cosine_embedding_loss(x, labels, **options)
        against = all_pairs_cosine_embedding_loss(
            x, labels, rows, row_labels, other_weight=weight, **options
        )
        return within + self.memory_weight * against

    def _bank(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Rows, labels and weights to compare with; reads how many only where that is free."""
        if self.added.device.type == "cpu" and kernels.is_plain(self.added):
            return self.embeddings, self.labels, None
        slots = torch.arange(self.size, device=self.added.device)
        return self.rows, self.row_labels, (slots < self.added).to(torch.float32)

    def _check(self, embeddings: Tensor, labels: Tensor) -> None:
        _checks.check_embeddings("embeddings", embeddings)
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dim:
            raise ValueError(
                f"embeddings must be (N, {self.dim}) for this bank, got {tuple(embeddings.shape)}; "
                "give one row an embedding, or make the bank with another dim"
            )
        _checks.check_labels("labels", labels, embeddings)
        _checks.check_devices(embeddings=embeddings, labels=labels, bank=self.rows)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take a whole bank of this size, or leave the bank as it is."""
        lacking = [prefix + name for name in _BUFFERS if prefix + name not in state_dict]
        came = () if lacking else tuple(state_dict[prefix + "rows"].shape)
        missing_keys.extend(lacking)
        if not lacking and came != (self.size, self.dim):
            error_msgs.append(
                f"{prefix}rows must be ({self.size}, {self.dim}) for this bank, got {came} in the "
                "checkpoint; make the bank with that size and dim, or leave its keys out and load "
                "with strict=False"
            )
        if came == (self.size, self.dim):
            super()._load_from_state_dict(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )


def _fitted(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows in the bank's dtype, scaled where it is a narrower one; not finite ones as zeros."""
    if torch.promote_types(rows.dtype, dtype) != dtype:
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        rows = rows / rows.abs().amax(dim=1, keepdim=True)  # a zero row: 0 / 0, and zeros again
    finite = torch.isfinite(rows).all(dim=1, keepdim=True)
    return rows.masked_fill(~finite, 0.0).to(dtype)


def _checked_count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{name} must be a whole number, got {type(value).__name__}; pass an int of at least 1"
        )
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}; pass a larger one")
    return value


def _checked_factor(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}; pass a float")
    if not 0.0 <= value < math.inf:
        raise ValueError(
            f"{name} must be finite and not negative, got {value!r}; pass 0 or a positive number"
        )
    return float(value)


def _checked_dtype(dtype: torch.dtype) -> torch.dtype:
    if dtype not in _DTYPES:
        raise TypeError(
            f"dtype must be torch.float16, bfloat16, float32 or float64, got {dtype!r}; choose one "
            "of them"
        )
    return dtype
