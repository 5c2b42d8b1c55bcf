"""`COLUMNS` defines every column of the tables once. `TABLES` lists the columns of each table."""

from dataclasses import dataclass
from typing import Literal

from ablate.metrics import METRICS


@dataclass(frozen=True, kw_only=True)
class Column:
    """The unit, type and meaning of a column. The report prints the meaning."""

    unit: str
    dtype: Literal["string", "Int64", "Float64", "boolean"]
    meaning: str


COLUMNS: dict[str, Column] = {
    "phase": Column(unit="", dtype="string", meaning="purpose of the run: search (try a candidate), tune (choose a setting) or confirm (measure the result)"),
    "arm": Column(unit="", dtype="string", meaning="variant of the network or its training: one value for each factor of the study"),
    "baseline": Column(unit="", dtype="string", meaning="arm that this arm is compared with; “both alone” for an interaction of two factors"),
    "setting": Column(unit="", dtype="string", meaning="values of the tuned parameters, such as the learning rate; “recipe” if nothing is tuned"),
    "seed": Column(unit="", dtype="Int64", meaning="number from which all random choices of the run follow"),
    "status": Column(unit="", dtype="string", meaning="how the run ended: complete, failed (it crashed), diverged (its loss became infinite or not a number), oom (out of memory) or pruned (the search stopped it early)"),
    "epoch": Column(unit="epochs", dtype="Float64", meaning="passes over the training images so far; a fraction within an epoch"),
    "train_loss": Column(unit="nats", dtype="Float64", meaning="mean cross-entropy over the epoch's training batches so far; the loss of a batch is computed just before the update on this batch"),
    "train_accuracy": Column(unit="", dtype="Float64", meaning="share of the epoch's training images so far that the network classified correctly just before the update on their batch"),
    "validation_accuracy": Column(unit="", dtype="Float64", meaning="share of the validation images that the network classifies correctly"),
    "test_accuracy": Column(unit="", dtype="Float64", meaning="share of the official test images that the trained network classifies correctly"),
    "test_balanced_accuracy": Column(unit="", dtype="Float64", meaning="mean of the recalls of all classes that have test images; a class's recall is the share of its images that the trained network classifies correctly, so every class counts the same"),
    "train_seconds": Column(unit="s", dtype="Float64", meaning="wall-clock time of the epoch's training steps, without evaluation"),
    "examples_per_second": Column(unit="1/s", dtype="Float64", meaning="training images per second of wall-clock time; in the table arms, the median over timing blocks"),
    "examples_per_second_ci_low": Column(unit="1/s", dtype="Float64", meaning="lower end of the confidence interval of the median over timing blocks"),
    "examples_per_second_ci_high": Column(unit="1/s", dtype="Float64", meaning="upper end of the confidence interval of the median over timing blocks"),
    "is_baseline": Column(unit="", dtype="boolean", meaning="whether this arm is the baseline"),
    "seeds": Column(unit="", dtype="Int64", meaning="confirmation runs of the arm that were completed, one for each seed"),
    "test_accuracy_mean": Column(unit="", dtype="Float64", meaning="mean test accuracy over the seeds"),
    "test_accuracy_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of the mean test accuracy (t-interval)"),
    "test_accuracy_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of the mean test accuracy (t-interval)"),
    "test_balanced_accuracy_mean": Column(unit="", dtype="Float64", meaning="mean balanced test accuracy over the seeds"),
    "test_balanced_accuracy_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of the mean balanced test accuracy (t-interval)"),
    "test_balanced_accuracy_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of the mean balanced test accuracy (t-interval)"),
    "examples_per_second_ratio": Column(unit="", dtype="Float64", meaning="throughput divided by the baseline's: geometric mean over timing blocks"),
    "examples_per_second_ratio_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of examples_per_second_ratio"),
    "examples_per_second_ratio_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of examples_per_second_ratio"),
    "parameters": Column(unit="", dtype="Int64", meaning="number of trainable parameters of the network"),
    "flops_per_example": Column(unit="FLOP", dtype="Int64", meaning="floating-point operations of the forward pass for one image, in convolutions and matrix products; a multiply-add counts as 2"),
    "peak_memory_bytes": Column(unit="B", dtype="Int64", meaning="largest amount of memory that tensors use at once during a training step"),
    "first_step_seconds": Column(unit="s", dtype="Float64", meaning="wall-clock time of the first training step of the timing phase; it includes compilation by torch.compile; the column is missing if throughput was not measured"),
    "inference_seconds": Column(unit="s", dtype="Float64", meaning="latency: wall-clock time to classify one image, median of many calls; the column is missing if throughput was not measured"),
    "inference_examples_per_second": Column(unit="1/s", dtype="Float64", meaning="images classified per second in batches of 1,024, median of several calls; the column is missing if throughput was not measured"),
    "joules_per_example": Column(unit="J", dtype="Float64", meaning="energy for one training image: median over undisturbed timing blocks; the column is missing if no energy was counted"),
    "pareto": Column(unit="", dtype="boolean", meaning="whether no other arm is at least as good in both accuracy and speed, and better in one of them; for candidates of a search, accuracy and FLOPs"),
    "pairs": Column(unit="", dtype="Int64", meaning="number of seeds with a completed run of both arms"),
    "difference": Column(unit="", dtype="Float64", meaning="mean over seeds of this arm's test accuracy minus that of the arm it is compared with; in the table differences_by_epoch, the same for the validation accuracy after this epoch"),
    "ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of the difference (t-interval)"),
    "ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of the difference (t-interval)"),
    "p_value": Column(unit="", dtype="Float64", meaning="p-value of the paired t-test, two-sided"),
    "p_holm": Column(unit="", dtype="Float64", meaning="p-value after Holm's correction for all comparisons of the study; it decides the verdict"),
    "p_sign_flip": Column(unit="", dtype="Float64", meaning="p-value of a sign-flip permutation test, a check that assumes no normal distribution"),
    "effect_size_dz": Column(unit="SD", dtype="Float64", meaning="mean difference divided by the standard deviation of the differences over seeds"),
    "prob_better": Column(unit="", dtype="Float64", meaning="share of the seeds for which this arm is more accurate than the arm it is compared with; a tie counts half"),
    "equivalence_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the interval that decides about equivalence: equivalent if the whole interval lies inside the margin"),
    "equivalence_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the interval that decides about equivalence"),
    "family_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the interval that decides whether a difference matters: it does if p_holm is below alpha and the whole interval lies beyond the margin"),
    "family_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the interval that decides whether a difference matters"),
    "detectable_difference": Column(unit="", dtype="Float64", meaning="smallest true difference that this number of seeds detects with 80% power"),
    "seeds_needed": Column(unit="", dtype="Int64", meaning="number of seeds that show equivalence with 80% power, if there is no true difference"),
    "verdict": Column(unit="", dtype="string", meaning="the answer in a few words; the report explains each verdict"),
    "compared_seeds": Column(unit="", dtype="Int64", meaning="seeds in which neither of the two runs is missing or crashed"),
    "arm_trained": Column(unit="", dtype="Int64", meaning="seeds in which the arm trained: its run neither diverged nor stayed at chance"),
    "baseline_trained": Column(unit="", dtype="Int64", meaning="seeds in which the arm that it is compared with trained"),
    "only_arm": Column(unit="", dtype="Int64", meaning="seeds in which the arm trained and the other arm did not"),
    "only_baseline": Column(unit="", dtype="Int64", meaning="seeds in which the other arm trained and this arm did not"),
    "p_training": Column(unit="", dtype="Float64", meaning="p-value of McNemar's exact test of how often the two arms train, two-sided"),
    "p_training_holm": Column(unit="", dtype="Float64", meaning="p_training after Holm's correction for all tests of the study; empty if so few seeds cannot show a difference"),
    "trained_pairs": Column(unit="", dtype="Int64", meaning="seeds in which all arms of the comparison trained"),
    "trained_difference": Column(unit="", dtype="Float64", meaning="mean difference of test accuracy over the seeds in which all arms trained"),
    "trained_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of trained_difference (t-interval)"),
    "trained_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of trained_difference (t-interval)"),
    "trained_p_value": Column(unit="", dtype="Float64", meaning="p-value of the paired t-test over the seeds in which all arms trained, two-sided"),
    "trained_p_holm": Column(unit="", dtype="Float64", meaning="trained_p_value after Holm's correction for all tests of the study"),
    "trained_verdict": Column(unit="", dtype="string", meaning="the answer about the seeds in which all arms trained"),
    "look_seeds": Column(unit="", dtype="Int64", meaning="seeds of each arm at this look at the results"),
    "alpha_share": Column(unit="", dtype="Float64", meaning="share of alpha that this look spends"),
    "step": Column(unit="", dtype="string", meaning="what followed from this look at the results: go on, decided, more seeds would hardly decide it, or last look"),
    "generation": Column(unit="", dtype="Int64", meaning="round of the search, from 0; the results of earlier rounds decide which candidates a round tries"),
    "finalist": Column(unit="", dtype="boolean", meaning="whether the candidate was trained again on fresh seeds"),
    "hypervolume": Column(unit="decades", dtype="Float64", meaning="area that the best candidates so far dominate: accuracy above chance × powers of ten by which they are cheaper than the costliest candidate"),
    "factor": Column(unit="", dtype="string", meaning="factor or tuned parameter of the search"),
    "ped_anova": Column(unit="", dtype="Float64", meaning="importance for reaching the best tenth of the candidates, as a share of 1 (PED-ANOVA); a hint, not a test"),
    "fanova": Column(unit="", dtype="Float64", meaning="importance over all candidates, as a share of 1 (fANOVA); a hint, not a test"),
    "parameter": Column(unit="", dtype="string", meaning="tuned parameter"),
    "best": Column(unit="", dtype="Float64", meaning="value with which this arm alone scored best"),
    "chosen": Column(unit="", dtype="Float64", meaning="value with which the arm was confirmed"),
    "low": Column(unit="", dtype="Float64", meaning="lowest value tried"),
    "high": Column(unit="", dtype="Float64", meaning="highest value tried"),
    "at_edge": Column(unit="", dtype="boolean", meaning="whether the arm's best value is the lowest or highest value tried; a value beyond it might be better"),
    "extended": Column(unit="", dtype="boolean", meaning="whether further values were tried because some arm's best value was the lowest or highest"),
    "trials": Column(unit="", dtype="Int64", meaning="tuning runs of the arm"),
    "failed": Column(unit="", dtype="Int64", meaning="tuning runs that crashed or ran out of memory"),
    "diverged": Column(unit="", dtype="Int64", meaning="tuning runs whose loss became infinite or not a number"),
    "block": Column(unit="", dtype="Int64", meaning="timing round, from 0; in each round the baseline is timed twice, and every other arm once"),
    "position": Column(unit="", dtype="Int64", meaning="place within the timing round, from 0; the baseline is first and last"),
    "examples": Column(unit="", dtype="Int64", meaning="training images processed during the measurement"),
    "seconds": Column(unit="s", dtype="Float64", meaning="wall-clock time of the measurement"),
    "disturbed": Column(unit="", dtype="boolean", meaning="whether other programs used the processors meanwhile or the machine slept; such measurements do not count in the throughput"),
    "joules": Column(unit="J", dtype="Float64", meaning="energy that processors, their memory and the GPU used meanwhile, other programs included; the column is missing if no energy was counted"),
    "reference": Column(unit="", dtype="string", meaning="name of a published result"),
    "metric": Column(unit="", dtype="string", meaning="quantity that was published: a column of the table runs"),
    "published": Column(unit="", dtype="Float64", meaning="published value"),
    "source": Column(unit="", dtype="string", meaning="where the value was published"),
    "mean": Column(unit="", dtype="Float64", meaning="mean of the published quantity over the baseline's confirmation runs"),
    "prediction_low": Column(unit="", dtype="Float64", meaning="lower end of the prediction interval for one further run of the baseline"),
    "prediction_high": Column(unit="", dtype="Float64", meaning="upper end of the prediction interval for one further run of the baseline"),
    "inside": Column(unit="", dtype="boolean", meaning="whether the published value lies within the prediction interval"),
    "part": Column(unit="", dtype="string", meaning="value of the column by which judged runs were split, such as a data set; empty if they were not split"),
    "test": Column(unit="", dtype="string", meaning="test of a comparison of judged runs: paired (t-test of the differences of runs with the same seed) or Welch (t-test of two groups without common seeds)"),
    "arm_runs": Column(unit="", dtype="Int64", meaning="runs of the arm that the comparison uses"),
    "baseline_runs": Column(unit="", dtype="Int64", meaning="runs of the baseline that the comparison uses"),
    "runs": Column(unit="", dtype="Int64", meaning="finished runs of the arm, one for each seed"),
    "runs_diverged": Column(unit="", dtype="Int64", meaning="runs of the arm that diverged"),
    "metric_mean": Column(unit="", dtype="Float64", meaning="mean of the judged metric over the arm's runs; empty if a run diverged"),
    "metric_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of metric_mean (t-interval)"),
    "metric_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of metric_mean (t-interval)"),
    "mean_rank": Column(unit="", dtype="Float64", meaning="mean over the parts of the arm's rank by its mean; 1 is the best"),
    "kind": Column(unit="", dtype="string", meaning="what the audit of a table of runs found"),
    "sentence": Column(unit="", dtype="string", meaning="the finding in a sentence"),
    "count": Column(unit="", dtype="Int64", meaning="rows of the table that the finding is about; 0 if it is not about rows"),
    "first_rows": Column(unit="", dtype="string", meaning="the first few of these rows; the first row below the header is row 1"),
    "label": Column(unit="", dtype="string", meaning="true class of the images"),
    "guess": Column(unit="", dtype="string", meaning="class that the arm's network of the first seed predicts for the images"),
    "recall": Column(unit="", dtype="Float64", meaning="share of the test images of this true class that the trained network classifies correctly"),
    "test_images": Column(unit="", dtype="Int64", meaning="number of test images with this true class"),
    "images": Column(unit="", dtype="Int64", meaning="number of test images with this true class and this prediction; pairs of classes without such images have no row"),
    "recall_difference": Column(unit="", dtype="Float64", meaning="mean over seeds of this arm's recall of the class minus that of the arm it is compared with"),
    "recall_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of recall_difference (t-interval), not corrected for the number of classes"),
    "recall_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of recall_difference (t-interval), not corrected for the number of classes"),
    "agreement_seeds": Column(unit="", dtype="Int64", meaning="seeds in which both arms trained and whose predictions are stored"),
    "agreement_images": Column(unit="", dtype="Int64", meaning="number of test images"),
    "both_right": Column(unit="", dtype="Float64", meaning="share of the test images that both arms classify correctly, mean over the agreement_seeds"),
    "only_arm_right": Column(unit="", dtype="Float64", meaning="share of the test images that only the arm classifies correctly, mean over the agreement_seeds"),
    "only_baseline_right": Column(unit="", dtype="Float64", meaning="share of the test images that only the arm it is compared with classifies correctly, mean over the agreement_seeds"),
    "neither_right": Column(unit="", dtype="Float64", meaning="share of the test images that neither arm classifies correctly, mean over the agreement_seeds"),
    "seeds_standard_error": Column(unit="", dtype="Float64", meaning="standard error of the difference over the agreement_seeds, for these test images"),
    "new_images_standard_error": Column(unit="", dtype="Float64", meaning="standard error of the difference for new seeds and new images of the same kind"),
    "new_images_degrees": Column(unit="", dtype="Float64", meaning="degrees of freedom of new_images_standard_error (Satterthwaite)"),
    "new_images_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of the difference for new images (t-interval)"),
    "new_images_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of the difference for new images (t-interval)"),
    "new_images_p_holm": Column(unit="", dtype="Float64", meaning="p-value of the difference for new images, after Holm's correction for all comparisons of the study"),
    "context": Column(unit="", dtype="string", meaning="named recipe or data set in which the study was answered"),
    "change": Column(unit="", dtype="Float64", meaning="mean over seeds of the difference or interaction in this context minus that in the first context"),
    "change_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the confidence interval of the change (t-interval)"),
    "change_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the confidence interval of the change (t-interval)"),
    "change_equivalence_ci_low": Column(unit="", dtype="Float64", meaning="lower end of the interval that decides whether the change is smaller than the margin"),
    "change_equivalence_ci_high": Column(unit="", dtype="Float64", meaning="upper end of the interval that decides whether the change is smaller than the margin"),
    "change_p_holm": Column(unit="", dtype="Float64", meaning="p-value of the change after Holm's correction for change_tests tests"),
    "change_pairs": Column(unit="", dtype="Int64", meaning="number of seeds with a trained run of all its arms in both contexts"),
    "change_tests": Column(unit="", dtype="Int64", meaning="number of tests for which change_p_holm is corrected"),
    "change_verdict": Column(unit="", dtype="string", meaning="the verdict on the change, by the rules for differences"),
    "new_images_verdict": Column(unit="", dtype="string", meaning="the answer by the rule of the verdicts, for new images; empty if predictions of some seeds are missing, or if some runs did not train"),
}  # fmt: skip
for _name, _metric in METRICS.items():
    for _split in ("validation", "test"):
        COLUMNS.setdefault(
            f"{_split}_{_name}",
            Column(
                unit=_metric.unit if _metric.unit == "nats" else "",
                dtype="Float64",
                meaning=f"{_metric.meaning}; on the {_split} images",
            ),
        )

STUDY_TABLES: dict[str, tuple[str, ...]] = {
    "runs": ("phase", "arm", "setting", "seed", "status", "train_loss", "train_accuracy", "validation_accuracy", "test_accuracy", "test_balanced_accuracy"),
    "epochs": ("phase", "arm", "setting", "seed", "epoch", "train_loss", "train_accuracy", "validation_accuracy", "train_seconds", "examples_per_second"),
    "arms": ("arm", "is_baseline", "seeds", "test_accuracy_mean", "test_accuracy_ci_low", "test_accuracy_ci_high", "examples_per_second", "examples_per_second_ci_low", "examples_per_second_ci_high", "examples_per_second_ratio", "examples_per_second_ratio_ci_low", "examples_per_second_ratio_ci_high", "parameters", "flops_per_example", "peak_memory_bytes", "pareto", "test_balanced_accuracy_mean", "test_balanced_accuracy_ci_low", "test_balanced_accuracy_ci_high", "joules_per_example", "first_step_seconds", "inference_seconds", "inference_examples_per_second"),
    "comparisons": ("arm", "baseline", "difference", "ci_low", "ci_high", "p_value", "p_holm", "p_sign_flip", "effect_size_dz", "prob_better", "equivalence_ci_low", "equivalence_ci_high", "family_ci_low", "family_ci_high", "detectable_difference", "seeds_needed", "verdict"),
    "differences_by_epoch": ("epoch", "arm", "baseline", "pairs", "difference", "ci_low", "ci_high"),
    "stability": ("arm", "baseline", "compared_seeds", "arm_trained", "baseline_trained", "only_arm", "only_baseline", "p_training", "p_training_holm", "trained_pairs", "trained_difference", "trained_ci_low", "trained_ci_high", "trained_p_value", "trained_p_holm", "trained_verdict"),
    "looks": ("arm", "baseline", "look_seeds", "alpha_share", "pairs", "difference", "family_ci_low", "family_ci_high", "equivalence_ci_low", "equivalence_ci_high", "p_holm", "verdict", "step"),
    "path": ("arm", "baseline", "difference", "ci_low", "ci_high", "test_accuracy_mean", "verdict"),
    "candidates": ("generation", "arm", "setting", "status", "validation_accuracy", "flops_per_example", "is_baseline", "pareto", "finalist", "hypervolume"),
    "importance": ("factor", "ped_anova", "fanova"),
    "tuning": ("arm", "parameter", "best", "chosen", "low", "high", "at_edge", "extended", "trials", "failed", "diverged"),
    "timing": ("arm", "block", "position", "examples", "seconds", "disturbed", "joules"),
    "references": ("reference", "metric", "published", "source", "arm", "mean", "prediction_low", "prediction_high", "inside"),
    "confusion": ("arm", "label", "guess", "images"),
    "metrics": ("phase", "arm", "setting", "seed", *(f"validation_{name}" for name in METRICS), *(f"test_{name}" for name in METRICS)),
    "recalls": ("arm", "seed", "label", "recall", "test_images"),
    "recalls_by_class": ("arm", "baseline", "label", "test_images", "pairs", "recall_difference", "recall_ci_low", "recall_ci_high"),
    "agreement": ("arm", "baseline", "agreement_seeds", "agreement_images", "both_right", "only_arm_right", "only_baseline_right", "neither_right", "difference", "seeds_standard_error", "new_images_standard_error", "new_images_degrees"),
    "new_images": ("arm", "baseline", "agreement_seeds", "difference", "new_images_ci_low", "new_images_ci_high", "new_images_p_holm", "new_images_verdict"),
}  # fmt: skip
"""The columns of each table of a study. `runs` also has a column for each factor and tuned parameter, after `status`."""

STUDY_COLUMNS = frozenset(column for columns in STUDY_TABLES.values() for column in columns)
"""All columns of a study's tables, except the columns of its factors and tuned parameters."""

JUDGED_TABLES: dict[str, tuple[str, ...]] = {
    "judged_comparisons": ("part", "arm", "baseline", "test", "arm_runs", "baseline_runs", "difference", "ci_low", "ci_high", "p_value", "p_holm", "p_sign_flip", "effect_size_dz", "prob_better", "equivalence_ci_low", "equivalence_ci_high", "family_ci_low", "family_ci_high", "detectable_difference", "seeds_needed", "verdict"),
    "judged_arms": ("part", "arm", "is_baseline", "runs", "runs_diverged", "metric_mean", "metric_ci_low", "metric_ci_high"),
    "judged_findings": ("kind", "sentence", "count", "first_rows"),
    "judged_ranks": ("arm", "mean_rank"),
}  # fmt: skip
"""The columns of each table of `ablate judge`. These tables have no columns for factors."""

CONTEXT_TABLES: dict[str, tuple[str, ...]] = {
    "contexts": ("arm", "baseline", "context", "difference", "ci_low", "ci_high", "p_holm", "verdict", "change", "change_ci_low", "change_ci_high", "change_equivalence_ci_low", "change_equivalence_ci_high", "change_p_holm", "change_pairs", "change_tests", "change_verdict"),
}  # fmt: skip
"""The columns of the table that compares the contexts of a study.

The file of this table is in the same folder as the folders of the contexts.
"""

TABLES = STUDY_TABLES | JUDGED_TABLES | CONTEXT_TABLES

LATER_COLUMNS = ("test_balanced_accuracy",)
"""Columns that tables of older versions do not have. When such a table is read, these columns are empty."""
OPTIONAL_COLUMNS = ("joules", "joules_per_example", "first_step_seconds", "inference_seconds", "inference_examples_per_second")  # fmt: skip
"""Columns that a file has only if some of their cells have values. When a table is read, they can be empty."""
INPUT_TABLES = ("runs", "epochs", "tuning", "timing")
"""The tables from which a report is computed. Every report folder has them."""
OPTIONAL_TABLES = ("confusion", "metrics", "recalls", "agreement")
"""Further tables from which a report is computed. A report folder can lack them.

For example, report folders of older versions have no `metrics`, `recalls` and `agreement`. There is no
`confusion` if no network was inspected.
"""
