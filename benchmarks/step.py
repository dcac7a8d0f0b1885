"""What share of a training step the loss over all pairs takes: the small encoder, a large batch.

    python benchmarks/step.py [rows]

One step is forward, loss, backward and the optimiser's step, of the encoder that
`cospair train --encoder conv` trains, on random pictures of its default size. The loss's share is
its forward and its backward, measured within the step.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch

from cospair import AllPairsCosineEmbeddingLoss
from cospair.models import Embedder, EmbedderConfig

CONFIG = EmbedderConfig("conv", height=128, width=104, channels=1, dimensions=128, mirror=True)
PIECE = 512  # pictures that the encoder takes at once: activations of all would not fit
STEPS = 3


def step(encoder: torch.nn.Module, pictures: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """Seconds of a whole step, and of the loss within it.

    The encoder runs without a graph first, the loss gives the embeddings' gradients, and these go
    back through the encoder piece by piece: one forward more, memory of a piece.
    """
    criterion = AllPairsCosineEmbeddingLoss(0.25, reduction="active")
    optimizer = torch.optim.AdamW(encoder.parameters())
    start = time.perf_counter()
    with torch.no_grad():
        parts = [encoder(piece) for piece in pictures.split(PIECE)]
    embeddings = torch.cat(parts).requires_grad_()
    before = time.perf_counter()
    criterion(embeddings, labels).backward()
    loss = time.perf_counter() - before
    assert embeddings.grad is not None
    pieces = zip(pictures.split(PIECE), embeddings.grad.split(PIECE), strict=True)
    for piece, gradient in pieces:
        encoder(piece).backward(gradient)
    optimizer.step()
    return [time.perf_counter() - start, loss]


def main(rows: int = 8192) -> None:
    """Print the medians of some steps."""
    torch.manual_seed(0)
    encoder = Embedder(CONFIG)
    labels = torch.arange(rows) // 8
    pictures = torch.rand(rows, 1, CONFIG.height, CONFIG.width)
    seconds = [step(encoder, pictures, labels) for _ in range(STEPS)]
    whole, loss = (statistics.median(column) for column in zip(*seconds, strict=True))
    # a step that holds the whole batch's graph runs forward once: a third less, at most
    share = loss / (whole * 2 / 3)
    print(
        f"{rows} rows: step {whole:.2f} s, loss {1e3 * loss:.1f} ms, at most {share:.2%} of a step"
    )


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:2]))
