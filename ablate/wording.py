"""What the tables say, in sentences: findings, conditions, cautions. No layout, no torch."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ablate import stats
from ablate.spec import StudySpec

DRIFT_WORTH_SAYING = 0.05
HARDLY_ANY_DISTURBANCE = 0.25
VERDICT_TONE = {stats.MATTERS: "strong", stats.EQUIVALENT: "calm", stats.SIZE_UNCLEAR: "strong"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One arm's answer: the verdict, what happened, and what it costs."""

    arm: str
    verdict: str
    tone: str
    sentence: str
    cost: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything a page says, before it is said in HTML or Markdown."""

    study: StudySpec
    environment: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    arms: list[str]
    preliminary: bool

    @property
    def failed_runs(self) -> int:
        """How many runs crashed; divergence is an outcome, not a failure."""
        return int(self.tables["runs"]["status"].isin(["failed", "oom"]).sum())

    @property
    def margin(self) -> str:
        return f"±{points(self.study.decision.margin)}"


def findings(evidence: Evidence) -> list[Finding]:
    """One finding an arm against the baseline, in the study's order; none before the study is complete."""
    if evidence.preliminary:
        return []
    runs = evidence.tables["runs"]
    by_arm = evidence.tables["arms"].set_index("arm")
    return [
        Finding(
            arm=row["arm"],
            verdict=row["verdict"],
            tone=VERDICT_TONE.get(row["verdict"], "open"),
            sentence=_sentence(row, evidence, runs),
            cost=_cost(by_arm.loc[row["arm"]], by_arm.loc[row["baseline"]], evidence),
        )
        for row in rows(evidence.tables["comparisons"])
    ]


def conditions(evidence: Evidence) -> list[str]:
    """Under which conditions every verdict holds."""
    study, environment = evidence.study, evidence.environment
    images = environment["data"]["test_images"]
    baseline = evidence.tables["arms"]["test_accuracy_mean"].iloc[0]
    open_to_change = {*study.factor_names, *study.tuning.ranges}
    network = _listed(study.baseline, open_to_change)
    recipe = _listed(study.recipe.model_dump(), open_to_change)
    told = [
        f"Compared: {_factors(evidence)}. Network: {study.model}"
        f"{f' with {network}' if network else ''}; what is not named keeps its default.",
        f"Training: {recipe}; {_tuned(evidence)}.",
    ]
    held_out = (
        f"{study.validation:,} training images held out for validation"
        if study.validation
        else ("all training images used, none held out")
    )
    error = (
        f" One accuracy on so many images has a standard error of "
        f"±{points(stats.accuracy_standard_error(float(baseline), images))} of its own, "
        "which pairing does not remove: the answer is about these images."
        if pd.notna(baseline)
        else ""
    )
    told.append(f"Data: {study.dataset}, {held_out}; the verdict is on these {images:,} test images.{error}")
    told.append(
        f"Machine: {environment['device']} ({environment['device_name']}); throughput with "
        f"{environment['timing_threads']} threads, the plain torch loop, alone on the machine. The clock "
        "covers fetching a batch of resident images, forward, backward, optimiser step and running metrics; "
        "it leaves out loading, decoding and evaluation."
    )
    return told


def cautions(evidence: Evidence) -> list[str]:
    """What should lower the reader's trust."""
    study, environment, tables = evidence.study, evidence.environment, evidence.tables
    told = []
    if fallback := environment.get("fallback"):
        told.append(
            f"{fallback} could not be had, so the question was answered on {study.dataset} by its fallback: "
            f"{environment['data']['test_images']} test images and a recipe of its own."
        )
    if not study.tuning.active:
        told.append("Nothing was tuned: an arm that wants another learning rate is at a disadvantage.")
    if environment.get("seeds_added"):
        told.append(
            "Seeds were added after an answer had been seen: p-values assume that their number was fixed."
        )
    if mixed := environment.get("mixed_engines"):
        told.append(f"Runs of {', '.join(mixed)} were made by more than one engine, whose rounding differs.")
    told += _doubts(evidence)
    contrasts = len(evidence.arms) - 1
    enough = stats.seeds_for_significance(contrasts, study.decision.alpha)
    if study.seeds < enough:
        told.append(
            f"With {study.seeds} seeds the exact sign-flip test cannot fall below {study.decision.alpha:g} "
            f"after Holm over {contrasts} contrast{'s' if contrasts > 1 else ''}; that takes {enough}."
        )
    for row in rows(tables["tuning"]):
        if row["at_edge"]:
            told.append(
                f"The best {row['parameter'].replace('_', ' ')} of {row['arm']} ({row['best']:g}) is the "
                f"{'lowest' if row['best'] == row['low'] else 'highest'} tried: its best may lie beyond."
            )
        if row["failed"] or row["diverged"]:
            told.append(
                f"In tuning {row['arm']}, {row['diverged']} of {row['trials']} runs diverged and "
                f"{row['failed']} failed."
            )
    timing = tables["timing"]
    if not timing.empty:
        disturbed = float(timing["disturbed"].astype(bool).mean())
        if disturbed > HARDLY_ANY_DISTURBANCE:
            told.append(f"Other programs disturbed {disturbed:.0%} of the timing blocks; these are left out.")
        moved = stats.drift(timing)
        if moved is not None and abs(moved) > DRIFT_WORTH_SAYING:
            told.append(f"The baseline's speed moved by {moved:+.0%} within a timing block.")
    return told


def _doubts(evidence: Evidence) -> list[str]:
    """Runs that trained to nothing, and tests that disagree because of a few of them."""
    told = []
    runs, alpha = evidence.tables["runs"], evidence.study.decision.alpha
    confirmed = runs[(runs["phase"] == "confirm") & (runs["status"] == "complete")]
    ceiling = stats.chance_ceiling(
        len(evidence.environment["data"]["classes"]), evidence.environment["data"]["test_images"]
    )
    for arm in evidence.arms:
        of_arm = confirmed[confirmed["arm"] == arm]
        stuck = of_arm.loc[of_arm["test_accuracy"] <= ceiling, "seed"].tolist()
        if stuck:
            told.append(
                f"{len(stuck)} of {len(of_arm)} runs of {arm} ended at chance "
                f"(seed {', '.join(map(str, stuck))}): its mean stands for two kinds of outcome."
            )
    compared = [] if evidence.preliminary else rows(evidence.tables["comparisons"])
    told += [
        f"For {row['arm']} the paired t-test ({p_in_words(row['p_value'])}) and the exact sign-flip "
        f"test ({p_in_words(row['p_sign_flip'])}) disagree at {alpha:g}: look at the single seeds."
        for row in compared
        if row["p_value"] is not None and (row["p_value"] < alpha) != (row["p_sign_flip"] < alpha)
    ]
    return told


def references(evidence: Evidence) -> list[dict[str, Any]]:
    """Each published figure, our interval for one further run, and whether it lies inside."""
    runs = evidence.tables["runs"]
    ours = runs[
        (runs["phase"] == "confirm") & (runs["arm"] == evidence.arms[0]) & (runs["status"] == "complete")
    ]
    found = []
    for reference in evidence.study.references:
        values = ours[reference.metric].dropna().astype(float).tolist()
        interval = stats.prediction_interval(values, 1 - evidence.study.decision.alpha)
        if interval is not None:
            found.append(
                {
                    "name": reference.name,
                    "metric": reference.metric.replace("_", " "),
                    "value": f"{reference.value:.3f}",
                    "source": reference.source,
                    "interval": f"{interval.low:.3f} to {interval.high:.3f}",
                    "mean": f"{interval.mean:.3f}",
                    "inside": interval.low <= reference.value <= interval.high,
                }
            )
    return found


def points(share: float, digits: int = 2) -> str:
    """A difference of accuracies in percentage points: `1.25 points`, always with the same digits."""
    return f"{share * 100:.{digits}f} points".replace("-", "−")


def p_in_words(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values, None where nothing is known."""
    return [
        {str(column): None if pd.isna(value) else value for column, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]


def _sentence(row: dict[str, Any], evidence: Evidence, runs: pd.DataFrame) -> str:
    """The verdict in words with its interval; every branch one verdict of the design."""
    decision, verdict, margin = evidence.study.decision, row["verdict"], evidence.margin
    arm, baseline = row["arm"], row["baseline"]
    both = runs[(runs["phase"] == "confirm") & runs["arm"].isin([arm, baseline])]
    missing = int(both["status"].isin(["failed", "oom"]).sum())
    lost = f" {missing} of {len(both)} runs crashed and are left out." if missing else ""
    if verdict == stats.UNSTABLE:
        counts = {
            name: int(((both["arm"] == name) & (both["status"] == "diverged")).sum())
            for name in (arm, baseline)
        }
        told = " and ".join(
            f"{count} of {evidence.study.seeds} runs of {name}" for name, count in counts.items() if count
        )
        return (
            f"{told} diverged, so there is no mean to compare: a mean over the survivors would flatter.{lost}"
        )
    if row["difference"] is None:
        return f"No pair of runs was completed.{lost}"
    interval = _interval(row["ci_low"], row["ci_high"], 1 - decision.alpha)
    moved = "more" if row["difference"] > 0 else "less"
    amount = points(abs(row["difference"]))
    measured = f"{arm} is {amount} {moved} accurate than {baseline} on the test images"
    pairs = int((both[both["status"] == "complete"].groupby("seed").size() == 2).sum())
    if verdict == stats.NO_VERDICT:
        return (
            f"{measured} in {pairs} pair{'s' if pairs != 1 else ''} of runs; "
            f"a verdict needs {stats.PAIRS_FOR_A_VERDICT}.{lost}"
        )
    if verdict == stats.NOT_TRAINED:
        medians = both[both["status"] == "complete"].groupby("arm")["test_accuracy"].median()
        stuck = " and ".join(f"{name} ({medians[name]:.1%})" for name in (baseline, arm) if name in medians)
        return (
            f"Median test accuracy: {stuck}. Where an arm stays at chance, there is nothing to compare.{lost}"
        )
    if verdict == stats.CANNOT_TELL_APART:
        same = points(row["difference"])
        return f"In all {pairs} pairs the difference is the same, {same}: no spread, no test.{lost}"
    tested = f"{measured} ({interval}; {p_in_words(row['p_holm'])} after Holm, {pairs} paired seeds)"
    if verdict == stats.MATTERS:
        return f"{tested}; the whole interval lies beyond the margin of {margin}.{lost}"
    if verdict == stats.SIZE_UNCLEAR:
        return f"{tested}; a difference there is, but it may be smaller than the margin of {margin}.{lost}"
    if verdict == stats.EQUIVALENT:
        return f"{tested}; whatever difference there is, it is smaller than the margin of {margin}.{lost}"
    found = f"These seeds find {points(row['detectable_difference'])} or more in {stats.POWER:.0%} of studies"
    if row["seeds_needed"] <= pairs:
        return f"{tested}. {found}; this difference lies too near the margin of {margin} to say more.{lost}"
    return (
        f"{tested}. {found}; to show that there is no difference worth having, if there is none, "
        f"would take {row['seeds_needed']:,} seeds.{lost}"
    )


def _cost(arm: pd.Series, baseline: pd.Series, evidence: Evidence) -> str:
    """What the arm costs beside the baseline: throughput ratio with its interval, size, arithmetic."""
    told = []
    if pd.notna(arm["examples_per_second_ratio_ci_low"]):
        confidence = 1 - evidence.study.decision.alpha
        told.append(
            f"it trains at {arm['examples_per_second_ratio']:.2f} times the baseline's speed "
            f"({confidence * 100:g}% interval {arm['examples_per_second_ratio_ci_low']:.2f} to "
            f"{arm['examples_per_second_ratio_ci_high']:.2f}; "
            f"{arm['examples_per_second']:,.0f} against {baseline['examples_per_second']:,.0f} examples/s)"
        )
    else:
        told.append("its speed beside the baseline's was not measured in three undisturbed blocks")
    for name, noun in (("parameters", "parameters"), ("flops_per_example", "FLOP an example")):
        if pd.isna(arm[name]) or pd.isna(baseline[name]):
            continue
        if arm[name] == baseline[name]:
            told.append(f"as many {noun} ({arm[name]:,})")
        else:
            told.append(f"{arm[name]:,} {noun} against {baseline[name]:,}")
    return f"Cost: {', '.join(told)}."


def _factors(evidence: Evidence) -> str:
    """`pooling (baseline: avg)`, for every factor."""
    runs = evidence.tables["runs"]
    baseline = runs[runs["arm"] == evidence.arms[0]]
    told = []
    for name in evidence.study.factor_names:
        values = baseline[name].dropna() if name in baseline else baseline["arm"].head(0)
        told.append(f"{name.replace('_', ' ')}" + (f" (baseline: {values.iloc[0]})" if len(values) else ""))
    return ", ".join(told)


def _listed(settings: Mapping[str, Any], leave_out: Container[str]) -> str:
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in settings.items() if k not in leave_out)


def _tuned(evidence: Evidence) -> str:
    study, tuned = evidence.study, evidence.tables["tuning"]
    if not study.tuning.active:
        return "nothing was tuned"
    parts = []
    for name in study.tuning.ranges:
        of_name = tuned[tuned["parameter"] == name]
        if not of_name.empty:
            tried = f"{of_name['low'].min():g} to {of_name['high'].max():g}"
            parts.append(f"{name.replace('_', ' ')} tuned alike for every arm ({tried})")
    return ", ".join(parts) or "tuning still under way"


def _interval(low: float | None, high: float | None, confidence: float) -> str:
    if low is None or high is None:
        return "no interval from one pair"
    return f"{confidence * 100:g}% interval {low * 100:+.2f} to {high * 100:+.2f}".replace("-", "−")
