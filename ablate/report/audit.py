"""Whether every arm had its fair chance, and what else should lower a reader's trust, in sentences."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ablate.formatting import counted, p_in_words, points, rows, spoken
from ablate.report.evidence import Evidence
from ablate.stats import comparisons, power
from ablate.stats.throughput import drift, spread

DRIFT_WORTH_SAYING = 0.05
SPREAD_WORTH_SAYING = 0.15
"""Alone on a machine the middle half of a network's blocks lies within a few per cent."""
HARDLY_ANY_DISTURBANCE = 0.25
MANY_READERS = 5
"""From so many studies of one test set on, the report says that the set wears out."""


def cautions(evidence: Evidence) -> list[str]:
    """What should lower the reader's trust, the gravest first."""
    return [
        *_circumstances(evidence),
        *_doubts(evidence),
        *_seeds(evidence),
        *_tuning(evidence),
        *_turned_signs(evidence),
        *_timing(evidence),
    ]


def places(evidence: Evidence) -> list[dict[str, Any]]:
    """The tuning table's rows, each with where the chosen value stands among those tried: `3 of 7`."""
    found = []
    for row in rows(evidence.tables["tuning"]):
        tried = sorted(set(_tried(evidence, row["arm"])[row["parameter"]].astype(float)))
        place = sum(value <= row["chosen"] * (1 + 1e-9) for value in tried)
        found.append({**row, "place": f"{place} of {len(tried)}"})
    return found


def _circumstances(evidence: Evidence) -> Iterator[str]:
    study, provenance = evidence.study, evidence.provenance
    if fallback := provenance.fallback:
        yield (
            f"{fallback} could not be had, so the question was answered on {study.dataset} by its fallback: "
            f"{provenance.data.test_images} test images and a recipe of its own."
        )
    if not study.tuning.active:
        yield "Nothing was tuned: an arm that wants another learning rate is at a disadvantage."
    if changed := provenance.changed_after_answer:
        yield (
            f"Changed after an answer had been seen: {'; '.join(changed)}. p-values and verdicts assume that "
            "all of this was fixed beforehand."
        )
    if mixed := provenance.mixed_engines:
        yield f"Runs of {', '.join(mixed)} were made by more than one engine, whose rounding differs."
    readers = provenance.test_set_readers
    if len(readers) >= MANY_READERS:
        yield (
            f"{len(readers)} studies beside this one have read these test images. Whoever picks among their "
            "answers fits these images a little: keep a fresh set for what you will build on."
        )
    if left_out := provenance.left_out:
        yield f"{counted(len(left_out), 'combination')} cannot be built; the reasons stand below."


def _doubts(evidence: Evidence) -> Iterator[str]:
    """Runs that trained to nothing, and tests that disagree because of a few of them."""
    alpha = evidence.study.decision.alpha
    done = evidence.confirmed[evidence.confirmed["status"] == "complete"]
    for arm in evidence.arms:
        of_arm = done[done["arm"] == arm]
        stuck = of_arm.loc[of_arm["test_accuracy"] <= evidence.ceiling, "seed"].tolist()
        if 0 < len(stuck) < len(of_arm):
            yield (
                f"{len(stuck)} of {len(of_arm)} runs of {arm} ended at chance "
                f"(seed {', '.join(map(str, stuck))}): it has two kinds of outcome, and no mean."
            )
    reachable = 2 / 2**evidence.study.seeds <= alpha  # by the sign-flip test; below, see _seeds
    compared = rows(evidence.tables["comparisons"]) if reachable and not evidence.preliminary else []
    for row in compared:
        if row["p_value"] is not None and (row["p_value"] < alpha) != (row["p_sign_flip"] < alpha):
            yield (
                f"For {row['arm']} the paired t-test ({p_in_words(row['p_value'])}) and the exact sign-flip "
                f"test ({p_in_words(row['p_sign_flip'])}) disagree at {alpha:g}: look at the single seeds."
            )


def _seeds(evidence: Evidence) -> Iterator[str]:
    study, contrasts = evidence.study, len(evidence.contrasts)
    if not contrasts:
        return
    enough = power.seeds_for_significance(contrasts, study.decision.alpha)
    if study.seeds < enough:
        yield (
            f"With {counted(study.seeds, 'seed')} the exact sign-flip test cannot fall below "
            f"{study.decision.alpha:g} after Holm over {counted(contrasts, 'contrast')}; that takes {enough}."
        )


def _tuning(evidence: Evidence) -> Iterator[str]:
    for row in rows(evidence.tables["tuning"]):
        if row["at_edge"]:
            yield (
                f"The best {spoken(row['parameter'])} of {row['arm']} ({row['best']:g}) is the "
                f"{'lowest' if row['best'] == row['low'] else 'highest'} tried: its best may lie beyond."
            )
        if row["failed"] or row["diverged"]:
            share = (row["failed"] + row["diverged"]) / row["trials"]
            yield (
                f"In tuning {row['arm']}, {row['diverged']} of {row['trials']} runs diverged and "
                f"{row['failed']} failed ({share:.0%})."
            )
    ranges = evidence.tables["tuning"].groupby("parameter")[["low", "high"]].nunique()
    for parameter in ranges.index[(ranges > 1).any(axis=1)]:
        yield (
            f"Not all arms were tried up to the same {spoken(parameter)}: some have a range of their own, or "
            "widening ended earlier, where a value failed them."
        )


def _turned_signs(evidence: Evidence) -> Iterator[str]:
    """Where sharing another tried setting would have turned the answer round, by more than the margin."""
    if evidence.preliminary or not evidence.study.tuning.active:
        return
    for row in rows(evidence.tables["comparisons"]):
        broken = row["verdict"] in (comparisons.UNSTABLE, comparisons.NOT_TRAINED)
        if broken or row["baseline"] not in evidence.arms or not row["difference"]:
            continue
        arm, other = (
            _tried(evidence, name).groupby("setting", sort=False)["validation_accuracy"]
            for name in (row["arm"], row["baseline"])
        )
        gap = (arm.mean() - other.mean()).dropna()
        turned = gap[(gap * row["difference"] < 0) & (gap.abs() > evidence.study.decision.margin)]
        if len(turned):
            settings = ", ".join(f"{name} ({points(gap[name], signed=True)})" for name in turned.index)
            yield (
                f"Had {row['arm']} and {row['baseline']} shared another setting, the sign would have turned, "
                f"by tuning's validation accuracy: {spoken(settings)}."
            )


def _timing(evidence: Evidence) -> Iterator[str]:
    timing = evidence.tables["timing"]
    if timing.empty:
        return
    disturbed = float(timing["disturbed"].astype(bool).mean())
    if disturbed > HARDLY_ANY_DISTURBANCE:
        yield f"Other programs disturbed {disturbed:.0%} of the timing blocks; these are left out."
    moved = drift(timing)
    if moved is not None and abs(moved) > DRIFT_WORTH_SAYING:
        yield f"The baseline's speed moved by {moved:+.0%} within a timing block."
    wide = spread(timing)
    if wide is not None and wide > SPREAD_WORTH_SAYING:
        yield (
            f"The middle half of the baseline's timing blocks spreads over {wide:.0%} of their median: "
            "something else was at work, and the speeds say little."
        )


def _tried(evidence: Evidence, arm: str) -> pd.DataFrame:
    """The arm's tuning runs; what diverged or crashed counts as zero, as it did in tuning."""
    runs = evidence.tables["runs"]
    of_arm = runs[(runs["phase"] == "tune") & (runs["arm"] == arm)]
    return of_arm.assign(validation_accuracy=of_arm["validation_accuracy"].astype(float).fillna(0.0))
