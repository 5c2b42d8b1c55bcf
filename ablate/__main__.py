"""The command line: `python -m ablate`. The only place that prints or exits."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ablate import processes
from ablate import study as studies
from ablate.errors import AblateError, DataError, ModelError
from ablate.interruption import Interrupted, interruptible
from ablate.spec import DATASETS, StudySpec, did_you_mean

if TYPE_CHECKING:
    from ablate.evidence import Evidence

app = typer.Typer(
    name="ablate",
    help="Does this choice in a small image network matter, by how much, and what does it cost?",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
BENCH_WIDTH = 100
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
    # Torch and the rest take seconds to import; a mistake in the study file is told before.
    processes.prepare()
    chosen_device = _device(device)
    import torch

    from ablate import data, doctor, space
    from ablate.folder import ReportFolder
    from ablate.phases import Advanced, Conduct
    from ablate.progress import display
    from ablate.workers import Conditions

    space.lay_out(study)
    study, data_root, missing = _with_data(study, study_file, overrides or [], data_dir, fallback=fallback)
    layout = space.lay_out(study)
    folder = ReportFolder(out_dir / (f"{study.name}-{study.dataset}" if missing else study.name))
    folder.take(fresh=fresh)
    try:
        with interruptible():
            changed = folder.adopt(study)
            conditions = Conditions(
                dataset=study.dataset, data_root=data_root, validation=study.validation, device=chosen_device
            )
            # Read here first: a file that is not the official one is one line, not a failure of every run.
            data.load(study.dataset, data_root, torch.device(chosen_device))
            if (slower := doctor.without_lanes(chosen_device)) and not quiet:
                _tell(slower)
            conduct = Conduct(study, layout, folder, conditions, jobs=jobs or os.cpu_count() or 1)

            def write_report() -> "Evidence":
                # Here, while the workers train: what draws takes a second or two to import.
                from ablate import report

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
                                _tell(f"first pair done, preliminary report: {page}")
                evidence = write_report()
                from ablate import index

                index.write_index(out_dir)
            finally:
                conduct.close()
    finally:
        folder.release()
    from ablate.wording import findings

    for finding in findings(evidence):
        _say(f"{finding.subject}: {finding.verdict}", style="bold")
        for line in (finding.sentence, finding.cost):
            if line:
                _say(f"  {line}")
    _say(f"report: {page}")
    if evidence.failed_runs:
        _tell(f"{evidence.failed_runs} runs failed; the report names them and their causes")
        raise typer.Exit(1)


@app.command()
def plan(study_file: StudyFile, overrides: Overrides = None) -> None:
    """Show arms, runs and minutes; train nothing of the study."""
    study = studies.read(study_file, overrides or [])
    from ablate import space
    from ablate.price import price, warnings

    layout = space.lay_out(study)
    priced = price(study, layout, jobs=os.cpu_count() or 1)
    figures = ("parameters", "FLOP/example", "examples/s a core")
    table = _table("arm", *figures, right=figures)
    for row in priced.arms:
        table.add_row(
            escape(row.arm),
            f"{row.parameters:,}",
            f"{row.flops_per_example:,}",
            f"{row.examples_per_second:,.0f}",
        )
    out.print(table)
    for name, reason in layout.left_out.items():
        _say(f"left out: {name}: {reason}")
    for line in priced.engines_in_words:
        _say(line)
    least, most = priced.minutes
    minutes = f"about {least:.0f} to {most:.0f} minutes on this machine's {os.cpu_count()} cores"
    _say(f"{priced.runs_in_words}: {minutes}")
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
    _say(f"report: {folder / 'report.html'}")


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
    table = _table("arm", "verdict", "accuracy, B − A (points)", "throughput ratio, B / A")
    for change in found.changes:
        table.add_row(*map(escape, comparing.cells(change)))
    out.print(table)
    _say(found.answer, style="bold")
    for note in found.notes:
        _say(f"- {note}")
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
    table = _table("layer", "kind", "output shape", "parameters", right=["parameters"])
    table.add_row("input", "", str(facts.image_shape), "")
    rows = registry.layer_shapes(network, facts.image_shape)
    for row in rows:
        table.add_row(row.name, row.kind, str(row.shape), f"{row.parameters:,}" if row.parameters else "")
    out.print(table)
    total = sum(row.parameters for row in rows)
    out.print(
        f"{total:,} parameters, {flops_per_example(network, facts.image_shape):,} FLOP an example (forward)"
    )


@app.command()
def bench(
    *,
    device: Device = "auto",
    data_dir: DataDir = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Where all of it is written as JSON.")
    ] = None,
    blocks: Annotated[int | None, typer.Option(min=1, help="Rounds of the alternation; default 8.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Half a minute, to see that it works: no figure to quote.")
    ] = False,
    study_file: Annotated[
        Path, typer.Option("--study", metavar="STUDY.yaml", help="What is run end to end.")
    ] = Path("studies/lenet_pooling.yaml"),
    engine: Annotated[str, typer.Option(help="What trains that study: auto, or loop.")] = "auto",
    end_to_end: Annotated[
        bool, typer.Option("--end-to-end/--no-end-to-end", help="Whether a study is run; --quick runs none.")
    ] = True,
) -> None:
    """Measure this machine beside the tutorial's training loop, block by block in alternation.

    Takes about five minutes, and as long again as the study does (--no-end-to-end leaves it out; with
    --engine loop it takes some four times longer). Leave the machine alone meanwhile.
    """
    if engine not in ("auto", "loop"):
        raise AblateError(f"--engine {engine}: {did_you_mean(engine, ['auto', 'loop'])}")
    whole = None if quick or not end_to_end else study_file
    if whole is not None:
        studies.read(whole)  # a mistake in it is told now, not in five minutes
    import torch

    from ablate import bench as benches
    from ablate import data
    from ablate.bench.standings import COLUMNS, sections
    from ablate.progress import display
    from ablate.results import write_whole

    root = data.find("fashion_mnist", data_dir, download=True)
    extent = benches.extent(quick=quick, blocks=blocks)
    measuring = benches.Bench(extent, torch.device(_device(device)), root, whole, engine)
    try:
        with interruptible(), display(err, quiet=False) as shown:
            for event in measuring.events():
                shown.show(event)
    except Interrupted as interruption:
        err.print("interrupted; of a measurement cut short nothing is kept")
        raise typer.Exit(interruption.code) from None
    finally:
        measuring.close()
    for number, (heading, rows) in enumerate(sections(measuring.standings())):
        _say(heading, style="bold")
        table = _table(*COLUMNS, right=[*COLUMNS][1:-1])
        table.show_header, table.padding = number == 0, (0, 1, 0, 0)
        for column, width in zip(table.columns, COLUMNS.values(), strict=True):
            column.min_width = width
        for cells in rows:
            table.add_row(*map(escape, cells))
        out.print(table, width=max(out.width, BENCH_WIDTH), crop=False)
    for remark in measuring.remarks():
        out.print(f"- {remark}", markup=False)
    if json_file is not None:
        write_whole(json_file, measuring.as_json().encode())
        _say(f"written: {json_file}")


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Say which engines and data this machine has, and why not the rest; train nothing."""
    from ablate import doctor as doctors

    table = _table("", "", "")
    for finding in doctors.examine(data_dir):
        table.add_row(finding.name, "yes" if finding.there else "no", escape(finding.told))
    out.print(table)


def main() -> NoReturn:
    """Run the command line; every foreseen error is one line and exit code 2."""
    try:
        # Outside typer's own mode an Exit comes back as its code.
        code = app(standalone_mode=False) or 0
    except Interrupted as interruption:
        err.print("interrupted; the same command goes on where this one stopped")
        code = interruption.code
    except ModelError as error:
        _tell(f"error: {error.keyword}: {error}")
        code = 2
    except AblateError as error:
        _tell(f"error: {error}")
        code = 2
    except OSError as error:
        _tell(f"error: {error}: what is on record stays; the same command goes on")
        code = 2
    except typer.Abort:
        code = 130
    except typer.TyperException as error:
        _tell(f"error: {error} See python -m ablate --help")
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
    _tell(f"{wanted} is neither on this machine nor to be downloaded: answering on {study.dataset} instead")
    root = data.find(study.dataset, data_dir, download=False)
    if root is None and study.dataset != "digits":
        raise DataError(
            f"{study.dataset}, the fallback's data, is not on this machine either: use dataset=digits, "
            "or name its folder with --data-dir or ABLATE_DATA"
        )
    return study, root, wanted


def _say(text: str, *, style: str | None = None) -> None:
    """A line of the answer, its brackets no markup, wrapped by the terminal alone."""
    out.print(text, style=style, markup=False, soft_wrap=True)


def _tell(text: str) -> None:
    """A line about the answer's making."""
    err.print(text, markup=False, soft_wrap=True)


def _table(*headings: str, right: Sequence[str] = ()) -> Table:
    """An empty table without lines; the columns named in `right` are flush right."""
    table = Table(box=None, pad_edge=False, show_header=any(headings))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def _shown(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    main()
