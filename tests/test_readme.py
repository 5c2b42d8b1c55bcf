"""The README's table of answers is that of the published reports; run as a script, this prints it."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from ablate.evidence import gather

ROOT = Path(__file__).parents[1]
PUBLISHED = ("pooling", "activation", "kernel_size", "channels", "conv_layers", "learning_rate", "training", "modern", "mnist")  # fmt: skip
README = (ROOT / "README.md").read_text()


def rows(name: str) -> Iterator[str]:
    """A line of the table for each plain contrast of a published study."""
    evidence = gather(ROOT / "reports" / "published" / f"lenet_{name}")
    arms = evidence.tables["arms"].set_index("arm")
    comparisons = evidence.tables["comparisons"]
    study = f"[{name.replace('_', ' ')}](reports/published/lenet_{name}/report.md)"
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
        evidence = gather(ROOT / "reports" / "published" / f"lenet_{name}")
        assert evidence.study.seeds >= 8
        assert not evidence.preliminary


if __name__ == "__main__":
    for study_name in PUBLISHED:
        print(*rows(study_name), sep="\n")
