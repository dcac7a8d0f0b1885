import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from cospair import training
from cospair.recipes import FROM_SCRATCH, RECIPES, config_for
from cospair.training import run, train_head

QUICK = replace(FROM_SCRATCH, steps=12, people=3, each=2, learning_rate=1e-2)


def clusters(classes: int = 6, each: int = 8, d: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(classes).repeat_interleave(each)
    centres = torch.randn(classes, d, generator=generator)
    return centres[labels] + torch.randn(len(labels), d, generator=generator), labels


def linear_run(folder, *, seed=0, scale=1.0, recipe=QUICK, figure=None, save_every=4, stop=None):
    """Train a linear layer on clusters; `stop` breaks off at that step, as a crash would."""
    x, labels = clusters()
    x = scale * x
    torch.manual_seed(0)
    model = nn.Linear(10, 8)
    seen = []

    def examples(rows, generator):
        if stop is not None and len(seen) == stop:
            raise KeyboardInterrupt
        seen.append(tuple(rows))
        return x[rows] + 0.1 * torch.randn(len(rows), 10, generator=generator)

    run(
        model,
        examples,
        labels,
        recipe,
        seed=seed,
        data=x,
        figure=figure,
        folder=folder,
        save_every=save_every,
    )
    return model


def test_training_lowers_the_loss_and_leaves_a_record(tmp_path):
    linear_run(tmp_path, recipe=replace(QUICK, steps=60))
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == list(range(1, 61))
    first, last = (sum(r["loss"] for r in part) for part in (records[:10], records[-10:]))
    assert last < 0.8 * first
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best.safetensors", "last.safetensors", "last.state.pt", "metrics.jsonl"
    ]  # fmt: skip


def test_the_seed_decides_everything(tmp_path):
    a, b, c = (linear_run(None, seed=seed).weight for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("stop", [3, 4, 9])
def test_an_interrupted_run_resumes_to_the_same_numbers(stop, tmp_path):
    whole = linear_run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        linear_run(tmp_path / "broken", stop=stop)
    resumed = linear_run(tmp_path / "broken")
    assert torch.equal(resumed.weight, whole.weight)
    metrics = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "broken")]
    assert metrics[0] == metrics[1]


def test_another_runs_checkpoint_is_not_taken_up(tmp_path):
    linear_run(tmp_path, seed=5)
    again = linear_run(tmp_path, seed=0)
    assert torch.equal(again.weight, linear_run(None, seed=0).weight)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == QUICK.steps


def test_a_checkpoint_made_on_other_data_is_not_taken_up(tmp_path):
    linear_run(tmp_path, scale=2.0)
    assert torch.equal(linear_run(tmp_path).weight, linear_run(None).weight)


def test_a_crash_while_a_checkpoint_is_written_does_not_mix_steps(tmp_path, monkeypatch):
    whole = linear_run(tmp_path / "whole")
    real, written = training.write_whole, []

    def failing(path, content):
        written.append(path.name)
        if written.count("last.state.pt") == 2:
            raise OSError("disk full")
        real(path, content)

    monkeypatch.setattr(training, "write_whole", failing)
    with pytest.raises(OSError, match="disk full"):
        linear_run(tmp_path / "broken")
    monkeypatch.undo()
    assert torch.equal(linear_run(tmp_path / "broken").weight, whole.weight)
    metrics = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "broken")]
    assert metrics[0] == metrics[1]


def test_the_best_model_by_the_figure_is_kept(tmp_path):
    errors = iter([0.3, 0.1, 0.2])
    kept = []

    def figure(model):
        kept.append(model.weight.detach().clone())
        return next(errors)

    model = linear_run(tmp_path, figure=figure)
    assert torch.equal(model.weight, kept[1])
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["held_out_error"] for r in records if "held_out_error" in r] == [0.3, 0.1, 0.2]


def test_a_head_separates_what_whitening_and_training_can():
    x, labels = clusters(classes=8, each=10, d=12)
    x[:, :4] += 4 * torch.randn(80, 4, generator=torch.Generator().manual_seed(2))  # says nothing
    views = torch.stack(
        [x, x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))]
    )
    recipe = replace(RECIPES["efficientnet-lite0"], steps=20, people=8)
    head = train_head(views, labels, recipe, seed=0)
    assert torch.equal(head.weight, train_head(views, labels, recipe, seed=0).weight)

    def gap(embeddings):
        unit = torch.nn.functional.normalize(embeddings.detach(), dim=1)
        cosines, same = unit @ unit.T, labels[:, None] == labels
        return float(cosines[same].mean() - cosines[~same].mean())

    assert gap(head(x)) > gap(x - x.mean(0)) + 0.05


def test_random_views_are_the_pictures_shape_and_the_seeds():
    model = training.Embedder(config_for(QUICK, [(24, 32)], channels=1))
    pictures = torch.randint(
        0, 256, (4, 1, model.config.height, model.config.width), dtype=torch.uint8
    )
    a, b, c = (
        training.feature_views(model.eval(), pictures, QUICK, seed=seed) for seed in (0, 0, 1)
    )
    assert a.shape[:2] == (2 + QUICK.views, 4)
    assert torch.equal(a, b)
    assert torch.equal(a[:2], c[:2]), "the picture and its mirror image do not depend on the seed"
    assert not torch.equal(a[2:], c[2:])
