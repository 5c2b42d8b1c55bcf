"""Every study of ours can be run to its report by whoever has nothing but this package."""

from pathlib import Path

import pytest

from ablate.design.designs import lay_out
from ablate.design.expected_arms import check_predictions
from ablate.execution.workers import ThisProcess
from ablate.report import writer
from ablate.report.evidence import Evidence
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.commands import ablate
from tests.conftest import STUDIES
from tests.experiment.test_conduct import conduct

SMALLEST = ("seeds=1", "recipe.epochs=1", "recipe.train_images=200", "tuning.trials=0", "timing.blocks=0")
SMALLEST_SEARCH = ("search.candidates=4", "search.generation=2", "search.finalists=1")
PATHS = sorted(STUDIES.glob("*.yaml"))
CASES = [
    (path, [f"context={name}"] if name else [])
    for path in PATHS
    for name in study_file.read(path).contexts or [None]
]
"""Every study, and every context of a study that has contexts, as an override."""


def answered(spec: StudySpec, path: Path) -> Evidence:
    """The study run in this process, without starting a command or a worker."""
    conduct(spec, path, lambda given, _: ThisProcess(given, threads=1))
    return writer.write(path)


DRAWN = ("convnets",)
"""A study of other models than LeNet, so that their layers are drawn.

Reports of every design are drawn elsewhere: one factor at a time in `cli/test_run.py`, `factorial` and
`leave_one_out` in `report/test_writer.py`, and `search` in `search/test_candidates.py`.
"""
QUICK = (
    "lenet_pooling",
    "lenet_pooling_activation",
    "lenet_best",
    "lenet_vs_mlp",
    "nin_head",
)
"""Studies of three designs and of three families of networks. The others are thorough tests."""


def choose_marks(path: Path) -> list[pytest.MarkDecorator]:
    """The marks of the test of one study."""
    return [
        *([pytest.mark.drawn] if path.stem in DRAWN else []),
        *([] if path.stem in QUICK else [pytest.mark.thorough]),
    ]


@pytest.mark.parametrize(("path", "context"), CASES)
def test_a_prediction_of_ours_names_an_arm(path: Path, context: list[str]) -> None:
    spec = study_file.read(path, context)
    check_predictions(spec, lay_out(spec))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("path", "context"),
    [
        pytest.param(path, context, marks=choose_marks(path), id="-".join([path.stem, *context]))
        for path, context in CASES
    ],
)
def test_a_study_of_ours_gives_a_report_at_its_smallest_size(
    path: Path, context: list[str], tmp_path: Path
) -> None:
    searching = study_file.read(path).design == "search"
    spec = study_file.read(
        path, [*context, *SMALLEST, *(SMALLEST_SEARCH if searching else ())], fallback=True
    )
    evidence = answered(spec, tmp_path / spec.name)
    assert evidence.failed_runs == 0
    assert not evidence.preliminary
    assert set(evidence.confirmed["status"]) <= {"complete", "diverged"}
    assert (tmp_path / spec.name / "report.html").exists()


CHANGES = {
    "another activation": ("lenet_activation", "factors.activation=[sigmoid, mish, hardswish]"),
    "another range": ("lenet_modern", "tuning.learning_rate={low: 0.001, high: 0.01, log: true}"),
    "another baseline": ("lenet_pooling_activation", "baseline={pooling: max, activation: elu}"),
    "one step more": ("lenet_visualiser", "factors.dropout=[0.1]"),
    "another arm": ("lenet_vs_mlp", "arms.deep={model: mlp, hidden: [64, 64, 64]}"),
    "how much data": ("lenet_pooling", "factors={train_images: [null, 300]}"),
    "another model": ("lenet_dense_layers", "model=mlp factors={hidden: [[256], [64]]}"),
}
QUICK_CHANGES = ("another activation", "another arm", "how much data")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case in QUICK_CHANGES else pytest.mark.thorough) for case in CHANGES],
)
def test_one_line_changed_gives_another_valid_report(case: str, tmp_path: Path) -> None:
    name, override = CHANGES[case]
    overrides = override.split(" factors=")
    given = [overrides[0], *(f"factors={rest}" for rest in overrides[1:])]
    spec = study_file.read(STUDIES / f"{name}.yaml", [*SMALLEST, *given], fallback=True)
    evidence = answered(spec, tmp_path / name)
    assert evidence.arms == [arm.name for arm in lay_out(spec).arms]
    assert not evidence.preliminary


@pytest.mark.usefixtures("undrawn")
def test_a_search_that_finds_nothing_says_so(tmp_path: Path) -> None:
    overrides = ("recipe.optimizer=sgd", "recipe.learning_rate=1000000.0")
    spec = study_file.read(
        STUDIES / "lenet_best.yaml", [*SMALLEST, *SMALLEST_SEARCH, *overrides], fallback=True
    )
    evidence = answered(spec, tmp_path / "best")
    assert evidence.arms == ["baseline"]
    text = (tmp_path / "best" / "report.md").read_text()
    assert "The search found no finalist: apart from the baseline, no candidate was more than twice" in text
    assert (
        "the search found no candidate to compare with the baseline"
        in (tmp_path / "best" / "report.html").read_text()
    )


def test_the_depth_and_width_study_compares_arms_of_equal_size() -> None:
    from ablate import models

    arms = lay_out(study_file.read(STUDIES / "lenet_depth_width.yaml")).arms
    sizes = [
        sum(
            parameter.numel()
            for parameter in models.build(
                arm.model, arm.keywords, input_shape=(1, 28, 28), classes=10, init="default", seed=0
            ).parameters()
        )
        for arm in arms
    ]
    assert max(sizes) / min(sizes) < 1.003


@pytest.mark.parametrize("name", ["lenet_pooling"])
def test_real_data_gives_a_report_too(name: str, tmp_path: Path, real_data: Path) -> None:
    done = ablate(
        "run", STUDIES / f"{name}.yaml", *SMALLEST, "--data-dir", real_data, cwd=tmp_path, drawn=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 pairs" not in done.stdout
    assert (tmp_path / "reports" / name / "report.html").exists()
