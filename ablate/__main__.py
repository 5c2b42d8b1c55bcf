"""The command line: `python -m ablate`. The only place that prints or exits."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ablate import study as studies
from ablate.errors import AblateError, DataError, ModelError
from ablate.spec import DATASETS, StudySpec, did_you_mean

app = typer.Typer(
    name="ablate",
    help="Does this choice in a small image network matter, by how much, and what does it cost?",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The question, as a study file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Overrides: recipe.epochs=2 seeds=3 tuning.trials=0"),
]
DataDir = Annotated[Path | None, typer.Option(help="Folder that holds FashionMNIST/raw and MNIST/raw.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Runs side by side on a CPU; default: the cores.")]


class Interrupted(Exception):  # noqa: N818  # not an error: a person or the system asked to stop
    """SIGINT or SIGTERM arrived; carries the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@app.command()
def run(
    study_file: StudyFile,
    overrides: Overrides = None,
    *,
    device: Device = "auto",
    jobs: Jobs = None,
    data_dir: DataDir = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Parent of the report folder.")] = Path("reports"),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Move an earlier report folder aside and start over.")
    ] = False,
    fallback: Annotated[
        bool, typer.Option("--fallback/--no-fallback", help="Whether the study's fallback may answer.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the answer.")] = False,
) -> None:
    """Answer the question: tune, confirm, time, and write reports/<name>/report.html."""
    study = studies.read(study_file, overrides or [])
    chosen_device = _device(device)
    # Torch and the rest take seconds to import; a mistake in the study file is told before.
    import torch

    from ablate import data, index, report, space
    from ablate.evidence import Evidence
    from ablate.folder import ReportFolder
    from ablate.phases import Advanced, Conduct
    from ablate.progress import display
    from ablate.wording import findings
    from ablate.workers import Conditions

    space.lay_out(study)
    study, data_root, missing = _with_data(study, study_file, overrides or [], data_dir, fallback=fallback)
    layout = space.lay_out(study)
    folder = ReportFolder(out_dir / (f"{study.name}-{study.dataset}" if missing else study.name))
    folder.take(fresh=fresh)
    try:
        with _interruptible():
            changed = folder.adopt(study)
            conditions = Conditions(
                dataset=study.dataset, data_root=data_root, validation=study.validation, device=chosen_device
            )
            # Read here first: a file that is not the official one is one line, not a failure of every run.
            data.load(study.dataset, data_root, torch.device(chosen_device))
            conduct = Conduct(study, layout, folder, conditions, jobs=jobs or os.cpu_count() or 1)

            def write_report() -> Evidence:
                told = {
                    "fallback": missing,
                    "changed_after_answer": changed,
                    "test_set_readers": folder.readers(study.dataset),
                }
                folder.write_environment({**conduct.facts(), **told})
                folder.write_tables(conduct.tables())
                return report.write(folder.path)

            page = folder.path / "report.html"
            try:
                with display(err, quiet=quiet) as shown:
                    for event in conduct.events():
                        if isinstance(event, Advanced):
                            shown.show(event)
                        else:
                            write_report()
                            if not quiet:
                                err.print(
                                    f"first pair done, preliminary report: {page}",
                                    markup=False,
                                    soft_wrap=True,
                                )
                evidence = write_report()
                index.write_index(out_dir)
            finally:
                conduct.close()
    finally:
        folder.release()
    for finding in findings(evidence):
        out.print(f"{finding.subject}: {finding.verdict}", style="bold", markup=False, soft_wrap=True)
        for line in (finding.sentence, finding.cost):
            if line:
                out.print(f"  {line}", markup=False, soft_wrap=True)
    out.print(f"report: {page}", markup=False, soft_wrap=True)
    if evidence.failed_runs:
        err.print(f"{evidence.failed_runs} runs failed; the report names them and their causes", markup=False)
        raise typer.Exit(1)


@app.command()
def plan(study_file: StudyFile, overrides: Overrides = None) -> None:
    """Show arms, runs and minutes; train nothing of the study."""
    study = studies.read(study_file, overrides or [])
    from ablate import space
    from ablate.price import price, warnings

    layout = space.lay_out(study)
    priced = price(study, layout, jobs=os.cpu_count() or 1)
    table = Table(title=None, box=None, pad_edge=False)
    for heading in ("arm", "parameters", "FLOP/example", "examples/s a core"):
        table.add_column(heading, justify="left" if heading == "arm" else "right", overflow="fold")
    for row in priced.arms:
        table.add_row(
            escape(row.arm),
            f"{row.parameters:,}",
            f"{row.flops_per_example:,}",
            f"{row.examples_per_second:,.0f}",
        )
    out.print(table)
    for name, reason in layout.left_out.items():
        out.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
    least, most = priced.minutes
    out.print(
        f"{priced.runs_in_words}: about {least:.0f} to {most:.0f} minutes "
        f"on this machine's {os.cpu_count()} cores",
        soft_wrap=True,
    )
    for warning in warnings(study, layout):
        err.print(f"warning: {warning}", soft_wrap=True)


@app.command(name="report")
def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A report folder.")],
) -> None:
    """Write a folder's report again from its tables, without torch."""
    from ablate import index, report

    report.write(folder)
    if (folder.resolve().parent / "index.html").exists():
        index.write_index(folder.resolve().parent)
    out.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A report folder: what to compare with.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="A report folder: what to compare.")],
) -> None:
    """Say which arms changed from A to B in accuracy or throughput; exit code 1 if any got worse."""
    from ablate import compare as comparing
    from ablate.evidence import gather

    before = gather(first)
    found = comparing.compare(before, gather(second))
    table = Table(box=None, pad_edge=False)
    for heading in ("arm", "verdict", "accuracy, B − A (points)", "throughput ratio, B / A"):
        table.add_column(heading)
    for change in found.changes:
        table.add_row(*map(escape, comparing.cells(change)))
    out.print(table)
    out.print(found.answer, style="bold", markup=False, soft_wrap=True)
    for note in found.notes:
        out.print(f"- {note}", markup=False, soft_wrap=True)
    if found.regression:
        raise typer.Exit(1)


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A model; all of them if left out.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEYWORD=VALUE]...")] = None,
) -> None:
    """List the models, or show one layer by layer: output shapes, parameters, FLOPs."""
    from ablate import models as registry
    from ablate.timing import flops_per_example

    facts = DATASETS["fashion_mnist"]
    if name is None:
        for known in registry.MODELS:
            out.print(
                f"{known}: {', '.join(f'{k}={_shown(v)}' for k, v in registry.keywords(known).items())}"
            )
        return
    settings = studies.values(overrides or [])
    registry.check(name, settings, input_shape=facts.image_shape, classes=facts.classes)
    network = registry.build(
        name, settings, input_shape=facts.image_shape, classes=facts.classes, init="default", seed=0
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("layer", "kind", "output shape", "parameters"):
        table.add_column(heading, justify="right" if heading == "parameters" else "left")
    table.add_row("input", "", str(facts.image_shape), "")
    rows = registry.layer_shapes(network, facts.image_shape)
    for row in rows:
        table.add_row(row.name, row.kind, str(row.shape), f"{row.parameters:,}" if row.parameters else "")
    out.print(table)
    total = sum(row.parameters for row in rows)
    out.print(
        f"{total:,} parameters, {flops_per_example(network, facts.image_shape):,} FLOP an example (forward)"
    )


def main() -> NoReturn:
    """Run the command line; every foreseen error is one line and exit code 2."""
    try:
        # Outside typer's own mode an Exit comes back as its code.
        code = app(standalone_mode=False) or 0
    except Interrupted as interruption:
        err.print("interrupted; the same command goes on where this one stopped")
        code = interruption.code
    except ModelError as error:
        err.print(f"error: {error.keyword}: {error}", markup=False, soft_wrap=True)
        code = 2
    except AblateError as error:
        err.print(f"error: {error}", markup=False, soft_wrap=True)
        code = 2
    except OSError as error:
        err.print(
            f"error: {error}: what is on record stays; the same command goes on", markup=False, soft_wrap=True
        )
        code = 2
    except typer.Abort:
        code = 130
    except typer.TyperException as error:
        err.print(f"error: {error} See python -m ablate --help", markup=False, soft_wrap=True)
        code = 2
    sys.exit(code)


def _device(wanted: str) -> str:
    if wanted not in ("auto", "cpu", "cuda"):
        raise AblateError(f"--device {wanted}: {did_you_mean(wanted, ['auto', 'cpu', 'cuda'])}")
    if wanted == "cpu":
        return wanted
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise AblateError("--device cuda: torch sees no CUDA device here: use --device cpu")
    return "cpu"


def _with_data(
    study: StudySpec, path: Path, overrides: list[str], data_dir: Path | None, *, fallback: bool
) -> tuple[StudySpec, Path | None, str | None]:
    """The study, where its data lies, and the name of the data it had to do without (None: nothing)."""
    from ablate import data

    root = data.find(study.dataset, data_dir, download=True)
    if root is not None or study.dataset == "digits":
        return study, root, None
    if not fallback or not study.fallback:
        raise DataError(
            f"{study.dataset} is neither on this machine nor to be downloaded: "
            "name its folder with --data-dir or ABLATE_DATA"
        )
    wanted, study = study.dataset, studies.read(path, overrides, fallback=True)
    err.print(
        f"{wanted} is neither on this machine nor to be downloaded: answering on {study.dataset} instead",
        soft_wrap=True,
    )
    root = data.find(study.dataset, data_dir, download=False)
    if root is None and study.dataset != "digits":
        raise DataError(
            f"{study.dataset}, the fallback's data, is not on this machine either: use dataset=digits, "
            "or name its folder with --data-dir or ABLATE_DATA"
        )
    return study, root, wanted


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into one exception, once; a second signal ends the process at once."""

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise Interrupted(128 + number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shown(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    main()
