"""Machines as people have them: paths, terminals, cores, folders, clocks. Results are kept, and exit codes stay true."""

import errno
import fcntl
import io
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ablate import cache, models
from ablate.cli import console, streams
from ablate.cli.job import Job
from ablate.cores import count_cores, describe_cores, measure_memory, read_quota
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.errors import FolderError, StudyError, escape_unprintable
from ablate.execution import fork_server
from ablate.inspection.networks import load_network
from ablate.interruption import Interrupted, raise_on_interrupt
from ablate.records.files import write_whole
from ablate.records.folder import ReportFolder
from ablate.records.run_records import Phase
from ablate.records.sqlite_record import SqliteRecord
from ablate.study import study_file
from tests.commands import ROOT, environment
from tests.conftest import SMALL
from tests.records.test_provenance import PROVENANCE

NAMES = (
    "a?mode=ro&x=y #1 50% b%20c {year} it's \"so\"; $HOME [x](y) <b> :bug: back\\slash ünï🙂".encode(),
    b":memory:", b"lat\xef in", b"x" * 255,
)  # fmt: skip
"""Names of folders in which a character has a meaning somewhere else."""


def run_cli(*arguments: object, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m ablate …` from nothing, as its streams and variables must be those of a new process."""
    return subprocess.run(
        [sys.executable, "-m", "ablate", *map(str, arguments)],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": str(ROOT)} | settings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_records_lie_in_their_folder_whatever_its_name_is(tmp_path: Path, name: bytes) -> None:
    """A path is never part of a URL.

    - https://github.com/optuna/optuna/pull/395: a `%` in the storage's path stopped the creation of the
      storage. Mended.
    - https://github.com/cachix/devenv/issues/2492: a path was decoded as if it were a URL, so that the database
      was not found. Mended.
    - https://github.com/Project-MONAI/MONAI/pull/9032: SQLAlchemy took what follows a `?` in the path of a
      database for options. Mended.
    - https://github.com/MemPalace/mempalace/pull/1838: databases were opened read-only by a URI made without
      escapes, which failed in folders with a space. Right before.
    """
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    SqliteRecord(folder / "study.db", "small").close()
    SqliteRecord(folder / "study.db", "small").close()
    assert os.listdir(folder) == ["study.db"]  # noqa: PTH208  # iterdir() is no shorter
    assert os.listdir(tmp_path) == [folder.name]  # noqa: PTH208
    assert escape_unprintable(str(folder)).isprintable()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_is_readable_in_every_encoding_and_raises_no_error(encoding: str, monkeypatch) -> None:
    """A character that an encoding lacks is spelled with those that it has.

    - https://github.com/Textualize/rich/issues/3764: redirected output of a terminal library stopped at a
      character that the code page lacks. Mended.
    - https://github.com/systemiqofficial/steel-iq/pull/157: a job of 40 minutes wrote its results, and then died
      while it printed a tick. Mended.
    - https://github.com/repowise-dev/repowise/issues/271: an arrow in a progress line ended a long command in
      the middle of its work. Mended.
    """
    shown = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    streams.prepare()
    console.say("32×32 … 1–2 −3 “é” ± → \udcef 語")
    sys.stdout.flush()
    said = shown.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]  # a BytesIO
    expected = {
        "ascii": '32x32 ... 1-2 -3 "e" +- -> \\xef \\u8a9e\n',
        "cp1252": "32×32 … 1–2 -3 “é” ± -> \\xef \\u8a9e\n",
        "utf-8": "32×32 … 1–2 −3 “é” ± → \\xef 語\n",
    }
    assert said == expected[encoding]


@pytest.mark.parametrize(
    ("redirect", "arguments", "code", "told"),
    [
        ("| true", "--help", 0, ""),
        ("2>&1 | true", "plan missing.yaml", 2, ""),
        ("2>/dev/full", "plan missing.yaml", 2, ""),
        (">/dev/full", "--help", 2, "error: standard output cannot be written (No space left on device)\n"),
        (">&- 2>&-", "plan missing.yaml", 2, ""),
        (">&-", "--help", 0, ""),
    ],
)
def test_the_exit_code_stays_true_if_nobody_reads_the_output(
    tmp_path: Path, redirect: str, arguments: str, code: int, told: str
) -> None:
    """Code 1 never means that output could not be printed.

    - https://github.com/Backblaze/B2_Command_Line_Tool/issues/1071: a command failed because `head` had read
      enough of its output. Mended.
    - https://github.com/Sherin-SEF-AI/CanLab/pull/24: a listing that was piped into `head` ended with a
      traceback and exit code 1. Mended.
    - https://github.com/pallets/click/pull/2555: printing failed where standard output is None. Right before.
    - https://github.com/pixelb/crudini/pull/84: a command with a closed standard output failed although it did
      not need the output. Right before.
    """
    line = f"{sys.executable} -m ablate {arguments} {redirect}; exit ${{PIPESTATUS[0]}}"
    done = run_in_shell(line, tmp_path)
    assert done.returncode == code
    assert done.stderr == told


def run_in_shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in this folder, with ablate on Python's path."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """Otherwise a library that prints would write into the record."""
    (tmp_path / "prints.py").write_text(
        "import os\n"
        "from ablate.cli import streams\n"
        "streams.prepare()\n"
        "with open('record', 'w') as record:\n"
        "    os.write(1, b'printed')\n"
        "    os.write(2, b'printed')\n"
        "    assert record.fileno() > 2\n"
    )
    line = f"{sys.executable} prints.py 0<&- 1>&- 2>&-"
    subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=environment() | {"PYTHONPATH": str(ROOT)}, check=True
    )
    assert (tmp_path / "record").read_bytes() == b""


def test_no_terminal_is_so_narrow_or_odd_that_words_are_lost(monkeypatch) -> None:
    for columns in ("0", "1", "20", "abc", "-5"):
        monkeypatch.setenv("COLUMNS", columns)
        assert console._make_console().width >= console.NARROWEST
    monkeypatch.setenv("COLUMNS", "200")
    assert console._make_console().width == 200


def test_the_end_of_the_terminal_is_an_interruption_unless_nohup_ignores_it() -> None:
    """SIGHUP counts like SIGTERM.

    - https://github.com/gem/oq-engine/pull/4027: a handler of SIGHUP replaced the one that `nohup` had set, so
      that `nohup` had no effect. Right before.
    - https://github.com/open-mmlab/mmsegmentation/issues/1998: training died of SIGHUP although it ran under
      `nohup`. Right before.
    - https://github.com/ninja-build/ninja/pull/964: a build that lost its terminal left partial files behind,
      because only other signals were handled. Mended.
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        with pytest.raises(Interrupted) as raised, raise_on_interrupt():
            signal.raise_signal(signal.SIGHUP)
        assert raised.value.code == 129
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with raise_on_interrupt():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    with fork_server.ignore_interrupts():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


CGROUPS: dict[str, tuple[dict[str, str], int | None]] = {
    "version 2, as in a container": (
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
    "version 2, a limit of a parent": (
        {"proc/self/cgroup": "0::/user.slice/job/step", "sys/fs/cgroup/user.slice/job/cpu.max": "100000 100000",
         "sys/fs/cgroup/user.slice/job/step/cpu.max": "max 100000"}, 1),
    "version 2, no limit": ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "max 100000"}, None),
    "version 2, an empty file": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": ""}, None),
    "version 2, outside of the namespace": (
        {"proc/self/cgroup": "0::/../other", "sys/fs/cgroup/cpu.max": "300000 100000"}, 3),
    "version 1, below the root": (
        {"proc/self/cgroup": "5:cpu,cpuacct:/slurm/job7", "sys/fs/cgroup/cpu,cpuacct/slurm/job7/cpu.cfs_quota_us": "400000",
         "sys/fs/cgroup/cpu,cpuacct/slurm/job7/cpu.cfs_period_us": "100000"}, 4),
    "version 1, no limit": (
        {"proc/self/cgroup": "5:cpu,cpuacct:/", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
         "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"}, None),
    "version 1, the path of the host": (
        {"proc/self/cgroup": "5:cpu,cpuacct:/docker/abc", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
         "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"}, 1),
    "no cgroups": ({}, None),
}  # fmt: skip
"""By case: the files of the machine, and the quota in cores."""
MOUNTS = """\
22 1 0:20 / /proc rw - proc proc rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize("case", CGROUPS)
def test_the_quota_of_a_cgroup_limits_the_cores_wherever_it_is_set(
    tmp_path: Path, monkeypatch, case: str
) -> None:
    """Quotas of both versions of cgroups count, from the process's own cgroup up to the root.

    - https://github.com/joblib/loky/issues/634: a quota below the root, as systemd sets it, was not found.
      Mended.
    - https://github.com/joblib/loky/issues/478: an empty `cpu.max` stopped the program. Mended.
    - https://github.com/python/cpython/issues/149452: in a container with two cores, Python counts those of the
      host. Mended.
    - https://github.com/python/cpython/issues/80235: the number of cores was that of the machine, not that of
      the process. Mended.
    """
    files, quota = CGROUPS[case]
    for name, content in {"proc/self/mountinfo": MOUNTS, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert read_quota(tmp_path) == quota
    for variable in ("OMP_NUM_THREADS", "PYTHON_CPU_COUNT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    assert count_cores(tmp_path) == (quota or 8)
    memory = tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes"
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text("123456789\n")
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/\n")
    assert measure_memory(tmp_path) == 123456789


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "2,4"}, 2),
        ({"OMP_NUM_THREADS": "64"}, 3),
        ({"OMP_NUM_THREADS": "all"}, 3),
        ({"OMP_NUM_THREADS": "0"}, 3),
        ({"PYTHON_CPU_COUNT": "2"}, 2),
        ({"PYTHON_CPU_COUNT": "default"}, 3),
        ({}, 3),
    ],
)
def test_affinity_and_variables_limit_the_cores(monkeypatch, variables: dict[str, str], cores: int) -> None:
    for variable in ("OMP_NUM_THREADS", "PYTHON_CPU_COUNT"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 4, 5})
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert count_cores() == cores
    causes = [f"{name}={value}" for name, value in variables.items() if value == str(cores)]
    assert describe_cores().startswith(f"{cores} of 8 cores (")
    assert all(cause in describe_cores() for cause in causes)


def test_a_file_in_the_current_folder_hides_no_module_of_python_or_a_dependency(tmp_path: Path) -> None:
    """The current folder comes last, but for the user's own network; workers do not search it at their start.

    - https://github.com/numpy/numpy/issues/16198: a file `random.py` of the user stopped the import of a package
      that needs Python's module. Mended.
    - https://github.com/pytorch/pytorch/issues/110447: a file `onnx.py` gave dozens of lines of an unrelated
      error. Mended.
    - https://github.com/pytorch/pytorch/issues/19943: the folder of a package in the search path hid Python's
      module `random`. Mended.
    """
    for name in ("random", "statistics", "socket", "select", "typing", "platform", "rich", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hidden')\n")
    (tmp_path / "small.yaml").write_text("name: small\n")
    done = run_cli("plan", "small.yaml", "seeds=no", cwd=tmp_path, PYTHONSAFEPATH="")
    assert done.returncode == 2
    assert done.stderr.startswith("error: small.yaml: 'question' is missing")
    assert "hidden" not in done.stderr + done.stdout
    server = (
        "from ablate.execution import fork_server; fork_server.PRELOADED.clear(); fork_server.prepare(); "
        "context = fork_server.choose_start_method(); "
        "process = context.Process(target=print, args=('a worker ran',)); process.start(); process.join()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", server],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("a worker ran\n", "", 0)


def test_workers_start_although_tmpdir_is_too_long_for_a_socket(tmp_path: Path, monkeypatch) -> None:
    """The socket of the fork server gets a folder with a short path.

    - https://github.com/riga/law/issues/184: on a cluster TMPDIR lies deep in the job's folder, where no socket
      can be made. Mended.
    - https://github.com/python/cpython/issues/132124: Python makes sockets in folders of any length. Mended.
    - https://github.com/TobyBaril/EarlGrey/issues/294: a fork server failed because of a long path. Mended.
    """
    long = tmp_path / ("t" * 100)
    long.mkdir()
    script = (
        "from ablate.execution import fork_server; fork_server.PRELOADED.clear(); fork_server.prepare(); "
        "import tempfile; from multiprocessing.util import get_temp_dir; print(len(get_temp_dir())); "
        f"assert tempfile.gettempdir() == {str(long)!r}"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT), "TMPDIR": str(long)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80


def test_help_is_whole_without_docstrings(tmp_path: Path) -> None:
    """`python -OO` drops docstrings.

    - https://github.com/hhatto/autopep8/issues/225: the help was made from a docstring, which was None. Mended.
    - https://github.com/mhostetter/galois/issues/544: a package could not be imported without docstrings. Right
      before.
    """
    help_text = run_cli("run", "--help", cwd=tmp_path).stdout
    assert "Answer a study's question and write its report." in help_text
    assert run_cli("run", "--help", cwd=tmp_path, PYTHONOPTIMIZE="2").stdout == help_text


def test_a_missing_current_folder_gives_one_line(tmp_path: Path) -> None:
    """A library may end the process in its own way if there is no current folder.

    - https://github.com/pypa/pip/issues/4255: a deleted current folder gave a traceback. Mended.
    - https://github.com/typesafehub/conductr-cli/issues/502: a deleted current folder stopped a command with an
      unexpected error. Mended.
    """
    line = f"mkdir gone; cd gone; rmdir ../gone; exec {sys.executable} -m ablate plan {tmp_path}/small.yaml"
    done = run_in_shell(line, tmp_path)
    assert done.returncode == 2
    told = "the current folder cannot be used (No such file or directory): change to another folder"
    assert done.stderr == f"error: {told}\n"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOLCK, r"cannot be written \(No locks available\): choose another --out"),
        (errno.EOPNOTSUPP, r"cannot be written \(Operation not supported\): choose another --out"),
    ],
)
def test_a_file_system_without_locks_gives_one_line(
    tmp_path: Path, monkeypatch, number: int, message: str
) -> None:
    """Two commands must not write to one folder at a time.

    - https://github.com/nipy/nipype/issues/1370: on a network file system a lock failed with "no lock available".
      Right before.
    - https://github.com/tox-dev/filelock/issues/67: a lock on a file system without locks was tried for ever.
      Right before.
    """

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(FolderError, match=message):
        ReportFolder(tmp_path / "small").lock(fresh=False)


def test_a_report_folder_with_a_line_break_in_its_name_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "new\nline"
    with pytest.raises(
        FolderError, match=r"new\\nline: has a control character in its name: choose another --out"
    ):
        ReportFolder(folder).lock(fresh=False)
    assert not folder.exists()


def test_the_cache_is_private_if_there_is_no_home(tmp_path: Path, monkeypatch) -> None:
    """Compiled code in a folder for everybody could come from anybody.

    - https://github.com/rustdesk/rustdesk-server/pull/612: a container's user without an entry in passwd has the
      home `/`, where nothing can be written. Mended.
    - https://github.com/truenas/apps/pull/5272: a user that does not exist in the container has the home `/`,
      and the program failed. Mended.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    private = tmp_path / f"ablate-{os.getuid()}"
    (tmp_path / "file").touch()

    def lack_home(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    for answer in (lack_home, lambda _: Path("~/.cache/ablate"), lambda _: tmp_path / "file" / "ablate"):
        monkeypatch.setattr(cache, "user_cache_path", answer)
        assert cache.locate_cache() == private
    assert private.stat().st_mode & 0o777 == 0o700
    private.chmod(0o777)  # somebody else may have put code there
    assert cache.locate_cache() == tmp_path / "file" / "ablate"
    monkeypatch.setattr(cache, "user_cache_path", lambda _: tmp_path / "home" / "ablate")
    assert cache.locate_cache() == tmp_path / "home" / "ablate"


def retag(content: bytes, device: str) -> bytes:
    """A checkpoint whose tensors say that they lay on another device. The pickle has the device's name once."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name.endswith("data.pkl"):
                before, after = (
                    b"X" + len(word).to_bytes(4, "little") + word.encode() for word in ("cpu", device)
                )
                assert before in part
                part = part.replace(before, after)
            new.writestr(name, part)
    return made.getvalue()


@pytest.mark.parametrize("device", ["cuda:0", "cuda:7", "mps"])
def test_a_network_trained_on_a_gpu_opens_without_one(small, tmp_path: Path, device: str) -> None:
    """Weights go to the processor, wherever they were saved.

    - https://github.com/metatensor/metatrain/issues/312: a network trained on a GPU could not be exported on a
      machine without one. Right before.
    - https://github.com/janhq/ichigo/pull/219: weights saved on a GPU did not load on a laptop. Right before.
    """
    arm = lay_out(small()).arms[0]
    run = Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=0)
    kept = models.build(
        arm.model, run.keywords, input_shape=(1, 28, 28), classes=10, init="default", seed=3
    ).state_dict()
    saved = io.BytesIO()
    torch.save(dict(kept), saved)
    (tmp_path / "baseline.pt").write_bytes(retag(saved.getvalue(), device))
    with pytest.raises(RuntimeError, match=r"(?i)deserialize|mps"):
        torch.load(tmp_path / "baseline.pt")
    opened = load_network(run, tmp_path / "baseline.pt", (1, 28, 28), 10, torch.device("cpu")).state_dict()
    assert all(opened[name].equal(kept[name]) for name in kept)


def test_a_study_is_not_trained_again_on_another_device_without_a_word(small, tmp_path: Path) -> None:
    """Pairs of runs never mix devices, so that nothing of a study could go on."""
    job = Job(
        study=small(), data_root=None, missing_data=None, out_dir=tmp_path, device="cpu", jobs=1, cluster=None,
        storage=None, quiet=True,
    )  # fmt: skip
    on_gpu = replace(PROVENANCE, machine=replace(PROVENANCE.machine, device="cuda"))
    job.folder.write_provenance(on_gpu)
    before = sorted(tmp_path.rglob("*"))
    told = (
        r"small: its runs were trained on cuda\. On cpu, every run would be trained again\. "
        r"Continue with --device cuda, choose another --out, or rename the old folder with --fresh\."
    )
    with pytest.raises(FolderError, match=told):
        job.answer(fresh=False)
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != ".lock"] == before


def test_a_file_may_have_the_longest_name_that_the_system_allows(tmp_path: Path) -> None:
    """Its temporary file has a shorter one."""
    for name in ("x" * 250 + ".html", "語" * 83 + ".html"):
        write_whole(tmp_path / name, b"whole")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("encode", "told"),
    [
        (lambda text: text.replace("\n", "\r\n").encode(), None),
        (lambda text: b"\xef\xbb\xbf" + text.encode(), None),
        (lambda text: text.encode("utf-16"), "is not UTF-8 text"),
        (lambda text: text.encode("utf-16-le"), "is not YAML"),
        (lambda text: text.replace("Does", "D\xf6es").encode("cp1252"), "is not UTF-8 text"),
    ],
)
def test_a_study_file_from_another_system_is_read_or_refused_in_one_line(
    small, tmp_path: Path, encode: Callable[[str], bytes], told: str | None
) -> None:
    """Line ends and a byte order mark do not matter; another encoding is named.

    - https://github.com/elastic/beats/issues/2354: a file saved by a Windows editor began with a byte order mark
      and was refused. Right before.
    - https://github.com/yggdrasil-network/yggdrasil-go/pull/129: a file in UTF-16 stopped the program with a
      traceback. Right before.
    """
    path = tmp_path / "foreign.yaml"
    path.write_bytes(encode(SMALL))
    if told is None:
        assert study_file.dump(study_file.read(path)) == study_file.dump(small())
    else:
        with pytest.raises(StudyError, match=told) as raised:
            study_file.read(path)
        assert "\n" not in str(raised.value)


@pytest.mark.thorough
def test_figures_are_the_same_whatever_matplotlib_is_told(tmp_path: Path) -> None:
    """A user's settings of matplotlib do not reach the figures of a report.

    - https://github.com/matplotlib/matplotlib/issues/14633: a backend and LaTeX chosen by the user gave an error.
      Mended.
    - https://github.com/gboeing/osmnx/issues/55: a backend that needs a display stopped a program that only writes
      files. Right before.
    """
    settings = "text.usetex: True\nfont.family: nosuch\naxes.facecolor: red\nsavefig.format: pdf\n"
    (tmp_path / "matplotlibrc").write_text(settings)
    script = (
        "import os; from ablate.figures import kind; import matplotlib as mpl\n"
        "from matplotlib.figure import Figure\n"
        "one = kind.FigureKind(name='n', title='t', caption='c', data=lambda *_: __import__('pandas').DataFrame([1]),\n"
        "    draw=lambda *_: drawn.append(dict(mpl.rcParams)) or Figure())\n"
        "drawn = []\n"
        "list(kind.draw_kinds([one], None, {}, {}))\n"
        "assert mpl.get_backend().lower() == 'agg', mpl.get_backend()\n"
        "print(drawn[0]['text.usetex'], drawn[0]['font.family'], drawn[0]['axes.facecolor'], drawn[0]['font.size'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "TkAgg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "False ['sans-serif'] white 10.0\n"
