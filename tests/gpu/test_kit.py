"""The kit for machines with a GPU: it goes on when a part fails, and keeps what a part has written."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.gpu.kit import __main__ as kit
from tests.gpu.kit import results as results_of
from tests.gpu.kit.packages import CARRIED, EXPECTED
from tests.gpu.kit.parts import SECONDS, Part, list_parts
from tests.gpu.kit.places import ROOT
from tests.gpu.kit.results import gather, read_last_line, zip_report
from tests.gpu.kit.running import GRACE_SECONDS, run_part

BARE = [sys.executable, "-S", "-c"]


def make_part(name: str, code: str, **rest: object) -> Part:
    """A part that runs some lines of Python."""
    return Part(name=name, command=[*BARE, code], seconds=30, **rest)


def run_kit(parts: list[Part], out: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the kit with other parts than its own."""
    monkeypatch.setattr(kit, "list_parts", lambda *_, **__: parts)
    return kit.main(["--dry-run", "--out", str(out), *arguments])


def read_rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_the_kit_goes_on_when_a_part_fails(tmp_path, monkeypatch, capsys) -> None:
    results = tmp_path / "numbers.json"
    parts = [
        make_part("bad", "print('before'); raise SystemExit(3)"),
        make_part("good", f"open({str(results)!r}, 'w').write('[1, 2]'); print('done')", results=results),
    ]
    assert run_kit(parts, tmp_path / "out", monkeypatch) == 1
    bad, good = read_rows(tmp_path / "out")
    assert (bad["part"], bad["status"], bad["exit_code"]) == ("bad", "failed", 3)
    assert (good["part"], good["status"], good["results"]) == ("good", "passed", [1, 2])
    last = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split()[:2] for line in last] == [["bad", "failed"], ["good", "passed"]]
    assert [line.split()[-1] for line in last] == ["before", "done"]
    assert run_kit(parts, tmp_path / "only", monkeypatch, "--only", "good") == 0


def test_a_part_that_takes_too_long_ends_with_all_its_processes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tests.gpu.kit.running.GRACE_SECONDS", 0.2)
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-S', '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    log = tmp_path / "slow.log"
    outcome = run_part(make_part("slow", code), os.environ, log, seconds=2)
    assert (outcome.status, outcome.exit_code) == ("out of time", None)
    assert not is_running(int(read_last_line(log)))


def is_running(process: int) -> bool:
    """Whether a process exists that is not just waiting to be reaped."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True


def test_a_part_without_time_is_not_started(tmp_path) -> None:
    part = make_part("late", "raise SystemExit(0)")
    assert run_part(part, os.environ, tmp_path / "log", GRACE_SECONDS).status == "not started"


def test_a_stopped_kit_stops_its_part_and_keeps_the_earlier_ones(tmp_path, monkeypatch, capsys) -> None:
    stop = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGTERM); time.sleep(60)"
    parts = [make_part("first", "print('here')"), make_part("second", stop)]
    with pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        run_kit(parts, tmp_path, monkeypatch)
    assert [row["part"] for row in read_rows(tmp_path)] == ["first"]
    assert "first     passed" in capsys.readouterr().out


def test_a_signal_while_a_part_starts_leaves_no_process(tmp_path, monkeypatch) -> None:
    """As in test_a_stopped_kit, but the signal arrives before the kit knows the process of its part."""
    begun = []

    class StruckPopen(subprocess.Popen):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            begun.append(self)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", StruckPopen)
    with pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)):
        run_kit([make_part("part", "import time; time.sleep(60)")], tmp_path, monkeypatch)
    (process,) = begun
    assert process.returncode == -signal.SIGTERM


def test_what_a_stopped_part_has_written_is_kept(tmp_path) -> None:
    results = tmp_path / "epochs.jsonl"
    results.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert gather(make_part("part", "", results=results)) == [{"epoch": 1}, {"epoch": 2}]
    table = tmp_path / "reports" / "study" / "tables" / "arms.csv"
    table.parent.mkdir(parents=True)
    table.write_text("arm,seeds\nbaseline,3\n")
    kept = gather(make_part("part", "", report=tmp_path / "reports"))
    assert kept == {"arms": [{"arm": "baseline", "seeds": "3"}]}


def test_a_zipped_report_stays_small_enough_and_names_what_is_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(results_of, "MOST_BYTES", 1_000)
    (tmp_path / "report" / "tables").mkdir(parents=True)
    (tmp_path / "report" / "tables" / "arms.csv").write_text("arm\n")
    (tmp_path / "report" / "study.db").write_bytes(os.urandom(1_001))
    zip_report(tmp_path / "report", tmp_path / "report.zip")
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        assert sorted(archive.namelist()) == ["LEFT_OUT.txt", "tables/arms.csv"]
        assert archive.read("LEFT_OUT.txt") == b"study.db"


@pytest.mark.parametrize("full", [True, False])
def test_the_parts_fit_into_the_kits_time_and_into_eight_files(full, tmp_path) -> None:
    parts = list(list_parts(tmp_path, tmp_path, device="cuda", full=full))
    assert [part.name for part in parts] == ["install", "doctor", "tests", "study", "cohort", "bench"]
    assert sum(part.seconds for part in parts) == SECONDS == 480
    files = [
        "results.jsonl",
        *(f"{part.name}.log" for part in parts),
        *("zip" for part in parts if part.report),
    ]
    assert len(files) <= 8


def test_an_unknown_part_is_named(tmp_path) -> None:
    with pytest.raises(SystemExit, match="--only: no part docter: the parts are install, doctor, tests"):
        kit.main(["--dry-run", "--only", "docter", "--out", str(tmp_path)])


def test_every_package_that_ablate_needs_is_carried_or_expected() -> None:
    # torchvision is neither: the kit's data sets do without. What expected packages need comes with them.
    left, known = ["ablate-studies"], {"torchvision"}
    while left:
        for name in list_requirements(left.pop()) - known:
            known.add(name)
            if name in CARRIED:
                left.append(name)
            assert name in {*CARRIED, *EXPECTED}, f"{name} is needed: add it to CARRIED or EXPECTED"
    assert set(CARRIED) <= known, "a wheel is carried that nothing needs"


def list_requirements(package: str) -> set[str]:
    """List what a package needs on a machine of the kit's kind, without extras."""
    if package == "ablate-studies":
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    else:
        declared = requires(package) or []
    machine = {"python_version": "3.12", "python_full_version": "3.12.3", "extra": ""}
    parsed = [Requirement(line) for line in declared]
    return {
        canonicalize_name(each.name) for each in parsed if not each.marker or each.marker.evaluate(machine)
    }


def test_a_dry_run_passes_on_this_machine(tmp_path) -> None:
    line = [sys.executable, "-m", "tests.gpu.kit", "--dry-run", "--only", "install", "--out", tmp_path]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = read_rows(tmp_path)
    assert row["results"]["packages"]["optuna"]
