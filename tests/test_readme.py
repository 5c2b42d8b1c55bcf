"""The README's table of answers is that of the published reports; run as a script, this prints it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ablate.report.evidence import gather
from tests.commands import ROOT, ablate

PUBLISHED = ("lenet_pooling", "lenet_activation", "lenet_kernel_size", "lenet_channels", "lenet_conv_layers", "lenet_learning_rate", "lenet_training", "lenet_modern", "lenet_mnist", "convnets", "nin_head")  # fmt: skip
README = (ROOT / "README.md").read_text()


def rows(name: str) -> Iterator[str]:
    """A line of the table for each plain contrast of a published study."""
    evidence = gather(ROOT / "reports" / "published" / name)
    arms = evidence.tables["arms"].set_index("arm")
    comparisons = evidence.tables["comparisons"]
    spoken = name.removeprefix("lenet_").replace("_", " ")
    study = f"[{spoken}](reports/published/{name}/report.md)"
    for row in comparisons[comparisons["arm"].isin(arms.index)].itertuples():
        if " against " in row.arm or row.baseline not in arms.index:
            continue
        against = "" if row.baseline == evidence.arms[0] else f" against {row.baseline}"
        difference = "–" if pd.isna(row.difference) else points(row.difference)
        interval = "–" if pd.isna(row.ci_low) else f"{points(row.ci_low)} to {points(row.ci_high)}"
        yield (
            f"| {study} | {row.arm}{against} | {difference} | {interval} | {row.verdict} "
            f"| {cost(arms.loc[row.arm], arms.loc[row.baseline])} |"
        )
        study = ""


def cost(arm: pd.Series, baseline: pd.Series) -> str:
    """What an arm costs beside another: parameters, FLOPs, and, where measured beside the baseline, speed."""
    told = []
    if baseline["is_baseline"] and not pd.isna(arm["examples_per_second_ratio"]):
        told.append(f"speed ×{arm['examples_per_second_ratio']:.2f}")
    for unit, column in (("parameters", "parameters"), ("FLOP", "flops_per_example")):
        if arm[column] != baseline[column]:
            told.append(f"{unit} ×{arm[column] / baseline[column]:.2f}")
    return ", ".join(told) or "–"


def points(share: float) -> str:
    return f"{100 * share:+.2f}".replace("-", "−")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_readme_tells_what_the_published_report_tells(name: str) -> None:
    missing = [row for row in rows(name) if row not in README]
    assert missing == []


def test_at_least_eight_seeds_stand_behind_each_answer() -> None:
    for name in PUBLISHED:
        evidence = gather(ROOT / "reports" / "published" / name)
        assert evidence.study.seeds >= 8
        assert not evidence.preliminary


def blocks() -> dict[str, str]:
    """The files that the README shows, by the name in their first line."""
    found = re.findall(r"```(?:python|yaml)\n# (\w+\.\w+)\n(.*?)```", README, re.DOTALL)
    return dict(found)


def arguments(study: str) -> list[str]:
    """Those of the README's own line that runs a study, without its remark."""
    (line,) = re.findall(rf"^python -m ablate (run {study}\.yaml[^#\n]*)", README, re.MULTILINE)
    return line.split()


@pytest.mark.parametrize(
    ("study", "less"),
    [
        ("my_network", ["dataset=digits", "validation=240", "recipe.epochs=1"]),
        ("my_images", ["recipe.epochs=1", "validation=8"]),
    ],
)
def test_what_the_readme_shows_gives_a_report_as_it_stands(
    tmp_path: Path, study: str, less: list[str]
) -> None:
    """Word for word, but for less data and fewer epochs."""
    shown = blocks()
    for name in ("mynets.py", f"{study}.yaml"):
        (tmp_path / name).write_text(shown[name])
        assert len(shown[name].splitlines()) < 30
    for part, count in (("train", 12), ("test", 5)):
        for name, grey in (("dark", 40), ("light", 200)):
            for i in range(count):
                path = tmp_path / "photos" / part / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (40, 30), grey + i).save(path)
    fast = [*less, "seeds=2", "tuning.trials=0", "timing.blocks=0", "--quiet"]
    done = ablate(*arguments(study), *fast, cwd=tmp_path, drawn=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / study / "report.html").exists()


if __name__ == "__main__":
    for study_name in PUBLISHED:
        print(*rows(study_name), sep="\n")
