import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cospair.cli import app

RUN = CliRunner()


def cospair(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    program = "from cospair.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run over the faces, trained for two steps."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    arguments = ["train", "faces", "--out", str(folder), "--test", "10", "--steps", "2", "--json"]
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["data"]["test"]["identities"] == 10
    return folder


@pytest.fixture
def people_file(tmp_path) -> Callable[..., Path]:
    """Writes embeddings of people who are told apart with a few mistakes."""

    def write(name="e.npz", prefix="p", people=8, each=5, seed=0, noise=0.9) -> Path:
        generator = np.random.default_rng(seed)
        labels = np.repeat(np.arange(people), each)
        rows = generator.normal(size=(people, 16))[labels]
        rows = rows + noise * generator.normal(size=rows.shape)
        names = [f"{prefix}{label}/{row}.png" for row, label in enumerate(labels)]
        people_names = [f"{prefix}{label}" for label in labels]
        np.savez(tmp_path / name, embeddings=rows, labels=people_names, names=names)
        return tmp_path / name

    return write
