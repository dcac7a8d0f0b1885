"""A realistic result and little pictures, the same in every run."""

import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cospair.report import write_report

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
    chosen = np.flatnonzero(kept)[np.argsort(scores[kept])[::order]][:60]
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


def _map(people):
    """A ring of groups, one a person."""
    rng = np.random.default_rng(3)
    angle = 2 * np.pi * people / PEOPLE
    x, y = (
        0.5
        + 0.4 * np.stack([np.cos(angle), np.sin(angle)])
        + 0.04 * rng.normal(size=(2, len(people)))
    )
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "row": list(range(len(people))),
        "identity": [f"s{person + 31}" for person in people],
        "method": "t-SNE (perplexity 30): distances between groups mean little.",
    }


@pytest.fixture
def result():
    return simulated()


def simulated():
    """A whole result, every section filled."""
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
            "cmc_curve": [1 - 0.0265 * 0.7**k for k in range(50)],
            "map_at": {"10": {"R": 0.81, "min(k, R)": 0.82, "hits": 0.91}},
            "map_at_r": 0.7712,
            "r_precision": 0.7944,
            "minp": 0.5123,
            "recall": {"1": 0.1082, "10": 0.7613},
            "map": 0.8462,
            "average_precision": "step",
            "ties": "expected",
            "cmc_1_interval": [0.931, 0.9976],
            "map_interval": [0.7913, 0.8927],
            "map_at_r_interval": [0.71, 0.83],
        },
        "calibration": {
            "method": "platt",
            "cllr": 0.2134,
            "min_cllr": 0.1987,
            "cllr_interval": [0.17, 0.26],
            "reliability": {
                "probability": [0.02, 0.11, 0.31, 0.52, 0.7, 0.93, 0.99],
                "observed": [0.01, 0.14, 0.28, 0.57, 0.66, 0.95, 1.0],
                "pairs": [4100, 210, 80, 60, 90, 150, 260],
            },
        },
        "map": _map(people),
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
    return face


def face(index):
    """Draw a face for test picture i: grey, 92 x 112, one tone a person."""
    rng = np.random.default_rng(index)
    person, (dx, dy) = index // EACH, rng.integers(-6, 7, size=2)
    image = Image.new("L", (92, 112), 90 + 9 * person)
    pen = ImageDraw.Draw(image)
    pen.ellipse((22 + dx, 18 + dy, 70 + dx, 98 + dy), fill=225 - 11 * person)
    for eye in (36, 56):
        pen.ellipse((eye + dx - 4, 48 + dy, eye + dx + 4, 54 + dy), fill=20)
    pen.line((38 + dx, 78 + dy, 54 + dx, 78 + dy + person - 5), fill=20, width=3)
    return image


@pytest.fixture
def hostile():
    return HOSTILE


def counted(genuine, impostor):
    """The whole curve of two lists of scores, every threshold of it, in the sections it fills."""
    genuine, impostor = np.array(genuine), np.array(impostor)
    thresholds = np.unique(np.concatenate([genuine, impostor]))[::-1]
    thresholds = [float(np.nextafter(thresholds[0], 2)), *thresholds.tolist()]
    edges = np.linspace(-1, 1, 41)
    return {
        "genuine_pairs": len(genuine),
        "impostor_pairs": len(impostor),
        "roc": {
            "threshold": thresholds,
            "far": [float((impostor >= t).mean()) for t in thresholds],
            "tar": [float((genuine >= t).mean()) for t in thresholds],
        },
        "histogram": {
            "edges": edges.tolist(),
            "genuine": np.histogram(genuine, edges)[0].tolist(),
            "impostor": np.histogram(impostor, edges)[0].tolist(),
        },
    }


@pytest.fixture
def counted_curve():
    return counted


FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on the path")
    with driver.sync_playwright() as play:
        running = play.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def opened(browser):
    """Open a page; at the end, nothing may have gone wrong or to the network."""
    trouble, contexts = [], []

    def gate(route):
        if route.request.url.startswith("file:"):
            return route.continue_()
        trouble.append(route.request.url)
        return route.abort()

    def asked(request):
        if not request.url.startswith(("file:", "data:")):
            trouble.append(request.url)

    def run(path, *, width=1440, scheme="light", script=True):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
        )
        contexts.append(context)
        context.route("**/*", gate)
        page = context.new_page()
        page.on("request", asked)
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield run
    for context in contexts:
        context.close()
    assert trouble == []


@pytest.fixture
def visit(opened, picture, tmp_path):
    """Write the page of a result and open it."""

    def run(result, *, shown=picture, **options):
        return opened(write_report(result, shown, tmp_path / "page.html"), **options)

    return run
