import subprocess
import sys

import cospair


def test_everything_public_is_listed_sorted_and_there():
    assert cospair.__all__ == sorted(cospair.__all__)
    for name in cospair.__all__:
        assert getattr(cospair, name) is not None
    program = "import cospair; print(*(n for n in vars(cospair) if not n.startswith('_')))"
    alone = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    rooms = {"losses", "memory", "sweep"}  # submodules that the front door loads
    assert set(alone.stdout.split()) - rooms == set(cospair.__all__)


def test_import_loads_nothing_heavy_and_changes_no_arithmetic():
    program = """
import sys, os
environment = dict(os.environ)
import torch
loaded = set(sys.modules)
import cospair
new = {name.split(".")[0] for name in set(sys.modules) - loaded}
heavy = {"accelerate", "sklearn", "scipy", "plotly", "PIL", "rich", "typer", "triton", "pandas"}
assert not new & heavy, new & heavy
assert dict(os.environ) == environment
x = torch.tensor([1e-310], dtype=torch.float64)
cospair.cosine_embedding_loss(torch.ones(3, 4), torch.ones(3, 4), torch.ones(3))
assert (x * 0.5).item() == 5e-311, "importing must not flush denormals"
"""
    subprocess.run([sys.executable, "-c", program], check=True)
