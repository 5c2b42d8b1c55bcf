"""Check the runs that are judged for problems that a table can show, and list what no table can show."""

from collections.abc import Sequence

import numpy as np

from ablate.formatting import format_count, format_list
from ablate.judging.arm_runs import Cells
from ablate.judging.audit_values import check_margin, check_repeats, check_units
from ablate.judging.comparisons import WELCH, Comparison
from ablate.judging.findings import Finding, FindingKind, name_some
from ablate.judging.names import is_hostile, is_right_to_left
from ablate.judging.question import Question
from ablate.stats.power import PAIRS_FOR_A_VERDICT

FEW_SEEDS = 5
NOT_KNOWN = (
    "how the arms were tuned, and whether all arms had the same budget for tuning",
    "whether a setting, an epoch or a seed was chosen by its results on the test data",
    "whether runs were left out before the table was written",
    "whether all arms used the same data, the same number of training steps and the same hardware",
    "whether runs with the same seed share anything, such as the split of the data",
)
"""What a table of runs does not show. Each of these facts can make equal arms look different."""


def audit(
    cells: Cells, comparisons: Sequence[Comparison], question: Question, shown: dict[str, str]
) -> list[Finding]:
    """Audit the runs. `shown` maps the name of each arm and part to the name that pages show.

    Raises:
        AblateError: some values of an arm are shares from 0 to 1, and others are in per cent.
    """
    found = [
        check_units(cells, question, shown),
        check_margin(cells, question),
        check_repeats(cells, question),
        _check_direction(question),
        _check_constant(cells, question),
        _check_baseline(cells, question, shown),
        _check_grid(cells, question, shown),
        _check_counts(cells, shown),
        *_check_few(comparisons, question),
        *_check_pairing(comparisons, cells, question),
        _check_similar_names(cells, shown),
        _check_names(shown),
    ]
    return [finding for finding in found if finding is not None]


def _check_direction(question: Question) -> Finding | None:
    if not question.looks_turned:
        return None
    given, other = ("lower", "higher") if question.lower_is_better else ("higher", "lower")
    remedy = "leave out --lower-is-better" if question.lower_is_better else "add --lower-is-better"
    return Finding(
        kind=FindingKind.DIRECTION,
        sentence=f"The name {question.metric} suggests that {other} values are better, but here {given} "
        f"values count as better. If that is wrong, {remedy}.",
    )


def _check_constant(cells: Cells, question: Question) -> Finding | None:
    found = {float(value) for runs in cells.values() for value in runs.results[:1]}
    if len(found) == 1 and all(np.ptp(runs.results) == 0 for runs in cells.values() if len(runs.results)):
        (value,) = found
        return Finding(
            kind=FindingKind.CONSTANT,
            sentence=f"Every run has the same value of {question.metric}, {value:g}. The arms cannot "
            "be compared: check the column.",
        )
    constant = sum(len(runs.results) > 1 and np.ptp(runs.results) == 0 for runs in cells.values())
    if not constant:
        return None
    arms = "One arm has" if constant == 1 else f"{constant:,} arms have"
    return Finding(
        kind=FindingKind.CONSTANT,
        sentence=f"{arms} the same value of {question.metric} in every run. Runs with different seeds rarely "
        "have exactly the same value: perhaps one run was written several times.",
    )


def _check_baseline(cells: Cells, question: Question, shown: dict[str, str]) -> Finding | None:
    parts = dict.fromkeys(part for part, _ in cells)
    without = [part for part in parts if (part, question.baseline) not in cells]
    if not without:
        return None
    return Finding(
        kind=FindingKind.NO_BASELINE,
        sentence=f"{format_count(len(without), 'part')} left out, because the baseline has no run there: "
        f"{name_some(shown[part] for part in without)}.",
    )


def _check_grid(cells: Cells, question: Question, shown: dict[str, str]) -> Finding | None:
    """Find arms that have no run in some part. `_check_baseline` does the same for the baseline."""
    arms = [arm for arm in dict.fromkeys(arm for _, arm in cells) if arm != question.baseline]
    pairs = [(part, arm) for part in dict.fromkeys(part for part, _ in cells) for arm in arms]
    missing = [f"{shown[arm]} in {shown[part]}" for part, arm in pairs if (part, arm) not in cells]
    if not missing:
        return None
    return Finding(
        kind=FindingKind.MISSING_RUNS,
        sentence=f"{len(missing):,} of {format_count(len(pairs), 'pair')} of arm and part "
        f"{'has' if len(missing) == 1 else 'have'} no run, and so no comparison: {name_some(missing)}. If "
        "these runs failed, say so in a column “status”.",
    )


def _check_counts(cells: Cells, shown: dict[str, str]) -> Finding | None:
    uneven = []
    for part in dict.fromkeys(part for part, _ in cells):
        counts = {arm: len(runs.seeds) for (of, arm), runs in cells.items() if of == part}
        if len(set(counts.values())) > 1:
            fewest, most = min(counts, key=lambda arm: counts[arm]), max(counts, key=lambda arm: counts[arm])
            where = f" in {shown[part]}" if part else ""
            uneven.append(
                f"{shown[fewest]} has {format_count(counts[fewest], 'run')} and {shown[most]} has "
                f"{counts[most]:,}{where}"
            )
    if not uneven:
        return None
    more = f", and {len(uneven) - 1:,} other parts are uneven, too" if len(uneven) > 1 else ""
    return Finding(
        kind=FindingKind.UNEQUAL_RUNS,
        sentence=f"The arms have different numbers of runs: {uneven[0]}{more}. If an arm was run more often "
        "and only its best runs were kept, this arm looks too good. An arm also looks too good if its failed "
        "runs are missing.",
    )


def _check_few(comparisons: Sequence[Comparison], question: Question) -> list[Finding]:
    """Find comparisons with too few runs for an interval, for a verdict, or for a reliable verdict."""
    fewest = [min(one.arm_runs, one.baseline_runs) for one in comparisons]
    single, without = sum(n <= 1 for n in fewest), sum(n < PAIRS_FOR_A_VERDICT for n in fewest)
    few = sum(n < FEW_SEEDS for n in fewest)
    if single:
        return [
            Finding(
                kind=FindingKind.ONE_RUN,
                sentence=f"{_count(single, fewest)} at most one run of an arm. One run shows nothing about "
                "the variation between seeds, so there is no interval.",
            )
        ]
    if without or few:
        noun = "different seeds" if question.seed is not None else "runs"
        told = (
            f"A verdict needs three {noun} of each arm."
            if without
            else "An interval from so few runs is wide, and it assumes that results are distributed normally."
        )
        least = PAIRS_FOR_A_VERDICT if without else FEW_SEEDS
        return [
            Finding(
                kind=FindingKind.FEW_SEEDS,
                sentence=f"{_count(without or few, fewest)} fewer than {least} runs of an arm. {told}",
            )
        ]
    return []


def _count(number: int, fewest: Sequence[int]) -> str:
    if number == len(fewest):
        return "All comparisons rest on" if number > 1 else "The comparison rests on"
    return f"{number:,} of {len(fewest):,} comparisons rest{'s' if number == 1 else ''} on"


def _check_pairing(comparisons: Sequence[Comparison], cells: Cells, question: Question) -> list[Finding]:
    """Find seeds without a partner, and comparisons that cannot be paired."""
    found = []
    lost = [one for one in comparisons if one.arm_left_out + one.baseline_left_out]
    if lost:
        runs = sum(one.arm_left_out + one.baseline_left_out for one in lost)
        turned = sum(_is_turned(one, cells, question) for one in lost)
        but = (
            f" In {turned:,} of these comparisons, the means of all runs are in the opposite order."
            if turned
            else ""
        )
        found.append(
            Finding(
                kind=FindingKind.LOST_PAIRS,
                sentence=f"{format_count(len(lost), 'comparison')} left out {format_count(runs, 'run')} "
                f"because the other arm has no run with the same seed.{but} If runs failed, say so in a "
                "column “status”.",
            )
        )
    unpaired = [one for one in comparisons if one.test == WELCH]
    if unpaired:
        verb = "is" if len(unpaired) == 1 else "are"
        why = (
            f"{format_count(len(unpaired), 'comparison')} {verb} not paired, because the arms share fewer "
            f"than {PAIRS_FOR_A_VERDICT} seeds, or most of their runs have no partner with the same seed"
            if question.seed is not None
            else "No column of seeds is named, so no runs are paired"
        )
        found.append(
            Finding(
                kind=FindingKind.NO_COMMON_SEEDS,
                sentence=f"{why}. Welch's test compares the two groups of runs. Pairs would cancel the "
                "effect that a seed has on both arms, such as the effect of its split of the data. So the "
                "same number of paired runs can often detect smaller differences.",
            )
        )
    return found


def _is_turned(one: Comparison, cells: Cells, question: Question) -> bool:
    """Return whether one arm has the larger mean in the compared runs, but the smaller mean in all runs."""
    if one.arm_mean is None or one.baseline_mean is None:
        return False
    arm, baseline = (cells[one.part, name].results.mean() for name in (one.arm, question.baseline))
    return bool((one.arm_mean - one.baseline_mean) * (arm - baseline) < 0)


def _check_similar_names(cells: Cells, shown: dict[str, str]) -> Finding | None:
    """Find arms with names that differ only in upper and lower case, or in spaces."""
    alike: dict[str, list[str]] = {}
    for arm in sorted({arm for _, arm in cells}):
        alike.setdefault("".join(arm.casefold().split()), []).append(shown[arm])
    told = [format_list([f"“{name}”" for name in names]) for names in alike.values() if len(names) > 1]
    if not told:
        return None
    return Finding(
        kind=FindingKind.SIMILAR_NAMES,
        sentence="Some names differ only in upper and lower case or in spaces, but count as different arms: "
        f"{name_some(told)}. If they mean the same arm, write them in the same way.",
    )


def _check_names(shown: dict[str, str]) -> Finding | None:
    hostile = [text for name, text in shown.items() if is_hostile(name)]
    turned = [text for name, text in shown.items() if is_right_to_left(name)]
    if not hostile and not turned:
        return None
    told = []
    if hostile:
        told.append(
            f"The table has {format_count(len(hostile), 'name')} with unusual characters or great length: "
            f"{name_some(hostile)}. On pages, unusual characters are escaped and long names are cut. In "
            "tables, an apostrophe precedes a text that a spreadsheet program could run as a formula."
        )
    if turned:
        count = format_count(len(turned), "name")
        told.append(f"The table has {count} written from right to left: {name_some(turned)}.")
    return Finding(kind=FindingKind.HOSTILE_NAMES, sentence=" ".join(told))
