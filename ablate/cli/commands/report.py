"""`ablate report`: write a folder's report again."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.console import OutDir, Plugins, Storage, say
from ablate.errors import AblateError

if TYPE_CHECKING:
    from ablate.study.spec import StudySpec


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A report folder; with --storage, a study's name.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Change keys of the study on which no run depends: decision.metric=log_loss "
            "decision.margin=0.005",
        ),
    ] = None,
    *,
    static: Annotated[
        bool | None,
        typer.Option(
            "--static/--interactive",
            help="Write a small report.html that shows the pictures in the folder figures, or one with "
            "interactive figures, which needs no other file. By default, a page stays as it is, and a new "
            "page has interactive figures.",
        ),
    ] = None,
    storage: Storage = None,
    out_dir: OutDir = Path("reports"),
    plugin: Plugins = None,
) -> None:
    """Write a folder's report again from its tables.

    The command needs no torch. KEY=VALUE changes keys on which no run depends,
    such as decision.metric. The change is stored in the folder, and the report
    says so. With --storage, the command first fetches the tables of a shared
    study from the server.
    """
    from ablate.records.folder import list_contexts
    from ablate.report import index, writer
    from ablate.report.contexts.writer import write_contexts

    if storage is not None:
        folder = _fetch_folder(storage, str(folder), out_dir, plugin or [])
    contexts = list_contexts(folder)
    places = contexts or [folder]
    changed = [_read_changed(place, overrides) for place in places] if overrides else []
    for place, study in zip(places, changed, strict=False):
        _store_changed(place, study)
    for place in places:
        writer.write(place, static=static)
    if contexts:
        write_contexts(folder)
    if (folder.resolve().parent / "index.html").exists():
        index.write_index(folder.resolve().parent)
    say(f"report: {folder / 'report.html'}")


def _read_changed(path: Path, overrides: list[str]) -> "StudySpec":
    """Read the folder's study with changed keys on which no run depends.

    Raises:
        AblateError: runs depend on a key, or no report can be made with the changed keys.
    """
    from ablate.records.folder import FREE_KEYS
    from ablate.report.evidence import gather
    from ablate.study import study_file
    from ablate.study.overrides import parse_overrides

    for key in parse_overrides(overrides):
        if key not in FREE_KEYS:
            raise AblateError(
                f"command line: {key}: a report cannot change this key, because the runs depend on it: "
                f"change one of {', '.join(FREE_KEYS)}, or run the study again"
            )
    changed = study_file.read(path / "study.yaml", overrides)
    gather(path, changed)
    return changed


def _store_changed(path: Path, changed: "StudySpec") -> None:
    """Store the changed study in the report folder."""
    from ablate.records.folder import ReportFolder

    folder = ReportFolder(path)
    folder.lock(fresh=False)
    try:
        folder.adopt(changed)
    finally:
        folder.release()


def _fetch_folder(url: str, name: str, out_dir: Path, plugins: list[str]) -> Path:
    """Make a folder with the tables of a shared study, from all runs that are on the server so far."""
    from ablate.design.designs import lay_out
    from ablate.execution.executor import Conditions
    from ablate.experiment.conduct import Conduct
    from ablate.models import own
    from ablate.records.folder import ReportFolder
    from ablate.records.postgresql_record import PostgresqlRecord
    from ablate.records.provenance import Provenance
    from ablate.study import study_file

    own.allow(plugins)
    with closing(PostgresqlRecord(url, name, begin=False)) as store:
        if store.study is None or not store.provenance:
            raise AblateError(f"{name}: there is nothing to report yet: no host has finished a first pair")
        provenance = Provenance.from_dict(store.provenance)
        folder = ReportFolder(out_dir / name)
        folder.lock(fresh=False)
        try:
            folder.write_study(store.study)
            study = study_file.read(folder.path / "study.yaml")
            conditions = Conditions(
                dataset=study.dataset,
                data_root=None,
                validation=study.validation,
                device=provenance.machine.device,
            )
            conduct = Conduct(study, lay_out(study), folder, conditions, jobs=1, store=store)
            conduct.replay()
            folder.write_provenance(provenance)
            folder.write_tables(conduct.make_tables())
        finally:
            folder.release()
    return folder.path
