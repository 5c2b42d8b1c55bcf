"""`ablate run`: answer a study's question. `ablate plan`: say what that takes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ablate.cli.console import (
    DataDir,
    Device,
    Jobs,
    OutDir,
    Overrides,
    Plugins,
    Storage,
    StudyFile,
    choose_device,
    empty_table,
    err,
    out,
    say,
    tell,
)
from ablate.errors import AblateError, DataError
from ablate.execution import fork_server
from ablate.study import study_file
from ablate.study.spec import StudySpec

if TYPE_CHECKING:
    from ablate.report.evidence import Evidence

app = typer.Typer()


@app.command()
def run(
    path: StudyFile,
    overrides: Overrides = None,
    *,
    device: Device = "auto",
    jobs: Jobs = None,
    data_dir: DataDir = None,
    out_dir: OutDir = Path("reports"),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Move an earlier report folder aside and start over.")
    ] = False,
    plugin: Plugins = None,
    fallback: Annotated[
        bool, typer.Option("--fallback/--no-fallback", help="Whether the study's fallback may answer.")
    ] = True,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT."),
    ] = None,
    storage: Storage = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the answer.")] = False,
) -> None:
    """Answer the question: tune, confirm, time, and write reports/<name>/report.html."""
    study = study_file.read(path, overrides or [])
    if storage is not None and fresh:
        raise AblateError("--fresh: records on a server stay there: give the study another name, name=…")
    # Torch and the rest take seconds to import: a mistake in the study file is told before.
    if cluster is None:
        fork_server.prepare()
    chosen_device = choose_device(device)
    from ablate.cli.job import Job
    from ablate.design.designs import lay_out
    from ablate.models import own
    from ablate.report import index

    own.allow(plugin or [])
    lay_out(study)  # an impossible arm is told before the data is looked for
    study, data_root, missing = _find_data(study, path, overrides or [], data_dir, fallback=fallback)
    job = Job(
        study=study,
        data_root=data_root,
        missing_data=missing,
        out_dir=out_dir,
        device=chosen_device,
        jobs=jobs,
        cluster=cluster,
        storage=storage,
        quiet=quiet,
    )
    evidence = job.answer(fresh=fresh)
    index.write_index(out_dir)
    _print_answer(evidence, job.folder.path / "report.html")


@app.command()
def plan(path: StudyFile, overrides: Overrides = None, *, plugin: Plugins = None) -> None:
    """Show arms, runs and minutes; train nothing of the study."""
    study = study_file.read(path, overrides or [])
    from ablate.design.designs import lay_out
    from ablate.experiment.price import price
    from ablate.experiment.seed_warnings import warn_of_seeds
    from ablate.models import own

    own.allow(plugin or [])
    layout = lay_out(study)
    priced = price(study, layout, jobs=os.cpu_count() or 1)
    numbers = ("parameters", "FLOP/example", "examples/s a core")
    table = empty_table("arm", *numbers, right=numbers)
    for row in priced.arms:
        table.add_row(
            escape(row.arm),
            f"{row.parameters:,}",
            f"{row.flops_per_example:,}",
            f"{row.examples_per_second:,.0f}",
        )
    out.print(table)
    for name, reason in layout.left_out.items():
        say(f"left out: {name}: {reason}")
    for line in priced.engines_in_words:
        say(line)
    say(f"{priced.runs_in_words}: {priced.minutes_in_words} on this machine's {os.cpu_count()} cores")
    for warning in warn_of_seeds(study, layout):
        err.print(f"warning: {warning}", soft_wrap=True)


def _find_data(
    study: StudySpec, path: Path, overrides: list[str], data_dir: Path | None, *, fallback: bool
) -> tuple[StudySpec, Path | None, str | None]:
    """The study to answer, where its data lies, and the name of the data set that cannot be had, or None."""
    from ablate.data import sources

    root = sources.find(study.dataset, data_dir, download=True)
    if root is not None or not sources.needs_root(study.dataset):
        return study, root, None
    if not fallback or not study.fallback:
        raise DataError(
            f"{study.dataset} is not on this machine and cannot be downloaded: "
            "name its folder with --data-dir or ABLATE_DATA"
        )
    wanted, study = str(study.dataset), study_file.read(path, overrides, fallback=True)
    tell(f"{wanted} is not on this machine and cannot be downloaded: answering on {study.dataset} instead")
    root = sources.find(study.dataset, data_dir, download=False)
    if root is None and sources.needs_root(study.dataset):
        raise DataError(
            f"{study.dataset}, the fallback's data, is not on this machine either: use dataset=digits, "
            "or name its folder with --data-dir or ABLATE_DATA"
        )
    return study, root, wanted


def _print_answer(evidence: "Evidence", page: Path) -> None:
    from ablate.report.answer import list_findings

    for finding in list_findings(evidence):
        say(f"{finding.subject}: {finding.verdict}", style="bold")
        for line in (finding.sentence, finding.cost):
            if line:
                say(f"  {line}")
    say(f"report: {page}")
    if evidence.failed_runs:
        tell(f"{evidence.failed_runs} runs failed; the report names them and their causes")
        raise typer.Exit(1)
