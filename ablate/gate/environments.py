"""Make a virtual environment for a commit, with the packages that the commit asks for."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import ablate
from ablate.errors import AblateError
from ablate.gate.commits import Checkout

DISTRIBUTION = "ablate-studies"
"""The name of ablate on the package index."""


def make_environment(checkout: Checkout) -> Checkout:
    """Make a virtual environment beside the checkout, and install the packages that the commit needs.

    Return the checkout with the interpreter of this environment.

    If `uv` is installed, `uv` makes the environment, because it downloads nothing twice. Otherwise, `venv`
    and `pip` make the environment. If the commit is from another repository than ablate's, the version of
    ablate that runs now is installed. If the commit itself asks for another version of ablate, that version
    is used.

    Raises:
        AblateError: something cannot be installed.
    """
    folder = checkout.path.with_name(f"{checkout.path.name}-environment")
    python = folder / "bin" / "python"
    uv = shutil.which("uv")
    if uv is not None:
        make, install = [uv, "venv", "--quiet", "--python", sys.executable], [uv, "pip", "install", "--quiet"]
        install += ["--python", str(python)]
    else:
        make, install = [sys.executable, "-m", "venv"], [str(python), "-m", "pip", "install", "--quiet"]
    _run(checkout, [*make, str(folder)])
    for packages in _list_packages(checkout.path):
        _run(checkout, [*install, *packages])
    return replace(checkout, python=str(python))


def _list_packages(path: Path) -> Iterator[Sequence[str]]:
    """Yield the arguments for several calls of `pip install`, in the order of the calls.

    `path` is the folder of a commit.
    """
    project = _read_project_name(path)
    if project != DISTRIBUTION:
        # ablate is installed first. So a package that depends on ablate can be installed even if ablate is
        # not on the package index.
        source = Path(ablate.__file__).parents[1]
        has_source = _read_project_name(source) == DISTRIBUTION
        yield [str(source) if has_source else f"{DISTRIBUTION}=={ablate.__version__}"]
    if (path / "requirements.txt").is_file():
        yield ["--requirement", str(path / "requirements.txt")]
    if project is not None or (path / "setup.py").is_file():
        yield [str(path)]


def _read_project_name(path: Path) -> str | None:
    """Read the name of the package in a folder. Return None if no pyproject.toml describes a package."""
    try:
        name = tomllib.loads((path / "pyproject.toml").read_text()).get("project", {}).get("name")
    except FileNotFoundError:
        return None
    except tomllib.TOMLDecodeError as error:
        raise AblateError(f"{path / 'pyproject.toml'}: {error}") from None
    return None if name is None else str(name)


def _run(checkout: Checkout, command: Sequence[str]) -> None:
    # PYTHONPATH is removed here. Packages in PYTHONPATH would count as installed, but the commit runs without
    # them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=checkout.path,
        env=environment | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in told if line.lower().startswith("error")] or told or ["no message"]
        raise AblateError(f"commit {checkout.commit[:12]}: its environment cannot be made: {errors[-1]}")
