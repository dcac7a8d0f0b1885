import pytest

from cospair.cli import show


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("auc", "AUC"),
        ("tar@far=0.001", "TAR @ FAR 0.1 %"),
        ("tar@far=1e-05", "TAR @ FAR 0.001 %"),
        ("cmc_5", "CMC@5"),
        ("map_at_r", "MAP@R"),
    ],
)
def test_figures_have_names(name, words):
    assert show.figure_name(name) == words


def test_a_figure_is_never_rounded_into_a_claim(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    verification = {
        "genuine_pairs": 10,
        "impostor_pairs": 12_345,
        "identities": None,
        "pictures": None,
        "auc": 0.99999,
        "auc_interval": None,
        "eer": 0.00001,
        "eer_interval": None,
        "tar_at_far": [],
        "interval": {"notes": {"auc": "no interval: [a] reason", "eer": "no interval: [a] reason"}},
    }
    why = "no interval: [b] reason"
    test = {"far": 0.0, "frr": 0.5, "far_interval": None, "frr_interval": [0.25, 0.75]}
    threshold = {"threshold": 0.5, "rule": "eer", "chosen_on": "", "test": test}
    test["interval"] = {"notes": {"far": why, "accuracy": why}}
    result = {
        "title": "[red]t",
        "data": {"skipped": ["[x] was left out: why."]},
        "retrieval": None,
        "threshold": threshold,
    }
    show.figures({**result, "verification": verification})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "[red]t",
        "pairs 10 genuine, 12,345 impostor",
        "AUC > 0.9999",
        "EER 0.001 %",
        "threshold 0.5000 rule eer",
        "FAR on test people 0 %",
        "FRR on test people 50.0 % 25.0 % .. 75.0 %",
        "left out [x]: why.",
        "no interval for AUC, EER: [a] reason",
        "no interval for FAR on test people: [b] reason",
    ]
