"""`ablate judge`: judge runs that others trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.console import say, tell

if TYPE_CHECKING:
    from ablate.judging.judgement import RunJudgement
    from ablate.judging.question import Question


def judge(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="A table with one row for each run, or a tool's records.")
    ],
    *,
    arm: Annotated[
        str, typer.Option(metavar="COLUMN", help="The column of what is compared, such as a method.")
    ],
    metric: Annotated[str, typer.Option(metavar="COLUMN", help="The column with one number for each run.")],
    baseline: Annotated[str, typer.Option(metavar="ARM", help="The arm that all others are compared with.")],
    seed: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column of seeds; runs with the same seed are paired."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that splits the table, such as a data set."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="The smallest difference that matters, in the unit of the metric."),
    ] = None,
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="A lower value of the metric is better.")
    ] = False,
    alpha: Annotated[
        float, typer.Option(help="The probability that any comparison shows a difference by chance.")
    ] = 0.05,
    experiment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The experiment to read, if another tool's records contain several."
        ),
    ] = None,
    out_dir: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="The folder of the report.")
    ] = Path("reports/judged"),
) -> None:
    """Judge finished runs that others trained.

    TABLE is a CSV, Parquet or JSON lines file, or the records of Optuna, MLflow, W&B, Ray Tune, Hydra,
    TensorBoard or pytest-benchmark. For each arm, the command prints the difference from the baseline, its
    interval, its test and its verdict, as `run` does. The command also prints what in the table lowers the
    trust in the answer.
    """
    from ablate.judging.question import Question

    question = Question(
        arm=arm,
        metric=metric,
        baseline=baseline,
        seed=seed,
        by=by,
        margin=margin,
        lower_is_better=lower_is_better,
        alpha=alpha,
    )
    _judge_table(table, question, experiment, out_dir)


def _judge_table(table: str, question: "Question", experiment: str | None, out_dir: Path) -> None:
    from ablate.judging.folder import check_folder
    from ablate.judging.judgement import judge_runs

    check_folder(out_dir)  # checked first, because reading the table may take long
    judgement = judge_runs(table, question, experiment=experiment)
    _print_answer(judgement)
    # The answer is printed first, because the import of matplotlib and the figures take as long as the
    # answer.
    from ablate.judging.page import write

    write(judgement, out_dir)
    say(f"report: {out_dir / 'report.html'}")


def _print_answer(judgement: "RunJudgement") -> None:
    from ablate.judging.sentences import describe_ranking, list_answers

    for line in describe_ranking(judgement):
        say(line, wrap=True)
    for answer in list_answers(judgement):
        say(f"{answer.subject}: {answer.verdict}", style="bold", wrap=True)
        say(f"  {answer.sentence}", wrap=True)
    for finding in judgement.findings:
        tell(f"note: {finding.sentence}", wrap=True)
