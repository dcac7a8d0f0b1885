"""A realistic result and little pictures, the same in every run."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

PEOPLE, EACH = 10, 10
HOSTILE = '<b>O\'Neil</b> & "co" </script><script>alert(1)</script>'


def _scores():
    """Score every pair of simulated embeddings: genuine and impostor with their index pairs."""
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(PEOPLE, 64)) + 0.45 * rng.normal(size=64)
    people = np.repeat(np.arange(PEOPLE), EACH)
    rows = centres[people] + 1.3 * rng.normal(size=(len(people), 64))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    first, second = np.triu_indices(len(people), k=1)
    scores = np.einsum("nd,nd->n", rows[first], rows[second])
    return people, first, second, scores, people[first] == people[second]


def _roc(genuine, impostor):
    thresholds = np.unique(np.concatenate([genuine, impostor]))[::-1]
    far = [(impostor >= t).mean() for t in thresholds]
    tar = [(genuine >= t).mean() for t in thresholds]
    keep = np.unique(np.linspace(0, len(far) - 1, 499).astype(int))
    points = [(far[i], tar[i], thresholds[i]) for i in keep]
    columns = list(zip((0.0, 0.0, float("inf")), *points, strict=True))
    return {
        k: [float(x) for x in c] for k, c in zip(("far", "tar", "threshold"), columns, strict=True)
    }


def _tar_at_far(genuine, impostor, far):
    allowed = int(far * len(impostor))
    ordered = np.sort(impostor)[::-1]
    threshold = float(np.nextafter(ordered[allowed], 2))
    tar = float((genuine >= threshold).mean())
    return {
        "far": far,
        "tar": tar,
        "tar_interval": [max(tar - 0.3 * (1 - tar) - 0.02, 0), min(tar + 0.3 * (1 - tar), 1)],
        "threshold": threshold,
        "achieved_far": float((impostor >= threshold).mean()),
        "impostor_pairs": len(impostor),
        "note": "",
    }


def _at(threshold, genuine, impostor):
    right = int((genuine >= threshold).sum() + (impostor < threshold).sum())
    return {
        "genuine_pairs": len(genuine),
        "impostor_pairs": len(impostor),
        "far": float((impostor >= threshold).mean()),
        "frr": float((genuine < threshold).mean()),
        "accuracy": right / (len(genuine) + len(impostor)),
    }


def _verification(genuine, impostor):
    roc = _roc(genuine, impostor)
    balance = int(np.argmin(np.abs(np.array(roc["far"]) - 1 + np.array(roc["tar"]))))
    auc = float((genuine[:, None] > impostor[None, :]).mean())
    eer = (roc["far"][balance] + 1 - roc["tar"][balance]) / 2
    edges = np.linspace(-1, 1, 81)
    return {
        "genuine_pairs": len(genuine),
        "impostor_pairs": len(impostor),
        "identities": PEOPLE,
        "pictures": PEOPLE * EACH,
        "auc": auc,
        "auc_interval": [auc - 0.021, min(auc + 0.011, 1)],
        "eer": eer,
        "eer_interval": [eer * 0.6, eer * 1.5],
        "eer_threshold": roc["threshold"][balance],
        "tar_at_far": [_tar_at_far(genuine, impostor, far) for far in (0.1, 0.01, 0.001)],
        "interval": {
            "method": "identity bootstrap",
            "confidence": 0.95,
            "resamples": 1000,
            "seed": 0,
        },
        "roc": roc,
        "histogram": {
            "edges": edges.tolist(),
            "genuine": np.histogram(genuine, edges)[0].tolist(),
            "impostor": np.histogram(impostor, edges)[0].tolist(),
        },
    }


def _pairs(people, first, second, scores, kept, order):
    chosen = np.flatnonzero(kept)[np.argsort(scores[kept])[::order]][:12]
    return [
        {
            "first": int(first[i]),
            "second": int(second[i]),
            "score": float(scores[i]),
            "first_identity": f"s{people[first[i]] + 31}",
            "second_identity": f"s{people[second[i]] + 31}",
        }
        for i in chosen
    ]


@pytest.fixture
def result():
    people, first, second, scores, same = _scores()
    genuine, impostor = scores[same], scores[~same]
    threshold = 0.33
    return {
        "title": "Faces of people it has never seen",
        "command": "cospair demo --out report.html --seed 0",
        "created": "2025-11-22T12:40:00+00:00",
        "versions": {"cospair": "0.1.0", "torch": "2.13.0", "python": "3.11.9"},
        "seed": 0,
        "data": {
            "name": "AT&T/ORL faces",
            "credit": "AT&T Laboratories Cambridge",
            "train": {"identities": 30, "pictures": 300},
            "test": {"identities": PEOPLE, "pictures": PEOPLE * EACH},
            "skipped": ["s3/Thumbs.db: not a picture", "s9/4.pgm: the file is cut short"],
        },
        "model": {
            "name": "efficientnet-lite0 + 128",
            "dimensions": 128,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "recipe": {
                "loss": "all pairs",
                "margin": 0.25,
                "positive_margin": 1.0,
                "reduction": "active",
                "people_per_batch": 8,
                "pictures_per_person": 4,
                "epochs": 12,
                "learning_rate": 0.0005,
            },
        },
        "verification": _verification(genuine, impostor),
        "retrieval": {
            "queries": 100,
            "skipped_queries": 2,
            "cmc": {"1": 0.9735, "5": 0.9912, "10": 1.0},
            "map": 0.8462,
            "average_precision": "step",
            "ties": "expected",
            "cmc_1_interval": [0.931, 0.9976],
            "map_interval": [0.7913, 0.8927],
        },
        "threshold": {
            "threshold": threshold,
            "rule": "far",
            "far_target": 0.01,
            "chosen_on": "10 calibration people, 450 genuine and 4,500 impostor pairs",
            "calibration": _at(threshold + 0.01, genuine, impostor),
            "test": _at(threshold, genuine, impostor),
        },
        "hard_pairs": {
            "impostor": _pairs(people, first, second, scores, ~same, -1),
            "genuine": _pairs(people, first, second, scores, same, 1),
        },
    }


@pytest.fixture
def picture():
    """Draw a face for test picture i: grey, 92 x 112, one tone a person."""

    def draw(index):
        rng = np.random.default_rng(index)
        person, (dx, dy) = index // EACH, rng.integers(-6, 7, size=2)
        image = Image.new("L", (92, 112), 90 + 9 * person)
        pen = ImageDraw.Draw(image)
        pen.ellipse((22 + dx, 18 + dy, 70 + dx, 98 + dy), fill=225 - 11 * person)
        for eye in (36, 56):
            pen.ellipse((eye + dx - 4, 48 + dy, eye + dx + 4, 54 + dy), fill=20)
        pen.line((38 + dx, 78 + dy, 54 + dx, 78 + dy + person - 5), fill=20, width=3)
        return image

    return draw


@pytest.fixture
def hostile():
    return HOSTILE
