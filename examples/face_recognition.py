"""Face recognition, every person new to the encoder: AT&T's 40 people, 10 pictures each.

    python examples/face_recognition.py [--steps 100]

22 people train a head over frozen ImageNet features, 8 others choose the threshold, which is kept
as a file that says where it comes from. Of the last 10, 6 are enrolled with 5 pictures each and
recognised on their other 5; 4 stay strangers. So few people say little: over four splits FRR was 1
to 13 %.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from cospair import data, models, recipes, training
from cospair.evaluation import Threshold, choose_threshold, pair_scores, rates_at
from cospair.gallery import Gallery

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=100)
steps = parser.parse_args().steps
recipe = recipes.Recipe(margin=0.25, steps=steps, views=2, area=64 * 56)

faces = data.faces()
train, others = data.split_identities(faces.labels, test=18, seed=0)
first, last = data.split_identities(faces.labels[others], test=10, seed=0)
chosen, tested = others[first], others[last]
config = recipes.config_for(recipe, [faces.picture(0).size], channels=1)
pictures = models.prepared_all((faces.picture(row) for row in range(len(faces))), config)
classes = torch.from_numpy(np.unique(faces.labels[train], return_inverse=True)[1])
views = training.feature_views(models.Embedder(config), pictures, recipe, seed=0)
head = training.train_head(views[:, train], classes, recipe, seed=0)
embeddings = head(training.plain_features(views, recipe)).detach()

pairs = pair_scores(embeddings[chosen], faces.labels[chosen])
with tempfile.TemporaryDirectory() as place:
    artefact = Path(place, "threshold.json")
    choose_threshold(
        pairs.scores, pairs.same, rule="far", far_target=0.01, chosen_on="8 people"
    ).to_json(artefact)
    threshold = Threshold.from_json(artefact)
print(f"threshold {threshold.threshold:.3f}: FAR 1 % on {threshold.chosen_on}")
pairs = pair_scores(embeddings[tested], faces.labels[tested])
rates = rates_at(pairs.scores, pairs.same, threshold.threshold)
print(f"10 other people: FAR {rates['far']:.2%}, FRR {rates['frr']:.2%}")

people, gallery = faces.labels[tested].reshape(10, 10)[:, 0], Gallery(threshold)
enrolled = np.isin(faces.labels[tested], people[:6])
first_half = np.arange(len(tested)) % 10 < 5
for row in tested[enrolled & first_half]:
    gallery.enrol([faces.identities[faces.labels[row]]], embeddings[[row]])
for name, rows in (("enrolled", enrolled & ~first_half), ("strangers", ~enrolled)):
    best = [(gallery.identify(embeddings[row], top=1)[0], row) for row in tested[rows]]
    accepted = [(found["name"], faces.labels[row]) for found, row in best if found["accepted"]]
    right = sum(name == faces.identities[label] for name, label in accepted)
    print(f"{name}: {len(best)} pictures, {len(accepted)} accepted, {right} by the right name")
