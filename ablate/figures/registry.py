"""List the figures of results in the order of the report, with their captions and functions."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from ablate.figures import notes, points
from ablate.figures.canvas import Styles, make_styles, use_own_style
from ablate.figures.comparison_figures import (
    draw_differences,
    draw_interactions,
    draw_paired_seeds,
    draw_path,
    draw_references,
)
from ablate.figures.cost_figures import (
    draw_accuracy_throughput,
    draw_candidates,
    draw_importance,
    draw_timing_blocks,
)
from ablate.figures.inspection_registry import list_inspection
from ablate.figures.kind import DrawnFigure, FigureKind, draw_kinds
from ablate.figures.plots.comparison_plots import plot_differences, plot_paired_seeds
from ablate.figures.plots.cost_plots import plot_accuracy_throughput, plot_candidates, plot_timing_blocks
from ablate.figures.plots.training_plots import (
    plot_differences_by_epoch,
    plot_training_curves,
    plot_tuning_curves,
)
from ablate.figures.points import Tables
from ablate.figures.recall_figures import (
    draw_recall_differences,
    explain_recall_differences,
    tabulate_recall_differences,
)
from ablate.figures.training_figures import (
    draw_differences_by_epoch,
    draw_training_curves,
    draw_tuning_curves,
)
from ablate.records.views import Views
from ablate.study.spec import StudySpec


def draw_results(study: StudySpec, tables: Tables) -> Iterator[DrawnFigure]:
    """Draw every figure that the tables have data for. Equal tables give equal bytes."""
    return draw_kinds(FIGURES, study, tables, style_arms(study, tables))


def list_drawable(study: StudySpec, tables: Tables, views: Views) -> dict[str, FigureKind]:
    """List every figure that the tables and the inspected networks have data for, by its name."""
    kinds = [*FIGURES, *list_inspection(views, tables)]
    return {kind.name: kind for kind in kinds if not kind.data(study, tables).empty}


def draw_kind(kind: FigureKind, study: StudySpec, tables: Tables) -> Figure:
    """Draw one figure. The tables must have data for it."""
    with use_own_style():
        return kind.draw(kind.data(study, tables), study, style_arms(study, tables))


def draw_inspection(study: StudySpec, tables: Tables, views: Views) -> Iterator[DrawnFigure]:
    """Draw every figure of the arms' trained networks: confusions, activation maps and filters.

    If there are no tables, figures show the names that arms have in the study file.
    """
    own_names = make_styles({view.arm: view.arm for view in views.arms})
    styles = style_arms(study, tables) if "arms" in tables else own_names
    return draw_kinds(list_inspection(views, tables), study, tables, styles)


def style_arms(study: StudySpec, tables: Tables) -> Styles:
    """Give every arm of the study the style that it has in all figures."""
    names = points.read_names(study, tables)
    return make_styles({arm: names.name_arm(arm) for arm in tables["arms"]["arm"]})


FIGURES = (
    FigureKind(
        name="differences",
        title="Differences between arms on the test images",
        caption="An arm is one variant of the network or of its training. A dot is the mean difference over "
        "pairs of runs with the same seed. The line through a dot is the confidence interval. The grey band "
        "is the margin: differences inside it are too small to matter.",
        data=points.tabulate_differences,
        draw=draw_differences,
        plot=plot_differences,
        notes=notes.explain_differences,
    ),
    FigureKind(
        name="paired_seeds",
        title="Test result of every seed in every arm",
        caption="A grey line joins the runs of one seed. These runs share the training and validation "
        "split, the order of the examples, and the starting values of the parameters that all arms have. A "
        "dark bar is an arm's mean. An arm has no bar if some of its runs did not train.",
        data=points.tabulate_paired_seeds,
        draw=draw_paired_seeds,
        plot=plot_paired_seeds,
        notes=notes.list_runs_without_accuracy,
    ),
    FigureKind(
        name="recall_differences",
        title="Differences in recall by class",
        caption="The recall of a class is the share of its test images that a network classifies correctly. "
        "A dot is the mean difference in recall of one class, over pairs of runs with the same seed. The "
        "line through a dot is a confidence interval for this class alone. These intervals are not "
        "corrected for the number of classes, so some of them exclude zero by chance. The classes with the "
        "largest differences come first.",
        data=tabulate_recall_differences,
        draw=draw_recall_differences,
        notes=explain_recall_differences,
    ),
    FigureKind(
        name="interactions",
        title="Interactions between two factors",
        caption="A mark is the mean test accuracy over seeds, with its confidence interval. Parallel lines "
        "mean that the effect of one factor does not depend on the other. All other factors keep the "
        "baseline's values.",
        data=points.tabulate_interactions,
        draw=draw_interactions,
        notes=notes.list_interactions_without_mean,
    ),
    FigureKind(
        name="path",
        title="Test accuracy step by step from the baseline",
        caption="Each dot is an arm that has one change more than the arm before it. The number is the "
        "difference between these two arms in percentage points, and the bar is its confidence interval. "
        "Number and bar are missing if a run of either arm did not train.",
        data=points.tabulate_path,
        draw=draw_path,
    ),
    FigureKind(
        name="candidates",
        title="What the search tried",
        caption="Left: each mark is a candidate (a combination of values), trained with one tuning seed. "
        "Rings are finalists, which were trained again with fresh seeds. The line joins the candidates that "
        "no other candidate beats in both accuracy and FLOPs (the Pareto front). Right: the area under this "
        "front (hypervolume) after each generation.",
        data=points.tabulate_candidates,
        draw=draw_candidates,
        plot=plot_candidates,
    ),
    FigureKind(
        name="importance",
        title="Screening: how much each factor mattered in the search",
        caption="A bar is a factor's share of the variation in validation accuracy, by one of two "
        "estimates. PED-ANOVA uses the best tenth of the candidates. fANOVA uses all candidates that were "
        "not stopped early. The estimates suggest which factors to test; they are not tests themselves.",
        data=points.tabulate_importance,
        draw=draw_importance,
    ),
    FigureKind(
        name="references",
        title="Our runs compared with published values",
        caption="Dots are runs of the baseline or, after a search, of the finalist with the highest "
        "validation accuracy. The grey band is their prediction interval: one further run should fall in it. "
        "A published value inside the band is reproduced.",
        data=points.tabulate_references,
        draw=draw_references,
    ),
    FigureKind(
        name="accuracy_throughput",
        title="Accuracy against throughput",
        caption="An arm further up is more accurate, and an arm further right is faster. Throughput is "
        "measured with each arm alone on the machine. The lines through a mark are confidence intervals. "
        "The grey line joins the arms that no other arm beats in both accuracy and throughput (the Pareto "
        "front).",
        data=points.tabulate_accuracy_throughput,
        draw=draw_accuracy_throughput,
        plot=plot_accuracy_throughput,
        notes=notes.list_arms_without_mark,
    ),
    FigureKind(
        name="tuning_curves",
        title="How every arm was tuned",
        caption="Each small dot is one training run with one of the seeds for tuning. A line joins the "
        "means over the tuning seeds. A ring marks the value with which the arm was then trained on fresh "
        "seeds. Runs that diverged have no dot.",
        data=points.tabulate_tuning_curves,
        draw=draw_tuning_curves,
        plot=plot_tuning_curves,
        notes=notes.explain_missing_legend,
    ),
    FigureKind(
        name="training_curves",
        title="How the confirmed runs trained",
        caption="A line is the mean over seeds, and its band reaches from the lowest to the highest value "
        "of a seed. Values on training data are running means since the start of the epoch.",
        data=points.tabulate_training_curves,
        draw=draw_training_curves,
        plot=plot_training_curves,
        notes=notes.explain_missing_legend,
    ),
    FigureKind(
        name="differences_by_epoch",
        title="Differences in validation accuracy after every epoch",
        caption="A line is the mean difference between two arms in validation accuracy, over pairs of runs "
        "with the same seed. The band of a line is a separate confidence interval for each epoch. The grey "
        "band is the margin. If a line is still rising or falling at the last epoch, longer training may "
        "change the answer. The vertical axis is chosen for the second half of the epochs, so values of "
        "earlier epochs can lie outside it.",
        data=points.tabulate_differences_by_epoch,
        draw=draw_differences_by_epoch,
        plot=plot_differences_by_epoch,
        notes=notes.explain_differences_by_epoch,
    ),
    FigureKind(
        name="timing_blocks",
        title="Throughput in every timing block",
        caption="In each block the baseline is timed first and last, and the figure shows the mean of these "
        "two measurements. Between them, every other arm is timed once, in random order. Each arm is timed "
        "alone on the machine. Horizontal lines mean that the machine's speed was steady. Crosses are "
        "measurements that other programs disturbed. These are left out of the results.",
        data=points.tabulate_timing_blocks,
        draw=draw_timing_blocks,
        plot=plot_timing_blocks,
        notes=notes.explain_missing_legend,
    ),
)
