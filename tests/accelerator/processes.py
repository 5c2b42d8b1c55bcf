"""Run the tests of this folder in processes of their own, which have the simulated device.

A process cannot give the device up again, and `torch.accelerator` then answers for it. Autograd also needs to know the
device before its first backward pass. So the nursery forks a new process for each file, which runs pytest there, and
sends the reports back.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.nursery import ROOT, Child, fork

FOLDER = Path(__file__).parent


def has_device() -> bool:
    """Whether this process has the simulated device."""
    import torch

    return torch._C._get_privateuse1_backend_name() == "sim"


class Remote:
    """A process with the device that runs the chosen tests of one file, in their order."""

    def __init__(self, config: pytest.Config, names: list[str]) -> None:
        self._config = config
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}")  # so that it finds the same nursery
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"}
        reading, writing = os.pipe()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed in close()
        self._child: Child = fork(
            run_tests,
            *names,
            cwd=ROOT,
            environment=environment | {"PYTEST_XDIST_TESTRUNUID": run},
            stdout=writing,
            stderr=self._errors.fileno(),
        )
        os.close(writing)
        self._reports = os.fdopen(reading)

    def read_reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Yield the reports of the next test, which must be `item`."""
        for line in self._reports:
            report = self._config.hook.pytest_report_from_serializable(
                config=self._config, data=json.loads(line)
            )
            assert report.nodeid == item.nodeid, f"{item.nodeid} was to run, not {report.nodeid}"
            yield report
            if report.when == "teardown":
                return
        self._errors.seek(0)
        yield pytest.TestReport(
            item.nodeid,
            item.location,
            {},
            "failed",
            f"the process with the simulated device ended early: {self._child.wait()}\n{self._errors.read()}",
            "call",
        )

    def close(self) -> None:
        """End the process, if it has not ended."""
        self._reports.close()
        self._child.kill()
        self._child.wait()
        self._errors.close()


class _Sender:
    """A plugin of pytest that writes each report as a line of JSON."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep the configuration, which can turn reports into data."""
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send a report."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with suppress(BrokenPipeError):
            print(json.dumps(data), file=self._stream, flush=True)


def run_tests(*names: str) -> None:
    """Run tests in this process, with the simulated device, and write their reports to the standard output."""
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from tests.accelerator.install import install

    install()
    options = (
        "-o",
        "addopts=",
        "--strict-markers",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    )
    sys.exit(pytest.main([*options, f"--rootdir={ROOT}", "-q", *names], plugins=[_Sender(reports)]))
