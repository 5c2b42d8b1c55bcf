"""`ablate compare`: compare two report folders, and check requirements on the second one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ablate.cli.commits import compare_commits, show_gate
from ablate.cli.console import DataDir, Plugins, empty_table, out, say
from ablate.cli.gate_options import (
    REQUIREMENTS,
    Arms,
    Commits,
    Environments,
    JsonFile,
    JunitFile,
    Margin,
    MetricName,
    Parameters,
    Require,
    SettingsMayDiffer,
    StudyOfCommits,
    SummaryFile,
    Throughput,
)
from ablate.errors import AblateError, did_you_mean

if TYPE_CHECKING:
    from ablate.gate.checks import Demand
    from ablate.report.evidence import Evidence


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="The report folder that is the reference.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The report folder to compare with A.")],
    study: StudyOfCommits = None,
    commits: Commits = False,
    environments: Environments = False,
    data_dir: DataDir = None,
    plugin: Plugins = None,
    require: Require = None,
    metric: MetricName = None,
    margin: Margin = None,
    arm: Arms = None,
    throughput: Throughput = None,
    parameters: Parameters = None,
    settings_may_differ: SettingsMayDiffer = False,
    json_file: JsonFile = None,
    summary: SummaryFile = None,
    junit: JunitFile = None,
) -> None:
    """Compare two report folders, and check what is required of B.

    With --require, --throughput or --parameters, the exit code is 0 if the results show that every arm meets
    every requirement. It is 1 if the results show that an arm does not meet a requirement. It is 3 if the
    results cannot decide (few seeds, a missing arm, a disturbed timing, other data, settings or hardware).
    Without a requirement, the exit code is 1 if any arm is less accurate or slower in B, and otherwise 0.

    The rules below use the mean difference B − A over paired seeds. If a lower metric is better, the sign is
    turned. So a positive difference means that B is better. "Low" and "high" are the ends of the interval of
    this difference. Each end holds with confidence 1 − alpha / tests. There is a test for each arm, and for
    how often an arm trains. "Significant" means that the p-value, after Holm's correction, is below alpha.
    Alpha and the margin come from A's study.

    no-worse: holds if low is above −margin. Otherwise it does not hold if B is significantly worse.

    better: holds if B is significantly better and high is at least the margin. The requirement does not hold
    if high is below the margin, or if no-worse does not hold.

    equivalent, reproduced: holds if low is above −margin and high is below the margin. Otherwise it does not
    hold if there is a significant difference. For reproduced, both studies must also have the same settings.

    If some runs did not train (they diverged, or stayed at the level of guessing), the answer rests only on
    exact tests of how often the arms train, or on a significant loss.

    --throughput 0.95: holds if the whole interval of the ratio B / A is at least 0.95, and does not hold if
    the whole interval is below 0.95. Each throughput is divided by the throughput of the baseline.

    --parameters 1.0: holds if B has at most 1.0 times the parameters of A.

    --commits BASE HEAD STUDY.yaml: train and time two commits. This machine's noise widens the intervals.
    """
    demand = _read_demand(require, metric, margin, arm, throughput, parameters, settings_may_differ)
    files = (json_file, summary, junit)
    if commits:
        code = compare_commits(
            first, second, study or [], demand, files, data_dir, plugin or [], own_environments=environments
        )
    else:
        _refuse(study, environments)
        code = _compare(first, second, demand, files)
    raise typer.Exit(code)


def _refuse(study: list[str] | None, environments: bool) -> None:
    """Refuse arguments that have no meaning if two folders are compared."""
    if study:
        raise AblateError(f"{study[0]}: only --commits takes a study file")
    if environments:
        raise AblateError("--environments needs --commits")


def _compare(
    first: Path, second: Path, demand: "Demand | None", files: tuple[Path | None, Path | None, Path | None]
) -> int:
    """Compare two folders, write the files that are asked for, and return the exit code."""
    if demand is None and any(files):
        raise AblateError("--json, --summary and --junit need a requirement, such as --require no-worse")
    from ablate.report.evidence import gather

    before, after = gather(first), gather(second)
    if demand is None:
        return _describe(before, after)
    from ablate.gate.checks import check_folders
    from ablate.gate.files import Subject, write_files

    gate = check_folders(before, after, demand)
    subject = Subject(study=before.study.name, first=str(first), second=str(second))
    write_files(gate, subject, json_file=files[0], summary_file=files[1], junit_file=files[2])
    show_gate(gate)
    return gate.exit_code


def _read_demand(
    require: str | None,
    metric: str | None,
    margin: float | None,
    arm: list[str] | None,
    throughput: float | None,
    parameters: float | None,
    settings_may_differ: bool,
) -> "Demand | None":
    """Make the demand from the options. Return None if the options require nothing.

    Raises:
        AblateError: an option is wrong, or needs an option that is missing.
    """
    if require is not None and require not in REQUIREMENTS:
        raise AblateError(f"--require {require}: {did_you_mean(require, REQUIREMENTS)}")
    if require is None and throughput is None and parameters is None:
        given = {"--metric": metric, "--margin": margin, "--arm": arm}
        if unused := [name for name, value in given.items() if value]:
            raise AblateError(f"{unused[0]} needs a requirement: add --require no-worse, for example")
        return None
    from ablate.gate.checks import Demand
    from ablate.gate.rules import Requirement

    return Demand(
        require=None if require is None else Requirement(require),
        metric=metric,
        margin=margin,
        arms=tuple(arm or ()),
        throughput=throughput,
        parameters=parameters,
        settings_may_differ=settings_may_differ,
    )


def _describe(before: "Evidence", after: "Evidence") -> int:
    """Print what changed from one folder to the other, and return the exit code."""
    from ablate.gate.wording import NOTHING_REQUIRED
    from ablate.report.comparison import compare_folders, format_cells

    found = compare_folders(before, after)
    table = empty_table("arm", "verdict", "accuracy, B − A (points)", "throughput ratio, B / A")
    for change in found.changes:
        table.add_row(*map(escape, format_cells(change)))
    out.print(table)
    say(found.answer, style="bold", wrap=True)
    for note in [*found.notes, NOTHING_REQUIRED]:
        say(f"- {note}", wrap=True)
    return 1 if found.regression else 0
