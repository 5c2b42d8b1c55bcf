"""The options of `ablate compare` with which the command checks requirements in a pipeline."""

from pathlib import Path
from typing import Annotated

import typer

REQUIREMENTS = ("no-worse", "better", "equivalent", "reproduced")

Require = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(REQUIREMENTS), help="What every arm of B must be in the metric, compared with A."
    ),
]
MetricName = Annotated[
    str | None, typer.Option(help="The metric of --require. Default: the metric of A's study.")
]
Margin = Annotated[
    float | None,
    typer.Option(
        help="The smallest difference that matters. Default: the margin of A's study or of the metric."
    ),
]
Arms = Annotated[
    list[str] | None,
    typer.Option("--arm", metavar="NAME", help="Check only this arm; can be given several times."),
]
Throughput = Annotated[
    float | None,
    typer.Option(metavar="RATIO", min=0.01, help="Require at least this ratio of throughputs, B / A."),
]
Parameters = Annotated[
    float | None,
    typer.Option(metavar="RATIO", min=0.01, help="Require at most this ratio of parameters, B / A."),
]
SettingsMayDiffer = Annotated[
    bool,
    typer.Option("--settings-may-differ", help="Compare A and B even if recipe, tuning or networks differ."),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON to this file.")
]
SummaryFile = Annotated[
    Path | None,
    typer.Option("--summary", metavar="FILE", help="Append a summary in Markdown to this file."),
]
JunitFile = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write the result as JUnit XML to this file.")
]
Commits = Annotated[
    bool,
    typer.Option("--commits", help="A and B are commits of this repository, and a study file follows."),
]
Environments = Annotated[
    bool,
    typer.Option(
        "--environments",
        help="With --commits: install each commit's packages in an environment of its own. Without this "
        "option, this is done only if the two commits ask for different packages.",
    ),
]
StudyOfCommits = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STUDY.yaml|KEY=VALUE", help="With --commits: the study file, and overrides of its keys."
    ),
]
