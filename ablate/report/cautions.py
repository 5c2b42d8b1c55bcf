"""Write the cautions: sentences about what should lower a reader's trust in the answer."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ablate.formatting import format_count, format_list, format_p, format_points, list_rows, spell_keyword
from ablate.records.run_records import Phase, Status
from ablate.report.evidence import Evidence
from ablate.report.training_length import warn_of_short_training
from ablate.stats import power
from ablate.stats.throughput import measure_drift, measure_spread
from ablate.stats.tried_values import list_uneven_ranges, tabulate_tried_values
from ablate.stats.verdicts import UNTRAINED

DRIFT_WORTH_SAYING = 0.05
"""The report warns if the baseline's throughput changes by more than this share within a timing block."""
SPREAD_WORTH_SAYING = 0.15
"""The report warns if the baseline's throughput varies by more than this between timing blocks.

The variation is the interquartile range divided by the median. If no other program runs, the variation is a
few per cent.
"""
HARDLY_ANY_DISTURBANCE = 0.25
"""The report warns if other programs disturbed more than this share of the timing measurements."""
NEAR_THE_MAJORITY = 0.05
"""If the classes are unequal, the report warns of an arm that is hardly better than guessing.

The warning is given if the arm's accuracy exceeds the share of the most frequent class by less than this.
"""
MANY_READERS = 5
"""The report warns if at least this many other studies used the same test images."""


def list_cautions(evidence: Evidence) -> list[str]:
    """List what should lower the reader's trust in the answer. The most serious caution comes first."""
    return [
        *_warn_of_circumstances(evidence),
        *_warn_of_unequal_classes(evidence),
        *_warn_of_doubtful_runs(evidence),
        *_warn_of_few_seeds(evidence),
        *_warn_of_tuning(evidence),
        *_warn_of_changing_rankings(evidence),
        *warn_of_short_training(evidence),
        *_warn_of_timing(evidence),
    ]


def list_tuning_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """List the tuning table's rows, and add the rank of the chosen value among the values tried: `3 of 7`."""
    every = tabulate_tried_values(evidence.tables["runs"], evidence.tables["tuning"])
    ranked = []
    for row in list_rows(evidence.tables["tuning"]):
        of_arm = every[(every["arm"] == row["arm"]) & (every["parameter"] == row["parameter"])]
        tried = of_arm.drop_duplicates("value")
        rank = int((tried["chosen"] | (tried["value"] < row["chosen"])).sum())
        name = evidence.names.name_arm(row["arm"])
        ranked.append({**row, "arm": name, "place": f"{rank} of {len(tried)}"})
    return ranked


def _warn_of_circumstances(evidence: Evidence) -> Iterator[str]:
    study, provenance = evidence.study, evidence.provenance
    if fallback := provenance.fallback:
        yield (
            f"The data set {fallback} could not be loaded. The study used its fallback instead: the data set "
            f"{study.dataset} with {provenance.data.test_images} test images, and the fallback's own recipe."
        )
    yield from provenance.data.cautions
    yield from (f"{text[0].upper()}{text[1:]}." for text in provenance.network_cautions)
    if not study.tuning.active:
        yield "Nothing was tuned. An arm that would need a different learning rate is at a disadvantage."
    if changed := provenance.changed_after_answer:
        yield (
            f"The study was changed after its first answer had been seen: {'; '.join(changed)}. The p-values "
            "and verdicts assume that these choices were made before the first result."
        )
    if mixed := provenance.mixed_engines:
        yield (
            f"The runs of {format_list(mixed)} were trained by more than one engine (program that "
            "trains). Engines round numbers differently, so these runs differ in more than their seeds."
        )
    readers = provenance.test_set_readers
    if len(readers) >= MANY_READERS:
        yield (
            f"{len(readers)} other studies have been tested on these test images. A network chosen from the "
            "answers of many studies overfits their test images a little. Keep fresh test images for your "
            "final choice."
        )
    if left_out := provenance.left_out:
        yield (
            f"{format_count(len(left_out), 'combination')} of factor values cannot be built; the reasons are "
            "listed below."
        )


def _warn_of_unequal_classes(evidence: Evidence) -> Iterator[str]:
    """Warn of arms that are hardly more accurate than always predicting the most frequent class."""
    share = evidence.provenance.data.chance
    rows = [row for row in list_rows(evidence.tables["arms"]) if row["test_accuracy_mean"] is not None]
    near = [row for row in rows if row["test_accuracy_mean"] < share + NEAR_THE_MAJORITY]
    if not evidence.unequal_classes or not near:
        return
    told = [
        f"{evidence.names.name_arm(row['arm'])} has the accuracy {row['test_accuracy_mean']:.1%}"
        + (f" (balanced accuracy {balanced:.1%})" if (balanced := row["test_balanced_accuracy_mean"]) else "")
        for row in near
    ]
    yield (
        "The classes have unequal numbers of images: a network that always predicts the most frequent class "
        f"is right on {share:.1%} of the test images. {format_list(told)}. Compare the balanced accuracies "
        "instead. Guessing has the balanced accuracy "
        f"{1 / sum(count > 0 for count in evidence.provenance.data.test_images_by_class or ()):.1%}."
    )


def _warn_of_doubtful_runs(evidence: Evidence) -> Iterator[str]:
    """Warn of arms with some runs that stayed at chance, and of comparisons whose two tests disagree."""
    alpha = evidence.study.decision.alpha
    done = evidence.confirmed[evidence.confirmed["status"] == Status.COMPLETE]
    for arm in evidence.arms:
        of_arm = done[done["arm"] == arm]
        stuck = of_arm.loc[of_arm["test_accuracy"] <= evidence.ceiling, "seed"].tolist()
        if 0 < len(stuck) < len(of_arm):
            seeds = f"seed{'s' if len(stuck) > 1 else ''} {format_list([str(seed) for seed in stuck])}"
            yield (
                f"{len(stuck)} of {len(of_arm)} runs of {evidence.names.name_arm(arm)} stayed at chance "
                f"({seeds}): they are no better than guessing. The other runs trained. A mean over runs that "
                "trained and runs that did not would mislead, so the report has no mean for this arm."
            )
    compared = [] if evidence.preliminary else list_rows(evidence.tables["comparisons"])
    for row in compared:
        if 2 / 2 ** evidence.count_seeds(row) > alpha:
            continue  # too few seeds for a significant sign-flip test: see `_warn_of_few_seeds`
        if row["p_value"] is not None and (row["p_value"] < alpha) != (row["p_sign_flip"] < alpha):
            yield (
                f"For {row['arm']} the paired t-test ({format_p(row['p_value'])}) and the exact sign-flip "
                f"test ({format_p(row['p_sign_flip'])}) disagree: only one of them is below {alpha:g}. The "
                "result might depend on a few seeds: look at the figure of paired seeds."
            )


def _warn_of_few_seeds(evidence: Evidence) -> Iterator[str]:
    study, contrasts = evidence.study, len(evidence.contrasts)
    if not contrasts:
        return
    enough = power.count_seeds_for_significance(contrasts, study.decision.alpha)
    corrected = f" after Holm's correction for {contrasts} comparisons" if contrasts > 1 else ""
    if study.most_seeds < enough:
        yield (
            f"With {format_count(study.most_seeds, 'seed')} the p-value of the exact sign-flip test cannot "
            f"fall below {study.decision.alpha:g}{corrected}, however large the difference is. At least "
            f"{enough} seeds are needed."
        )


def _warn_of_tuning(evidence: Evidence) -> Iterator[str]:
    for row in list_rows(evidence.tables["tuning"]):
        if row["at_edge"]:
            yield (
                f"The best {spell_keyword(row['parameter'])} of {evidence.names.name_arm(row['arm'])} "
                f"({row['best']:g}) is the {'lowest' if row['best'] == row['low'] else 'highest'} value "
                "tried. A value outside the range of these values may be better."
            )
        if row["failed"] or row["diverged"]:
            share = (row["failed"] + row["diverged"]) / row["trials"]
            yield (
                f"In tuning {evidence.names.name_arm(row['arm'])}, {row['diverged']} of {row['trials']} runs "
                f"diverged and {row['failed']} failed ({share:.0%} together)."
            )
    for parameter in list_uneven_ranges(evidence.tables["tuning"]):
        yield (
            f"Not all arms were tuned over the same range of the {spell_keyword(parameter)}. The study gives "
            "some arms another range, or an arm's range was not widened beyond a value that failed."
        )


def _warn_of_changing_rankings(evidence: Evidence) -> Iterator[str]:
    """Warn if the ranking of two arms depends on a tuned value.

    There is a warning if the arm that is worse on the test images was better in tuning, by more than the
    margin, at one of the values tried.
    """
    tuning = evidence.study.tuning
    if evidence.preliminary or not tuning.active or not evidence.decides_by_accuracy:
        return
    for row in list_rows(evidence.tables["comparisons"]):
        broken = row["verdict"] in UNTRAINED
        if broken or row["baseline"] not in evidence.arms or not row["difference"]:
            continue
        arm, other = (
            _read_tuning_runs(evidence, name).groupby("setting", sort=False)["validation_accuracy"]
            for name in (row["arm"], row["baseline"])
        )
        gap = (arm.mean() - other.mean()).dropna()
        turned = gap[(gap * row["difference"] < 0) & (gap.abs() > evidence.study.decision.margin)]
        if len(turned):
            names = [
                evidence.names.name_arm(row["arm"], row["baseline"]),
                evidence.names.name_arm(row["baseline"], row["arm"]),
            ]
            ahead, behind = names if row["difference"] < 0 else reversed(names)
            parameters = list(tuning.ranges)
            (first, size), *others = [
                (f"at {_spell_setting(str(setting), parameters)}", format_points(abs(gap)))
                for setting, gap in turned.items()
            ]
            also = "".join(f"; {setting}, by {gap}" for setting, gap in others)
            yield (
                f"The ranking depends on the {format_list([spell_keyword(name) for name in parameters])}: "
                f"{first}, {ahead} is ahead of {behind} by {size}{also} (validation accuracy in tuning). On "
                f"the test images, {behind} is ahead."
            )


def _spell_setting(setting: str, parameters: list[str]) -> str:
    """Format tuned values: `0.3` for a single parameter, else `learning rate=0.3,weight decay=0.01`."""
    return setting.partition("=")[2] if len(parameters) == 1 else spell_keyword(setting)


def is_timing_unsteady(evidence: Evidence) -> bool:
    """Whether the baseline's throughput varied so much that no throughput of the study is reliable."""
    wide = measure_spread(evidence.tables["timing"])
    return wide is not None and wide > SPREAD_WORTH_SAYING


def _warn_of_timing(evidence: Evidence) -> Iterator[str]:
    timing = evidence.tables["timing"]
    if timing.empty:
        return
    disturbed = float(timing["disturbed"].astype(bool).mean())
    if disturbed > HARDLY_ANY_DISTURBANCE:
        yield f"Other programs disturbed {disturbed:.0%} of the timing measurements. These are left out."
    moved = measure_drift(timing)
    if moved is not None and abs(moved) > DRIFT_WORTH_SAYING:
        change = f"{moved:+.0%}".replace("-", "−")
        yield (
            f"From the beginning to the end of a timing block, the baseline's throughput changed by {change} "
            "(median over the blocks)."
        )
    if is_timing_unsteady(evidence):
        yield (
            "The baseline's throughput varied between timing blocks: its interquartile range is "
            f"{measure_spread(timing):.0%} of its median. "
            "Other programs probably used the machine, so the throughputs are unreliable."
        )


def _read_tuning_runs(evidence: Evidence, arm: str) -> pd.DataFrame:
    """Read the arm's tuning runs. A run that diverged or crashed has the accuracy zero, as in tuning."""
    runs = evidence.tables["runs"]
    of_arm = runs[(runs["phase"] == Phase.TUNE) & (runs["arm"] == arm)]
    return of_arm.assign(validation_accuracy=of_arm["validation_accuracy"].astype(float).fillna(0.0))
