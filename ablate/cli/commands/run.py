"""`ablate run`: answer a study's question."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.console import (
    DataDir,
    Device,
    Jobs,
    OutDir,
    Overrides,
    Plugins,
    Storage,
    StudyFile,
    say,
    tell,
)
from ablate.data.reading_progress import stop_watching
from ablate.devices.choice import choose_device
from ablate.errors import AblateError

if TYPE_CHECKING:
    from ablate.report.evidence import Evidence
    from ablate.study.spec import StudySpec


def run(
    path: StudyFile,
    overrides: Overrides = None,
    *,
    device: Device = "auto",
    jobs: Jobs = None,
    data_dir: DataDir = None,
    out_dir: OutDir = Path("reports"),
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Rename an earlier report folder, without its weights of every epoch, and start over.",
        ),
    ] = False,
    plugin: Plugins = None,
    fallback: Annotated[
        bool, typer.Option("--fallback/--no-fallback", help="Use the study's fallback if data is missing.")
    ] = True,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT."),
    ] = None,
    storage: Storage = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the answer.")] = False,
) -> None:
    """Answer a study's question and write its report.

    Every arm is tuned, confirmed and timed. The report is reports/<name>/report.html.
    """
    from ablate.cli.studies import read_study
    from ablate.execution import fork_server

    if quiet:
        stop_watching()
    study = read_study(path, overrides or [], plugin or [])
    if storage is not None and fresh:
        raise AblateError("--fresh: records on a server cannot be renamed: choose another name=…")
    if cluster is None:
        fork_server.prepare()
    chosen_device = choose_device(device)
    from ablate.cli.job import Job  # imports torch, which takes seconds, so the study file is checked first
    from ablate.cli.preparing import check_arms, find_data
    from ablate.report import index

    study = check_arms(study, plugin or [])  # report an impossible arm before the search for the data
    study, data_root, missing = find_data(
        study, partial(_read_fallback, path, overrides or []) if fallback else None, data_dir
    )
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


def _read_fallback(path: Path, overrides: list[str]) -> "StudySpec":
    from ablate.study import study_file

    return study_file.read(path, overrides, fallback=True)


def _print_answer(evidence: "Evidence", page: Path) -> None:
    from ablate.formatting import format_count
    from ablate.report.answer import list_findings
    from ablate.report.causes import list_causes

    for finding in list_findings(evidence):
        say(f"{finding.subject}: {finding.verdict}", style="bold", wrap=True)
        for line in (finding.sentence, finding.cost):
            if line:
                say(f"  {line}", wrap=True)
    say(f"report: {page}")
    if evidence.failed_runs:
        tell(f"{format_count(evidence.failed_runs, 'run')} failed:")
        for cause in list_causes(evidence.provenance.causes):
            tell(f"  {cause}")
        raise typer.Exit(1)
