"""Runs the tests of this folder in processes that have the simulated device."""

import pytest

from tests.accelerator import processes
from tests.accelerator.install import explain_missing
from tests.with_parts import lacking

_running: dict[str, processes.Remote] = {}


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Let a process with the device run the test, and pass on its reports."""
    # pytest-xdist calls this hook for the tests of every folder.
    if not item.path.is_relative_to(processes.FOLDER) or processes.has_device() or explain_missing():
        return None
    key = str(item.path)
    if key not in _running:
        names = [other.nodeid for other in item.session.items if other.path == item.path]
        _running[key] = processes.Remote(item.config, names)
        item.config.add_cleanup(_running[key].close)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _running[key].read_reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.fixture(autouse=True)
def with_device() -> None:
    """Skip the test where torch cannot have the device, or fail where nothing may be skipped."""
    if reason := explain_missing():
        lacking(reason)
