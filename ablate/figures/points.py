"""From a report's tables to the points of its figures: pure, one function a figure; draws nothing."""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from ablate.records.run_records import Phase, Status
from ablate.stats.contrasts import BOTH_ALONE, tabulate_settings
from ablate.study.spec import StudySpec

Tables = Mapping[str, pd.DataFrame]


def differences(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Arm, difference and its interval in percentage points."""
    compared = tables["comparisons"].dropna(subset=["difference", "ci_low", "ci_high"])
    points = compared[["arm", "difference", "ci_low", "ci_high"]].copy()
    # What is not compared with the baseline says with what.
    first = tables["arms"]["arm"].iloc[0]
    beside = compared["baseline"].mask(compared["baseline"].isin([first, BOTH_ALONE]))
    points["arm"] = points["arm"].mask(beside.notna(), points["arm"] + " against " + beside)
    columns = ["difference", "ci_low", "ci_high"]
    points[columns] = points[columns].astype(float) * 100
    return points.reset_index(drop=True)


def paired_seeds(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Arm, seed and test accuracy of every complete confirmed run, and the arm's mean from the table `arms`.

    The mean is empty where the table withholds it: some runs of the arm did not train.
    """
    runs = tables["runs"]
    done = runs[(runs["phase"] == Phase.CONFIRM) & (runs["status"] == Status.COMPLETE)]
    points = done[["arm", "seed", "test_accuracy"]].dropna()
    means = tables["arms"].set_index("arm")["test_accuracy_mean"].astype("Float64")
    points = points.assign(mean=points["arm"].map(means).to_numpy(float, na_value=float("nan")))
    return _in_order(points.astype({"test_accuracy": float, "seed": int, "arm": str}), study, tables)


def tuning_curves(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Arm, parameter, value tried, validation accuracy, and whether the arm was confirmed with it."""
    tried = tables["runs"]
    tried = tried[(tried["phase"] == Phase.TUNE) & tried["validation_accuracy"].notna()]
    parts = []
    for row in tables["tuning"].itertuples():
        of_arm = tried[tried["arm"] == row.arm]
        value = of_arm[row.parameter].astype(float)
        parts.append(
            pd.DataFrame(
                {
                    "arm": row.arm,
                    "parameter": row.parameter,
                    "value": value,
                    "validation_accuracy": of_arm["validation_accuracy"].astype(float),
                    "chosen": (value - float(row.chosen)).abs() <= 1e-9 * value.abs(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def training_curves(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Arm, seed, epoch, quantity and its value, for confirmed runs; five points an epoch in training."""
    epochs = tables["epochs"]
    confirmed = epochs[epochs["phase"] == Phase.CONFIRM]
    long = confirmed.melt(
        id_vars=["arm", "seed", "epoch"],
        value_vars=["train_loss", "train_accuracy", "validation_accuracy"],
        var_name="quantity",
    ).dropna(subset=["value"])
    # Epochs are fractions of the number of batches: rounded, points of different seeds meet.
    long = long.astype({"arm": str, "seed": int, "epoch": float, "value": float}).round({"epoch": 3})
    return _in_order(long, study, tables)


def accuracy_throughput(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Arm, throughput and accuracy, each with its interval, and whether the arm is on the Pareto front."""
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


def timing_blocks(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Arm, block, examples per second, and whether the measurement was disturbed."""
    timing = tables["timing"]
    if timing.empty:
        return pd.DataFrame()
    speed = (timing["examples"] / timing["seconds"]).astype(float)
    points = timing.assign(examples_per_second=speed)[["arm", "block", "examples_per_second", "disturbed"]]
    return _in_order(points.astype({"arm": str, "block": int, "disturbed": bool}), study, tables)


def references(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """The baseline's seeds, the interval for one further run, and the published values, by metric.

    Empty where the table `references` has no interval: the figure shows what the table says, or nothing.
    """
    known = (
        tables["references"].dropna(subset=["prediction_low"]) if "references" in tables else pd.DataFrame()
    )
    if known.empty:
        return pd.DataFrame()
    runs = tables["runs"]
    first = tables["arms"]["arm"].iloc[0]
    ours = runs[
        (runs["phase"] == Phase.CONFIRM) & (runs["arm"] == first) & (runs["status"] == Status.COMPLETE)
    ]
    rows: list[dict[str, object]] = []
    for metric, published in known.groupby("metric", sort=False):
        ends = published.iloc[0][["prediction_low", "prediction_high"]].astype(float)
        rows += [
            {"metric": metric, "kind": "ours", "who": "", "value": value}
            for value in ours[metric].dropna().astype(float)
        ]
        rows += [{"metric": metric, "kind": "interval", "who": "", "value": end} for end in ends]
        rows += [
            {"metric": metric, "kind": "published", "who": row.reference, "value": float(row.published)}
            for row in published.itertuples()
        ]
    return pd.DataFrame(rows)


def interactions(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """By pair of factors: the one's value, the other's as a line, mean test accuracy and its interval."""
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
    known = arms[list(columns)].rename(columns=columns).astype(float).join(settings, how="inner")
    known = known.dropna(subset=["accuracy", "low", "high"])
    if arms.index[0] not in known.index:
        return pd.DataFrame()
    own = known.loc[arms.index[0], factors]
    parts = []
    for one, other in combinations(factors, 2):
        rest = [name for name in factors if name not in (one, other)]
        plane = known[(known[rest] == own[rest]).all(axis=1)]
        parts.append(
            plane[["accuracy", "low", "high"]].assign(
                pair=f"{one} × {other}", factor=one, value=plane[one], by=other, line=plane[other]
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def path(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Arm, accuracy, what the step to it added, and the interval of that step around the accuracy.

    An arm stays in its place without what its table rows lack: a step to or from an arm that did not train.
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


def candidates(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Every candidate of a search that has a score, in the order in which they were tried."""
    if "candidates" not in tables:
        return pd.DataFrame()
    scored = tables["candidates"].dropna(subset=["validation_accuracy"])
    flags = {
        name: scored[name].fillna(value=False).astype(bool) for name in ("pareto", "finalist", "is_baseline")
    }
    numbers = dict.fromkeys(["validation_accuracy", "flops_per_example", "hypervolume"], float)
    return scored.assign(**flags).astype({**numbers, "generation": int}).reset_index(drop=True)


def importance(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Factor, evaluator and its share."""
    if "importance" not in tables or tables["importance"].empty:
        return pd.DataFrame()
    names = {"ped_anova": "PED-ANOVA", "fanova": "fANOVA"}
    long = tables["importance"].melt(id_vars=["factor"], var_name="evaluator", value_name="share")
    return long.assign(evaluator=long["evaluator"].map(names)).astype({"share": float, "factor": str})


def _in_order(points: pd.DataFrame, study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Rows in the order of the arms in the study, so that an arm keeps its colour in every figure."""
    order = {arm: i for i, arm in enumerate(tables["arms"]["arm"])}
    return points.sort_values("arm", key=lambda arms: arms.map(order), kind="stable", ignore_index=True)
