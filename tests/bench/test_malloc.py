import platform
import subprocess
import sys

import pytest

from cospair import bench
from cospair.bench import malloc

GLIBC = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource, sys
blocks, mib = map(int, sys.argv[1:])
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def touch():
    for _ in range(blocks):
        b"x" * (mib << 20)
touch()
before = faults()
touch()
print(faults() - before)
"""


def faults(name, blocks, mib):
    words = [sys.executable, "-c", FAULTS, str(blocks), str(mib)]
    environment = malloc.environment(name)
    found = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.skipif(not GLIBC, reason="other libraries' malloc cannot be told")
def test_what_is_freed_is_kept_or_returned():
    # left alone, glibc maps what is over 32 MiB anew each time, and keeps what was freed below
    assert faults("kept", 4, 40) < 40  # a page or two of Python's own, not 4 x 10,240
    assert faults("returned", 64, 1) > 640  # 256 each; 16 each where pages have 64 KiB
    assert faults("default", 64, 1) < 640


def test_default_sets_nothing_and_unsets_what_stood_there(monkeypatch):
    for name in ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HARMLESS", "1")
    found = malloc.environment("default")
    assert not [name for name in found if name.startswith("MALLOC_")]
    assert found["HARMLESS"] == "1"


@pytest.mark.parametrize("plan", [bench.Plan, bench.AllPairsPlan])
def test_another_library_than_glibc_is_refused(plan, monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    with pytest.raises(
        RuntimeError, match=r"malloc kept needs glibc, .*, found musl; measure with"
    ):
        plan(malloc="kept")
    assert plan(malloc="default").malloc == "default"
