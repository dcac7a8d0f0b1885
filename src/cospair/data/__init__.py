"""Pictures, splits, samplers and pairs: everything that stands before an encoder."""

from cospair.data.augment import Augmentation, augment
from cospair.data.datasets import digits, faces, load
from cospair.data.decoding import read_picture
from cospair.data.folders import image_folder
from cospair.data.image_sets import ImageSet
from cospair.data.pairs import PairSampler, all_pairs, sample_pairs
from cospair.data.samplers import EpochSampler, PKSampler
from cospair.data.splits import identity_folds, split_identities

__all__ = [
    "Augmentation",
    "EpochSampler",
    "ImageSet",
    "PKSampler",
    "PairSampler",
    "all_pairs",
    "augment",
    "digits",
    "faces",
    "identity_folds",
    "image_folder",
    "load",
    "read_picture",
    "sample_pairs",
    "split_identities",
]
