"""cospair: similarity learning with the cosine embedding loss."""

from cospair import kernels
from cospair._checks import AllPairsReduction, Reduction
from cospair.kernels.sweeps import SweepStats
from cospair.losses import (
    AllPairsCosineEmbeddingLoss,
    CosineEmbeddingLoss,
    CosineEmbeddingLossOptions,
    all_pairs_cosine_embedding_loss,
    cosine_embedding_loss,
)
from cospair.memory import CrossBatchMemory

__all__ = [
    "AllPairsCosineEmbeddingLoss",
    "AllPairsReduction",
    "CosineEmbeddingLoss",
    "CosineEmbeddingLossOptions",
    "CrossBatchMemory",
    "Reduction",
    "SweepStats",
    "all_pairs_cosine_embedding_loss",
    "cosine_embedding_loss",
    "kernels",
]

__version__ = "0.1.0"
