"""Tests that need parts which not every machine has: skipped without them, but where they are required."""

import importlib
import os
import shutil

import pytest

REQUIRED = "ABLATE_TEST_EVERYTHING"
"""Set by .ci/run: nothing is skipped for want of a part."""


def needed(package: str) -> None:
    """Skip the test where a package is not installed."""
    try:
        importlib.import_module(package)
    except ImportError:
        lacking(package)


def program(name: str, *places: str) -> str:
    """Where a program is, looked for in the PATH and in those places; the test is skipped without."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *places])
    return shutil.which(name, path=path) or lacking(name)


def lacking(part: str) -> str:
    if os.environ.get(REQUIRED):
        pytest.fail(f"{part} is not installed, and {REQUIRED} is set")
    pytest.skip(f"{part} is not installed")
