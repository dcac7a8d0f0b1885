"""ImageSet: pictures with the identity of each.

A set of files stays a list of files; a picture is decoded when it is asked for. Pillow is imported
then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from cospair.data.decoding import decoded, pillow, reason_of

if TYPE_CHECKING:
    from PIL import Image


# Comparing arrays gives arrays, so a generated == would raise; sets are compared by identity.
@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures with the identity of each.

    Args:
        name: What the set is called, such as "faces".
        pictures: Files to open, or uint8 [n, h, w] in grey.
        labels: int64 [n], each an index into identities.
        identities: The name of each label; a subset keeps names that it holds no picture of.
        credit: Whose data it is.
        skipped: One sentence for each file or folder that was left out.

    Raises:
        TypeError: If pictures are neither a tuple nor uint8, or labels not int64.
        ValueError: If the shapes do not fit, or a label has no name in identities.
    """

    name: str
    pictures: tuple[Path, ...] | np.ndarray
    labels: np.ndarray
    identities: tuple[str, ...]
    credit: str = ""
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that pictures, labels and identities fit together."""
        _check_pictures(self.pictures)
        if not isinstance(self.labels, np.ndarray) or self.labels.dtype != np.int64:
            found = getattr(self.labels, "dtype", type(self.labels).__name__)
            raise TypeError(
                f"labels must be an int64 array; got {found}; "
                f"convert with np.asarray(labels, np.int64)"
            )
        if self.labels.shape != (len(self.pictures),):
            raise ValueError(
                f"labels must have one entry a picture, shape ({len(self.pictures)},); "
                f"got shape {self.labels.shape}; give each picture its label"
            )
        outside = self.labels[(self.labels < 0) | (self.labels >= len(self.identities))]
        if len(outside):
            raise ValueError(
                f"labels must be indices into the {len(self.identities)} identities; "
                f"got {outside[0]}; number the identities from 0"
            )

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pictures)

    def picture(self, index: int) -> Image.Image:
        """Decode one picture.

        Args:
            index: From 0 to n - 1.

        Returns:
            A Pillow image of mode "L" or "RGB", upright.

        Raises:
            IndexError: If there is no such picture.
            RuntimeError: If Pillow is missing, or the file can no longer be read.
        """
        (place,) = self._places([index])
        if isinstance(self.pictures, np.ndarray):
            return pillow().fromarray(self.pictures[place])
        path = self.pictures[place]
        pillow()  # its absence is no fault of the file
        try:
            return decoded(path)
        # A damaged file makes Pillow's decoders raise nearly anything.
        except Exception as error:
            raise RuntimeError(
                f"picture {place} must still be readable; {str(path)!r} gave: {reason_of(error)}; "
                f"restore the file or read the folder again"
            ) from error

    def subset(self, indices: ArrayLike) -> ImageSet:
        """Return the pictures at some places, in that order; labels keep their meaning.

        Args:
            indices: Integer [m], each from 0 to n - 1.

        Returns:
            An ImageSet of m pictures with the same name, identities, credit and skipped.

        Raises:
            TypeError: If indices are not integers.
            IndexError: If one of them is outside the set.
        """
        places = self._places(indices)
        if isinstance(self.pictures, np.ndarray):
            return replace(self, pictures=self.pictures[places], labels=self.labels[places])
        chosen = tuple(self.pictures[place] for place in places)
        return replace(self, pictures=chosen, labels=self.labels[places])

    def _places(self, indices: ArrayLike) -> np.ndarray:
        """Check indices and return them as int64 [m]."""
        places = np.asarray(indices)
        if places.size == 0:
            return np.empty(0, dtype=np.int64)
        if places.dtype.kind not in "iu" or places.ndim != 1:
            raise TypeError(
                f"indices must be integers in one dimension; got dtype {places.dtype} and shape "
                f"{places.shape}; turn a mask into indices with np.flatnonzero(mask)"
            )
        outside = places[(places < 0) | (places >= len(self))]
        if len(outside):
            raise IndexError(
                f"indices must lie from 0 to {len(self) - 1}; got {outside[0]}; "
                f"count from the start of the set"
            )
        return places.astype(np.int64)


def _check_pictures(pictures: object) -> None:
    """Raise unless pictures are a tuple of files or uint8 [n, h, w]."""
    if isinstance(pictures, tuple):
        return
    if not isinstance(pictures, np.ndarray) or pictures.dtype != np.uint8:
        found = getattr(pictures, "dtype", type(pictures).__name__)
        raise TypeError(
            f"pictures must be a tuple of files or a uint8 array; got {found}; "
            f"convert a list with tuple(files)"
        )
    if pictures.ndim != 3:
        raise ValueError(
            f"pictures must have shape [n, h, w]; got shape {pictures.shape}; "
            f"give grey pictures, or files where they have colour"
        )
