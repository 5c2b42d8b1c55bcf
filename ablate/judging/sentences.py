"""The answer in words: for each comparison its verdict, and the difference with its interval."""

from dataclasses import dataclass
from typing import Any

from ablate.errors import escape_unprintable, install_command
from ablate.formatting import format_count, format_list, format_p, list_rows
from ablate.judging.comparisons import PAIRED, Comparison
from ablate.judging.findings import FindingKind, name_some
from ablate.judging.judgement import RunJudgement
from ablate.stats.power import PAIRS_FOR_A_VERDICT, POWER, compute_detectable_difference
from ablate.stats.rounding import DIGITS
from ablate.stats.verdicts import NO_SPREAD, UNTRAINED, Verdict

TONES = {
    Verdict.MATTERS: "strong",
    Verdict.SIZE_UNCLEAR: "strong",
    Verdict.DIFFERENT: "strong",
    Verdict.EQUIVALENT: "calm",
}
FLOAT_ERROR = 1e-14
"""If the relative difference of two means is smaller than this, it is a rounding error.

The means then count as equal.
"""
SHOWN = (Verdict.MATTERS, Verdict.SIZE_UNCLEAR, Verdict.DIFFERENT)
"""The verdicts that claim a difference. With any other verdict, an arm may be ahead only by chance."""
MORE_SEEDS = 4


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one comparison."""

    subject: str
    verdict: str
    tone: str
    sentence: str


def list_answers(judgement: RunJudgement) -> list[Answer]:
    """List one answer for each comparison, sorted by part and arm."""
    rows = list_rows(judgement.tables["judged_comparisons"])
    return [
        Answer(
            subject=_name_comparison(one, judgement),
            verdict=str(one.verdict),
            tone=TONES.get(one.verdict, "open"),
            sentence=_explain(one, row, judgement),
        )
        for one, row in zip(judgement.comparisons, rows, strict=True)
    ]


def state_headline(judgement: RunJudgement) -> str:
    """State the answer in one line."""
    answers = list_answers(judgement)
    if len(answers) == 1:
        return f"{answers[0].subject}: {answers[0].verdict}"
    verdicts = [answer.verdict for answer in answers]
    told = ", ".join(f"{verdicts.count(verdict)} × “{verdict}”" for verdict in dict.fromkeys(verdicts))
    return f"{len(answers)} comparisons with {judgement.shown[judgement.question.baseline]}: {told}"


def describe_ranking(judgement: RunJudgement) -> list[str]:
    """Describe the ranking of the arms over the parts in sentences. The list is empty without a ranking."""
    ranking = judgement.ranking
    if ranking is None:
        return []
    first = ranking.mean_ranks.iloc[0]
    best = [judgement.shown[str(arm)] for arm, rank in ranking.mean_ranks.items() if rank == first]
    arms, alpha = len(ranking.mean_ranks), judgement.question.alpha
    lead = f"{format_list(best)} {'ranks' if len(best) == 1 else 'rank'} best on average"
    told = [
        f"Over {ranking.parts} parts and {arms} arms, {lead} (mean rank {first:.2f}). Friedman's test: "
        f"{format_p(ranking.p_value)}, so the arms {'do not all' if ranking.p_value < alpha else 'may all'} "
        f"rank alike. Friedman's test and Nemenyi's test each have the level {alpha:g} on their own. Holm's "
        "correction of the comparisons with the baseline does not include these tests."
    ]
    if ranking.arms_left_out:
        named = name_some(judgement.shown[arm] for arm in ranking.arms_left_out)
        told.append(f"Not ranked, because they have no mean in many parts: {named}.")
    if ranking.parts_left_out:
        named = name_some(judgement.shown[part] for part in ranking.parts_left_out)
        told.append(f"Left out of the ranking, because an arm has no mean there: {named}.")
    if ranking.pairs is None:
        told.append(f"For Nemenyi's test of all pairs of arms and its figure: {install_command('judge')}")
    return told


def _name_comparison(one: Comparison, judgement: RunJudgement) -> str:
    shown = judgement.shown
    where = f"{shown[one.part]}: " if judgement.question.by is not None else ""
    return f"{where}{shown[one.arm]} against {shown[judgement.question.baseline]}"


def _explain(one: Comparison, row: dict[str, Any], judgement: RunJudgement) -> str:
    """Explain why a comparison has its verdict, with numbers."""
    if one.verdict in UNTRAINED or (one.arm_diverged + one.baseline_diverged and row["difference"] is None):
        return _explain_divergence(one, judgement)
    if row["difference"] is None:
        return "No run of both arms can be compared."
    question = judgement.question
    measured = _state_difference(one, row, judgement)
    test = _describe_test(one, judgement)
    if one.verdict == Verdict.NO_VERDICT:
        return f"{measured} ({test}). {_say_what_a_verdict_needs(judgement)}"
    if one.verdict in NO_SPREAD:
        return f"{measured}, the same in all runs ({test}). Without any spread there is nothing to test."
    confidence = f"{(1 - question.alpha) * 100:g}%"
    corrected = f" after Holm's correction for {_count_tests(judgement)}" if judgement.family > 1 else ""
    tested = (
        f"{measured} ({confidence} interval {judgement.unit.format_interval(row['ci_low'], row['ci_high'])}; "
        f"{format_p(row['p_holm'])}{corrected}; {test})."
    )
    return f"{tested}{_show_means(one, judgement)} {_explain_rule(one, row, judgement)}"


def _say_what_a_verdict_needs(judgement: RunJudgement) -> str:
    if judgement.question.seed is None:
        return f"A verdict needs {PAIRS_FOR_A_VERDICT} runs of each arm."
    told = f"A verdict needs {PAIRS_FOR_A_VERDICT} different seeds of each arm."
    if any(finding.kind == FindingKind.SEVERAL_RUNS for finding in judgement.findings):
        told += " If the rows with one seed are separate runs, leave out --seed."
    return told


def _explain_rule(one: Comparison, row: dict[str, Any], judgement: RunJudgement) -> str:
    """Explain which rule gave the verdict."""
    verdict, margin = one.verdict, judgement.question.margin
    near = "" if margin is None else judgement.unit.format_margin(margin)
    widened = f"Even if widened to cover {_count_tests(judgement)}, the" if judgement.family > 1 else "The"
    if verdict == Verdict.MATTERS:
        return f"{widened} whole interval lies outside the margin of {near}."
    if verdict == Verdict.SIZE_UNCLEAR:
        return f"There is a difference, but it may be smaller than the margin of {near}."
    if verdict == Verdict.EQUIVALENT:
        shown = judgement.unit.format_interval(row["equivalence_ci_low"], row["equivalence_ci_high"])
        return f"Any difference is smaller than the margin of {near} ({shown})."
    if verdict == Verdict.DIFFERENT:
        return (
            "Whether it matters depends on the smallest difference that you care about: give it as --margin."
        )
    return _say_what_runs_can_show(one, row, judgement)


def _say_what_runs_can_show(one: Comparison, row: dict[str, Any], judgement: RunJudgement) -> str:
    """Say which difference the runs could detect, and how many more would be needed."""
    question, fewest = judgement.question, min(one.arm_runs, one.baseline_runs)
    noun = "seeds" if one.test == PAIRED else "runs of each arm"
    # `more` is at least the number of runs of the larger arm, so the sentence never suggests fewer runs than
    # an arm has now.
    more = max(MORE_SEEDS * fewest, one.arm_runs, one.baseline_runs)
    detectable = [
        row["detectable_difference"],
        compute_detectable_difference(
            more,
            one.result.row["spread"],
            question.alpha / judgement.family,
            degrees_per_pair=one.result.row.get("degrees_per_run", 1.0),
        ),
    ]
    written = [judgement.unit.format_detectable(size) for size in detectable]
    now = f"{fewest:,} {noun}"
    if one.arm_runs != one.baseline_runs:
        now = f"{one.arm_runs:,} and {one.baseline_runs:,} runs"
    told = (
        f"With {now} there is {POWER:.0%} power to detect a difference of {written[0]}; "
        f"{more:,} {noun} would detect {written[1]}."
    )
    if judgement.unit.is_impossible(detectable[0]):
        told = f"With {now} no possible difference is detected with {POWER:.0%} power: more runs are needed."
    if row["p_value"] < question.alpha:
        told = (
            f"Without Holm's correction, this difference would be significant ({format_p(row['p_value'])}). "
            f"Corrected for {_count_tests(judgement)}, it is not. {told}"
        )
    if question.margin is None:
        return f"{told} This result does not prove that the arms are equal."
    if row["seeds_needed"] <= fewest:
        return f"{told} The measured difference is too close to the margin to say more."
    near = judgement.unit.format_margin(question.margin)
    return (
        f"{told} If there is no true difference, about {row['seeds_needed']:,} {noun} are needed to show "
        f"that any difference is smaller than the margin of {near}."
    )


def _say_what_was_rounded(one: Comparison) -> str:
    """Say that a difference was rounded to 0, if it is larger than an error of floating-point numbers."""
    if one.arm_mean is None or one.baseline_mean is None:
        return ""
    largest = max(abs(one.arm_mean), abs(one.baseline_mean))
    if abs(one.arm_mean - one.baseline_mean) <= FLOAT_ERROR * largest:
        return ""
    return f", rounded to 12 digits or {DIGITS} decimals"


def _state_difference(one: Comparison, row: dict[str, Any], judgement: RunJudgement) -> str:
    """State the difference, and which arm is ahead."""
    question, difference = judgement.question, row["difference"]
    arm, baseline = judgement.shown[one.arm], judgement.shown[question.baseline]
    metric = escape_unprintable(question.metric)
    if difference == 0:
        return f"{arm} and {baseline} have the same mean {metric}{_say_what_was_rounded(one)}"
    reach = None if row["ci_high"] is None else (row["ci_high"] - row["ci_low"]) / 2
    size = judgement.unit.format_difference(abs(difference), reach, signed=False)
    ahead = arm if (difference > 0) == question.higher_is_better else baseline
    where = "" if one.verdict in SHOWN else " in these runs"
    return (
        f"The {metric} of {arm} is {size} {'higher' if difference > 0 else 'lower'} than that of {baseline}, "
        f"so {ahead} is ahead{where}"
    )


def _describe_test(one: Comparison, judgement: RunJudgement) -> str:
    if one.test == PAIRED:
        return format_count(one.arm_runs, "paired seed")
    told = f"Welch's test of {one.arm_runs:,} and {one.baseline_runs:,} runs"
    if judgement.question.seed is None:
        return f"{told}, not paired"
    return (
        f"{told} with {format_count(one.shared, 'common seed')}"
        if one.shared
        else f"{told} without common seeds"
    )


def _show_means(one: Comparison, judgement: RunJudgement) -> str:
    """If pairs leave runs out, show the means of the compared runs and the means of all runs."""
    if one.arm_mean is None or not one.arm_left_out + one.baseline_left_out:
        return ""
    names = (one.arm, judgement.question.baseline)
    everything = [float(judgement.cells[one.part, name].results.mean()) for name in names]
    used, whole = (
        " and ".join(judgement.unit.format_value(mean) for mean in means)
        for means in ((one.arm_mean, one.baseline_mean), everything)
    )
    arm, baseline = (judgement.shown[name] for name in names)
    return f" The means of {arm} and {baseline} are {used} over the shared seeds, and {whole} over all runs."


def _explain_divergence(one: Comparison, judgement: RunJudgement) -> str:
    """Say how many runs of each arm diverged, and how the arms differ over the seeds where both trained."""
    counts = {
        judgement.shown[one.arm]: (one.arm_diverged, (one.part, one.arm)),
        judgement.shown[judgement.question.baseline]: (
            one.baseline_diverged,
            (one.part, judgement.question.baseline),
        ),
    }
    told = format_list(
        [
            f"{diverged} of {len(judgement.cells[place].seeds)} runs of {name} diverged"
            for name, (diverged, place) in counts.items()
            if diverged
        ]
    )
    row = one.result.row
    if row["difference"] is None or row["p_value"] is None:
        return f"{told}. So the arms have no means that could be compared."
    measured = _state_difference(one, row, judgement)
    return (
        f"{told}. So the arms have no means that could be compared. Among the runs that trained: "
        f"{measured[:1].lower()}{measured[1:]} "
        f"({judgement.unit.format_interval(row['ci_low'], row['ci_high'])}; "
        f"{_describe_test(one, judgement)})."
    )


def _count_tests(judgement: RunJudgement) -> str:
    noun = "comparison" if judgement.family == len(judgement.comparisons) else "test"
    return format_count(judgement.family, noun)
