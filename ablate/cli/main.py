"""The command line: `python -m ablate`. The only place that prints or exits."""

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape

from ablate.cli import tools
from ablate.cli.console import (
    DataDir,
    Device,
    Jobs,
    OutDir,
    Overrides,
    Plugins,
    Storage,
    StudyFile,
    device_of,
    empty_table,
    err,
    out,
    say,
    tell,
)
from ablate.errors import AblateError, DataError, ModelError
from ablate.execution import fork_server
from ablate.interruption import Interrupted, held, interruptible
from ablate.study import study_file
from ablate.study.spec import StudySpec

if TYPE_CHECKING:
    from ablate.records.folder import ReportFolder
    from ablate.records.record import RecordStore
    from ablate.report.evidence import Evidence

app = typer.Typer(
    name="ablate",
    help="Does this choice in a small image network matter, by how much, and what does it cost?",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
        raise AblateError("--fresh: what is on a server stays there: give the study another name, name=…")
    # Torch and the rest take seconds to import; a mistake in the study file is told before.
    if cluster is None:
        fork_server.prepare()
    chosen_device = device_of(device)
    from ablate.cli import doctor
    from ablate.cli.progress import display
    from ablate.design import designs
    from ablate.execution.executor import Conditions
    from ablate.experiment.conduct import Advanced, Conduct
    from ablate.models import own
    from ablate.records.folder import ReportFolder

    own.allow(plugin or [])
    layout = designs.lay_out(study)
    study, data_root, missing = _with_data(study, path, overrides or [], data_dir, fallback=fallback)
    if missing:  # the fallback may have other arms
        layout = designs.lay_out(study)
    folder = ReportFolder(out_dir / (f"{study.name}-{study.dataset}" if missing else study.name))
    folder.take(fresh=fresh)
    try:
        with interruptible():
            store = None if storage is None else _shared(storage, study.name, folder)
            changed = folder.adopt(study)
            if store is not None:
                store.keep(study=study_file.dump(study))
            conditions = Conditions(
                dataset=study.dataset,
                data_root=data_root,
                validation=study.validation,
                device=chosen_device,
                plugins=own.allowed(),
            )
            # Read here first: a file that is not the official one is one line, not a failure of every run.
            conditions.load(None)
            if (slower := doctor.without_lanes(chosen_device)) and not quiet:
                tell(slower)
            elsewhere = {} if cluster is None else _on_cluster(cluster)
            cores = jobs or os.cpu_count() or 1
            conduct = Conduct(study, layout, folder, conditions, jobs=cores, store=store, **elsewhere)

            def write_report(*, weigh: bool = True) -> "Evidence":
                # Here, while the workers train: what draws takes a second or two to import.
                from ablate.report import writer

                told = {
                    "fallback": missing,
                    "changed_after_answer": changed,
                    "test_set_readers": folder.readers(str(study.dataset)),
                }
                environment = {**conduct.facts(weigh=weigh), **told}
                folder.write_environment(environment)
                if store is not None and not conduct.timed_elsewhere:
                    store.keep(environment=environment)
                folder.write_tables(conduct.tables())
                return writer.write(folder.path)

            page = folder.path / "report.html"
            try:
                with display(err, quiet=quiet) as shown, closing(conduct.events()) as events:
                    for event in events:
                        if isinstance(event, Advanced):
                            shown.show(event)
                        else:
                            with held():
                                write_report()
                            if not quiet:
                                tell(f"first pair done, preliminary report: {page}")
                with held():
                    evidence = write_report()
            except Interrupted:
                # From here on a second signal ends this at once: both are the system's again.
                write_report(weigh=False)
                tell(f"partial report: {page}")
                raise
            else:
                from ablate.report import index

                index.write_index(out_dir)
            finally:
                conduct.close()
    finally:
        folder.release()
    from ablate.report.wording import findings

    for finding in findings(evidence):
        say(f"{finding.subject}: {finding.verdict}", style="bold")
        for line in (finding.sentence, finding.cost):
            if line:
                say(f"  {line}")
    say(f"report: {page}")
    if evidence.failed_runs:
        tell(f"{evidence.failed_runs} runs failed; the report names them and their causes")
        raise typer.Exit(1)


@app.command()
def plan(path: StudyFile, overrides: Overrides = None, *, plugin: Plugins = None) -> None:
    """Show arms, runs and minutes; train nothing of the study."""
    study = study_file.read(path, overrides or [])
    from ablate.design import designs
    from ablate.experiment.price import price, warnings
    from ablate.models import own

    own.allow(plugin or [])
    layout = designs.lay_out(study)
    priced = price(study, layout, jobs=os.cpu_count() or 1)
    figures = ("parameters", "FLOP/example", "examples/s a core")
    table = empty_table("arm", *figures, right=figures)
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
    for warning in warnings(study, layout):
        err.print(f"warning: {warning}", soft_wrap=True)


@app.command(name="report")
def report_command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A report folder; with --storage, a study's name.")
    ],
    *,
    storage: Storage = None,
    out_dir: OutDir = Path("reports"),
    plugin: Plugins = None,
) -> None:
    """Write a folder's report again from its tables, without torch; --storage fetches the tables first."""
    from ablate.report import index, writer

    if storage is not None:
        folder = _fetched(storage, str(folder), out_dir, plugin or [])
    writer.write(folder)
    if (folder.resolve().parent / "index.html").exists():
        index.write_index(folder.resolve().parent)
    say(f"report: {folder / 'report.html'}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A report folder: what to compare with.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="A report folder: what to compare.")],
) -> None:
    """Say which arms changed from A to B in accuracy or throughput; exit code 1 if any got worse."""
    from ablate.report import compare as comparing
    from ablate.report.evidence import gather

    before = gather(first)
    found = comparing.compare(before, gather(second))
    table = empty_table("arm", "verdict", "accuracy, B − A (points)", "throughput ratio, B / A")
    for change in found.changes:
        table.add_row(*map(escape, comparing.cells(change)))
    out.print(table)
    say(found.answer, style="bold")
    for note in found.notes:
        say(f"- {note}")
    if found.regression:
        raise typer.Exit(1)


app.add_typer(tools.app)


def main() -> NoReturn:
    """Run the command line; every foreseen error is one line and exit code 2."""
    try:
        # Outside typer's own mode an Exit comes back as its code.
        code = app(standalone_mode=False) or 0
    except Interrupted as interruption:
        err.print("interrupted; the same command goes on where this one stopped")
        code = interruption.code
    except ModelError as error:
        tell(f"error: {error.keyword}: {error}")
        code = 2
    except AblateError as error:
        tell(f"error: {error}")
        code = 2
    except OSError as error:
        tell(f"error: {error}: what is on record stays; the same command goes on")
        code = 2
    except typer.Abort:
        code = 130
    except typer.TyperException as error:
        tell(f"error: {error} See python -m ablate --help")
        code = 2
    sys.exit(code)


def _on_cluster(address: str) -> dict[str, Any]:
    """How workers are opened that are a cluster's, and how this machine is had alone."""
    try:
        from ablate.execution.ray_cluster import RayTasks, alone
    except ModuleNotFoundError as error:
        raise AblateError(f"--cluster: {error.name} is not installed: pip install 'ablate[ray]'") from None
    return {
        "workers": lambda conditions, _: RayTasks(conditions, address),
        "alone": lambda: alone(address),
    }


def _shared(url: str, name: str, folder: "ReportFolder") -> "RecordStore":
    """The record that hosts share; the folder is made that study's, as it was last given."""
    from ablate.records.shared import SharedRecord

    store = SharedRecord(url, name)
    if store.study is not None:
        folder.write_study(store.study)
    return store


def _fetched(url: str, name: str, out_dir: Path, plugins: list[str]) -> Path:
    """A folder with the tables of a study that hosts share, whatever is on record of it."""
    from ablate.design import designs
    from ablate.execution.executor import Conditions
    from ablate.experiment.conduct import Conduct
    from ablate.models import own
    from ablate.records.folder import ReportFolder
    from ablate.records.shared import SharedRecord

    own.allow(plugins)
    with closing(SharedRecord(url, name, begin=False)) as store:
        environment = store.environment
        if store.study is None or not environment:
            raise AblateError(f"{name}: there is nothing to report yet: no host has finished a first pair")
        folder = ReportFolder(out_dir / name)
        folder.take(fresh=False)
        try:
            folder.write_study(store.study)
            study = study_file.read(folder.path / "study.yaml")
            device = str(environment["device"])
            conditions = Conditions(
                dataset=study.dataset, data_root=None, validation=study.validation, device=device
            )
            conduct = Conduct(study, designs.lay_out(study), folder, conditions, jobs=1, store=store)
            conduct.replay()
            folder.write_environment(environment)
            folder.write_tables(conduct.tables())
        finally:
            folder.release()
    return folder.path


def _with_data(
    study: StudySpec, path: Path, overrides: list[str], data_dir: Path | None, *, fallback: bool
) -> tuple[StudySpec, Path | None, str | None]:
    """The study, where its data lies, and the name of the data it had to do without (None: nothing)."""
    from ablate.data import sources

    root = sources.find(study.dataset, data_dir, download=True)
    if root is not None or not sources.needs_root(study.dataset):
        return study, root, None
    if not fallback or not study.fallback:
        raise DataError(
            f"{study.dataset} is neither on this machine nor to be downloaded: "
            "name its folder with --data-dir or ABLATE_DATA"
        )
    wanted, study = str(study.dataset), study_file.read(path, overrides, fallback=True)
    tell(f"{wanted} is neither on this machine nor to be downloaded: answering on {study.dataset} instead")
    root = sources.find(study.dataset, data_dir, download=False)
    if root is None and sources.needs_root(study.dataset):
        raise DataError(
            f"{study.dataset}, the fallback's data, is not on this machine either: use dataset=digits, "
            "or name its folder with --data-dir or ABLATE_DATA"
        )
    return study, root, wanted


if __name__ == "__main__":
    main()
