"""`ablate run`: answer a study's question."""

from collections.abc import Callable
from dataclasses import dataclass
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
    from ablate.cli.job import Job
    from ablate.records.provenance import Registration
    from ablate.report.evidence import Evidence
    from ablate.study.spec import StudySpec

Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh", help="Rename an earlier report folder, delete its weights of every epoch, and start over."
    ),
]


def run(
    path: StudyFile,
    overrides: Overrides = None,
    *,
    device: Device = "auto",
    jobs: Jobs = None,
    data_dir: DataDir = None,
    out_dir: OutDir = Path("reports"),
    fresh: Fresh = False,
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

    Every arm is tuned, trained on all seeds and timed. The report is reports/<name>/report.html.
    """
    from ablate.cli.studies import read_contexts
    from ablate.execution import fork_server

    if quiet:
        stop_watching()
    studies = read_contexts(path, overrides or [], plugin or [])
    if storage is not None and fresh:
        raise AblateError("--fresh: records on a server cannot be renamed: choose another name=…")
    if cluster is None:
        fork_server.prepare()
    chosen_device = choose_device(device)
    from ablate.cli.job import Job  # imports torch, which takes seconds, so the study file is checked first
    from ablate.cli.preparing import check_arms

    make_job = partial(
        Job,
        out_dir=out_dir,
        device=chosen_device,
        jobs=jobs,
        cluster=cluster,
        storage=storage,
        quiet=quiet,
        registration=_find_registration(path, overrides or []),
    )
    # Report an impossible arm of any context before the search for the data.
    studies = [check_arms(study, plugin or []) for study in studies]
    source = _Source(path, tuple(overrides or []))
    failed = [_answer(study, source, make_job, data_dir, fallback=fallback, fresh=fresh) for study in studies]
    if any(failed):
        raise typer.Exit(1)


def _find_registration(path: Path, overrides: list[str]) -> "Registration":
    """Find the commit that contains the study file as it is now."""
    from ablate.records.provenance import Registration
    from ablate.study.registration import find_registration

    commit, date = find_registration(path, overrides)
    return Registration(commit=commit, date=date)


@dataclass(frozen=True)
class _Source:
    """The study file with the overrides of the command line."""

    path: Path
    overrides: tuple[str, ...]

    def read(self, *, fallback: bool = False, context: str | None = None) -> "StudySpec":
        from ablate.study import study_file
        from ablate.study.contexts import CHOICE, split_context

        _, others = split_context(self.overrides)
        chosen = [] if context is None else [f"{CHOICE}{context}"]
        return study_file.read(self.path, [*others, *chosen], fallback=fallback)


def _answer(
    study: "StudySpec",
    source: _Source,
    make_job: "Callable[..., Job]",
    data_dir: Path | None,
    *,
    fallback: bool,
    fresh: bool,
) -> bool:
    """Answer one study or context, print the answer, and return whether runs failed."""
    from ablate.cli.preparing import find_data
    from ablate.report import index

    read_fallback = partial(source.read, fallback=True, context=study.context) if fallback else None
    study, data_root, missing = find_data(study, read_fallback, data_dir)
    job = make_job(study=study, data_root=data_root, missing_data=missing)
    if study.context is not None and not job.quiet:
        say(f"context: {study.context}", style="bold")
    evidence = job.answer(fresh=fresh)
    _print_answer(evidence, job.folder.path / "report.html")
    if study.context is not None and (whole := source.read()).contexts:
        _compare_contexts(job.folder.path.parent, whole)
    index.write_index(job.out_dir)
    return _tell_failures(evidence)


def _compare_contexts(folder: Path, whole: "StudySpec") -> None:
    """Write the page that compares the contexts that are finished so far, and print its headline.

    `whole` is the study file with all its contexts.
    """
    from ablate.records.folder import ReportFolder
    from ablate.report.contexts.answer import list_contexts_findings, state_contexts_headline
    from ablate.report.contexts.writer import write_contexts
    from ablate.study import study_file

    ReportFolder(folder).write_study(study_file.dump(whole))
    evidence = write_contexts(folder)
    say(state_contexts_headline(evidence, list_contexts_findings(evidence)), style="bold", wrap=True)
    say(f"all contexts: {folder / 'report.html'}")


def _print_answer(evidence: "Evidence", page: Path) -> None:
    from ablate.report.answer import list_findings

    for finding in list_findings(evidence):
        say(f"{finding.subject}: {finding.verdict}", style="bold", wrap=True)
        for line in (finding.sentence, finding.cost):
            if line:
                say(f"  {line}", wrap=True)
    say(f"report: {page}")


def _tell_failures(evidence: "Evidence") -> bool:
    """Name the runs that failed. Return whether there are any."""
    from ablate.formatting import format_count
    from ablate.report.causes import list_causes

    if evidence.failed_runs:
        tell(f"{format_count(evidence.failed_runs, 'run')} failed:")
        for cause in list_causes(evidence.provenance.causes):
            tell(f"  {cause}")
    return evidence.failed_runs > 0
