"""`ablate run`: answer a study's question."""

from collections.abc import Callable
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
    from ablate.study import study_file

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
    # Report an impossible arm of any context, and missing data, before the first run.
    studies = [check_arms(study, plugin or []) for study in studies]
    read_fallback = partial(_read_fallback, path, overrides or []) if fallback else None
    jobs_to_do = [
        make_job(study=study, data_root=root, missing_data=missing)
        for study, root, missing in _find_all_data(studies, read_fallback, data_dir)
    ]
    whole = study_file.copy_whole(path, overrides or [])
    failed = [_answer(job, whole, fresh=fresh) for job in jobs_to_do]
    if any(failed):
        raise typer.Exit(1)


def _find_registration(path: Path, overrides: list[str]) -> "Registration":
    """Find the commit that contains the study file as it is now."""
    from ablate.records.provenance import Registration
    from ablate.study.registration import find_registration

    commit, date = find_registration(path, overrides)
    return Registration(commit=commit, date=date)


def _read_fallback(path: Path, overrides: list[str], context: str | None) -> "StudySpec":
    """Read a study, or the study of one context, with its fallback."""
    from ablate.study import study_file
    from ablate.study.contexts import CHOICE

    chosen = [] if context is None else [f"{CHOICE}{context}"]
    return study_file.read(path, [*overrides, *chosen], fallback=True)


def _find_all_data(
    studies: "list[StudySpec]",
    read_fallback: "Callable[[str | None], StudySpec] | None",
    data_dir: Path | None,
) -> "list[tuple[StudySpec, Path | None, str | None]]":
    """Find the data of every context, as `find_data` does.

    `read_fallback` reads the study of a context with the fallback. None forbids the fallback. If the fallback
    makes two contexts equal, only the first of them is kept.

    Raises:
        DataError: the data of some contexts is missing, and that of others is not.
    """
    from ablate.cli.preparing import find_data
    from ablate.errors import DataError
    from ablate.study.study_file import list_changes

    found: list[tuple[StudySpec, Path | None, str | None]] = []
    for study in studies:
        own_fallback = partial(read_fallback, study.context) if read_fallback else None
        one = find_data(study, own_fallback, data_dir)
        equal = [
            kept for kept, *_ in found if all(key == "context" for key, *_ in list_changes(kept, one[0]))
        ]
        if equal:
            tell(f"context {study.context}: is the same as {equal[0].context} here, so it is left out")
        else:
            found.append(one)
    lacking = [str(study.context) for study, _, missing in found if missing is not None]
    if 0 < len(lacking) < len(found):
        raise DataError(
            f"the data of {lacking[0]} is not on this machine, and that of other contexts is: answer one "
            "context at a time with the override context=NAME"
        )
    return found


def _answer(job: "Job", whole: str | None, *, fresh: bool) -> bool:
    """Answer one study or context, print the answer, and return whether runs failed.

    `whole` is the text of the file with all contexts. None if the study has no contexts.
    """
    from ablate.records.folder import make_room_for_contexts
    from ablate.report import index

    above = job.folder.path.parent
    if whole is not None:
        make_room_for_contexts(above, fresh=fresh)
        if not job.quiet:
            say(f"context: {job.study.context}", style="bold")
    evidence = job.answer(fresh=fresh)
    _print_answer(evidence, job.folder.path / "report.html")
    if whole is not None:
        _compare_contexts(above, whole)
    index.write_index(job.out_dir)
    return _tell_failures(evidence)


def _compare_contexts(folder: Path, whole: str) -> None:
    """Write the page that compares the contexts that are finished so far, and print its headline."""
    from ablate.records.folder import ReportFolder
    from ablate.report.contexts.writer import write_contexts

    ReportFolder(folder).write_study(whole)
    say(write_contexts(folder), style="bold", wrap=True)
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
