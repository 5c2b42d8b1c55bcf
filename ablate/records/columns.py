"""Every column of every table: its unit, type and meaning."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a table's column holds."""

    unit: str
    dtype: Literal["string", "Int64", "Float64", "boolean"]
    meaning: str


COLUMNS: dict[str, Column] = {
    "phase": Column(unit="", dtype="string", meaning="tune, search or confirm"),
    "arm": Column(unit="", dtype="string", meaning="one setting of the factors"),
    "baseline": Column(unit="", dtype="string", meaning="the arm compared against, or `both alone` for an interaction"),
    "setting": Column(unit="", dtype="string", meaning="values of what is tuned for every arm"),
    "seed": Column(unit="", dtype="Int64", meaning="key of every random stream of the run"),
    "status": Column(unit="", dtype="string", meaning="complete, failed, diverged, oom or pruned"),
    "epoch": Column(unit="epochs", dtype="Float64", meaning="passes over the training images so far"),
    "train_loss": Column(unit="nats", dtype="Float64", meaning="running mean of the cross-entropy over the epoch, train mode"),
    "train_accuracy": Column(unit="", dtype="Float64", meaning="running share of right guesses over the epoch, train mode"),
    "validation_accuracy": Column(unit="", dtype="Float64", meaning="share of right guesses on the validation images"),
    "test_accuracy": Column(unit="", dtype="Float64", meaning="share of right guesses on the official test images, read once"),
    "train_seconds": Column(unit="s", dtype="Float64", meaning="wall seconds of the epoch's training steps, evaluation left out"),
    "examples_per_second": Column(unit="1/s", dtype="Float64", meaning="training examples per wall second"),
    "examples_per_second_ci_low": Column(unit="1/s", dtype="Float64", meaning="lower end of the median's interval over blocks"),
    "examples_per_second_ci_high": Column(unit="1/s", dtype="Float64", meaning="upper end of the median's interval over blocks"),
    "is_baseline": Column(unit="", dtype="boolean", meaning="whether this arm is the baseline"),
    "seeds": Column(unit="", dtype="Int64", meaning="seeds with a result"),
    "test_accuracy_mean": Column(unit="", dtype="Float64", meaning="mean test accuracy over seeds"),
    "test_accuracy_ci_low": Column(unit="", dtype="Float64", meaning="lower end of its t-interval"),
    "test_accuracy_ci_high": Column(unit="", dtype="Float64", meaning="upper end of its t-interval"),
    "examples_per_second_ratio": Column(unit="", dtype="Float64", meaning="throughput over the baseline's, paired by block"),
    "examples_per_second_ratio_ci_low": Column(unit="", dtype="Float64", meaning="lower end of its interval"),
    "examples_per_second_ratio_ci_high": Column(unit="", dtype="Float64", meaning="upper end of its interval"),
    "parameters": Column(unit="", dtype="Int64", meaning="numbers that training changes"),
    "flops_per_example": Column(unit="FLOP", dtype="Int64", meaning="forward, convolutions and matrix products, 2 a multiply-add"),
    "peak_memory_bytes": Column(unit="B", dtype="Int64", meaning="most bytes of tensors alive in one training step"),
    "pareto": Column(unit="", dtype="boolean", meaning="no other arm is both more accurate and faster"),
    "difference": Column(unit="", dtype="Float64", meaning="mean over seeds of arm minus the one compared against, test accuracy"),
    "ci_low": Column(unit="", dtype="Float64", meaning="lower end of the difference's t-interval"),
    "ci_high": Column(unit="", dtype="Float64", meaning="upper end of the difference's t-interval"),
    "p_value": Column(unit="", dtype="Float64", meaning="paired t-test, two-sided"),
    "p_holm": Column(unit="", dtype="Float64", meaning="the same after Holm's correction over all contrasts"),
    "p_sign_flip": Column(unit="", dtype="Float64", meaning="exact sign-flip permutation test, as a check"),
    "effect_size_dz": Column(unit="SD", dtype="Float64", meaning="mean difference over the standard deviation of differences"),
    "prob_better": Column(unit="", dtype="Float64", meaning="share of seeds in which the arm is ahead, ties half"),
    "equivalence_ci_low": Column(unit="", dtype="Float64", meaning="lower end at 1 − 2·alpha over contrasts: inside the margin it shows equivalence"),
    "equivalence_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the same"),
    "family_ci_low": Column(unit="", dtype="Float64", meaning="lower end at 1 − alpha over contrasts: beyond the margin it shows that a difference matters"),
    "family_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the same"),
    "detectable_difference": Column(unit="", dtype="Float64", meaning="smallest difference these seeds find with 80 % power"),
    "seeds_needed": Column(unit="", dtype="Int64", meaning="seeds for 80 % power to show equivalence, after Bonferroni, if there is no difference"),
    "verdict": Column(unit="", dtype="string", meaning="the answer in a word"),
    "generation": Column(unit="", dtype="Int64", meaning="round of the search; each is proposed from those before it"),
    "finalist": Column(unit="", dtype="boolean", meaning="whether it was confirmed on fresh seeds"),
    "hypervolume": Column(unit="decades", dtype="Float64", meaning="accuracy above chance × decades of FLOP covered by the front so far"),
    "factor": Column(unit="", dtype="string", meaning="a factor or nuisance of the search"),
    "ped_anova": Column(unit="", dtype="Float64", meaning="PED-ANOVA's share of importance, over the best tenth; a screening"),
    "fanova": Column(unit="", dtype="Float64", meaning="fANOVA's share of importance, over all candidates; a screening"),
    "parameter": Column(unit="", dtype="string", meaning="what was tuned"),
    "best": Column(unit="", dtype="Float64", meaning="the arm's own best value"),
    "chosen": Column(unit="", dtype="Float64", meaning="the value it was confirmed with"),
    "low": Column(unit="", dtype="Float64", meaning="lowest value tried"),
    "high": Column(unit="", dtype="Float64", meaning="highest value tried"),
    "at_edge": Column(unit="", dtype="boolean", meaning="whether the best is the lowest or highest value tried"),
    "extended": Column(unit="", dtype="boolean", meaning="whether the range was widened because a best lay on its edge"),
    "trials": Column(unit="", dtype="Int64", meaning="tuning runs of the arm"),
    "failed": Column(unit="", dtype="Int64", meaning="tuning runs that crashed"),
    "diverged": Column(unit="", dtype="Int64", meaning="tuning runs whose loss became infinite or no number"),
    "block": Column(unit="", dtype="Int64", meaning="round of the alternation"),
    "position": Column(unit="", dtype="Int64", meaning="place within the round; first and last are the baseline's"),
    "examples": Column(unit="", dtype="Int64", meaning="training examples in the block"),
    "seconds": Column(unit="s", dtype="Float64", meaning="wall seconds between two device synchronisations"),
    "disturbed": Column(unit="", dtype="boolean", meaning="whether other programs took the processor meanwhile"),
    "reference": Column(unit="", dtype="string", meaning="name of a published result"),
    "metric": Column(unit="", dtype="string", meaning="the measured quantity that was published"),
    "published": Column(unit="", dtype="Float64", meaning="the published value"),
    "source": Column(unit="", dtype="string", meaning="where it was published"),
    "mean": Column(unit="", dtype="Float64", meaning="mean over the baseline's confirmed runs"),
    "prediction_low": Column(unit="", dtype="Float64", meaning="lower end of the interval for one further run"),
    "prediction_high": Column(unit="", dtype="Float64", meaning="upper end of the same"),
    "inside": Column(unit="", dtype="boolean", meaning="whether the published value lies within that interval"),
    "label": Column(unit="", dtype="string", meaning="the class that test images are of"),
    "guess": Column(unit="", dtype="string", meaning="the class that the arm's network of seed 0 takes them for"),
    "images": Column(unit="", dtype="Int64", meaning="test images of the one class taken for the other; pairs without any are left out"),
}  # fmt: skip

TABLES: dict[str, tuple[str, ...]] = {
    "runs": ("phase", "arm", "setting", "seed", "status", "train_loss", "train_accuracy", "validation_accuracy", "test_accuracy"),
    "epochs": ("phase", "arm", "setting", "seed", "epoch", "train_loss", "train_accuracy", "validation_accuracy", "train_seconds", "examples_per_second"),
    "arms": ("arm", "is_baseline", "seeds", "test_accuracy_mean", "test_accuracy_ci_low", "test_accuracy_ci_high", "examples_per_second", "examples_per_second_ci_low", "examples_per_second_ci_high", "examples_per_second_ratio", "examples_per_second_ratio_ci_low", "examples_per_second_ratio_ci_high", "parameters", "flops_per_example", "peak_memory_bytes", "pareto"),
    "comparisons": ("arm", "baseline", "difference", "ci_low", "ci_high", "p_value", "p_holm", "p_sign_flip", "effect_size_dz", "prob_better", "equivalence_ci_low", "equivalence_ci_high", "family_ci_low", "family_ci_high", "detectable_difference", "seeds_needed", "verdict"),
    "path": ("arm", "baseline", "difference", "ci_low", "ci_high", "test_accuracy_mean", "verdict"),
    "candidates": ("generation", "arm", "setting", "status", "validation_accuracy", "flops_per_example", "is_baseline", "pareto", "finalist", "hypervolume"),
    "importance": ("factor", "ped_anova", "fanova"),
    "tuning": ("arm", "parameter", "best", "chosen", "low", "high", "at_edge", "extended", "trials", "failed", "diverged"),
    "timing": ("arm", "block", "position", "examples", "seconds", "disturbed"),
    "references": ("reference", "metric", "published", "source", "mean", "prediction_low", "prediction_high", "inside"),
    "confusion": ("arm", "label", "guess", "images"),
}  # fmt: skip
"""Columns by table; `runs` has one more a factor and nuisance, between `status` and `train_loss`."""

GIVEN_TABLES = ("runs", "epochs", "tuning", "timing")
"""What a report is made from; the other tables follow from these."""
OPTIONAL_TABLES = ("confusion",)
"""What is given as well where networks were looked into; folders from before that are whole without it."""
