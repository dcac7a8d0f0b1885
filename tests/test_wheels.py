"""The wheel of this checkout, built once, in a new environment that can neither compile nor fetch.

What the build needs (scikit-build-core, nanobind, cmake, ninja) comes from the environment of the
tests. The build folder is the installation's own, so that nothing is compiled twice.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
COMPILERS = ("c++", "g++", "clang++")


def run(*words, **environment) -> str:
    found = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **OFFLINE, **environment},
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def build(folder: Path, *options, **environment) -> Path:
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, *options, ROOT, PATH=tools_first(), **environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def tools_first() -> str:
    return os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"]))


def environment_with(wheel: Path, folder: Path) -> Path:
    """A Python that has the wheel and, behind it, the packages of the tests."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = next(folder.glob("[bS]*/python*"))
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (own / "torch.pth").write_text(sysconfig.get_path("purelib"))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps")
    pip += ("--ignore-installed",)  # the checkout's own cospair may be among the packages behind it
    run(*pip, wheel, PATH="")
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if not any(map(shutil.which, COMPILERS)):
        pytest.skip("no C++ compiler")
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    return environment_with(wheel, tmp_path_factory.mktemp("environment"))


def alone(python: Path, program: str) -> str:
    """What a program prints where nothing of this checkout or its tools is to be found."""
    return run(python, "-I", "-W", "error", "-c", program, PATH="")


def test_the_wheel_is_for_this_python_or_the_stable_abi(wheel):
    minor = sys.version_info.minor
    tag = "cp312-abi3" if minor >= 12 else f"cp3{minor}-cp3{minor}"
    assert f"-{tag}-" in wheel.name
    assert not wheel.name.endswith("-any.whl")


def test_the_wheel_carries_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    assert len([name for name in names if name.startswith("cospair/kernels/_cpu")]) == 1
    assert {name.split("/")[0].split("-")[0] for name in names} == {"cospair"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.endswith((".cpp", ".hpp", ".pyc"))]


def test_it_works_where_nothing_can_be_compiled_or_fetched(python):
    program = """
import torch, cospair
x = torch.randn(3, 8, requires_grad=True)
loss = cospair.cosine_embedding_loss(x, x.detach(), torch.ones(3, dtype=torch.long))
loss.backward()
print(cospair.__file__, loss.item(), x.grad.abs().max().item(), cospair.kernels.available()["cpu"])
"""
    place, *numbers = alone(python, program).split()
    assert Path(place).is_relative_to(Path(python).parents[1])
    assert numbers == ["0.0", "0.0"]  # equal rows, exactly; and no reason against the kernel


def test_it_passes_what_the_published_wheels_are_asked(python):
    settings = (ROOT / "pyproject.toml").read_text()
    asked = re.search(r'test-command = """python -c "(.*)" """', settings)
    assert asked is not None
    assert "cospair.kernels.available()" in asked[1]
    alone(python, asked[1])


def test_without_a_compiler_it_installs_and_says_what_is_missing(tmp_path):
    here = tmp_path / "built"
    options = [f"--config-settings=build-dir={tmp_path / 'work'}"]
    options += ["--config-settings=cmake.define.CMAKE_CXX_COMPILER=NOTFOUND"]
    wheel = build(here, *options, CXX="", CC="")
    with zipfile.ZipFile(wheel) as file:
        assert not [name for name in file.namelist() if "/_cpu" in name]
    python = environment_with(wheel, tmp_path / "environment")
    program = """
import torch, warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import cospair
print(cospair.kernels.available())
print(*(warning.message for warning in said if "cospair" in str(warning.message)))
"""
    kernels, warning = alone(python, program).splitlines()
    assert "'reference': ''" in kernels
    assert "without a C++ compiler" in kernels
    assert "install GCC or Clang" in warning
