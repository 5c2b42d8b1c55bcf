"""Write the report of judged runs: report.html, report.md, tables and figures."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.errors import FolderError, escape_unprintable
from ablate.figures import judged_figures
from ablate.figures.judged_data import JudgedData
from ablate.figures.judged_figures import JudgedFigure
from ablate.formatting import format_count, list_rows
from ablate.judging.audit import NOT_KNOWN
from ablate.judging.comparisons import PAIRED, WELCH, sort_names
from ablate.judging.folder import check_folder, delete_old_figures
from ablate.judging.judgement import RunJudgement
from ablate.judging.names import quote_formula
from ablate.judging.repetition import write_call
from ablate.judging.sentences import describe_ranking, list_answers, state_headline
from ablate.records.columns import COLUMNS
from ablate.records.tables import write_table
from ablate.report.glossary import VERDICTS
from ablate.report.pages import write_pages
from ablate.report.pictures import encode_pictures, write_pictures
from ablate.report.plots import choose_plots

ANSWERS_SHOWN = 12
PREFIX = "judged_"
"""The prefix of these tables' names in `TABLES`. The names of their files do not have it."""


def write(judgement: RunJudgement, folder: Path) -> None:
    """Write the report into the folder, and replace an earlier report.

    Raises:
        FolderError: the folder may not be used (see `check_folder`), or it cannot be written.
    """
    check_folder(folder)
    drawn = list(judged_figures.draw_judged(collect_data(judgement)))
    try:
        _write_files(judgement, folder, drawn)
    except OSError as error:
        raise FolderError(
            f"{folder}: cannot be written ({error.strerror or error}): choose another --out"
        ) from None


def _write_files(judgement: RunJudgement, folder: Path, drawn: Iterable[JudgedFigure]) -> None:
    figures = list(drawn)
    pictures = encode_pictures(figures)
    shown = {"pictures": pictures, "library": choose_plots(pictures, [])}
    content = _collect_content(judgement) | shown
    # report.md comes first. This file marks the folder as a report, even if a later file cannot be written.
    write_pages(folder, "judged", content)
    for name, table in judgement.tables.items():
        safe = table.apply(lambda column: column.map(quote_formula) if column.dtype == "string" else column)
        write_table(safe, folder / "tables" / f"{name.removeprefix(PREFIX)}.csv")
    if "judged_ranks" not in judgement.tables:
        (folder / "tables" / "ranks.csv").unlink(missing_ok=True)
    write_pictures(figures, folder)
    known = [kind.name for kind in judged_figures.KINDS]
    delete_old_figures(folder, known, [figure.kind.name for figure in figures])


def collect_data(judgement: RunJudgement) -> JudgedData:
    """Collect the data that the figures show, with names that are safe to show."""
    question, unit, ranking = judgement.question, judgement.unit, judgement.ranking
    compared = judgement.tables["judged_comparisons"][["part", "arm", "difference", "ci_low", "ci_high"]]
    numbers = dict.fromkeys(("difference", "ci_low", "ci_high"), float)
    compared = compared.astype({"part": object, "arm": object, **numbers})
    compared[list(numbers)] *= unit.scale
    arms = [question.baseline, *dict.fromkeys(arm for _, arm in sort_names(judgement.cells))]
    frames = [
        pd.DataFrame(
            {
                "part": part,
                "arm": arm,
                "seed": runs.seeds,
                "value": runs.values,
                "mean": float("nan") if runs.diverged else runs.results.mean(),
            }
        ).dropna(subset=["value"])
        for (part, arm), runs in judgement.cells.items()
    ]
    return JudgedData(
        comparisons=compared.reset_index(drop=True),
        runs=pd.concat(frames, ignore_index=True),
        arms={arm: judgement.shown[arm] for arm in arms},
        parts={part: judgement.shown[part] for part in judgement.parts},
        metric=escape_unprintable(question.metric),
        is_share=unit.is_share,
        margin=None if question.margin is None else question.margin * unit.scale,
        paired=any(one.test == PAIRED for one in judgement.comparisons),
        mean_ranks=None if ranking is None else ranking.mean_ranks,
        rank_pairs=None if ranking is None else ranking.pairs,
        alpha=question.alpha,
        lower_is_better=question.lower_is_better,
    )


def _collect_content(judgement: RunJudgement) -> dict[str, Any]:
    question, shown = judgement.question, judgement.shown
    metric = escape_unprintable(question.metric)
    arm, baseline = escape_unprintable(question.arm), shown[question.baseline]
    used = sum(len(runs.seeds) for runs in judgement.cells.values())
    return {
        "title": f"Which {arm} differs from {baseline} in {metric}?",
        "place": escape_unprintable(judgement.place),
        "headline": state_headline(judgement),
        "ranking": describe_ranking(judgement),
        "answers": list_answers(judgement),
        "answers_shown": ANSWERS_SHOWN,
        "terms": _list_terms(judgement),
        "counted": f"The table has {format_count(judgement.rows, 'row')}. {used:,} of them count as runs, "
        f"one for each arm and seed{' in each part' if question.by else ''}.",
        "findings": judgement.findings,
        "not_known": NOT_KNOWN,
        "has_parts": question.by is not None,
        "by": escape_unprintable(question.by or ""),
        "has_diverged": any(runs.diverged for runs in judgement.cells.values()),
        "confidence": f"{(1 - question.alpha) * 100:g}%",
        "metric": metric,
        "comparisons": _format_comparisons(judgement),
        "explained": _explain_columns(judgement),
        "arms": _format_arms(judgement),
        "command": write_call(judgement.question, judgement.place, judgement.experiment),
        "columns": COLUMNS,
        "used_columns": sorted({column for table in judgement.tables.values() for column in table.columns}),
    }


def _format_comparisons(judgement: RunJudgement) -> list[dict[str, Any]]:
    unit, shown = judgement.unit, judgement.shown
    formatted = []
    for row in list_rows(judgement.tables["judged_comparisons"]):
        reach = None if row["ci_low"] is None else (row["ci_high"] - row["ci_low"]) / 2
        formatted.append(
            {
                **row,
                **{name: shown[row[name] or ""] for name in ("part", "arm", "baseline")},
                "difference": unit.format_difference(row["difference"], reach),
                "interval": unit.format_interval(row["ci_low"], row["ci_high"]),
                "detectable": unit.format_detectable(row["detectable_difference"]),
                "runs": f"{row['arm_runs']:,}"
                if row["arm_runs"] == row["baseline_runs"]
                else f"{row['arm_runs']:,} and {row['baseline_runs']:,}",
            }
        )
    return formatted


def _format_arms(judgement: RunJudgement) -> list[dict[str, Any]]:
    unit, shown = judgement.unit, judgement.shown
    formatted = []
    for row in list_rows(judgement.tables["judged_arms"]):
        low, high = row["metric_ci_low"], row["metric_ci_high"]
        reach = None if low is None else (high - low) / 2
        ends = "–" if low is None else " to ".join(unit.format_value(end, reach) for end in (low, high))
        names = {name: shown[row[name] or ""] for name in ("part", "arm")}
        formatted.append(
            {**row, **names, "mean": unit.format_value(row["metric_mean"], reach), "interval": ends}
        )
    return formatted


def _explain_columns(judgement: RunJudgement) -> str:
    """Explain the columns of the table of comparisons in sentences."""
    better = "lower" if judgement.question.lower_is_better else "higher"
    told = (
        f"Difference: the arm's mean minus the baseline's mean. A {better} value is better. “p, Holm”: the "
        "p-value after Holm's correction for all comparisons. The verdict rests on this p-value. “p, sign "
        "flip”: the p-value of an exact test of pairs, which does not assume a normal distribution. d_z: the "
        "mean difference of pairs divided by the standard deviation of the differences. Ahead: the share "
        "of pairs in which the arm is better. Detectable: the smallest difference that these runs detect "
        "with 80% power."
    )
    if any(one.test == WELCH for one in judgement.comparisons):
        told += " Test “Welch”: the arms share too few seeds, so their runs are compared as two groups."
    return told


def _list_terms(judgement: RunJudgement) -> list[tuple[str, str]]:
    question = judgement.question
    verdicts = dict.fromkeys(one.verdict for one in judgement.comparisons)
    alpha, unit = question.alpha, judgement.unit
    return [
        ("arm", f"One value of the column {escape_unprintable(question.arm)}."),
        ("run", "One row of the table, or the mean of several rows with the same arm and seed."),
        *(
            [("seed", "Runs of two arms with the same seed make a pair. Each pair has a difference.")]
            if question.seed is not None
            else []
        ),
        (
            "interval",
            f"The {(1 - alpha) * 100:g}% confidence interval: the range of true values that are compatible "
            "with the runs.",
        ),
        (
            "p",
            "The probability of a difference at least as large as the measured one, if the arms were truly "
            f"equal. If p is below {alpha:g}, the difference counts as detected.",
        ),
        (
            "Holm's correction",
            "A rule that raises the p-values if there are several comparisons. Without the rule, each "
            "further comparison would make it more likely that one of them shows a difference only by "
            "chance.",
        ),
        *(
            [
                (
                    "margin",
                    f"The smallest difference that matters: {unit.format_margin(question.margin)}.",
                )
            ]
            if question.margin is not None
            else []
        ),
        *((str(verdict), f"Verdict: {VERDICTS[verdict]}.") for verdict in verdicts),
    ]
