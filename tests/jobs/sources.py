"""Small files of every kind that people bring, all of the same people."""

import numpy as np

from cospair.evaluation import pair_scores


def people(prefix="p", *, count=8, each=5, seed=0, noise=0.9):
    """Rows, labels and names of people who are told apart with a few mistakes."""
    generator = np.random.default_rng(seed)
    codes = np.repeat(np.arange(count), each)
    rows = generator.normal(size=(count, 16))[codes]
    rows = rows + noise * generator.normal(size=rows.shape)
    labels = np.array([f"{prefix}{code}" for code in codes])
    names = [f"{label}/{label}_{row % each + 1:04d}.png" for row, label in enumerate(labels)]
    return rows, labels, np.array(names)


def embeddings(path, rows, labels, names=None, cameras=None):
    arrays = {"embeddings": rows, "labels": labels, "names": names, "cameras": cameras}
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    return path


def scores(path, rows, labels, *, with_people=True):
    pairs = pair_scores(rows, labels)
    lines = ["score,same" + ",first_identity,second_identity" * with_people]
    for score, same, i, j in zip(pairs.scores, pairs.same, pairs.first, pairs.second, strict=True):
        known = f",{labels[i]},{labels[j]}" * with_people
        lines.append(f"{float(score)!r},{int(same)}{known}")
    path.write_text("\n".join(lines))
    return path
