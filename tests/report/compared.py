"""A comparison of losses as `compare_losses` returns it, its numbers made up but of one piece."""

import numpy as np

from cospair.study import CONTENDERS, MARGINS

FIGURES = ("auc", "eer", "tar@far=0.01", "cmc_1", "map")
# Advantage over the default in AUC, by key; what is not named is like it.
BETTER = {"all-pairs-symmetric": 0.009}
WORSE = {
    "pairs-torch": -0.03,
    "pairs-symmetric": -0.024,
    "triplet-random": -0.021,
    "mse-embeddings": -0.045,
    "mse-cosines": -0.013,
}
EDGES = np.linspace(-1, 1, 41)


def _figures(auc, splits):
    spread = 0.3 * (1 - auc) + 0.002
    values = {
        "auc": auc,
        "eer": 0.02 + 0.9 * (1 - auc),
        "tar@far=0.01": max(1 - 6 * (1 - auc), 0.05),
        "cmc_1": min(auc + 0.01, 1.0),
        "map": auc - 0.06,
    }
    return {
        name: {
            "value": value,
            "interval": [max(value - spread, 0.0), min(value + spread, 1.0)],
            "folds": [value] * splits,
        }
        for name, value in values.items()
    }


def _against(reference, figures):
    found = {}
    for name in FIGURES:
        a, b = reference[name]["value"], figures[name]["value"]
        ends = [b - a - 0.006, b - a + 0.005]
        better = None
        if not ends[0] <= 0 <= ends[1]:
            better = "b" if (ends[0] > 0) != (name == "eer") else "a"
        found[name] = {
            "a": a,
            "b": b,
            "difference": b - a,
            "difference_interval": ends,
            "better": better,
            "verdict": "as computed",
        }
    return found


def _split(settings, chosen, curve, rng):
    tried = [
        {"settings": dict(one), "validation_auc": float(rng.uniform(0.9, 0.97))} for one in settings
    ]
    return {
        "tried": tried if len(settings) > 1 else [],
        "chosen": dict(settings[chosen]),
        "seconds": 31.4,
        "loss_ms": 0.8,
        "pictures_per_second": 1234.5,
        "curve": curve,
    }


def _curve(auc, place):
    grown = 1 - np.exp(-np.arange(1, 9) / (2 + 0.15 * place))
    return [
        {"pictures": 2400 * (i + 1), "auc": float(0.7 + (auc - 0.7) * share)}
        for i, share in enumerate(grown)
    ]


def _contender(key, place, start, splits, watched, rng):
    contender = CONTENDERS[key]
    settings = contender.settings or ({"margin": 0.1, "positive_margin": 0.4},)
    auc = start + BETTER.get(key, WORSE.get(key, 0.0004 * (place % 3)))
    curve = _curve(auc, place) if watched else []
    return {
        "key": key,
        "name": contender.name,
        "family": contender.family,
        "settings_tried": [dict(one) for one in settings],
        "splits": [
            _split(settings, (split // 3 + place) % len(settings), curve, rng)
            for split in range(splits)
        ],
        "seconds": 31.4 + place,
        "loss_ms": 0.35 + 0.4 * place,
        "pictures_per_second": 1500.0 - 20 * place,
        "figures": _figures(auc, splits),
        "against_reference": None,
    }


def _baselines(names, start, splits, reference):
    found = []
    for drop, name in zip((0.05, 0.04, 0.008), names, strict=False):
        figures = _figures(start - drop, splits)
        found.append(
            {"name": name, "figures": figures, "against_reference": _against(reference, figures)}
        )
    return found


def margin_row(form, margin, rng):
    """One row of the margin sweep."""
    spread = 0.9 - 0.6 * max(margin, -0.2)
    genuine = (0.95 if form == "1 - s" else 0.55 + 0.4 * margin) - 0.1
    impostor = min(0.1 + 0.5 * max(margin, -0.4), genuine - 0.12)
    scores = {
        "genuine": rng.normal(genuine, 0.12 * spread, 450).clip(-1, 1),
        "impostor": rng.normal(impostor, 0.16 * spread, 4500).clip(-1, 1),
    }
    auc = 0.985 - 0.06 * (margin - 0.2) ** 2 - 0.01 * (form == "1 - s")
    return {
        "form": form,
        "margin": margin,
        "positive_margin": 1.0 if form == "1 - s" else margin,
        "figures": _figures(auc, 1),
        **{f"{kind}_mean": float(found.mean()) for kind, found in scores.items()},
        **{f"{kind}_std": float(found.std()) for kind, found in scores.items()},
        "edges": EDGES.tolist(),
        **{
            f"{kind}_counts": np.histogram(found, EDGES)[0].tolist()
            for kind, found in scores.items()
        },
    }


def _encoder(name, start, baselines, keys, margins, watched):
    rng = np.random.default_rng(5)
    splits = 4
    contenders = [
        _contender(key, place, start, splits, watched, rng) for place, key in enumerate(keys)
    ]
    reference = contenders[0]["figures"]
    for one in contenders[1:]:
        one["against_reference"] = _against(reference, one["figures"])
    return {
        "encoder": name,
        "recipe": {"encoder": name, "steps": 300, "people": 16, "mirror": True},
        "height": 64,
        "width": 56,
        "folds": 4,
        "splits": splits,
        "validation_share": 0.25,
        "reference": "default",
        "test_identities": 40,
        "contenders": contenders,
        "baselines": _baselines(baselines, start, splits, reference),
        "margins": [
            margin_row(form, margin, rng)
            for margin in margins
            for form in ("1 - s", "symmetric hinge")
        ],
    }


def compared(keys=tuple(CONTENDERS), margins=MARGINS, encoders=("efficientnet-lite0", "conv")):
    """A whole comparison: all losses, both encoders, every margin."""
    of = {
        "efficientnet-lite0": (
            0.985,
            ("features", "features minus their mean", "within-class whitening"),
            False,
        ),
        "conv": (0.951, ("pixels minus their mean",), True),
    }
    return {
        "title": f"AT&T/ORL faces: {len(keys)} losses",
        "command": "cospair compare faces --encoder conv --encoder efficientnet-lite0",
        "created": "2025-11-22T12:40:00+00:00",
        "versions": {"cospair": "0.1.0", "torch": "2.13.0", "python": "3.11.9"},
        "seed": 0,
        "data": {
            "name": "AT&T/ORL faces",
            "credit": "AT&T Laboratories Cambridge",
            "identities": 40,
            "pictures": 400,
            "skipped": ["s3/Thumbs.db: not a picture"],
        },
        "encoders": [
            _encoder(name, of[name][0], of[name][1], keys, margins, of[name][2])
            for name in encoders
        ],
        "left_out": [],
        "resamples": 1000,
    }
