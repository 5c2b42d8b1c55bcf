"""Make the data of the figures from the tables of a report. Each figure has one pure function."""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from ablate.metrics import METRICS
from ablate.records.run_records import Phase, Status
from ablate.stats.arm_names import ArmNames, read_arm_names
from ablate.stats.contrasts import BOTH_ALONE, tabulate_settings
from ablate.stats.decision_values import DEFAULT, read_decision_values
from ablate.stats.epochs import find_last_third
from ablate.stats.throughput import add_speeds
from ablate.stats.tried_values import tabulate_tried_values
from ablate.study.spec import StudySpec

Tables = Mapping[str, pd.DataFrame]
"""Maps the names of a report's tables to the tables."""
MOST_TOGETHER = 6
"""At most this many comparisons by epoch share one panel. More bands could not be told apart."""
MOST_BY_EPOCH = 12
"""The figure of differences by epoch shows at most this many comparisons."""


def read_names(study: StudySpec, tables: Tables) -> ArmNames:
    """Read the names of the arms that figures and pages show."""
    return read_arm_names(study, tables["runs"], tables["arms"]["arm"].iloc[0])


def tabulate_differences(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate arm, label, difference and interval of every comparison that has an interval.

    Differences of shares, such as accuracies, are in percentage points.

    If all arms are compared with the baseline, the column `beside` has the baseline's name. Otherwise
    `beside` is empty, and each label names what the arm is compared with.
    """
    compared = tables["comparisons"].dropna(subset=["difference", "ci_low", "ci_high"])
    points = label_comparisons(
        compared[["arm", "baseline", "difference", "ci_low", "ci_high"]], study, tables
    )
    return points.drop(columns="baseline").reset_index(drop=True)


def tabulate_differences_by_epoch(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate each comparison's difference and interval after each epoch, in percentage points.

    The columns `label` and `beside` are made as in `tabulate_differences`. If there are more than
    `MOST_BY_EPOCH` comparisons, the result keeps those whose difference changed most in the last third of the
    epochs. The result is empty if no arm was trained for more than one epoch.
    """
    table = tables.get("differences_by_epoch", pd.DataFrame(columns=["epoch", "ci_low"]))
    curves = table.dropna(subset=["ci_low"])
    if curves["epoch"].nunique() < 2:
        return pd.DataFrame()
    points = label_comparisons(curves.astype({"epoch": int}), study, tables)
    by_label = points.groupby("label", sort=False)
    late = points[points["epoch"] >= by_label["epoch"].transform("max").map(find_last_third)]
    changes = late.groupby("label", sort=False)["difference"].agg(
        lambda gaps: abs(gaps.iloc[-1] - gaps.iloc[0])
    )
    chosen = changes.nlargest(MOST_BY_EPOCH).index
    return points[points["label"].isin(chosen)].reset_index(drop=True)


def tabulate_paired_seeds(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate arm, seed, setting and value of every complete confirmed run, and the arm's mean.

    The value is the metric on which the verdicts rest, usually the test accuracy. If only some runs
    of an arm trained, the arm has no mean.
    """
    runs, metric = tables["runs"], study.decision.metric
    done = runs[(runs["phase"] == Phase.CONFIRM) & (runs["status"] == Status.COMPLETE)]
    points = (
        done[["arm", "seed", "setting", "test_accuracy"]].rename(columns={"test_accuracy": "value"}).dropna()
    )
    means = tables["arms"].set_index("arm")["test_accuracy_mean"].astype("Float64")
    if metric != DEFAULT:
        values = read_decision_values(dict(tables), metric).rename("value").reset_index()
        points = points.drop(columns="value").astype({"arm": object, "seed": int}).merge(values)
        means = points.groupby("arm")["value"].mean().astype("Float64").where(means.notna())
    points = points.assign(mean=points["arm"].map(means).to_numpy(float, na_value=float("nan")))
    kinds = {"value": float, "seed": int, "arm": str, "setting": str}
    return _sort_by_arm(points.astype(kinds), study, tables)


def tabulate_tuning_curves(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate arm, parameter, seed, tried value, validation accuracy, and whether the value was chosen."""
    tried = tabulate_tried_values(tables["runs"], tables["tuning"]).dropna(subset=["validation_accuracy"])
    return tried.astype({"validation_accuracy": float}).reset_index(drop=True)


def tabulate_training_curves(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate arm, setting, seed, epoch, quantity and value of confirmed runs. An epoch has five points."""
    epochs = tables["epochs"]
    confirmed = epochs[epochs["phase"] == Phase.CONFIRM]
    long = confirmed.melt(
        id_vars=["arm", "setting", "seed", "epoch"],
        value_vars=["train_loss", "train_accuracy", "validation_accuracy"],
        var_name="quantity",
    ).dropna(subset=["value"])
    # The epoch of a point is a fraction with rounding errors. Rounding makes it equal for all seeds.
    kinds = {"arm": str, "setting": str, "seed": int, "epoch": float, "value": float}
    long = long.astype(kinds).round({"epoch": 3})
    return _sort_by_arm(long, study, tables)


def tabulate_accuracy_throughput(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate each arm's throughput and accuracy with intervals, and whether it is on the Pareto front."""
    arms = tables["arms"]
    columns = [
        "arm",
        "examples_per_second",
        "examples_per_second_ci_low",
        "examples_per_second_ci_high",
        "test_accuracy_mean",
        "test_accuracy_ci_low",
        "test_accuracy_ci_high",
    ]
    points = arms[[*columns, "pareto"]].dropna(subset=["examples_per_second", "test_accuracy_mean"])
    return points.astype(dict.fromkeys(columns[1:], float) | {"arm": str}).reset_index(drop=True)


def tabulate_timing_blocks(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate arm, block, examples per second, and whether the measurement was disturbed."""
    timing = tables["timing"]
    if timing.empty:
        return pd.DataFrame()
    points = add_speeds(timing)[["arm", "block", "examples_per_second", "disturbed"]]
    return _sort_by_arm(points.astype({"arm": str, "block": int, "disturbed": bool}), study, tables)


def tabulate_references(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate for each metric our runs, the interval for one further run, and published values.

    The result is empty if the table `references` has no interval.
    """
    known = (
        tables["references"].dropna(subset=["prediction_low"]) if "references" in tables else pd.DataFrame()
    )
    if known.empty:
        return pd.DataFrame()
    runs = tables["runs"]
    arm = known["arm"].iloc[0]
    ours = runs[(runs["phase"] == Phase.CONFIRM) & (runs["arm"] == arm) & (runs["status"] == Status.COMPLETE)]
    rows: list[dict[str, object]] = []
    for metric, published in known.groupby("metric", sort=False):
        ends = published.iloc[0][["prediction_low", "prediction_high"]].astype(float)
        rows += [
            {"metric": metric, "kind": "ours", "who": arm, "value": value}
            for value in ours[metric].dropna().astype(float)
        ]
        rows += [{"metric": metric, "kind": "interval", "who": "", "value": end} for end in ends]
        rows += [
            {"metric": metric, "kind": "published", "who": row.reference, "value": float(row.published)}
            for row in published.itertuples()
        ]
    return pd.DataFrame(rows)


def tabulate_interactions(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate for each pair of factors: arm, values of both factors, accuracy and interval.

    The figure draws one line for each value of the second factor. For an arm without a mean
    accuracy, the accuracy and the interval are missing, and the line has a gap.
    """
    if study.design != "factorial":
        return pd.DataFrame()
    runs = tables["runs"]
    factors = list(study.factors)
    settings = tabulate_settings(runs[runs["phase"] == Phase.CONFIRM], factors)
    arms = tables["arms"].set_index("arm")
    columns = {
        "test_accuracy_mean": "accuracy",
        "test_accuracy_ci_low": "low",
        "test_accuracy_ci_high": "high",
    }
    every = arms[list(columns)].rename(columns=columns).astype("Float64").astype(float)
    # The settings are a separate table, because a factor can have the same name as a column of `every`.
    every = every[every.index.isin(settings.index)]
    settings = settings.loc[every.index]
    baseline = arms.index[0]
    if baseline not in every.index:
        return pd.DataFrame()
    own = settings.loc[baseline]
    parts = []
    for one, other in combinations(factors, 2):
        rest = [name for name in factors if name not in (one, other)]
        plane = every[(settings[rest] == own[rest]).all(axis=1)]
        here = settings.loc[plane.index]
        if plane["accuracy"].notna().any():
            parts.append(
                plane[["accuracy", "low", "high"]]
                .assign(pair=f"{one} × {other}", factor=one, value=here[one], by=other, line=here[other])
                .reset_index(names="arm")
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def tabulate_path(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate arm, accuracy, the difference from the previous arm, and the interval of this difference.

    The interval is moved up or down, so that it surrounds the arm's accuracy. If runs of an arm did not
    train, the row of this arm has no accuracy and no interval.
    """
    if "path" not in tables:
        return pd.DataFrame()
    steps = tables["path"]
    first = tables["arms"].iloc[0]
    rows: list[dict[str, object]] = [{"arm": first["arm"], "accuracy": first["test_accuracy_mean"]}]
    numeric = {name: float for name in steps.columns if steps[name].dtype == "Float64"}
    for row in steps.astype(numeric).itertuples():
        before = row.test_accuracy_mean - row.difference
        rows.append(
            {
                "arm": row.arm,
                "accuracy": row.test_accuracy_mean,
                "step": row.difference,
                "low": before + row.ci_low,
                "high": before + row.ci_high,
            }
        )
    points = pd.DataFrame(rows, columns=["arm", "accuracy", "step", "low", "high"])
    numbers = dict.fromkeys(["accuracy", "step", "low", "high"], float)
    points = points.fillna({"accuracy": float("nan")}).astype(numbers)
    return points if points["step"].notna().any() else pd.DataFrame()


def tabulate_candidates(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate every candidate of a search that has a score, in the order of the search."""
    if "candidates" not in tables:
        return pd.DataFrame()
    scored = tables["candidates"].dropna(subset=["validation_accuracy"])
    flags = {
        name: scored[name].fillna(value=False).astype(bool) for name in ("pareto", "finalist", "is_baseline")
    }
    numbers = dict.fromkeys(["validation_accuracy", "flops_per_example", "hypervolume"], float)
    return scored.assign(**flags).astype({**numbers, "generation": int}).reset_index(drop=True)


def tabulate_importance(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate factor, evaluator (PED-ANOVA or fANOVA), and the factor's estimated share of the variation."""
    if "importance" not in tables or tables["importance"].empty:
        return pd.DataFrame()
    names = {"ped_anova": "PED-ANOVA", "fanova": "fANOVA"}
    long = tables["importance"].melt(id_vars=["factor"], var_name="evaluator", value_name="share")
    return long.assign(evaluator=long["evaluator"].map(names)).astype({"share": float, "factor": str})


def label_comparisons(
    compared: pd.DataFrame, study: StudySpec, tables: Tables, *, metric: str | None = None
) -> pd.DataFrame:
    """Add the columns `label` and `beside` to comparisons, and turn shares into percentage points.

    `metric` is the metric of the differences. By default, it is the metric on which the verdicts rest.
    """
    names = read_names(study, tables)
    common = set(compared["baseline"]) - {BOTH_ALONE} == {names.baseline}
    labels = [
        names.name_arm(arm, other) if common and other != BOTH_ALONE else names.name_contrast(arm, other)
        for arm, other in zip(compared["arm"], compared["baseline"], strict=True)
    ]
    scale = METRICS[metric or study.decision.metric].axis_scale
    numbers = compared[["difference", "ci_low", "ci_high"]].astype(float) * scale
    beside = names.name_arm(names.baseline) if common else ""
    return compared.assign(**numbers, label=labels, beside=beside)


def _sort_by_arm(points: pd.DataFrame, study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Sort the rows by the order of the arms in the study."""
    order = {arm: i for i, arm in enumerate(tables["arms"]["arm"])}
    return points.sort_values("arm", key=lambda arms: arms.map(order), kind="stable", ignore_index=True)
