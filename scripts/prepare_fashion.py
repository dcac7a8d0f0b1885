"""Fashion-MNIST as a folder of pictures: OUT/class/number.png, 28 x 28, grey.

    apt-get install dataset-fashion-mnist
    python scripts/prepare_fashion.py data/fashion

The Debian package carries the 70,000 pictures of 10 classes; as many of each class as asked for
are drawn at random with a seed, from the training and the test part alike, and named by their
place in the two parts one after the other. `cospair.data.image_folder` reads the result.
With the defaults: 10 classes, 3,000 pictures.

Credit: Zalando Research, https://github.com/zalandoresearch/fashion-mnist, MIT licence.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)
PARTS = ("train", "t10k")
INSTALLED = Path("/usr/share/datasets/fashion-mnist")


def main() -> int:
    """Make the folder; returns the exit code."""
    parser = argparse.ArgumentParser(description="Fashion-MNIST as a folder of pictures.")
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--each", type=int, default=300, help="pictures of each class")
    parser.add_argument("--seed", type=int, default=0, help="which pictures are drawn")
    parser.add_argument("--source", type=Path, default=INSTALLED, help="where the .gz files are")
    given = parser.parse_args()
    try:
        counts = prepare(given.out, each=given.each, seed=given.seed, source=given.source)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(counts)} classes, {sum(counts.values())} pictures in {given.out}")
    return 0


def prepare(out: Path, *, each: int, seed: int, source: Path) -> dict[str, int]:
    """Make the folder and return the number of pictures by class."""
    if each < 1:
        raise ValueError(f"--each must be at least 1 picture a class; got {each}; ask for more")
    if out.exists():
        raise ValueError(f"OUT must not exist yet; {out} does; remove it or name another")
    pictures = np.concatenate([read_idx(source / f"{p}-images-idx3-ubyte.gz") for p in PARTS])
    labels = np.concatenate([read_idx(source / f"{p}-labels-idx1-ubyte.gz") for p in PARTS])
    chosen = choose(labels, each=each, seed=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as place:
        made = Path(place) / "made"
        for name, rows in chosen.items():
            (made / name).mkdir(parents=True)
            for row in rows.tolist():
                Image.fromarray(pictures[row]).save(made / name / f"{row:05}.png")
        made.rename(out)
    return {name: len(rows) for name, rows in chosen.items()}


def choose(labels: NDArray[np.uint8], *, each: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Draw as many rows of each class; returns them in order, by class."""
    draw = np.random.default_rng(seed)
    chosen: dict[str, NDArray[np.int64]] = {}
    for label, name in enumerate(CLASSES):
        rows = np.flatnonzero(labels == label)
        if len(rows) < each:
            raise ValueError(
                f"--each must not exceed the pictures of a class; got {each}, and {name} has "
                f"{len(rows)}; ask for fewer"
            )
        chosen[name] = np.sort(draw.choice(rows, each, replace=False))
    return chosen


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an array of bytes in the idx format: 0, 0, 8, dimensions, sizes, values."""
    if not path.is_file():
        raise ValueError(
            f"--source must hold {path.name}; {path.parent} does not; run: apt-get install "
            "dataset-fashion-mnist"
        )
    try:
        data = gzip.decompress(path.read_bytes())
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} must be a gzip file; got {error}; install it again") from None
    dimensions = data[3] if len(data) >= 4 and data[:3] == b"\0\0\x08" else 0
    head = 4 + 4 * dimensions
    sizes = np.frombuffer(data[4:head].ljust(head - 4, b"\0"), dtype=">u4").astype(np.int64)
    if dimensions == 0 or len(data) - head != sizes.prod():
        raise ValueError(f"{path} must be an idx file of bytes, whole; it is not; install it again")
    return np.frombuffer(data, dtype=np.uint8, offset=head).reshape(sizes)


if __name__ == "__main__":
    sys.exit(main())
