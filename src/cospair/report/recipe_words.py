"""A recipe's settings in words."""

from __future__ import annotations

WORDS = {
    "encoder": "Encoder",
    "loss": "Loss",
    "margin": "Margin: impostor pairs cost above",
    "positive_margin": "Positive margin: genuine pairs cost below",
    "power": "Power: 1 for the hinges, 2 for their squares",
    "reduction": "Reduction",
    "people": "Identities in a batch, at most",
    "each": "Pictures of an identity in a batch",
    "steps": "Optimiser steps",
    "epochs": "Passes over the pictures",
    "learning_rate": "Learning rate at its highest",
    "weight_decay": "Weight decay",
    "dimensions": "Dimensions",
    "views": "Random views of a picture, beside itself",
    "shrink": "Share of the mean variance added in the whitening start",
    "warmup": "Share of the steps over which the learning rate rises",
    "degrees": "Largest turn of a view, degrees",
    "scale": "Largest change of a view's size, share",
    "shift": "Largest shift of a view, share of half the picture",
    "mirror": "Mirror images show the same identity",
    "area": "Pixels of a prepared picture, about",
}


def setting(name: str) -> str:
    """Say in words what a setting is; one not known by name keeps it, its underscores apart."""
    return WORDS.get(name) or name.replace("_", " ").capitalize()


def value(given: object) -> str:
    """Write a setting's value: yes and no for truth values, thousands apart for large counts."""
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, int):
        return f"{given:,}"
    return "none" if given is None else str(given)
