"""Hostile study files. They give a valid study or an error of one line, run no code, and cannot change later."""

import itertools
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.cli import main as command_line
from ablate.design.designs import lay_out
from ablate.errors import AblateError, FolderError, StudyError
from ablate.models import own
from ablate.records.folder import ReportFolder
from ablate.records.tables import make_frame, write_table
from ablate.report.cautions import list_cautions
from ablate.report.evidence import gather
from ablate.study import study_file
from tests.conftest import SMALL
from tests.experiment.test_conduct import Stub, conduct
from tests.faults.mutants import VALUES, mutated_studies


def is_valid_study(path: Path) -> bool:
    """Whether the file is a valid study. If not, its error must be one readable line; other errors are faults."""
    try:
        for fallback in (False, True):
            spec = study_file.read(path, fallback=fallback)
            lay_out(spec)
            path.with_suffix(".dumped").write_text(study_file.dump(spec), encoding="utf-8")
            assert not list(study_file.list_changes(study_file.read(path.with_suffix(".dumped")), spec))
    except AblateError as error:
        for line in str(error).split("\n"):
            assert line.isprintable()
            assert len(line) < 1_100
        return False
    return True


def test_a_mutated_study_file_is_valid_or_gives_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mutant.yaml"
    outcomes = []
    for content in mutated_studies(72, seed=0):
        path.write_bytes(content)
        outcomes.append(is_valid_study(path))
    assert {True, False} <= set(outcomes)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutated_study_files_are_each_valid_or_give_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mutant.yaml"
    faults = []
    for number, content in enumerate(mutated_studies(10_000, seed=1)):
        path.write_bytes(content)
        try:
            is_valid_study(path)
        except Exception as error:  # noqa: BLE001  # all are wanted, not the first alone
            faults.append(f"{number}: {error!r}\n{content.decode(errors='replace')}")
    assert not faults, "\n".join(faults)


NODES = st.recursive(
    st.sampled_from(VALUES) | st.integers().map(str) | st.floats().map(repr),
    lambda below: st.lists(below, max_size=3).map(lambda found: f"[{', '.join(found)}]")
    | st.dictionaries(st.sampled_from(["low", "high", "value", "when", "name", "model", "1", "null"]), below, max_size=3).map(
        lambda found: "{" + ", ".join(f"{key}: {value}" for key, value in found.items()) + "}"
    ),
    max_leaves=5,
)  # fmt: skip
KEYS = st.sampled_from(["dataset", "model", "baseline", "factors", "arms", "recipe", "tuning", "fallback", "references", "timing", "decision", "search", "name"])  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(key=KEYS, node=NODES)
def test_any_value_of_any_key_is_valid_or_gives_an_error_of_one_line(
    tmp_path_factory, key: str, node: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "structured.yaml"
    kept = [line for line in SMALL.splitlines() if not line.startswith(f"{key}:")]
    path.write_text("\n".join([*kept, f"{key}: {node}"]), encoding="utf-8", errors="replace")
    is_valid_study(path)


BOMB = "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9) if before else 'x'}]"
    for before, name in itertools.pairwise([None, *"abcdefghi"])
)
"""Aliases that would expand to a billion times x."""
TRAPS = {
    "anchors that unfold to a billion": (BOMB, r":2: alias '\*a' is not allowed: write the value itself"),
    "brackets nested sixty thousand deep": (SMALL + "x: " + "[" * 60_000, r":12: more than 20 nested levels"),
    "dashes nested ten thousand deep": (SMALL + "x:\n  " + "- " * 10_000, r":13: more than 20 nested levels"),
    "question marks nested ten thousand deep": (SMALL + "? " * 10_000, r":12: more than 20 nested levels"),
    "a tag that its value does not fit": (SMALL.replace("seeds: 3", "seeds: !!bool x"), r":9: tag .*bool' is not allowed: write the plain value"),
    "a set": (SMALL.replace("seeds: 3", "seeds: !!set {a}"), r":9: tag .*set'"),
    "a date that is none": (SMALL.replace("seeds: 3", "seeds: 2026-99-99"), r":9: is not YAML \(month must be"),
    "a number of five thousand digits": (SMALL.replace("seeds: 3", f"seeds: {'9' * 5000}"), r":9: is not YAML"),
    "a date as a value": (SMALL.replace("[avg, max]", "[2026-01-01]"), r":6: factors\.pooling\.0: .*must be a word"),
    "a number as a key": (SMALL + "1: 2\n", r":12: 1: .*keys should be strings"),
    "a mapping as a key": (SMALL + "{a: 1}: 2\n", r":12: found unhashable key"),
    "two documents": (SMALL + "---\n" + SMALL, r":12: but found another document"),
    "a key that clears the terminal": (SMALL + '"\\e[2J": 1\n', r":12: unknown key '\\x1b\[2J'"),
    "a key of two lines": (SMALL + '"a\\nb": 1\n', r":12: unknown key 'a\\nb'"),
    "half a character as a name": (SMALL.replace("name: small", 'name: "\\ud800"'), r":1: '\\ud800' contains half a character"),
    "more images held out than a float can count": (SMALL.replace("validation: 240", f"validation: {'9' * 400}") + "fallback: {dataset: mnist}\n", r"validation takes .* images"),
    "half a character as a data set": (SMALL.replace("digits", '"\\ud800"'), r":3: '\\ud800' contains half a character"),
    "half a character as a model": (SMALL.replace("lenet", '"\\ud800"'), r":4: '\\ud800' contains half a character"),
    "a model's name of sixty thousand letters": (SMALL.replace("lenet", "x" * 60_000), r":4: model: 'xxx.*…"),
    "a network of ten thousand layers": (
        SMALL.replace("model: lenet", "model: mlp").replace("baseline: {pooling: avg}\n", "").replace("pooling: [avg, max]", f"hidden: [[{'9,' * 10_000}9], [8]]"),
        r":5: factors\.hidden\.0: .*must be a word",
    ),
    "more arms than can be looked at": (SMALL.replace("{pooling: [avg, max]}", str({f: [i / 500 for i in range(200)] for f in ("stride", "weight_decay", "momentum", "dropout", "epochs", "batch_size")})), r":6: factors: 1,200 arms are more than 1,000"),
    "a range as wide as all numbers": (SMALL.replace("low: 0.003, high: 0.006, log: true", "low: -1.0e+308, high: 1.0e+308"), r":8: .*too large for a number: choose a narrower range"),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_a_file_made_to_hang_or_crash_its_reader_gives_an_error_of_one_line_and_exit_code_2(
    trap: str, small_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = TRAPS[trap]
    small_file.write_text(text, encoding="utf-8")
    code, _, told = ablate(monkeypatch, capsys, "plan", small_file)
    assert code == 2
    assert len(told.splitlines()) == 1
    assert len(told) < 1_100
    with pytest.raises(StudyError, match=message):
        lay_out(study_file.read(small_file))


def test_reading_an_endless_file_stops_at_a_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "endless.yaml"
    os.mkfifo(pipe)
    written: list[int] = []

    def feed() -> None:
        with pipe.open("wb", buffering=0) as file:
            try:
                while True:
                    written.append(file.write(b"#" * 4096))
            except BrokenPipeError:
                pass

    feeding = threading.Thread(target=feed)
    feeding.start()
    with pytest.raises(StudyError, match="more than 64,000 bytes, the limit of a study file: shorten it"):
        study_file.read(pipe)
    feeding.join()
    assert sum(written) < 1_000_000  # what was read, and the buffer of the pipe


@pytest.mark.parametrize("override", ["seeds=[&a 1, *a]", f"seeds={'[' * 5000}", "seeds=2026-99-99", f"seeds={'9' * 5000}"])  # fmt: skip
def test_an_override_made_to_hang_or_crash_its_reader_gives_an_error_of_one_line(
    small: Callable, override: str
) -> None:
    with pytest.raises(StudyError, match=r"command line: seeds: .* is not a YAML value"):
        small(override)


QUICK = SMALL.replace("blocks: 3", "blocks: 0")


@pytest.fixture(scope="module")
def answered_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report folder of the small study, run once for all tests, without timing."""
    path = tmp_path_factory.mktemp("answered")
    (path / "small.yaml").write_text(QUICK)
    conduct(study_file.read(path / "small.yaml"), path / "report", Stub())
    return path / "report"


@pytest.fixture
def answered(answered_once: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(answered_once, tmp_path / "report"))


def ablate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Run a command in this process. Returns the exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["ablate", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a module that leaves a file when imported where a command would find it. Returns that file."""
    mark = tmp_path / "imported"
    (tmp_path / "malice.py").write_text(f"open({str(mark)!r}, 'w')\ndef build(): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(own, "_allowed", [])
    return mark


@pytest.mark.parametrize("where", ["the model", "an arm's model", "the fallback's model"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_code_that_a_study_names_is_not_imported(
    command: str, where: str, trap: Path, small_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    named = {
        "the model": SMALL.replace("model: lenet", "model: malice:build"),
        "an arm's model": SMALL.replace("factors: {pooling: [avg, max]}", "arms: {a: {}, b: {model: 'malice:build'}}"),
        "the fallback's model": SMALL.replace("digits", "fashion_mnist") + "fallback: {dataset: digits, model: 'malice:build'}\n",
    }  # fmt: skip
    small_file.write_text(
        named[where].replace("validation: 240", "validation: 0").replace("trials: 2", "trials: 0")
    )
    arguments = [command, small_file]
    if where == "the fallback's model":  # only a study whose data is not available uses it
        monkeypatch.setattr("ablate.data.sources.find_root", lambda *_, **__: None)
        arguments = ["run", small_file]
    code, _, told = ablate(monkeypatch, capsys, *arguments)
    assert (code, trap.exists()) == (2, False)
    assert "is code, and a study file cannot run code on its own: allow it with --plugin malice" in told


def test_code_named_as_an_argument_of_ablate_models_is_not_imported(
    trap: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = ablate(monkeypatch, capsys, "models", "malice:build")
    assert (code, trap.exists()) == (2, False)
    assert "--plugin malice" in told


@pytest.mark.parametrize("command", ["report", "compare", "activations", "export"])
def test_code_that_a_report_folder_names_is_not_imported(
    command: str, trap: Path, answered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    folder = ReportFolder(answered)
    monkeypatch.setattr(
        "ablate.figures.registry.draw_results", lambda *_: []
    )  # in these no study names code, and they are slow
    for name in ("study.yaml", "environment.json"):
        file = folder.path / name
        file.write_text(file.read_text().replace("model: lenet", "model: malice:build").replace('"model": "lenet"', '"model": "malice:build"'))  # fmt: skip
    folder.write_checkpoint("baseline", b"nothing")
    more = {"compare": [folder.path], "export": ["--arm", "baseline"]}
    code, _, told = ablate(monkeypatch, capsys, command, folder.path, *more.get(command, []))
    assert not trap.exists()
    if command in ("activations", "export"):  # other commands build no network
        assert code == 2
        assert "--plugin malice" in told
    else:
        assert code == 0


CHANGES = {
    "another recipe": ("epochs: 2", "epochs: 3", r"recipe\.epochs 2, the new study has 3"),
    "other data": ("dataset: digits", "dataset: mnist", "dataset 'digits', the new study has 'mnist'"),
    "another model": ("model: lenet\nbaseline: {pooling: avg}", "model: vgg\nbaseline: {pooling: avg}", "model 'lenet', the new study has 'vgg'"),
    "another share held out": ("validation: 240", "validation: 120", "validation 240, the new study has 120"),
    "another question asked of the same numbers": ("beat average pooling?", "beat it?", None),
    "more seeds": ("seeds: 3", "seeds: 4", None),
    "another value": ("[avg, max]", "[avg, max, none]", None),
    "another margin": ("timing:", "decision: {margin: 0.02}\ntiming:", None),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_study_continues_only_if_the_change_adds_runs_or_leaves_all_runs_valid(
    change: str, answered: Path, small_file: Path
) -> None:
    before, after, refusal = CHANGES[change]
    table, kept = (answered / "tables" / "runs.csv").read_bytes(), (answered / "study.yaml").read_bytes()
    assert before in QUICK
    small_file.write_text(QUICK.replace(before, after))
    again = Stub()
    if refusal is not None:
        with pytest.raises(FolderError, match=refusal + r".*--out, or --fresh"):
            conduct(study_file.read(small_file), answered, again)
        assert again.ran == []
        assert (answered / "study.yaml").read_bytes() == kept
        assert (answered / "tables" / "runs.csv").read_bytes() == table
    else:
        conduct(study_file.read(small_file), answered, again)
        now = (answered / "tables" / "runs.csv").read_bytes()
        assert set(table.splitlines()) <= set(now.splitlines())
        assert len(again.ran) == now.count(b"\n") - table.count(b"\n")  # no run was repeated


def test_the_report_says_which_runs_were_added_after_an_answer_was_seen(
    answered: Path, small_file: Path
) -> None:
    write_table(
        make_frame("comparisons", []), answered / "tables" / "comparisons.csv"
    )  # a report has been written
    small_file.write_text(QUICK.replace("seeds: 3", "seeds: 4"))
    conduct(study_file.read(small_file), answered, Stub())
    told = " ".join(list_cautions(gather(answered)))
    assert "The study was changed after its first answer had been seen: seeds from 3 to 4" in told


def test_a_fresh_start_renames_the_old_folder_and_keeps_every_byte_of_it(
    answered: Path, small_file: Path
) -> None:
    # The lock and its holder belong to a process, not to the study.
    files = [path for path in answered.rglob("*") if path.is_file() and path.name[0] != "."]
    old = {path.relative_to(answered): path.read_bytes() for path in files}
    small_file.write_text(QUICK.replace("epochs: 2", "epochs: 3"))
    folder = ReportFolder(answered)
    folder.lock(fresh=True)
    folder.adopt(study_file.read(small_file))
    folder.release()
    aside = answered.with_name("report.old-1")
    assert {path: (aside / path).read_bytes() for path in old} == old
    assert not (answered / "study.db").exists()
