"""From points to figures: thin drawings and their registry. The only importer of seaborn."""

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from ablate import points
from ablate.spec import StudySpec

PALETTE = "colorblind"
NEUTRAL = "0.45"
MARKS = ["o", "s", "D", "^", "v", "P", "X", "*", "<", ">"]
"""Shapes beside colours, so that arms are told apart in grey as well."""
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "0.9",
    "legend.frameon": False,
    "svg.hashsalt": "ablate",  # equal tables give equal files
}


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """One kind of figure: what it is called, says, is made of, and how it is drawn."""

    name: str
    title: str
    caption: str
    data: Callable[[StudySpec, points.Tables], pd.DataFrame]
    draw: Callable[[pd.DataFrame, StudySpec], Figure]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure as files."""

    kind: FigureKind
    png: bytes
    svg: bytes


def make(study: StudySpec, tables: points.Tables) -> Iterator[Drawn]:
    """Every figure the tables have data for; equal tables give equal bytes."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in a script the font lacks is drawn as boxes; the tables and the page still spell it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for kind in FIGURES:
            data = kind.data(study, tables)
            if not data.empty:
                figure = kind.draw(data, study)
                yield Drawn(
                    kind=kind,
                    png=_rendered(figure, "png", {"Software": None}),
                    svg=_rendered(figure, "svg", {"Date": None}),
                )


def draw_differences(data: pd.DataFrame, study: StudySpec) -> Figure:
    """A forest: one line an arm, the margin as a band."""
    figure, axes = _canvas(height=1.6 + 0.4 * len(data))
    margin = study.decision.margin * 100
    axes.axvspan(-margin, margin, color="0.92", zorder=0, label=f"margin ±{margin:g} points")
    axes.axvline(0, color=NEUTRAL, linewidth=1)
    colours = sns.color_palette(PALETTE, len(data) + 1)[1:]
    for row, colour in zip(data.itertuples(), colours, strict=True):
        axes.plot([row.ci_low, row.ci_high], [row.Index, row.Index], color=colour, linewidth=2.5)
        axes.plot(row.difference, row.Index, "o", color=colour, markersize=7)
    axes.set_yticks(range(len(data)), [_plain(arm) for arm in data["arm"]])
    axes.set_ylim(len(data) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.set_xlabel("test accuracy minus baseline's (percentage points)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0)
    axes.margins(x=0.1)
    return figure


def draw_paired(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Every seed a line from arm to arm: parallel lines are what pairing is for."""
    arms = list(dict.fromkeys(data["arm"]))
    figure, axes = _canvas(width=max(5.0, 1.1 * len(arms) + 3))
    place = {arm: i for i, arm in enumerate(arms)}
    drawn = data.assign(place=data["arm"].map(place))
    sns.lineplot(
        drawn, x="place", y="test_accuracy", units="seed", estimator=None, color="0.8", ax=axes, zorder=1
    )
    sns.scatterplot(
        drawn,
        x="place",
        y="test_accuracy",
        hue="arm",
        style="arm",
        markers=_markers(arms),
        palette=_palette(arms),
        ax=axes,
        s=45,
        legend=False,
        zorder=2,
    )
    for arm, accuracy in data.groupby("arm")["test_accuracy"].mean().items():
        axes.plot([place[arm] - 0.18, place[arm] + 0.18], [accuracy, accuracy], color="0.15", linewidth=2)
    axes.set_xticks(range(len(arms)), [_plain(arm) for arm in arms], rotation=0 if len(arms) < 5 else 30)
    axes.set_xlim(-0.5, len(arms) - 0.5)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set(xlabel="", ylabel="test accuracy")
    return figure


def draw_tuning(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Validation accuracy over what was tuned, one line an arm, a ring where it was confirmed."""
    arms = list(dict.fromkeys(data["arm"]))
    parameters = list(dict.fromkeys(data["parameter"]))
    figure, panels = _panels(len(parameters))
    for axes, parameter in zip(panels, parameters, strict=True):
        here = data[data["parameter"] == parameter]
        sns.lineplot(
            here,
            x="value",
            y="validation_accuracy",
            hue="arm",
            style="arm",
            markers=_markers(arms),
            palette=_palette(arms),
            dashes=False,
            errorbar=None,
            alpha=0.85,
            ax=axes,
        )
        sns.scatterplot(
            here,
            x="value",
            y="validation_accuracy",
            hue="arm",
            palette=_palette(arms),
            s=14,
            legend=False,
            ax=axes,
        )
        chosen = here[here["chosen"]].groupby("arm")[["value", "validation_accuracy"]].mean()
        for arm, at in chosen.iterrows():
            axes.plot(
                *at, "o", markersize=15, fillstyle="none", color=_palette(arms)[str(arm)], markeredgewidth=1.8
            )
        if study.tuning.ranges[parameter][0].log:
            axes.set_xscale("log")
            values = sorted(set(here["value"]))
            axes.set_xticks(
                values, [f"{value:.3g}" for value in values], rotation=0 if len(values) < 9 else 45
            )
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.minorticks_off()
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlabel=_words(parameter), ylabel="validation accuracy")
        _legend(axes)
    return figure


def draw_training(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Loss at the left, accuracies at the right: means over seeds with the range of all seeds."""
    arms = list(dict.fromkeys(data["arm"]))
    figure, (loss, accuracy) = _panels(2)
    wanted = [(loss, ["train_loss"]), (accuracy, ["train_accuracy", "validation_accuracy"])]
    for axes, quantities in wanted:
        here = data[data["quantity"].isin(quantities)].replace(
            {"quantity": {q: _words(q) for q in quantities}}
        )
        sns.lineplot(
            here.rename(columns={"quantity": "curve"}),
            x="epoch",
            y="value",
            hue="arm",
            style="curve",
            style_order=[_words(q) for q in quantities if _words(q) in set(here["quantity"])],
            palette=_palette(arms),
            errorbar=lambda values: (values.min(), values.max()),
            err_kws={"alpha": 0.15, "linewidth": 0},
            ax=axes,
        )
        axes.set_xlabel("epoch")
        if legend := axes.get_legend():
            legend.remove()
    loss.set_ylabel("train loss (nats)")
    accuracy.set_ylabel("accuracy")
    # One legend for both panels, beside the curves; seaborn's headings 'arm' and 'curve' say nothing more.
    entries = [
        (handle, _plain(label))
        for handle, label in zip(*accuracy.get_legend_handles_labels(), strict=True)
        if label not in ("arm", "curve")
    ]
    if len(arms) <= len(MARKS):
        figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=4, fontsize=8)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def draw_cost(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Accuracy against throughput, both better outwards; the Pareto front joined."""
    arms = list(data["arm"])
    figure, axes = _canvas()
    front = data[data["pareto"].fillna(value=False).astype(bool)].sort_values("examples_per_second")
    axes.plot(
        front["examples_per_second"],
        front["test_accuracy_mean"],
        color="0.8",
        zorder=1,
        drawstyle="steps-pre",
    )
    for row in data.itertuples():
        axes.plot(
            [row.examples_per_second] * 2,
            [row.test_accuracy_ci_low, row.test_accuracy_ci_high],
            color=_palette(arms)[row.arm],
            linewidth=1.5,
        )
    sns.scatterplot(
        data,
        x="examples_per_second",
        y="test_accuracy_mean",
        hue="arm",
        style="arm",
        markers=_markers(arms),
        palette=_palette(arms),
        s=70,
        ax=axes,
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.margins(x=0.25, y=0.2)
    axes.set(
        xlabel="training examples per second, alone on the machine", ylabel="test accuracy (mean over seeds)"
    )
    _legend(axes)
    return figure


def draw_timing(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Every timing block: a drift or a disturbance shows as a slope or a stray."""
    arms = list(dict.fromkeys(data["arm"]))
    figure, axes = _canvas()
    clean, disturbed = data[~data["disturbed"]], data[data["disturbed"]]
    if not clean.empty:
        sns.lineplot(
            clean,
            x="block",
            y="examples_per_second",
            hue="arm",
            style="arm",
            markers=_markers(arms),
            palette=_palette(arms),
            dashes=False,
            errorbar=None,
            ax=axes,
        )
    if not disturbed.empty:
        axes.plot(
            disturbed["block"],
            disturbed["examples_per_second"],
            "x",
            color=NEUTRAL,
            label="disturbed, left out",
        )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted(set(data["block"])))
    axes.set(xlabel="block", ylabel="training examples per second")
    _legend(axes)
    return figure


def draw_references(data: pd.DataFrame, study: StudySpec) -> Figure:
    """One panel a metric: our seeds as dots on the interval for one further run, published figures below."""
    metrics = list(dict.fromkeys(data["metric"]))
    figure, panels = _panels(len(metrics), height=3.4)
    for axes, metric in zip(panels, metrics, strict=True):
        here = data[data["metric"] == metric]
        low, high = here.loc[here["kind"] == "interval", "value"]
        published = here[here["kind"] == "published"]
        axes.axvspan(low, high, color="0.92", zorder=0)
        seeds = here.loc[here["kind"] == "ours", "value"]
        colours = sns.color_palette(PALETTE, len(published) + 1)
        axes.plot(seeds, [0] * len(seeds), "o", color=colours[0], alpha=0.6)
        for line, (row, colour) in enumerate(zip(published.itertuples(), colours[1:], strict=True), start=1):
            axes.plot(row.value, line, MARKS[line % len(MARKS)], color=colour, markersize=9)
        axes.set_yticks(range(len(published) + 1), ["our seeds", *map(_plain, published["who"])])
        axes.set_ylim(len(published) + 0.5, -0.5)
        axes.grid(visible=False)
        axes.set_xlabel(_words(metric))
        axes.locator_params(axis="x", nbins=5)
    return figure


FIGURES = (
    FigureKind(
        name="differences",
        title="Difference to the baseline",
        caption="Mean paired difference and its interval; inside the grey band it is too small to matter.",
        data=points.differences,
        draw=draw_differences,
    ),
    FigureKind(
        name="paired_seeds",
        title="Every seed in every arm",
        caption="One grey line a seed: same split, same order, same starting values. Dark bars are means.",
        data=points.paired_seeds,
        draw=draw_paired,
    ),
    FigureKind(
        name="references",
        title="Beside the published figures",
        caption="Grey: where one further run of our baseline should fall. Inside it, a figure is reproduced.",
        data=points.references,
        draw=draw_references,
    ),
    FigureKind(
        name="accuracy_throughput",
        title="Accuracy against throughput",
        caption="Up and right is better. The grey line joins the arms that no other arm beats in both.",
        data=points.accuracy_throughput,
        draw=draw_cost,
    ),
    FigureKind(
        name="tuning_curves",
        title="How every arm was tuned",
        caption="Small dots are single tuning seeds, lines their means, rings what was confirmed.",
        data=points.tuning_curves,
        draw=draw_tuning,
    ),
    FigureKind(
        name="training_curves",
        title="How the confirmed runs trained",
        caption="Means over seeds; bands span all seeds. Training curves are running means over each epoch.",
        data=points.training_curves,
        draw=draw_training,
    ),
    FigureKind(
        name="timing_blocks",
        title="Throughput, block by block",
        caption="Arms alternate; the baseline opens and closes every block (its mean is drawn).",
        data=points.timing_blocks,
        draw=draw_timing,
    ),
)


def _canvas(width: float = 6.4, height: float = 4.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _panels(count: int, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(6.4, 4.6 * count), height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _rendered(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, metadata=metadata, facecolor="white")
    return stream.getvalue()


def _palette(arms: list[str]) -> dict[str, tuple[float, float, float]]:
    return dict(zip(arms, sns.color_palette(PALETTE, len(arms)), strict=True))


def _markers(arms: list[str]) -> dict[str, str]:
    return {arm: MARKS[i % len(MARKS)] for i, arm in enumerate(arms)}


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1 and len(labels) <= len(MARKS) + 4:
        axes.legend(handles, [_plain(label) for label in labels], fontsize=8, title=None)
    elif legend := axes.get_legend():
        legend.remove()


def _plain(text: object) -> str:
    """Text that matplotlib takes literally: a dollar would begin a formula."""
    return str(text).replace("$", r"\$")


def _words(name: str) -> str:
    return name.replace("_", " ")
