"""Other tools, run in processes of their own, so that their warnings, threads and settings end with them."""

import os
import subprocess
import sys
from pathlib import Path


def run_python(*arguments: str | Path, folder: Path, **environment: str) -> None:
    """Run Python with these arguments in a folder. A failure shows what it wrote."""
    # pytest-benchmark writes nothing in a process of pytest-xdist, which it knows by these variables.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, env=inherited | environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
