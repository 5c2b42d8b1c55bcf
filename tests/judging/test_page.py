"""The report of judged runs: complete, escaped, and written only where it may be."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import ablate
from ablate.errors import AblateError
from tests.commands import ablate as run_ablate
from tests.test_architecture import FILES, parse

HOSTILE = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("x")'
TURNED = "\u202eright to left\x1b[31m $x_1$"
ARMS = ["ours", HOSTILE, FORMULA, TURNED + "!" * 200]
RNG = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {"method": arm, "seed": seed, "acc|uracy": RNG.normal(0.8, 0.01), "set": f"<b>{part}"}
    for part in range(5)
    for arm in ARMS
    for seed in range(3)
)
QUESTION = {"arm": "method", "seed": "seed", "metric": "acc|uracy", "baseline": "ours"}


@pytest.fixture(scope="module")
def judged() -> ablate.JudgedRuns:
    return ablate.judge(FRAME, **QUESTION, by="set", margin=0.01)


@pytest.fixture(scope="module")
def folder(judged: ablate.JudgedRuns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One drawn report takes two seconds of processor time."""
    return judged.save(tmp_path_factory.mktemp("out") / "judged").parent


def test_the_report_has_its_page_tables_and_figures(folder: Path, judged: ablate.JudgedRuns) -> None:
    assert {path.name for path in folder.rglob("*.*")} >= {
        "report.html", "report.md", "comparisons.csv", "arms.csv", "findings.csv", "ranks.csv",
        "differences_by_part.png", "differences_by_part.svg", "runs.png",
    }  # fmt: skip
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == len(judged.figures)
    assert "Not known: how the arms were tuned" in page
    assert "15 comparisons with ours" in page
    assert len(pd.read_csv(folder / "tables/comparisons.csv")) == 15


@pytest.fixture(scope="module")
def notebook(judged: ablate.JudgedRuns) -> str:
    return judged._repr_html_()


def test_no_cell_of_the_table_reaches_a_page_unescaped(
    folder: Path, judged: ablate.JudgedRuns, notebook: str
) -> None:
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for written in (page, text, notebook):
        assert "<script>alert" not in written
        assert "\u202e" not in written
        assert "\x1b" not in written
    assert "&lt;script&gt;alert(1)" in page
    assert "acc\\|uracy" in text
    assert "\u202e" not in judged.answer + str(judged)
    assert "!" * 100 not in judged.answer
    rows = [line for line in text.splitlines() if line.startswith("| &lt;b&gt;")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {15, 6}


def test_a_table_quotes_what_a_spreadsheet_would_run(folder: Path) -> None:
    arms = set(pd.read_csv(folder / "tables/comparisons.csv")["arm"])
    assert f"'{FORMULA}" in arms
    assert FORMULA not in arms
    assert HOSTILE in arms


def test_a_notebook_shows_the_answer_and_figures(judged: ablate.JudgedRuns, notebook: str) -> None:
    assert notebook.count("<img") == 2
    assert isinstance(judged.figure("runs"), Figure)
    with pytest.raises(AblateError, match="these runs have no figure 'run': did you mean 'runs'"):
        judged.figure("run")


def test_the_figure_of_ranks_needs_the_extra_and_the_answer_says_so(judged: ablate.JudgedRuns) -> None:
    assert "Friedman's test: p = " in judged.answer
    try:
        import scikit_posthocs  # noqa: F401
    except ImportError:
        assert "ranks" not in judged.figures
        assert "[judge]" in judged.answer
    else:
        assert isinstance(judged.figure("ranks"), Figure)


def test_a_later_judgement_replaces_an_earlier_one(folder: Path, tmp_path: Path) -> None:
    frame = FRAME[FRAME["method"].isin(ARMS[:2])].drop_duplicates(["method", "seed"])
    (folder / "figures/mine.pdf").touch()
    ablate.judge(FRAME[FRAME["set"] == "<b>0"], **QUESTION).save(folder)
    assert (folder / "figures/mine.pdf").exists()
    assert not (folder / "figures/differences_by_part.png").exists()
    assert (folder / "figures/differences.png").exists()
    assert not (folder / "tables/ranks.csv").exists()
    (tmp_path / "study.yaml").touch()
    with pytest.raises(AblateError, match="this is the report folder of a study: choose another --out"):
        ablate.judge(frame, **QUESTION).save(tmp_path)
    (tmp_path / "study.yaml").rename(tmp_path / "mine.yaml")
    with pytest.raises(AblateError, match=r"has other files, such as 'mine\.yaml'"):
        ablate.judge(frame, **QUESTION).save(tmp_path)


def test_the_command_prints_the_answer_and_leaves_a_report(tmp_path: Path) -> None:
    FRAME[FRAME["set"] == "<b>0"].assign(accuracy=FRAME["acc|uracy"]).to_csv(
        tmp_path / "a runs.csv", index=False
    )
    words = [
        "judge",
        "a runs.csv",
        "--arm",
        "method",
        "--seed",
        "seed",
        "--metric",
        "accuracy",
        "--baseline",
        "ours",
    ]
    done = run_ablate(*words, "--margin", "0.01", cwd=tmp_path, drawn=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<script>alert(1)</script> against ours: ")
    assert done.stdout.endswith("report: reports/judged/report.html\n")
    assert "\u202e" not in done.stdout + done.stderr
    assert "note: " in done.stderr
    page = (tmp_path / "reports/judged/report.md").read_text()
    assert "python -m ablate judge 'a runs.csv' --arm method --metric accuracy --seed seed" in page
    wrong = run_ablate(*words[:-1], "our", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert (
        wrong.stderr
        == "error: a runs.csv: baseline: 'our' is not in the column 'method': did you mean 'ours'?\n"
    )


def test_judging_imports_neither_torch_nor_optuna_nor_pydantic() -> None:
    """As far as modules import when they are imported: only then does it cost every command its time."""
    seen: set[str] = set()
    waiting = {"api.judge", "cli.commands.judge", *(name for name in FILES if name.startswith("judging."))}
    waiting -= {name for name in FILES if name.startswith("judging.sources.")}
    while waiting:
        seen.add(name := waiting.pop())
        for node in parse(name).body:
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                found = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            heavy = {"torch", "torchvision", "optuna", "pydantic"} & {one.partition(".")[0] for one in found}
            assert not heavy, name
            waiting |= ({one.removeprefix("ablate.") for one in found} & set(FILES)) - seen
    assert {"stats.pair_tests", "figures.canvas", "report.glossary"} <= seen
