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

from ablate.figures import points, registry
from ablate.figures.canvas import MARKERS, MOST_ARMS, make_styles
from ablate.figures.comparison_figures import draw_paired_seeds
from ablate.figures.cost_figures import draw_accuracy_throughput
from ablate.records.columns import INPUT_TABLES
from ablate.records.tables import make_frame, write_table
from ablate.report import writer
from ablate.report.answer import list_findings
from ablate.report.evidence import Evidence, gather
from ablate.report.glossary import VERDICTS
from ablate.report.references import describe_references
from ablate.stats.intervals import compute_prediction_interval
from ablate.stats.verdicts import Verdict
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.commands import leave_undrawn
from tests.conftest import SMALL

pytestmark = pytest.mark.usefixtures("undrawn")

HOSTILE = '<script>alert(1)</script> $\\frac{1}{2}$ | *x* `y` "q" \' & Größe 日本'


def environment(arms: list[str], **changes: object) -> dict[str, object]:
    costs = {"parameters": 61_706, "flops_per_example": 833_040, "peak_memory_bytes": 16_000_000}
    return {
        "device": "cpu", "device_name": "a processor", "cores": 2, "timing_threads": 2, "jobs": 2, "system": "Linux",
        "python": "3.11", "git_commit": None, "packages": {"torch": "2.13"}, "engines": {"loop": 6}, "causes": {},
        "data": {"dataset": "digits", "test_images": 360, "classes": list("0123456789"), "chance": 0.1, "sha256": {"pixels": "abc"}},
        "arms": dict.fromkeys(arms, costs), "contrasts": [[arm, arms[0]] for arm in arms[1:]], "left_out": {}, "networks": {arm: {"model": "lenet", "name": arm} for arm in arms}, "fallback": None, "changed_after_answer": [], **changes,
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
    tables = {"runs": make_frame("runs", runs, ["learning_rate"]), "epochs": make_frame("epochs", epochs), "tuning": make_frame("tuning", tuning), "timing": make_frame("timing", timing)}  # fmt: skip
    for name, table in tables.items():
        write_table(table, path / "tables" / f"{name}.csv")
    (path / "environment.json").write_text(json.dumps(environment(arms, **changes)))
    return path


def write_small_folder(path: Path, spec: StudySpec) -> Path:
    rng = np.random.default_rng(1)
    base = 0.9 + rng.normal(size=3) * 0.001
    return write_folder(
        path, study_file.dump(spec), {"baseline": base.tolist(), "pooling=max": (base + 0.03 + rng.normal(size=3) * 0.001).tolist()}
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, small) -> Path:
    return write_small_folder(tmp_path / "small", small())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evidence]:
    """A folder with its report, without figures, and what the report shows: for tests that only read."""
    parent = tmp_path_factory.mktemp("written")
    (parent / "small.yaml").write_text(SMALL)
    path = write_small_folder(parent / "small", study_file.read(parent / "small.yaml"))
    with pytest.MonkeyPatch.context() as patched:
        leave_undrawn(patched.setattr)
        return path, writer.write(path)


WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, NoTorch())
sys.argv = ["ablate", "report", sys.argv[1]]
from ablate.cli.main import main
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


def count_scripts(html: str) -> int:
    """How many script elements a page of ours has: one for the data of each interactive figure, and five more."""
    return html.count('<div class="plot">') + len(("theme", "tables", "vega", "vega-lite", "plots"))


@pytest.mark.drawn
def test_the_page_opens_with_the_answer_and_fetches_nothing(folder: Path) -> None:
    writer.write(folder)
    html = (folder / "report.html").read_text()
    page = Page(html)
    assert page.fetched == []
    assert page.tags.count("script") == count_scripts(html)
    answer = html[html.index("<h1>") :]
    assert (
        answer.index("pooling=max against baseline: matters")
        < answer.index("Conditions of this answer")
        < answer.index("<img")
    )
    assert re.search(
        r"pooling=max is 3\.\d\d points more accurate than baseline .*; 3 paired seeds\)", page.text
    )
    assert "360 test images" in page.text


def test_the_page_says_what_lowers_trust(written: tuple[Path, Evidence]) -> None:
    folder, _ = written
    text = Page((folder / "report.html").read_text()).text
    assert "is the highest value tried. A value outside the range of these values may be better." in text
    assert (
        "With 3 seeds the p-value of the exact sign-flip test cannot fall below 0.05, however large" in text
    )
    assert "1 of 2 runs diverged" in text


@pytest.mark.drawn
def test_the_first_files_of_a_networks_code_are_named_and_explained(tmp_path: Path, small) -> None:
    content = {"mynets:net": [f"mynets/part_{number:02}.py" for number in range(23)]}
    accuracies: dict[str, list[float | str]] = {"a": [0.9] * 3, "b": [0.8] * 3}
    folder = write_folder(tmp_path / "small", study_file.dump(small()), accuracies, code_content=content)
    writer.write(folder)
    for page in ("report.md", "report.html"):
        text = (folder / page).read_text().replace("\\", "")
        changed = "The runs are trained again if one of these files or packages changes: mynets/part_00.py, "
        assert changed in text
        assert "mynets/part_19.py and 3 more (environment.json)." in text


@pytest.mark.parametrize("brought", ["nothing", "a network", "images"])
def test_commands_name_the_folder_where_a_users_own_files_are_found(
    tmp_path: Path, small, brought: str
) -> None:
    spec = study_file.dump(small())
    if brought == "images":
        found = "{classes: [a, b], train_images: 20, test_images: 20, sha256: '0', decoding: 2}"
        spec = spec.replace("dataset: digits", f"dataset: {{name: folder, path: photos, found: {found}}}")
        spec = spec.replace("validation: 240", "validation: 10")
    plugins = ["mynets"] if brought == "a network" else []
    folder = write_folder(tmp_path / "small", spec, {"a": [0.9] * 3, "b": [0.8] * 3}, plugins=plugins)
    writer.write(folder)
    for page in ("report.md", "report.html"):
        text = (folder / page).read_text()
        if brought == "nothing":
            assert "python -m ablate run study.yaml --out" in text
        else:
            assert "python -m ablate run reports/small/study.yaml --out" in text
            assert "in the folder in which the study was run, and replace reports/small by the path" in text


def test_the_same_tables_give_the_same_report_byte_for_byte(folder: Path) -> None:
    writer.write(folder)
    first = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    writer.write(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == first


@pytest.mark.thorough
def test_a_report_is_made_without_torch(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.stem not in (*INPUT_TABLES, "study", "environment"):
            path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").stat().st_size > 50_000
    assert (folder / "tables" / "comparisons.csv").exists()


@pytest.mark.drawn
def test_figures_are_drawn_for_all_that_the_tables_hold(folder: Path) -> None:
    writer.write(folder)
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn == {kind.name for kind in registry.FIGURES} - {
        "references", "recall_differences", "interactions", "path", "candidates", "importance",
    }  # fmt: skip
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == drawn


def test_a_study_whose_every_block_was_disturbed_still_has_a_report(folder: Path) -> None:
    path = folder / "tables" / "timing.csv"
    path.write_text(path.read_text().replace("False", "True"))
    writer.write(folder)
    text = Page((folder / "report.html").read_text()).text
    assert "Other programs disturbed 100% of the timing measurements" in text
    assert "Throughput was not compared: fewer than three timing blocks were undisturbed." in text


def test_before_all_runs_are_done_there_is_a_page_but_no_verdict(tmp_path: Path, small) -> None:
    path = write_folder(
        tmp_path / "small", study_file.dump(small()), {"baseline": [0.9], "pooling=max": [0.95]}
    )
    writer.write(path)
    page = Page((path / "report.html").read_text())
    assert "Preliminary." in page.text
    assert "4 of 6 confirmation runs are still missing" in page.text
    assert not (path / "tables" / "comparisons.csv").exists()
    assert list_findings(gather(path)) == []


EDGES: dict[str, tuple[dict[str, list[float | str]], str]] = {
    "one seed": ({"baseline": [0.9], "a": [0.95]}, "in 1 pair of runs. A verdict needs 3 pairs."),
    "two seeds": ({"baseline": [0.9, 0.91], "a": [0.95, 0.94]}, "in 2 pairs of runs"),
    "an arm that crashed": ({"baseline": [0.9, 0.91, 0.92], "a": ["failed", "oom", "failed"]}, "No seed has a completed run of both arms. 3 of 6 runs crashed"),
    "a crash among successes": ({"baseline": [0.9, 0.91, 0.92, 0.9], "a": [0.95, 0.97, 0.96, "failed"]}, "1 of 8 runs crashed; crashed runs are left out"),
    "an arm that diverged": ({"baseline": [0.9, 0.91, 0.92], "a": [0.95, "diverged", 0.96]}, "1 of 3 runs of a diverged"),
    "a run at chance": ({"baseline": [0.9, 0.91, 0.92], "a": [0.1, 0.93, 0.95]}, "1 of 3 runs of a stayed at chance. How often the arms train: a in 2 of 3 seeds, baseline in 3. In 1 seed only one of the two arms trained. After Holm's correction, 1 seed is too few to show that one arm trains more often. There are only 2 seeds in which both arms trained; a comparison needs 3 such seeds."),
    "an arm that trains less often": ({"baseline": [0.9, 0.91, 0.92, 0.9, 0.93, 0.9, 0.91, 0.92, 0.94, 0.9], "a": [0.1] * 7 + [0.95, 0.96, 0.93]}, "How often the arms train: a in 3 of 10 seeds, baseline in 10. So baseline trains more often (p = 0.031, McNemar's exact test after Holm's correction). In the 3 seeds where both arms trained: a is 2.67 points more accurate than baseline on the test images (95% interval +1.23 to +4.10; p = 0.031 after Holm's correction): detectable, size unclear. This difference is not the mean over all seeds, because it leaves out the seeds in which a run did not train."),
    "an arm at chance": ({"baseline": [0.9, 0.91, 0.92], "a": [0.1, 0.1, 0.11]}, "91.0% for baseline and 10.0% for a"),
    "equal arms": ({"baseline": [0.9, 0.91, 0.92], "a": [0.9, 0.91, 0.92]}, "A test is not possible, because the difference does not vary."),
    "nothing found": ({"baseline": [0.9, 0.91, 0.95], "a": [0.93, 0.9, 0.96]}, "seeds are needed to show that any difference is smaller than the margin of ±1 point."),
    "equivalent": ({"baseline": [0.9, 0.91, 0.92], "a": [0.901, 0.911, 0.9205]}, "Any difference is smaller than the margin of ±1 point (90% interval"),
}  # fmt: skip


@pytest.mark.parametrize("case", EDGES)
def test_every_edge_is_told_in_a_sentence(tmp_path: Path, small, case: str) -> None:
    accuracies, sentence = EDGES[case]
    seeds = len(accuracies["baseline"])
    path = write_folder(tmp_path / "small", study_file.dump(small(f"seeds={seeds}")), accuracies)
    writer.write(path)
    assert sentence in Page((path / "report.html").read_text()).text
    assert "nan" not in (path / "report.md").read_text().lower()


@pytest.mark.drawn
def test_hostile_names_stay_text_in_page_markdown_and_figures(tmp_path: Path, small) -> None:
    text = study_file.dump(small()).replace(
        "Does max pooling beat average pooling?", json.dumps(HOSTILE, ensure_ascii=False)
    )
    accuracies = {"baseline": [0.9, 0.91, 0.92], HOSTILE: [0.95, 0.97, 0.96]}
    path = write_folder(tmp_path / "small", text, accuracies, device_name=HOSTILE, causes={HOSTILE: HOSTILE})
    writer.write(path)
    html = (path / "report.html").read_text()
    page = Page(html)
    assert page.tags.count("script") == count_scripts(html)
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


def test_published_figures_stand_beside_the_interval_for_one_further_run(tmp_path: Path, small) -> None:
    spec = small(
        "references=[{name: Inside, metric: test_accuracy, value: 0.91, source: x}, {name: Outside, metric: test_accuracy, value: 0.5, source: x}]"
    )
    path = write_folder(
        tmp_path / "small", study_file.dump(spec), {"baseline": [0.9, 0.91, 0.92], "a": [0.9, 0.91, 0.93]}
    )
    writer.write(path)
    markdown = (path / "report.md").read_text()
    interval = compute_prediction_interval([0.9, 0.91, 0.92], 0.95)
    assert interval is not None
    assert (
        f"| Inside | test accuracy | 0.910 | 0.910 | {interval.low:.3f} to {interval.high:.3f} | yes |"
        in markdown
    )
    assert re.search(r"\| Outside .* no \|", markdown)


@pytest.mark.parametrize("seed", ["diverged", 0.1])
def test_an_unstable_baseline_has_no_interval_in_table_figure_or_page(
    tmp_path: Path, small, seed: float | str
) -> None:
    spec = small("references=[{name: Known, metric: test_accuracy, value: 0.91, source: x}]")
    accuracies = {"baseline": [0.9, 0.91, seed, 0.92], "a": [0.9, 0.91, 0.93, 0.92]}
    path = write_folder(tmp_path / "small", study_file.dump(spec), accuracies)
    evidence = writer.write(path)
    assert evidence.tables["references"]["prediction_low"].isna().all()
    assert points.tabulate_references(evidence.study, evidence.tables).empty
    assert describe_references(evidence) == []
    assert "Known" not in (path / "report.md").read_text()


def test_the_figure_of_published_values_shows_the_interval_of_the_table(tmp_path: Path, small) -> None:
    spec = small("references=[{name: Known, metric: test_accuracy, value: 0.91, source: x}]")
    accuracies = {"baseline": [0.9, 0.91, 0.92], "a": [0.9, 0.91, 0.93]}
    evidence = gather(write_folder(tmp_path / "small", study_file.dump(spec), accuracies))
    drawn = points.tabulate_references(evidence.study, evidence.tables)
    table = evidence.tables["references"].iloc[0]
    assert drawn.loc[drawn["kind"] == "interval", "value"].tolist() == [
        table["prediction_low"],
        table["prediction_high"],
    ]


@pytest.mark.parametrize(
    ("low", "high", "least"),
    [(10_000.0, 10_160.0, 1_000.0), (9_000.0, 11_000.0, 6_000.0), (None, None, 1_000.0)],
)
def test_throughputs_that_hardly_differ_do_not_fill_the_axis(
    small, low: float | None, high: float | None, least: float
) -> None:
    data = pd.DataFrame(
        {
            "arm": ["baseline", "pooling=max"],
            "examples_per_second": [10_077.0, 10_081.0],
            "examples_per_second_ci_low": pd.Series([low, low], dtype=float),
            "examples_per_second_ci_high": pd.Series([high, high], dtype=float),
            "test_accuracy_mean": [0.8, 0.82],
            "test_accuracy_ci_low": [0.79, 0.81],
            "test_accuracy_ci_high": [0.81, 0.83],
            "pareto": [False, True],
        }
    )
    left, right = (
        draw_accuracy_throughput(data, small(), make_styles({arm: arm for arm in data["arm"]}))
        .axes[0]
        .get_xlim()
    )
    assert right - left >= least
    assert left < 10_077 < 10_081 < right


def test_differences_are_drawn_in_percentage_points(written: tuple[Path, Evidence]) -> None:
    _, evidence = written
    drawn = points.tabulate_differences(evidence.study, evidence.tables)
    assert drawn["difference"].item() == pytest.approx(
        float(evidence.tables["comparisons"]["difference"].item()) * 100
    )


def test_every_confirmed_run_is_a_point_and_keeps_its_arms_order(written: tuple[Path, Evidence]) -> None:
    _, evidence = written
    drawn = points.tabulate_paired_seeds(evidence.study, evidence.tables)
    assert list(dict.fromkeys(drawn["arm"])) == ["baseline", "pooling=max"]
    assert len(drawn) == 6


def test_an_unstable_arm_has_no_mean_in_table_or_figure(tmp_path: Path, small) -> None:
    accuracies = {"baseline": [0.9, 0.91, 0.92], "a": [0.9, 0.1, 0.93], "b": [0.9, "diverged", 0.93]}
    path = write_folder(tmp_path / "small", study_file.dump(small()), accuracies)
    evidence = gather(path)
    table = evidence.tables["arms"].set_index("arm")["test_accuracy_mean"]
    drawn = points.tabulate_paired_seeds(evidence.study, evidence.tables)
    assert drawn.groupby("arm")["mean"].first().dropna().to_dict() == table.dropna().to_dict()
    assert set(table.dropna().index) == {"baseline"}
    figure = draw_paired_seeds(drawn, evidence.study, registry.style_arms(evidence.study, evidence.tables))
    bars = [line for line in figure.axes[0].lines if line.get_color() == "0.15"]
    assert [bar.get_ydata()[0] for bar in bars] == [pytest.approx(0.91)]


def test_a_step_from_an_arm_that_did_not_train_leaves_the_next_arm_in_its_place(small) -> None:
    steps = [
        {"arm": "relu", "baseline": "baseline", "test_accuracy_mean": 0.75, "verdict": "not trained"},
        {"arm": "up to pooling", "baseline": "relu", "difference": 0.03, "ci_low": 0.02, "ci_high": 0.04, "test_accuracy_mean": 0.78},
    ]  # fmt: skip
    tables = {"path": make_frame("path", steps), "arms": make_frame("arms", [{"arm": "baseline"}])}
    drawn = points.tabulate_path(small(), tables)
    assert drawn["arm"].tolist() == ["baseline", "relu", "up to pooling"]
    assert drawn["accuracy"].tolist()[1:] == [0.75, 0.78]
    assert drawn["step"].isna().tolist() == [True, True, False]


def test_the_value_an_arm_was_confirmed_with_is_ringed(written: tuple[Path, Evidence]) -> None:
    _, evidence = written
    drawn = points.tabulate_tuning_curves(evidence.study, evidence.tables)
    assert drawn.loc[drawn["chosen"], "value"].tolist() == [0.003, 0.003]


def test_no_spreadsheet_takes_a_cell_for_a_formula(written: tuple[Path, Evidence]) -> None:
    folder, _ = written
    for path in (folder / "tables").glob("*.csv"):
        cells = pd.read_csv(path, dtype=str, keep_default_na=False).to_numpy().ravel()
        assert not [
            cell
            for cell in cells
            if cell[:1] in ("=", "+", "@") or (cell[:1] == "-" and not re.fullmatch(r"-[\d.e+-]+", cell))
        ]


def factorial_folder(path: Path, small, levels: int, **changes: object) -> Path:
    """A factorial of two recipe factors with `levels` values each, as run leaves it."""
    sizes, decays = list(range(16, 16 + levels)), [round(0.001 * i, 4) for i in range(levels)]
    spec = small(
        f"factors={json.dumps({'batch_size': sizes, 'weight_decay': decays})}",
        "design=factorial",
        "recipe.batch_size=16",
        "tuning.trials=0",
    )
    rng = np.random.default_rng(0)
    from ablate.design.designs import lay_out

    layout = lay_out(spec)
    accuracies = {
        arm.name: (0.8 + 0.02 * (arm.factors["batch_size"] == sizes[-1]) * (1 if arm.factors["weight_decay"] == 0 else -1) + rng.normal(size=3) * 0.001).tolist()
        for arm in layout.arms
    }  # fmt: skip
    folder = write_folder(
        path,
        study_file.dump(spec),
        accuracies,
        contrasts=[list(pair) for pair in layout.contrasts],
        **changes,
    )
    runs = pd.read_csv(folder / "tables" / "runs.csv", dtype=str, keep_default_na=False)
    by_name = {arm.name: arm.factors for arm in layout.arms}
    for at, factor in enumerate(("batch_size", "weight_decay"), start=5):
        runs.insert(at, factor, [json.dumps(by_name[arm][factor]) for arm in runs["arm"]])
    runs.to_csv(folder / "tables" / "runs.csv", index=False)
    return folder


@pytest.mark.drawn
def test_a_factorial_says_which_value_wins_where_and_what_interacts(tmp_path: Path, small) -> None:
    path = factorial_folder(tmp_path / "small", small, 2)
    writer.write(path)
    text = Page((path / "report.html").read_text()).text
    assert (
        "The most accurate batch size depends on the weight decay: 17 at weight decay 0.0 and 16 at weight decay 0.001."
        in text
    )
    assert "interaction of batch_size=17 and weight_decay=0.001: " in text
    assert re.search(r"on the test accuracy is [34]\.\d\d points lower with \S+ than without it", text)
    assert (path / "figures" / "interactions.png").exists()


@pytest.mark.thorough
def test_a_factorial_of_a_hundred_arms_is_told_and_corrected_for(tmp_path: Path, small) -> None:
    path = factorial_folder(tmp_path / "small", small, 10)
    evidence = writer.write(path)
    assert len(evidence.arms) == 100
    assert len(list_findings(evidence)) == 99 + 81
    html = (path / "report.html").read_text()
    assert "168 more comparisons" in html


@pytest.mark.drawn
@pytest.mark.thorough
def test_figures_are_drawn_of_more_arms_than_there_are_markers_or_lines_of_a_legend(
    tmp_path: Path, small
) -> None:
    path = factorial_folder(
        tmp_path / "small", small, 5
    )  # tests/benchmarks and tests/faults draw 100 and 200
    evidence = writer.write(path)
    assert len(evidence.arms) == 25 > max(MOST_ARMS, len(MARKERS))
    drawn = {file.stem for file in (path / "figures").glob("*.png")}
    assert {"differences", "interactions", "paired_seeds", "accuracy_throughput", "training_curves"} <= drawn
    assert len((path / "report.html").read_text()) < 3_000_000


def leave_one_out_folder(path: Path, small) -> Path:
    from ablate.design.designs import lay_out

    spec = small(
        "factors={pooling: [max], activation: [tanh], dropout: [0.1]}",
        "design=leave_one_out",
        "tuning.trials=0",
    )
    rng = np.random.default_rng(0)
    means = {
        "baseline": 0.8,
        "pooling=max": 0.83,
        "without dropout": 0.85,
        "full": 0.85,
        "without pooling": 0.82,
        "without activation": 0.83,
    }
    layout = lay_out(spec)
    accuracies = {arm.name: (means[arm.name] + rng.normal(size=3) * 0.001).tolist() for arm in layout.arms}
    return write_folder(
        path, study_file.dump(spec), accuracies, contrasts=[list(pair) for pair in layout.contrasts]
    )


@pytest.mark.drawn
def test_leave_one_out_tells_the_way_and_what_each_change_is_worth(tmp_path: Path, small) -> None:
    path = leave_one_out_folder(tmp_path / "small", small)
    evidence = writer.write(path)
    text = Page((path / "report.html").read_text()).text
    assert re.search(r"From baseline to full, one change at a time: pooling=max \+\d\.\d\d points \(", text)
    assert "The arm “full” has pooling max, activation tanh, dropout 0.1." in text
    assert "without pooling against full: " in text
    # A ratio to the baseline beside another arm's speed would say slower where the arm is faster.
    costs = {finding.subject: finding.cost is not None for finding in list_findings(evidence)}
    assert costs == {
        finding.subject: "against baseline" in finding.subject for finding in list_findings(evidence)
    }
    assert list(evidence.tables["path"]["arm"]) == ["pooling=max", "without dropout", "full"]
    assert (path / "tables" / "path.csv").exists()
    assert (path / "figures" / "path.png").exists()
    drawn = points.tabulate_path(evidence.study, evidence.tables)
    assert drawn["accuracy"].tolist() == pytest.approx(
        evidence.tables["arms"]
        .set_index("arm")
        .loc[["baseline", "pooling=max", "without dropout", "full"], "test_accuracy_mean"]
        .astype(float)
        .tolist()
    )


def test_a_rate_that_would_have_turned_the_sign_is_named(folder: Path) -> None:
    path = folder / "tables" / "runs.csv"
    runs = pd.read_csv(path, dtype=str, keep_default_na=False)
    tuned = runs["phase"] == "tune"
    worse = tuned & (runs["arm"] == "pooling=max") & (runs["learning_rate"] == "0.006")
    runs.loc[worse, "validation_accuracy"] = "0.7"
    runs.to_csv(path, index=False)
    writer.write(folder)
    text = Page((folder / "report.html").read_text()).text
    assert (
        "The ranking depends on the learning rate: at 0.006, baseline is ahead of pooling=max by 10.00 points (validation accuracy in tuning). On the test images, pooling=max is ahead."
        in text
    )
    runs.loc[worse, "validation_accuracy"] = "0.795"  # turned, but by less than the margin: noise
    runs.to_csv(path, index=False)
    writer.write(folder)
    assert "The ranking depends" not in Page((folder / "report.html").read_text()).text


def test_the_place_of_a_chosen_value_among_those_tried_is_told(written: tuple[Path, Evidence]) -> None:
    folder, _ = written
    assert "| 0.006 | 0.003 | 1 of 2 | 0.003 to 0.006 |" in (folder / "report.md").read_text()


def test_the_other_readers_of_the_test_images_are_counted(tmp_path: Path, small) -> None:
    accuracies: dict[str, list[float | str]] = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.97, 0.96]}
    for count, sentence in (
        (0, "No other studies with a report in the same folder used the same test images"),
        (1, "1 other study with a report in the same folder used the same test images"),
        (6, "6 other studies have been tested on these test images"),
    ):
        path = write_folder(
            tmp_path / str(count),
            study_file.dump(small()),
            accuracies,
            test_set_readers=list("abcdef")[:count],
        )
        writer.write(path)
        assert sentence in Page((path / "report.html").read_text()).text


def test_combinations_that_were_left_out_are_listed_with_their_reasons(tmp_path: Path, small) -> None:
    accuracies: dict[str, list[float | str]] = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.97, 0.96]}
    path = write_folder(
        tmp_path / "small", study_file.dump(small()), accuracies, left_out={"b,c": "kernel_size: too large"}
    )
    writer.write(path)
    text = Page((path / "report.html").read_text()).text
    assert "1 combination of factor values cannot be built" in text
    assert "b,c: kernel_size: too large" in text


def test_no_mean_is_told_over_runs_that_trained_and_runs_that_failed(tmp_path: Path, small) -> None:
    accuracies: dict[str, list[float | str]] = {
        "baseline": ["diverged", "diverged", 0.8],
        "a": [0.9, 0.91, 0.92],
    }
    path = write_folder(tmp_path / "small", study_file.dump(small()), accuracies)
    writer.write(path)
    text = Page((path / "report.html").read_text()).text
    assert "a in 3 of 3 seeds, baseline in 1." in text
    assert "points more accurate" not in text


def add_pooling(folder: Path) -> None:
    """The factor's column, which the runs table of a real study has."""
    path = folder / "tables" / "runs.csv"
    runs = pd.read_csv(path, dtype=str, keep_default_na=False)
    runs.insert(5, "pooling", ["max" if arm == "pooling=max" else "avg" for arm in runs["arm"]])
    runs.to_csv(path, index=False)


def test_the_baseline_is_named_with_its_factor_values_in_the_pages_only(folder: Path) -> None:
    add_pooling(folder)
    writer.write(folder)
    text = Page((folder / "report.html").read_text()).text
    assert "pooling=max against baseline (pooling=avg): matters" in text
    assert "points more accurate than baseline (pooling=avg) on the test images" in text
    markdown = (folder / "report.md").read_text()
    assert "| pooling=max | baseline (pooling=avg) |" in markdown
    assert "| baseline (pooling=avg) | 3 |" in markdown
    assert "baseline (" not in (folder / "tables" / "comparisons.csv").read_text()


def test_an_arm_of_a_leave_one_out_study_is_named_with_the_value_that_it_puts_back(
    tmp_path: Path, small
) -> None:
    path = leave_one_out_folder(tmp_path / "small", small)
    runs_path = path / "tables" / "runs.csv"
    runs = pd.read_csv(runs_path, dtype=str, keep_default_na=False)
    maxed = ("pooling=max", "without dropout", "full", "without activation")
    runs.insert(5, "pooling", ["max" if arm in maxed else "avg" for arm in runs["arm"]])
    runs.to_csv(runs_path, index=False)
    evidence = gather(path)
    assert evidence.names.name_arm("without pooling") == "full with pooling=avg"
    assert evidence.names.name_change("full", "without pooling") == "pooling=max"
    assert evidence.names.name_change("full", "without activation") == "full"
    assert evidence.names.name_contrast("without pooling", "full") == (
        "full with pooling=avg against full (pooling=max)"
    )
    assert (
        evidence.names.name_contrast("pooling=max", "baseline")
        == "pooling=max against baseline (pooling=avg)"
    )


def test_every_verdict_that_can_be_given_is_explained() -> None:
    assert set(VERDICTS) == set(Verdict)
