"""`ablate run`: answer a study's question."""

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
from ablate.errors import AblateError, DataError
from ablate.interruption import raise_on_interrupt

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
        bool, typer.Option("--fresh", help="Rename an earlier report folder and start over.")
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

    The command tunes, confirms and times every arm, and writes
    reports/<name>/report.html.
    """
    if quiet:
        stop_watching()
    from ablate.cli.studies import read_study
    from ablate.execution import fork_server

    study = read_study(path, overrides or [], plugin or [])
    if storage is not None and fresh:
        raise AblateError("--fresh: records on a server stay there: give the study another name, name=…")
    if cluster is None:
        fork_server.prepare()
    chosen_device = choose_device(device)
    # The import of torch takes seconds. It comes here, after the check of the study file.
    from ablate.cli.job import Job
    from ablate.models import own
    from ablate.report import index

    own.allow(plugin or [])
    study = _check_arms(study)  # report an impossible arm before the search for the data
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


def _check_arms(study: "StudySpec") -> "StudySpec":
    """Check every arm, and return the study with one spelling for every name."""
    from ablate.design.designs import lay_out
    from ablate.design.names import settle_names

    # Here Ctrl-C raises Interrupted, so only a user's own code can raise KeyboardInterrupt.
    with raise_on_interrupt():
        study = settle_names(study)
        lay_out(study)
    return study


def _find_data(
    study: "StudySpec", path: Path, overrides: list[str], data_dir: Path | None, *, fallback: bool
) -> tuple["StudySpec", Path | None, str | None]:
    """Return the study or its fallback, the folder with the data, and the missing data set, if any."""
    from ablate.data import sources
    from ablate.design.names import settle_names
    from ablate.study import study_file

    root = sources.find_root(study.dataset, data_dir, download=True)
    if root is not None or not sources.needs_root(study.dataset):
        return study, root, None
    if not fallback or not study.fallback:
        raise DataError(
            f"{study.dataset} is not on this machine and cannot be downloaded: "
            "name its folder with --data-dir or ABLATE_DATA"
        )
    wanted, study = str(study.dataset), settle_names(study_file.read(path, overrides, fallback=True))
    tell(
        f"{wanted} is not on this machine and cannot be downloaded: answering on {study.dataset} instead",
        wrap=True,
    )
    root = sources.find_root(study.dataset, data_dir, download=False)
    if root is None and sources.needs_root(study.dataset):
        raise DataError(
            f"{study.dataset}, the fallback's data, is not on this machine either: use dataset=digits, "
            "or name its folder with --data-dir or ABLATE_DATA"
        )
    return study, root, wanted


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
