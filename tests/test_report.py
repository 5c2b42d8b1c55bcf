"""A report says what its tables hold, opens anywhere, and cannot be made to say something else."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablate import figures, points, report, stats, study
from ablate.evidence import gather
from ablate.results import GIVEN_TABLES, frame, write_table
from ablate.wording import findings

HOSTILE = '<script>alert(1)</script> $\\frac{1}{2}$ | *x* `y` "q" \' & Größe 日本'


def environment(arms: list[str], **changes: object) -> dict[str, object]:
    costs = {"parameters": 61_706, "flops_per_example": 833_040, "peak_memory_bytes": 16_000_000}
    return {
        "device": "cpu", "device_name": "a processor", "cores": 2, "timing_threads": 2, "jobs": 2, "system": "Linux",
        "python": "3.11", "git_commit": None, "packages": {"torch": "2.13"}, "engines": {"loop": 6}, "causes": {},
        "data": {"dataset": "digits", "test_images": 360, "classes": list("0123456789"), "chance": 0.1, "sha256": {"pixels": "abc"}},
        "arms": dict.fromkeys(arms, costs), "contrasts": [[arm, arms[0]] for arm in arms[1:]], "left_out": {}, "fallback": None, "seeds_added": False, **changes,
    }  # fmt: skip


def write_folder(
    path: Path, spec_text: str, accuracies: dict[str, list[float | str]], **changes: object
) -> Path:
    """A report folder's given files, as `run` leaves them, from test accuracies (or a status) by arm."""
    path.mkdir(parents=True)
    (path / "study.yaml").write_text(spec_text)
    rng = np.random.default_rng(0)
    arms = list(accuracies)
    runs, epochs = [], []
    for arm, values in accuracies.items():
        for seed, value in enumerate(values):
            status = value if isinstance(value, str) else "complete"
            done = status == "complete"
            common = {"phase": "confirm", "arm": arm, "setting": "learning_rate=0.003", "seed": seed}
            runs.append({**common, "status": status, "learning_rate": "0.003", "train_loss": 0.5 if done else None, "train_accuracy": 0.8 if done else None, "validation_accuracy": 0.8 if done else None, "test_accuracy": value if done else None})  # fmt: skip
            epochs.extend(
                {**common, "epoch": e, "train_loss": 1 / e, "train_accuracy": 0.5, "validation_accuracy": 0.5}
                for e in (1, 2)
            )
    for arm in arms:
        for rate in ("0.003", "0.006"):
            runs.append({"phase": "tune", "arm": arm, "setting": f"learning_rate={rate}", "seed": 10_000, "status": "complete", "learning_rate": rate, "validation_accuracy": 0.8})  # fmt: skip
    timing = [
        {"arm": arm, "block": block, "position": position, "examples": 1000, "seconds": 0.1 + rng.uniform(0, 0.01), "disturbed": False}
        for block in range(4)
        for position, arm in enumerate([*arms, arms[0]])
    ]  # fmt: skip
    tuning = [
        {"arm": arm, "parameter": "learning_rate", "best": 0.006, "chosen": 0.003, "low": 0.003, "high": 0.006, "at_edge": True, "extended": False, "trials": 2, "failed": 0, "diverged": 1}
        for arm in arms
    ]  # fmt: skip
    tables = {"runs": frame("runs", runs, ["learning_rate"]), "epochs": frame("epochs", epochs), "tuning": frame("tuning", tuning), "timing": frame("timing", timing)}  # fmt: skip
    for name, table in tables.items():
        write_table(table, path / "tables" / f"{name}.csv")
    (path / "environment.json").write_text(json.dumps(environment(arms, **changes)))
    return path


@pytest.fixture
def folder(tmp_path: Path, small) -> Path:
    rng = np.random.default_rng(1)
    base = 0.9 + rng.normal(size=3) * 0.001
    return write_folder(
        tmp_path / "small", study.dump(small()), {"baseline": base.tolist(), "pooling=max": (base + 0.03 + rng.normal(size=3) * 0.001).tolist()}
    )  # fmt: skip


WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, NoTorch())
sys.argv = ["ablate", "report", sys.argv[1]]
from ablate.__main__ import main
main()
"""


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its text, and whatever it would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.fetched: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith("data:")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_opens_with_the_answer_and_fetches_nothing(folder: Path) -> None:
    report.write(folder)
    html = (folder / "report.html").read_text()
    page = Page(html)
    assert page.fetched == []
    assert page.tags.count("script") == 1  # ours, which sorts tables
    answer = html[html.index("<h1>") :]
    assert (
        answer.index("pooling=max: matters") < answer.index("Under which conditions") < answer.index("<img")
    )
    assert re.search(
        r"pooling=max is 3\.\d\d points more accurate than baseline .*3 paired seeds\)", page.text
    )
    assert "360 test images" in page.text


def test_the_page_says_what_lowers_trust(folder: Path) -> None:
    report.write(folder)
    text = Page((folder / "report.html").read_text()).text
    assert "is the highest tried: its best may lie beyond" in text
    assert "With 3 seeds the exact sign-flip test cannot fall below 0.05" in text
    assert "1 of 2 runs diverged" in text


def test_the_same_tables_give_the_same_report_byte_for_byte(folder: Path) -> None:
    report.write(folder)
    first = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    report.write(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == first


def test_a_report_is_made_without_torch(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.stem not in (*GIVEN_TABLES, "study", "environment"):
            path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").stat().st_size > 50_000
    assert (folder / "tables" / "comparisons.csv").exists()


def test_figures_are_drawn_for_all_that_the_tables_hold(folder: Path) -> None:
    report.write(folder)
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn == {kind.name for kind in figures.FIGURES} - {
        "references", "interactions", "path", "candidates", "importance",
    }  # fmt: skip
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == drawn


def test_a_study_whose_every_block_was_disturbed_still_has_a_report(folder: Path) -> None:
    path = folder / "tables" / "timing.csv"
    path.write_text(path.read_text().replace("False", "True"))
    report.write(folder)
    text = Page((folder / "report.html").read_text()).text
    assert "Other programs disturbed 100% of the timing blocks" in text
    assert "its speed beside the baseline's was not measured" in text


def test_before_all_runs_are_done_there_is_a_page_but_no_verdict(tmp_path: Path, small) -> None:
    path = write_folder(tmp_path / "small", study.dump(small()), {"baseline": [0.9], "pooling=max": [0.95]})
    report.write(path)
    page = Page((path / "report.html").read_text())
    assert "Preliminary." in page.text
    assert "2 of 6 runs" in page.text
    assert not (path / "tables" / "comparisons.csv").exists()
    assert findings(gather(path)) == []


EDGES: dict[str, tuple[dict[str, list[float | str]], str]] = {
    "one seed": ({"baseline": [0.9], "a": [0.95]}, "in 1 pair of runs; a verdict needs 3"),
    "two seeds": ({"baseline": [0.9, 0.91], "a": [0.95, 0.94]}, "in 2 pairs of runs"),
    "an arm that crashed": ({"baseline": [0.9, 0.91, 0.92], "a": ["failed", "oom", "failed"]}, "No pair of runs was completed. 3 of 6 runs crashed"),
    "a crash among successes": ({"baseline": [0.9, 0.91, 0.92, 0.9], "a": [0.95, 0.97, 0.96, "failed"]}, "1 of 8 runs crashed and are left out"),
    "an arm that diverged": ({"baseline": [0.9, 0.91, 0.92], "a": [0.95, "diverged", 0.96]}, "1 of 3 runs of a diverged"),
    "an arm at chance": ({"baseline": [0.9, 0.91, 0.92], "a": [0.1, 0.1, 0.11]}, "baseline (91.0%) and a (10.0%)"),
    "equal arms": ({"baseline": [0.9, 0.91, 0.92], "a": [0.9, 0.91, 0.92]}, "no spread, no test"),
    "nothing found": ({"baseline": [0.9, 0.91, 0.95], "a": [0.93, 0.9, 0.96]}, "would take"),
    "equivalent": ({"baseline": [0.9, 0.91, 0.92], "a": [0.901, 0.911, 0.9205]}, "it is smaller than the margin"),
}  # fmt: skip


@pytest.mark.parametrize("case", EDGES)
def test_every_edge_is_told_in_a_sentence(tmp_path: Path, small, case: str) -> None:
    accuracies, sentence = EDGES[case]
    seeds = len(accuracies["baseline"])
    path = write_folder(tmp_path / "small", study.dump(small(f"seeds={seeds}")), accuracies)
    report.write(path)
    assert sentence in Page((path / "report.html").read_text()).text
    assert "nan" not in (path / "report.md").read_text().lower()


def test_hostile_names_stay_text_in_page_markdown_and_figures(tmp_path: Path, small) -> None:
    text = study.dump(small()).replace(
        "Does max pooling beat average pooling?", json.dumps(HOSTILE, ensure_ascii=False)
    )
    accuracies = {"baseline": [0.9, 0.91, 0.92], HOSTILE: [0.95, 0.97, 0.96]}
    path = write_folder(tmp_path / "small", text, accuracies, device_name=HOSTILE, causes={HOSTILE: HOSTILE})
    report.write(path)
    page = Page((path / "report.html").read_text())
    assert page.tags.count("script") == 1
    assert page.text.count(HOSTILE) >= 4
    markdown = (path / "report.md").read_text()
    assert "<script" not in markdown
    tables = [
        list(group)
        for is_row, group in groupby(markdown.splitlines(), lambda line: line[:1] == "|")
        if is_row
    ]
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_a_hundred_arms_are_drawn_and_told(tmp_path: Path, small) -> None:
    rng = np.random.default_rng(2)
    accuracies = {"baseline": [0.9, 0.91, 0.92]} | {
        f"factor={i}": (0.9 + rng.normal(size=3) * 0.01).tolist() for i in range(100)
    }
    path = write_folder(tmp_path / "small", study.dump(small()), accuracies)
    report.write(path)
    assert len(findings(gather(path))) == 100


def test_published_figures_stand_beside_the_interval_for_one_further_run(tmp_path: Path, small) -> None:
    spec = small(
        "references=[{name: Inside, metric: test_accuracy, value: 0.91, source: x}, {name: Outside, metric: test_accuracy, value: 0.5, source: x}]"
    )
    path = write_folder(
        tmp_path / "small", study.dump(spec), {"baseline": [0.9, 0.91, 0.92], "a": [0.9, 0.91, 0.93]}
    )
    report.write(path)
    markdown = (path / "report.md").read_text()
    interval = stats.prediction_interval([0.9, 0.91, 0.92], 0.95)
    assert interval is not None
    assert (
        f"| Inside | test accuracy | 0.910 | 0.910 | {interval.low:.3f} to {interval.high:.3f} | yes |"
        in markdown
    )
    assert re.search(r"\| Outside .* no \|", markdown)


def test_differences_are_drawn_in_percentage_points(folder: Path) -> None:
    evidence = gather(folder)
    drawn = points.differences(evidence.study, evidence.tables)
    assert drawn["difference"].item() == pytest.approx(
        float(evidence.tables["comparisons"]["difference"].item()) * 100
    )


def test_every_confirmed_run_is_a_point_and_keeps_its_arms_order(folder: Path) -> None:
    evidence = gather(folder)
    drawn = points.paired_seeds(evidence.study, evidence.tables)
    assert list(dict.fromkeys(drawn["arm"])) == ["baseline", "pooling=max"]
    assert len(drawn) == 6


def test_the_value_an_arm_was_confirmed_with_is_ringed(folder: Path) -> None:
    evidence = gather(folder)
    drawn = points.tuning_curves(evidence.study, evidence.tables)
    assert drawn.loc[drawn["chosen"], "value"].tolist() == [0.003, 0.003]


def test_no_spreadsheet_takes_a_cell_for_a_formula(folder: Path) -> None:
    report.write(folder)
    for path in (folder / "tables").glob("*.csv"):
        cells = pd.read_csv(path, dtype=str, keep_default_na=False).to_numpy().ravel()
        assert not [
            cell
            for cell in cells
            if cell[:1] in ("=", "+", "@") or (cell[:1] == "-" and not re.fullmatch(r"-[\d.e+-]+", cell))
        ]
