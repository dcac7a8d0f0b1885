"""What stands before an encoder or a figure: pictures, splits, samplers, pairs and their files."""

from cospair.data.augment import Augmentation, augment
from cospair.data.datasets import digits, faces, load
from cospair.data.decoding import read_picture
from cospair.data.embedding_files import read_embeddings
from cospair.data.embedding_sets import EmbeddingSet, check_embedding_path, write_embeddings
from cospair.data.folders import image_folder
from cospair.data.image_sets import ImageSet
from cospair.data.lfw_pairs import LfwPairs, lfw_pictures, lfw_rows, read_lfw_pairs
from cospair.data.pairs import PairSampler, all_pairs, sample_pairs
from cospair.data.samplers import EpochSampler, PKSampler
from cospair.data.score_files import ScoredPairs, read_scores
from cospair.data.splits import identity_folds, split_identities

__all__ = [
    "Augmentation",
    "EmbeddingSet",
    "EpochSampler",
    "ImageSet",
    "LfwPairs",
    "PKSampler",
    "PairSampler",
    "ScoredPairs",
    "all_pairs",
    "augment",
    "check_embedding_path",
    "digits",
    "faces",
    "identity_folds",
    "image_folder",
    "lfw_pictures",
    "lfw_rows",
    "load",
    "read_embeddings",
    "read_lfw_pairs",
    "read_picture",
    "read_scores",
    "sample_pairs",
    "split_identities",
    "write_embeddings",
]
