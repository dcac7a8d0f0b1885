"""Pictures, splits, samplers and pairs: everything that stands before an encoder."""

from cospair.data.datasets import ImageSet, digits, faces, image_folder, load
from cospair.data.pairs import PairSampler, all_pairs, sample_pairs
from cospair.data.samplers import EpochSampler, PKSampler
from cospair.data.splits import identity_folds, split_identities

__all__ = [
    "EpochSampler",
    "ImageSet",
    "PKSampler",
    "PairSampler",
    "all_pairs",
    "digits",
    "faces",
    "identity_folds",
    "image_folder",
    "load",
    "sample_pairs",
    "split_identities",
]
