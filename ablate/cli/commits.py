"""`ablate compare --commits`: compare two commits of a repository, and print what a gate found."""

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.cli.console import say, tell
from ablate.errors import AblateError
from ablate.formatting import format_list

if TYPE_CHECKING:
    from ablate.gate.checks import Check, Demand, Gate
    from ablate.gate.commit_checks import TimedArm
    from ablate.gate.commits import Checkout, Training

Files = tuple[Path | None, Path | None, Path | None]
"""The paths of the JSON file, the summary and the JUnit XML file. None for a file that is not wanted."""


def compare_commits(
    base: Path,
    head: Path,
    given: Sequence[str],
    demand: "Demand | None",
    files: Files,
    data_dir: Path | None,
    plugins: Sequence[str],
    *,
    own_environments: bool = False,
) -> int:
    """Train and time two commits, print what differs, write the files, and return the exit code.

    `given` is the path of the study file, and overrides. Without a demand, only throughput is compared. Each
    commit has an environment of its own if `own_environments` is true, or if the commits ask for different
    packages.

    Raises:
        AblateError: a commit or the study cannot be used.
    """
    from ablate.cli.studies import read_study  # imports pydantic, which `--help` does without
    from ablate.gate.checks import Demand, Gate
    from ablate.gate.commits import Training, check_out
    from ablate.gate.files import Subject, write_files
    from ablate.stats.power import PAIRS_FOR_A_VERDICT
    from ablate.study.study_file import require_one_context

    if not given:
        raise AblateError("--commits needs a study file: ablate compare --commits BASE HEAD STUDY.yaml")
    if demand is None and any(files):
        raise AblateError("--json, --summary and --junit need a requirement, such as --throughput 0.95")
    study = require_one_context(read_study(Path(given[0]), given[1:], plugins))
    training = Training(
        study=Path(given[0]), overrides=tuple(given[1:]), plugins=tuple(plugins), data_dir=data_dir
    )
    asked = demand or Demand()
    with check_out(str(base), str(head)) as (first, second):
        first, second = _prepare(first, second, own_environments=own_environments)
        gate = Gate(checks=[], metric=study.decision.metric, unit="points")
        if asked.require is not None:
            gate = _check_accuracy(first, second, training, asked)
        if demand is None or asked.throughput is not None or asked.parameters is not None:
            rounds = max(PAIRS_FOR_A_VERDICT, study.timing.blocks)
            timed = _time(first, second, training, asked, rounds, study.decision.alpha)
            confidence = 1 - 2 * study.decision.alpha / max(1, len(timed))
            gate = replace(gate, checks=[*gate.checks, *_check_times(timed, asked, confidence)])
        subject = Subject(
            study=study.name,
            first=f"commit {first.commit[:12]}",
            second=f"commit {second.commit[:12]}",
        )
    if demand is None:
        return 0
    write_files(gate, subject, json_file=files[0], summary_file=files[1], junit_file=files[2])
    show_gate(gate)
    return gate.exit_code


def _prepare(
    first: "Checkout", second: "Checkout", *, own_environments: bool
) -> tuple["Checkout", "Checkout"]:
    """Make an environment for each commit if this is asked for, or if the commits need different packages."""
    from ablate.gate.commits import list_differing_dependencies
    from ablate.gate.environments import make_environment

    differing = list_differing_dependencies(first.commit, second.commit)
    if differing:
        tell(f"{format_list(differing)} differ between the commits, so each commit has its own environment")
    elif not own_environments:
        return first, second
    made = []
    for checkout in (first, second):
        tell(f"installing the packages of commit {checkout.commit[:12]}; downloads can take minutes")
        started = time.monotonic()
        made.append(make_environment(checkout))
        tell(f"installed in {time.monotonic() - started:.0f} seconds")
    return made[0], made[1]


def _check_accuracy(first: "Checkout", second: "Checkout", training: "Training", demand: "Demand") -> "Gate":
    """Train the study in both commits, and check the requirement on the metric."""
    from ablate.gate.checks import check_folders
    from ablate.gate.commits import train
    from ablate.report.evidence import gather

    with tempfile.TemporaryDirectory(prefix="ablate-compare-") as parent:
        found = []
        for name, checkout in (("base", first), ("head", second)):
            tell(f"training commit {checkout.commit[:12]}")
            found.append(gather(train(checkout, training, Path(parent, name))))
        before, after = found
        return check_folders(before, after, replace(demand, throughput=None, parameters=None))


def _time(
    first: "Checkout",
    second: "Checkout",
    training: "Training",
    demand: "Demand",
    rounds: int,
    alpha: float,
) -> dict[str, "TimedArm"]:
    """Time both commits.

    First print the noise and the planned rounds of each arm, then the ratio of its throughputs.
    """
    from ablate.gate.commit_checks import time_commits

    tell(
        f"timing commit {first.commit[:12]} against itself, then commit {second.commit[:12]} against the "
        "first"
    )
    timed: dict[str, TimedArm] = {}
    for one in time_commits(
        first, second, training, arms=demand.arms, rounds=rounds, bound=demand.throughput, alpha=alpha
    ):
        say(_describe_timing(one), wrap=True)
        timed[one.arm] = one
    return timed


def _describe_timing(one: "TimedArm") -> str:
    if one.change is None:
        return f"{one.arm}: {_describe_plan(one)}"
    disturbed = f", {one.disturbed} of them disturbed by other programs" if one.disturbed else ""
    ratio, change = one.change.ratio, one.change
    shown = "cannot be told from noise" if change.low <= 1 <= change.high else "larger than the noise"
    interval = f"{ratio.low:.3f} to {ratio.high:.3f}; noise of the mean {change.noise - 1:.1%}"
    rounds = f"{one.rounds} rounds{disturbed}"
    return f"{one.arm}: throughput, B / A: × {ratio.mean:.3f} ({interval}): {shown}; {rounds}"


def _describe_plan(one: "TimedArm") -> str:
    from ablate.gate.commit_checks import MOST_ROUNDS

    if one.spread is None:
        return "noise of this machine (A/A): unknown"
    noise = f"noise of this machine (A/A): {math.expm1(one.spread):.1%} in one round"
    if one.planned is None:
        return f"{noise}; with this noise, no number of rounds would show a slowdown of 10%"
    most = f"; at most {MOST_ROUNDS} are made" if one.planned > MOST_ROUNDS else ""
    return f"{noise}; with this noise, {one.planned} rounds would show a slowdown of 10%{most}"


def _check_times(timed: dict[str, "TimedArm"], demand: "Demand", confidence: float) -> list["Check"]:
    from ablate.gate.commit_checks import check_parameters, check_throughput, list_missing
    from ablate.gate.rules import Requirement

    checks = []
    if demand.throughput is not None:
        checks += [check_throughput(one, demand.throughput, confidence) for one in timed.values()]
        checks += list_missing(demand.arms, timed, Requirement.THROUGHPUT)
    if demand.parameters is not None:
        checks += [check_parameters(one, demand.parameters) for one in timed.values()]
        checks += list_missing(demand.arms, timed, Requirement.PARAMETERS)
    return checks


def show_gate(gate: "Gate") -> None:
    """Print each check with its answer, and the outcome of all checks together."""
    from ablate.gate.wording import explain_check, name_requirement, state_gate

    for check in gate.checks:
        say(f"{check.outcome}: {check.arm}: {name_requirement(gate, check)}", style="bold", wrap=True)
        say(f"  {explain_check(check, gate.unit)}", wrap=True)
    say(state_gate(gate), style="bold", wrap=True)
    for note in gate.notes:
        say(f"- {note}", wrap=True)
