import dataclasses
import json
import os

import numpy as np
import pytest
import torch

from cospair.evaluation import Threshold, choose_threshold, rates_at

SCORES = np.array([0.9, 0.7, 0.7, 0.4, -0.2, -0.2, -0.5])
SAME = np.array([True, True, False, True, False, False, False])


def test_calibration_has_the_keys_of_rates():
    chosen = choose_threshold(SCORES, SAME)
    assert chosen.calibration == rates_at(SCORES, SAME, chosen.threshold)


def test_file_round_trip(tmp_path):
    people = [[0, 0], [1, 1], [0, 1], [2, 2], [1, 2], [0, 2], [0, 2]]
    chosen = choose_threshold(SCORES, SAME, identities=people, chosen_on="père, 母")
    chosen = dataclasses.replace(chosen, calibration_identities=("0123", "4567"))
    path = tmp_path / "threshold.json"
    chosen.to_json(path)
    assert Threshold.from_json(path) == chosen
    assert [file.name for file in tmp_path.iterdir()] == ["threshold.json"]
    assert json.loads(path.read_text(encoding="utf-8"))["format"] == "cospair threshold 2"


def test_a_file_of_the_first_format_is_read(tmp_path):
    path = tmp_path / "threshold.json"
    chosen = choose_threshold(SCORES, SAME)
    chosen.to_json(path)
    content = json.loads(path.read_text())
    del content["interval_method"], content["calibration_identities"]
    path.write_text(json.dumps({**content, "format": "cospair threshold 1"}))
    assert Threshold.from_json(path) == chosen
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="must be a file of format 'cospair threshold 2'"):
        Threshold.from_json(path)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_accepts_from_the_threshold_up(kind):
    chosen = choose_threshold([0.9, 0.5, 0.1], [True, True, False])
    accepted = chosen.accepts(kind([0.4999, 0.5, 0.9, -1.0]))
    assert accepted.dtype == np.bool_
    assert accepted.tolist() == [False, True, True, False]
    assert chosen.accepts([]).shape == (0,)


def test_accepts_checks_its_scores():
    chosen = choose_threshold(SCORES, SAME)
    with pytest.raises(ValueError, match="scores must be finite; got nan at position 1"):
        chosen.accepts([0.1, np.nan])
    with pytest.raises(ValueError, match=r"scores must be \[p\]; got shape \(\)"):
        chosen.accepts(0.5)


def test_a_file_is_replaced_and_never_written_into(tmp_path):
    path, second_name = tmp_path / "threshold.json", tmp_path / "open by a reader"
    old = choose_threshold(SCORES, SAME)
    old.to_json(path)
    os.link(path, second_name)
    choose_threshold(SCORES, ~SAME).to_json(path)
    assert Threshold.from_json(second_name) == old != Threshold.from_json(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "threshold.json"
    old = choose_threshold(SCORES, SAME)
    old.to_json(path)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        choose_threshold(SCORES, ~SAME).to_json(path)
    assert Threshold.from_json(path) == old
    assert [file.name for file in tmp_path.iterdir()] == ["threshold.json"]


@pytest.mark.parametrize("content", ["", "not json", "[1, 2]", "{}", '{"threshold": 0.5}'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "threshold.json"
    path.write_text(content)
    with pytest.raises(
        ValueError, match=r"threshold must be a file .*like run/threshold.json; got .*to_json"
    ):
        Threshold.from_json(path)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("threshold", "0.5", "threshold must be a finite number; got '0.5'"),
        ("threshold", None, "threshold must be a finite number; got None"),
        ("rule", "best", "rule must be one of accuracy, balanced, eer, far; got 'best'"),
        ("far_target", 0.1, "far_target must be given with rule 'far' and only then"),
        ("far_interval", 3, "far_interval must be null or two numbers; got 3"),
        ("format", "cospair threshold 99", "must be a file of format"),
        ("format", ["cospair"], "must be a file of format"),
        ("calibration_identities", [1], "calibration_identities must be a list of hashes"),
    ],
)
def test_impossible_fields_are_refused(tmp_path, name, value, text):
    path = tmp_path / "threshold.json"
    choose_threshold(SCORES, SAME).to_json(path)
    content = json.loads(path.read_text())
    content[name] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=text):
        Threshold.from_json(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_threshold_is_finite(value):
    with pytest.raises(ValueError, match="threshold must be a finite number"):
        dataclasses.replace(choose_threshold(SCORES, SAME), threshold=value)
    with pytest.raises(ValueError, match="threshold must be finite"):
        rates_at(SCORES, SAME, value)


def test_a_threshold_is_frozen_and_hashable():
    chosen = choose_threshold(SCORES, SAME)
    assert hash(chosen) == hash(dataclasses.replace(chosen))
    with pytest.raises(dataclasses.FrozenInstanceError):
        chosen.threshold = 0.1  # pyright: ignore[reportAttributeAccessIssue]
