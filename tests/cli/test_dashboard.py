"""A record is shown in optuna-dashboard, on the loopback address alone."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from ablate.cli import dashboard
from ablate.errors import AblateError
from tests.commands import environment
from tests.experiment.test_conduct import Stub, conduct
from tests.with_parts import needed


@pytest.mark.cluster
def test_the_runs_of_a_folder_are_shown_to_this_machine_alone(small, tmp_path: Path) -> None:
    needed("optuna_dashboard")
    _, folder = conduct(small(), tmp_path / "small", Stub())
    record = (folder.path / "study.db").read_bytes()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ablate", "dashboard", folder.path, "--port", str(port)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as served:  # fmt: skip
        try:
            assert served.stdout is not None
            assert served.stdout.readline() == f"http://127.0.0.1:{port} until Ctrl-C\n"
            while not (bound := psutil.Process(served.pid).net_connections()):
                assert served.poll() is None
                time.sleep(0.1)
            assert {connection.laddr.ip for connection in bound} == {"127.0.0.1"}
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
                found = json.load(answer)["study_summaries"]
        finally:
            served.terminate()
    assert {one["study_name"] for one in found} == {f"small {phase}" for phase in ("search", "tune", "confirm", "time")}  # fmt: skip
    assert (folder.path / "study.db").read_bytes() == record


def test_a_folder_without_a_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(AblateError, match=r"has no study\.db: name a report folder that `run` wrote"):
        dashboard.open_folder(tmp_path)
