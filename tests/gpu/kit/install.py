"""Prepare a machine without network: install the carried wheels, unpack the carried data, check the packages.

A part of the kit. Its arguments are the carried folder and the folder to install into.
"""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.gpu.kit.packages import PYTHON, find_versions


def main(carried: Path, into: Path, results: Path) -> int:
    """Prepare the machine. Return 1 if a package is missing."""
    wheels = sorted((carried / "wheels").glob("*.whl"))
    if sys.version_info[:2] != PYTHON:
        print(f"the wheels are for Python {PYTHON[0]}.{PYTHON[1]}: this Python keeps its own packages")
    elif not wheels:
        print(f"{carried}: no wheels: this Python keeps its own packages")
    else:
        options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--upgrade"]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options]
        subprocess.run([*pip, "--target", into / "site", *wheels], check=True)
        sys.path.insert(0, str(into / "site"))
        print(f"installed {len(wheels)} wheels")
    for archive in sorted((carried / "data").glob("*.tar.xz")):
        with tarfile.open(archive) as tar:
            tar.extractall(into / "data", filter="data")
        print(f"unpacked {archive.name}")
    versions = find_versions()
    results.write_text(json.dumps({"python": sys.version, "packages": versions}))
    missing = [name for name, version in versions.items() if version is None]
    print(f"missing: {', '.join(missing)}" if missing else f"all {len(versions)} packages are there")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4])))
