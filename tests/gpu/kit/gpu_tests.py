"""Run the GPU tests, and write each test's outcome as a JSON line when it ends. A part of the kit.

Its arguments are the device and the file for the outcomes. On the device `cpu`, some of the tests run too.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.gpu.kit.places import ROOT

FEW = "D2L or other_runs or graphs or alike or memory or waits"
"""The tests that run where a CPU takes the GPU's place, so that they take ten seconds."""


class Recorder:
    """A plugin of pytest that writes outcomes, and counts them."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self.passed = self.skipped = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the outcome of a test, or of a setup or teardown that did not pass."""
        if report.when != "call" and report.passed:
            return
        self.passed += report.passed
        self.skipped += report.skipped
        line = {"test": report.nodeid, "outcome": report.outcome, "seconds": report.duration}
        if not report.passed:
            line["cause"] = report.longreprtext or str(report.longrepr)
        with self._results.open("a") as stream:
            stream.write(f"{json.dumps(line)}\n")


def main(device: str, results: Path) -> int:
    """Run the tests. Return pytest's exit code, or 1 if a GPU's test was skipped or none has passed."""
    os.environ["ABLATE_TEST_DEVICE"] = device
    recorder = Recorder(results)
    # Other versions of packages than ours may warn. That is no fault of the GPU.
    options = ["-m", "gpu", "-n", "0", "-v", "-W", "default", "-p", "no:cacheprovider", "--tb=short"]
    options += ["-k", FEW] if device == "cpu" else []
    code = int(pytest.main([str(ROOT / "tests" / "gpu"), *options], plugins=[recorder]))
    print(f"{recorder.passed} passed, {recorder.skipped} skipped")
    return code or int(not recorder.passed or (device != "cpu" and recorder.skipped > 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
