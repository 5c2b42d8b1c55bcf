"""Compare each arm with the baseline, by the tests that `ablate run` uses."""

import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ablate.errors import AblateError
from ablate.judging.arm_runs import ArmRuns, Cells
from ablate.judging.question import Question
from ablate.records.run_records import Phase, Status
from ablate.records.tables import make_frame
from ablate.stats.contrasts import Contrast
from ablate.stats.intervals import compute_mean_interval
from ablate.stats.look_tests import Result, judge_samples
from ablate.stats.looks import Look
from ablate.stats.outcomes import Outcomes, read_outcomes
from ablate.stats.pair_tests import EXACT_SIGN_FLIPS, flip_signs
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.stats.rounding import choose_digits
from ablate.stats.samples import GroupSample, PairSample, Sample
from ablate.stats.stability import count_trained
from ablate.stats.verdicts import Verdict

MOST_COMPARISONS = 1_000
MOST_FLIPS = 10**7
"""The maximum number of signs that the test by sign flips may draw, over all comparisons.

If the test would draw more signs, it is left out. With so many seeds, the t-test does not need this check.
"""
ONLY_LOOK = Look(seeds=sys.maxsize, share=1.0)
"""A look is an analysis of the runs so far. The only look of a judgement has all runs."""
PAIRED, WELCH = "paired", "Welch"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One arm compared with the baseline in one part of the table."""

    part: str
    arm: str
    test: str
    """`PAIRED` or `WELCH`."""
    arm_runs: int
    """The number of runs of the arm that the comparison uses."""
    baseline_runs: int
    shared: int
    """The number of seeds that both arms have."""
    arm_mean: float | None
    """The mean of the arm's runs that the comparison uses. None if a run of either arm diverged."""
    baseline_mean: float | None
    arm_left_out: int
    """The number of runs of the arm that are left out, because the baseline has no run with the same seed.

    Only a paired comparison leaves runs out.
    """
    baseline_left_out: int
    arm_diverged: int
    baseline_diverged: int
    result: Result

    @property
    def verdict(self) -> Verdict:
        return self.result.verdict


def compare_arms(cells: Cells, question: Question) -> list[Comparison]:
    """Compare every arm with the baseline in every part. Holm's correction covers all comparisons together.

    Parts without the baseline have no comparison.

    Raises:
        AblateError: there are more than `MOST_COMPARISONS` comparisons, or there is no comparison.
    """
    places = [
        (part, arm)
        for part, arm in sort_names(cells)
        if arm != question.baseline and (part, question.baseline) in cells
    ]
    if len(places) > MOST_COMPARISONS:
        raise AblateError(
            f"arm: the columns give {len(places):,} comparisons, more than {MOST_COMPARISONS:,}: name a "
            "column with fewer values"
        )
    if not places:
        raise AblateError(
            f"by: in this column, runs of '{question.baseline}' and of other arms never have the same value: "
            "name another column"
        )
    shared_places = [_find_shared(cells[place], cells[place[0], question.baseline]) for place in places]
    samples = {
        i: _make_sample(
            cells[part, arm], cells[part, question.baseline], arm, question.baseline, shared_places[i]
        )
        for i, (part, arm) in enumerate(places)
    }
    results = judge_samples(samples, [None] * len(places), question, ONLY_LOOK)
    made = []
    for i, (part, arm) in enumerate(places):
        of_arm, of_baseline = cells[part, arm], cells[part, question.baseline]
        found, shared = samples[i].found, len(shared_places[i][0])
        paired = isinstance(found, PairSample)
        used = [
            each.values[place] if paired else each.values
            for each, place in zip((of_arm, of_baseline), shared_places[i], strict=True)
        ]
        whole = all(len(values) for values in used) and not of_arm.diverged + of_baseline.diverged
        means = [float(values.mean()) if whole else None for values in used]
        made.append(
            Comparison(
                part=part,
                arm=arm,
                test=PAIRED if paired else WELCH,
                arm_runs=len(found.values) if isinstance(found, PairSample) else len(found.arm),
                baseline_runs=len(found.values) if isinstance(found, PairSample) else len(found.baseline),
                shared=shared,
                arm_mean=means[0],
                baseline_mean=means[1],
                arm_left_out=len(of_arm.seeds) - shared if paired else 0,
                baseline_left_out=len(of_baseline.seeds) - shared if paired else 0,
                arm_diverged=of_arm.diverged,
                baseline_diverged=of_baseline.diverged,
                result=results[i],
            )
        )
    return made


def tabulate(comparisons: Sequence[Comparison], question: Question) -> pd.DataFrame:
    """Make the table `judged_comparisons`. A comparison with runs that diverged has no means or p-values."""
    rows = []
    for one in comparisons:
        values = one.result.values
        cost = min(2.0 ** min(len(values), 60), EXACT_SIGN_FLIPS) * len(values) * len(comparisons)
        flipped = flip_signs(values) if cost <= MOST_FLIPS else None
        row: dict[str, Any] = {} if one.result.broken else {**one.result.row, "p_sign_flip": flipped}
        named = {"part": one.part, "arm": one.arm, "baseline": question.baseline, "test": one.test}
        counted = {"arm_runs": one.arm_runs, "baseline_runs": one.baseline_runs, "verdict": one.verdict}
        rows.append({**row, **named, **counted})
    return make_frame("judged_comparisons", rows)


def summarise(cells: Cells, question: Question) -> pd.DataFrame:
    """Make the table `judged_arms`. In each part, the baseline comes first."""
    rows = []
    for part, arm in sorted(sort_names(cells), key=lambda place: place[1] != question.baseline):
        of_arm = cells[part, arm]
        values = of_arm.results
        rounded = np.round(values, choose_digits(values)).tolist()
        interval = None if of_arm.diverged else compute_mean_interval(rounded, 1 - question.alpha)
        rows.append(
            {
                "part": part,
                "arm": arm,
                "is_baseline": arm == question.baseline,
                "runs": len(values),
                "runs_diverged": of_arm.diverged,
                "metric_mean": None if of_arm.diverged or not len(values) else float(values.mean()),
                "metric_ci_low": interval.low if interval else None,
                "metric_ci_high": interval.high if interval else None,
            }
        )
    order = {part: i for i, part in enumerate(dict.fromkeys(part for part, _ in sort_names(cells)))}
    return make_frame("judged_arms", sorted(rows, key=lambda row: order[row["part"]]))


def sort_names(cells: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sort pairs of part and arm by name. Numbers in names are sorted by size.

    The result does not depend on the order of the table.
    """
    return sorted(cells, key=lambda place: [*map(_make_key, place)])


def _make_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    words = re.findall(r"\d{1,15}|\D+|\d+", name)
    return [(not w.isdecimal(), int(w) if w.isdecimal() else 0, w) for w in words], name


def _find_shared(arm: ArmRuns, baseline: ArmRuns) -> tuple[np.ndarray, np.ndarray]:
    """Find the seeds that both arms have.

    Return the positions of these seeds in each arm, both `(shared,)`.
    """
    _, of_arm, of_baseline = np.intersect1d(
        arm.seeds, baseline.seeds, assume_unique=True, return_indices=True
    )
    return of_arm, of_baseline


def _make_sample(
    arm: ArmRuns, baseline: ArmRuns, name: str, other: str, places: tuple[np.ndarray, np.ndarray]
) -> Sample:
    """Make the sample of a comparison.

    The sample consists of pairs of runs with the same seed. If too few runs share a seed, it consists of two
    groups of runs.

    `places` are the positions of the shared seeds in both arms, as `_find_shared` returns them.
    """
    contrast = Contrast(name=name, reference=other, weights={name: 1.0, other: -1.0})
    of_arm, of_baseline = places
    shared, digits = len(of_arm), choose_digits(arm.results, baseline.results)
    if not _is_pairable(shared, len(arm.seeds), len(baseline.seeds)):
        diverged = bool(arm.diverged + baseline.diverged)
        return Sample(
            contrast=contrast,
            found=GroupSample(arm=np.round(arm.results, digits), baseline=np.round(baseline.results, digits)),
            broken=_choose_broken(arm, baseline) if diverged else None,
        )
    if arm.diverged or baseline.diverged:
        outcomes = _read_outcomes(arm, baseline, name, other)
        return Sample(
            contrast=contrast,
            found=PairSample(values=outcomes.compute_contrast(contrast, only_trained=True)),
            broken=outcomes.find_untrained(contrast.weights),
            training=count_trained(outcomes, contrast),
        )
    values = np.round(arm.values[of_arm] - baseline.values[of_baseline], digits)
    return Sample(contrast=contrast, found=PairSample(values=values))


def _is_pairable(shared: int, arm: int, baseline: int) -> bool:
    """Return whether an arm and the baseline are compared by pairs.

    The arguments are the number of shared seeds, and the numbers of runs of the arm and of the baseline.

    There must be enough pairs for a verdict. The pairs must also contain at least half of all runs, because
    otherwise most of the data would not be used. The rule does not look at the values of the runs, so it
    cannot prefer a result.
    """
    if shared == arm == baseline:
        return True
    return shared >= PAIRS_FOR_A_VERDICT and 2 * (2 * shared) >= arm + baseline


def _choose_broken(arm: ArmRuns, baseline: ArmRuns) -> Verdict:
    runs = min(len(arm.seeds), len(baseline.seeds))
    return Verdict.NO_VERDICT if runs < PAIRS_FOR_A_VERDICT else Verdict.UNSTABLE


def _read_outcomes(arm: ArmRuns, baseline: ArmRuns, name: str, other: str) -> Outcomes:
    """Read the outcomes of two arms with runs that diverged.

    A table does not say which value a network reaches by guessing. So no arm counts as not trained.
    """
    both = {name: arm, other: baseline}
    runs = pd.concat(
        [
            pd.DataFrame(
                {
                    "phase": Phase.CONFIRM,
                    "arm": each,
                    "seed": found.seeds,
                    "status": np.where(np.isnan(found.values), Status.DIVERGED, Status.COMPLETE),
                    "test_accuracy": found.values,
                }
            )
            for each, found in both.items()
        ]
    )
    return read_outcomes(runs.reset_index(drop=True), ceiling=-math.inf)
