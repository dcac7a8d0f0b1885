"""The cosine embedding loss: of pairs, and of every pair of a labelled batch.

For a pair with cosine similarity s = <x1, x2> / (|x1| |x2|):

    target +1 (similar, genuine):      max(0, positive_margin - s)
    target -1 (dissimilar, impostor):  max(0, s - margin)

Decisions of this file: the modules mirror torch.nn, so that a swap is one import; embeddings of
different dtypes meet in the promoted one; under autocast the loss is computed in float32, as
torch's own; the subgradient at a hinge is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from cospair import _checks, kernels, sweep
from cospair._checks import AllPairsReduction, Reduction
from cospair.kernels import Kernel
from cospair.kernels.sweeps import SweepStats, Watch


@dataclass(frozen=True)
class CosineEmbeddingLossOptions:
    """Options of the pair loss, checked when given.

    Args:
        margin: Cosine above which a dissimilar pair costs, in [-1, 1].
        positive_margin: Cosine below which a similar pair costs, in [-1, 1]. 1 is torch's form (1 -
            s); `positive_margin=margin` is the symmetric hinge.
        reduction: 'none', 'mean' or 'sum'.

    Raises:
        ValueError: For a margin outside [-1, 1] or an unknown reduction.
        TypeError: For a margin that is not a number.

    Example:
        >>> CosineEmbeddingLossOptions(margin=0.25)
        CosineEmbeddingLossOptions(margin=0.25, positive_margin=1.0, reduction='mean')
    """

    margin: float = 0.0
    positive_margin: float = 1.0
    reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        """Check every option."""
        for name in ("margin", "positive_margin"):
            object.__setattr__(self, name, _checks.checked_margin(name, getattr(self, name)))
        _checks.check_reduction(self.reduction)


def cosine_embedding_loss(
    x1: Tensor,
    x2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    *,
    positive_margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    validate: bool = False,
    kernel: Kernel = "auto",
) -> Tensor:
    r"""Cosine embedding loss of pairs.

    .. math::
        \ell(s, +1) = \max(0, \text{positive\_margin} - s), \qquad
        \ell(s, -1) = \max(0, s - \text{margin})

    With `positive_margin=1` it equals `torch.nn.functional.cosine_embedding_loss` where that one is
    right. No eps enters: a row's scale changes nothing, a zero row has s = 0 and gradient 0, equal
    rows cost exactly 0.

    Args:
        x1: Embeddings, (N, D), or (D) for one pair or one query against all rows of `x2`, or (1,
            D); float16, bfloat16, float32 or float64. A query
            is read in place, also as a stride-0 `expand`; as (D) or (1, D) its gradient is summed
            inside.
        x2: Embeddings, as `x1`.
        target: +1 for similar and -1 for dissimilar pairs, (N), or () for (D) with (D); any real
            dtype, or bool with True for similar. On a CPU in eager mode other values raise;
            elsewhere they make their pair's loss NaN.
        margin: Cosine above which a dissimilar pair costs, in [-1, 1].
        positive_margin: Cosine below which a similar pair costs, in [-1, 1].
        weight: Weight of each pair, the target's shape, finite and not negative; 'mean' divides by
            its sum.
        reduction: 'none' (a loss a pair), 'mean' or 'sum'. The mean of nothing is 0.
        validate: Also check that embeddings are finite, and targets on any device; synchronises on
            an accelerator.
        kernel: 'auto' takes the fastest that runs here for the device and dtype; 'reference', 'cpu'
            or 'triton' takes that one. Where a fused kernel cannot be (transforms of torch.func,
            forward-mode AD, tracing, second derivatives) the reference computes the same values.

    Returns:
        Loss, () or, for 'none', the target's shape; in [0, 2] a pair; in the embeddings' promoted
        dtype. A float16 sum that could overflow (over 32,752 pairs, or weighted) comes in float32.

    Raises:
        ValueError: For shapes, targets, weights or options outside these rules.
        TypeError: For embeddings, targets or options of the wrong type, integer embeddings too.
        RuntimeError: For a kernel asked for by name that cannot run on these tensors.

    Example:
        >>> import torch
        >>> x1, x2 = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.6, 0.8], [0.6, 0.8]])
        >>> cosine_embedding_loss(x1, x2, torch.tensor([1, -1]), margin=0.5, reduction="none")
        tensor([0.4000, 0.1000])

    References:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html
    """
    ordinary = kernel in ("auto", "cpu") and weight is None and not validate
    if ordinary and not torch.compiler.is_compiling():
        loss = kernels.cpu.at_once(x1, x2, target, margin, positive_margin, reduction)
        if loss is not None:
            return loss
    margin = _checks.checked_margin("margin", margin)
    positive_margin = _checks.checked_margin("positive_margin", positive_margin)
    _checks.check_reduction(reduction)
    _check_pairs(x1, x2, target, weight, validate=validate)
    single = x1.ndim == 1 and x2.ndim == 1
    dtype, x1, x2 = _same_dtype(_as_rows(x1), _as_rows(x2))
    target, weight = _signed(target.reshape(-1)), None if weight is None else weight.reshape(-1)
    chosen = kernels.choose(kernel, x1.device, dtype)
    fitting = kernels.fitting(chosen, x1, x2, target, weight)
    if fitting is not kernels.cpu:
        _check_values(x1, target, validate=validate)
    loss = fitting.pair_loss(
        x1,
        x2,
        target,
        weight,
        margin=margin,
        positive_margin=positive_margin,
        reduction=reduction,
        dtype=_sum_dtype(dtype, target, weight) if reduction == "sum" else dtype,
    )
    return loss.reshape(()) if single else loss


class CosineEmbeddingLoss(torch.nn.Module):
    """Cosine embedding loss of pairs as a module; see `cosine_embedding_loss` for shapes.

    Args:
        margin: Cosine above which a dissimilar pair costs, in [-1, 1].
        positive_margin: Cosine below which a similar pair costs, in [-1, 1].
        reduction: 'none', 'mean' or 'sum'.
        validate: Check values on every device; synchronises on an accelerator.
        kernel: 'auto', 'reference', 'cpu' or 'triton'; see `cosine_embedding_loss`.

    Raises:
        ValueError: For a margin outside [-1, 1] or an unknown reduction, when constructed.

    Example:
        >>> import torch
        >>> loss = CosineEmbeddingLoss(0.25)
        >>> loss
        CosineEmbeddingLoss(margin=0.25, positive_margin=1.0, reduction='mean')
        >>> loss(torch.tensor([[3.0, 4.0]]), torch.tensor([[30.0, 40.0]]), torch.tensor([1]))
        tensor(0.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        *,
        positive_margin: float = 1.0,
        reduction: Reduction = "mean",
        validate: bool = False,
        kernel: Kernel = "auto",
    ) -> None:
        """Check and keep the options."""
        super().__init__()
        self.options = CosineEmbeddingLossOptions(margin, positive_margin, reduction)
        self.validate = validate
        self.kernel: Kernel = kernels.checked_name(kernel)

    @classmethod
    def from_options(cls, options: CosineEmbeddingLossOptions) -> CosineEmbeddingLoss:
        """A module with these options."""
        return cls(**asdict(options))

    def forward(
        self, x1: Tensor, x2: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Loss of the pairs, () or (N); shapes as in `cosine_embedding_loss`."""
        return cosine_embedding_loss(
            x1,
            x2,
            target,
            self.options.margin,
            positive_margin=self.options.positive_margin,
            weight=weight,
            reduction=self.options.reduction,
            validate=self.validate,
            kernel=self.kernel,
        )

    def extra_repr(self) -> str:
        """The options, as they would be written."""
        return _written(self.options.margin, self.options.positive_margin, self.options.reduction)


def _written(margin: float, positive_margin: float, reduction: str) -> str:
    return f"margin={margin!r}, positive_margin={positive_margin!r}, reduction={reduction!r}"


def _check_pairs(
    x1: Tensor, x2: Tensor, target: Tensor, weight: Tensor | None, *, validate: bool
) -> None:
    _checks.check_embeddings("x1", x1)
    _checks.check_embeddings("x2", x2)
    _checks.check_target_type(target)
    _checks.check_pair_shapes(x1, x2, target)
    if weight is not None:
        on_cpu = kernels.is_plain(weight) and weight.device.type == "cpu"
        _checks.check_weight(weight, target, values=on_cpu or validate)
    _checks.check_devices(x1=x1, x2=x2, target=target, weight=weight)
    if validate:
        _checks.check_finite_rows("x1", x1)
        _checks.check_finite_rows("x2", x2)


def _check_values(x: Tensor, target: Tensor, *, validate: bool) -> None:
    if validate or (target.device.type == "cpu" and kernels.is_plain(x, target)):
        _checks.check_target_values(target)


def _same_dtype(x1: Tensor, x2: Tensor) -> tuple[torch.dtype, Tensor, Tensor]:
    """Both in the promoted dtype; float32 under autocast, as torch's own loss."""
    dtype = x1.dtype if x1.dtype == x2.dtype else torch.promote_types(x1.dtype, x2.dtype)
    device = x1.device.type
    if device != "meta" and torch.is_autocast_enabled(device) and dtype != torch.float64:
        dtype = torch.float32
    if x1.dtype == dtype and x2.dtype == dtype:
        return dtype, x1, x2
    return dtype, x1.to(dtype), x2.to(dtype)


def _signed(target: Tensor) -> Tensor:
    """Unsigned targets as float64: there 255 cannot be taken for -1."""
    unsigned = not target.dtype.is_signed and target.dtype != torch.bool
    return target.to(torch.float64) if unsigned else target


def _sum_dtype(dtype: torch.dtype, target: Tensor, weight: Tensor | None) -> torch.dtype:
    """float32 where a float16 sum of losses up to 2 could pass 65,504."""
    could_overflow = weight is not None or 2 * target.shape[0] > 65_504
    return torch.float32 if dtype == torch.float16 and could_overflow else dtype


def _as_rows(x: Tensor) -> Tensor:
    """As (N, D) or (1, D); a stride-0 expand that wants no gradient is the one row it repeats.

    One that wants its gradient keeps its shape: the row is read in place all the same, and what
    hangs on the expanded tensor (hooks, `retain_grad`, its own gradient) sees every row's.
    """
    if x.ndim == 1:
        return x.unsqueeze(0)
    if x.stride(0) != 0 or x.shape[0] < 2 or x.requires_grad or not kernels.is_plain(x):
        return x
    return x[:1]


def all_pairs_cosine_embedding_loss(
    x: Tensor,
    labels: Tensor,
    other: Tensor | None = None,
    other_labels: Tensor | None = None,
    *,
    margin: float = 0.0,
    positive_margin: float = 1.0,
    weight: Tensor | None = None,
    other_weight: Tensor | None = None,
    reduction: AllPairsReduction = "mean",
    power: int = 1,
    kernel: Kernel = "auto",
    stats: SweepStats | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Tensor:
    """Cosine embedding loss of every pair of a labelled batch, without an n x n matrix.

    The pairs are those i < j of `x`, or, with `other`, every row of `x` with every row of `other`,
    as a batch of queries against a gallery or a memory bank. A pair is genuine where its labels are
    equal and an impostor pair otherwise, and costs what it costs in `cosine_embedding_loss`. With g
    and h the genuine and impostor pairs' losses, squared where power is 2:

        'sum':       sum(g) + sum(h)
        'mean':      (sum(g) + sum(h)) / number of pairs
        'balanced':  mean(g) + mean(h)
        'active':    mean of the g that are > 0 + mean of the h that are > 0; what
        `cospair train` minimises
        'none':      the matrix: loss of pair (i, j) at [i, j], 0 where it is no pair; n x m
        numbers, for small n only

    A squared hinge pulls at a pair in proportion to how far it is from its margin, 2 h instead of
    1: hard pairs count for more, and none is pulled with full force as soon as it crosses.

    With weights, a pair weighs the product of its rows' weights, its loss is multiplied by that,
    and means divide by the sum of the weights. An empty kind adds 0; a batch without a pair has
    loss 0, with a graph.

    Loss and gradient are exact: pairs are skipped only where a bound proves that they cost nothing,
    and on which side of its hinge a pair stands is decided in float64; within 1e-14 of it, it
    stands at it: cost and subgradient 0. Memory is that of the gradients and a little over.

    Args:
        x: Embeddings, (N, D), float16, bfloat16, float32 or float64; a zero row has cosine 0 with
            every row.
        labels: Integer labels, (N), any width.
        other: Embeddings of the other side, (M, D); the two meet in the promoted dtype.
        other_labels: Integer labels of the other side, (M).
        margin: Cosine above which an impostor pair costs, in [-1, 1].
        positive_margin: Cosine below which a genuine pair costs, in [-1, 1].
        weight: Weights of x's rows, (N), floating point, finite and not negative. One that wants a
            gradient needs the memory of the matrix.
        other_weight: Weights of the other side's rows, (M).
        reduction: 'none', 'mean', 'sum', 'balanced' or 'active'.
        power: 1 for hinges, 2 for squared hinges: max(0, ...) ** 2.
        kernel: 'auto' takes the fastest that runs here for the device and dtype; 'reference', 'cpu'
            or 'triton' takes that one, which has no power 2. For second derivatives, 'none' and the
            transforms of
            torch.func the matrix is formed, whatever the kernel.
        stats: Filled with what the sweep did; eager mode only.
        progress: Called as progress(tiles done, tiles in all) during the sweep of either kind of
            pair; eager mode only.

    Returns:
        Loss, (), or (N, M) for 'none', in the embeddings' dtype (a float16 sum in float32).

    Raises:
        ValueError: For shapes, weights or options outside these rules.
        TypeError: For embeddings, labels or options of the wrong type; float labels among them.
        RuntimeError: For a kernel asked for by name that cannot run on these tensors.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
        >>> all_pairs_cosine_embedding_loss(x, torch.tensor([7, 7, 8]), margin=0.5, reduction="sum")
        tensor(0.7000)
        >>> gallery, identities = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([7, 8])
        >>> queries, wanted = x[1:2], torch.tensor([7])
        >>> all_pairs_cosine_embedding_loss(
        ...     queries, wanted, gallery, identities, margin=0.5, reduction="none"
        ... )
        tensor([[0.4000, 0.3000]])
    """
    margin = _checks.checked_margin("margin", margin)
    positive_margin = _checks.checked_margin("positive_margin", positive_margin)
    _checks.check_reduction(reduction, AllPairsReduction)
    _checks.check_power(power)
    _check_side(x, labels, weight, "")
    _checks.check_other_side(x, other, labels, other_labels, other_weight)
    if other is not None and other_labels is not None:
        _check_side(other, other_labels, other_weight, "other_")
    tensors = {"x": x, "labels": labels, "weight": weight}
    opposite = {"other": other, "other_labels": other_labels, "other_weight": other_weight}
    _checks.check_devices(**tensors, **opposite)
    dtype, x, other = _meeting(x, other)
    batch = sweep.Batch(x, labels, other, other_labels, weight, other_weight)
    loss = sweep.all_pairs_loss(
        batch,
        sweep.Hinges(margin, positive_margin, reduction, power),
        kernel=kernel,
        watch=Watch(stats, progress),
    )
    return loss.to(torch.float32 if dtype == torch.float16 and reduction == "sum" else dtype)


def _check_side(x: Tensor, labels: Tensor, weight: Tensor | None, side: str) -> None:
    name = side.rstrip("_") or "x"
    _checks.check_embeddings(name, x)
    if x.ndim != 2:
        raise ValueError(f"{name} must be (N, D), got {tuple(x.shape)}; give one row an embedding")
    _checks.check_labels(f"{side}labels", labels, x)
    if weight is not None:
        on_cpu = weight.device.type == "cpu" and kernels.is_plain(weight)
        _checks.check_weight(weight, labels, values=on_cpu, name=f"{side}weight", like="labels")


def _meeting(x: Tensor, other: Tensor | None) -> tuple[torch.dtype, Tensor, Tensor | None]:
    """Both sides in one dtype, as `_same_dtype` has it."""
    if other is None:
        dtype, x, _ = _same_dtype(x, x)
        return dtype, x, None
    return _same_dtype(x, other)


class AllPairsCosineEmbeddingLoss(torch.nn.Module):
    """Every pair of a labelled batch as a module; see `all_pairs_cosine_embedding_loss`.

    Args:
        margin: Cosine above which an impostor pair costs, in [-1, 1].
        positive_margin: Cosine below which a genuine pair costs, in [-1, 1].
        reduction: 'none', 'mean', 'sum', 'balanced' or 'active'.
        power: 1 for hinges, 2 for squared hinges.
        kernel: 'auto', 'reference', 'cpu' or 'triton'.

    Raises:
        ValueError: For a margin outside [-1, 1], an unknown reduction or another power, when
            constructed.

    Example:
        >>> import torch
        >>> loss = AllPairsCosineEmbeddingLoss(0.25, reduction="active")
        >>> loss(torch.eye(3), torch.tensor([0, 0, 1]))
        tensor(1.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        *,
        positive_margin: float = 1.0,
        reduction: AllPairsReduction = "mean",
        power: int = 1,
        kernel: Kernel = "auto",
    ) -> None:
        """Check and keep the options."""
        super().__init__()
        _checks.check_reduction(reduction, AllPairsReduction)
        _checks.check_power(power)
        self.power = power
        self.margin = _checks.checked_margin("margin", margin)
        self.positive_margin = _checks.checked_margin("positive_margin", positive_margin)
        self.reduction: AllPairsReduction = reduction
        self.kernel: Kernel = kernels.checked_name(kernel)

    def forward(
        self,
        x: Tensor,
        labels: Tensor,
        other: Tensor | None = None,
        other_labels: Tensor | None = None,
        *,
        weight: Tensor | None = None,
        other_weight: Tensor | None = None,
    ) -> Tensor:
        """Loss of the batch, () or (N, M); shapes as in `all_pairs_cosine_embedding_loss`."""
        return all_pairs_cosine_embedding_loss(
            x,
            labels,
            other,
            other_labels,
            margin=self.margin,
            positive_margin=self.positive_margin,
            weight=weight,
            other_weight=other_weight,
            reduction=self.reduction,
            power=self.power,
            kernel=self.kernel,
        )

    def extra_repr(self) -> str:
        """The options, as they would be written; hinges that are not squared go unsaid."""
        written = _written(self.margin, self.positive_margin, self.reduction)
        return written if self.power == 1 else f"{written}, power={self.power}"
