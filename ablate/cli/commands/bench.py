"""`ablate bench`: compare this machine's training speed with the loop of Dive into Deep Learning (D2L)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ablate.cli.console import DataDir, Device, empty_table, err, out, say
from ablate.devices.choice import choose_device
from ablate.errors import AblateError, did_you_mean
from ablate.interruption import Interrupted, raise_on_interrupt

if TYPE_CHECKING:
    from ablate.bench.bench import Bench

TABLE_WIDTH = 100


def bench(
    *,
    device: Device = "auto",
    data_dir: DataDir = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all results to FILE.")
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option(min=1, help="Number of measurements of each way to train; default 8.", metavar="N"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Try the command in half a minute; do not quote the results.")
    ] = False,
    study: Annotated[
        Path, typer.Option("--study", metavar="STUDY.yaml", help="The study for the end-to-end measurement.")
    ] = Path("studies/lenet_pooling.yaml"),
    engine: Annotated[str, typer.Option(help="Engine that trains the study: auto or loop.")] = "auto",
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="Only print the time of each layer in the lanes engine (the fast engine on a CPU).",
        ),
    ] = False,
    end_to_end: Annotated[
        bool,
        typer.Option("--end-to-end/--no-end-to-end", help="Also time a whole study; --quick skips it."),
    ] = True,
) -> None:
    """Compare this machine's training speed with D2L's loop.

    D2L is the book Dive into Deep Learning. The command takes about seven minutes, plus the time of one
    study. --no-end-to-end skips the study. With --engine loop, the study takes about four times as long. Do
    not use the machine for anything else during the measurement. --layers takes half a minute.
    """
    if layers:
        _print_layers()
        return
    if engine not in ("auto", "loop"):
        raise AblateError(f"--engine {engine}: {did_you_mean(engine, ['auto', 'loop'])}")
    whole = None if quick or not end_to_end else study
    if whole is not None:
        from ablate.study import study_file

        study_file.read(whole)  # report a mistake in the file now, not after five minutes
    measuring = _set_up(device, data_dir, whole, engine, quick=quick, blocks=blocks)
    _measure(measuring)
    _print_results(measuring)
    if json_file is not None:
        from ablate.records.files import write_whole

        write_whole(json_file, measuring.as_json().encode())
        say(f"written: {json_file}")


def _set_up(
    device: str, data_dir: Path | None, study: Path | None, engine: str, *, quick: bool, blocks: int | None
) -> "Bench":
    import torch

    from ablate.bench.bench import Bench, choose_extent
    from ablate.data import sources
    from ablate.data.datasets import find_dataset

    root = sources.find_root(find_dataset("fashion_mnist"), data_dir, download=True)
    extent = choose_extent(quick=quick, blocks=blocks)
    return Bench(extent, torch.device(choose_device(device)), root, study, engine)


def _measure(measuring: "Bench") -> None:
    from ablate.cli.progress import make_display

    try:
        with raise_on_interrupt(), make_display(err, quiet=False) as shown:
            for event in measuring.events():
                shown.show(event)
    except Interrupted as interruption:
        err.print("interrupted; no measurements are kept")
        raise typer.Exit(interruption.code) from None
    finally:
        measuring.close()


def _print_layers() -> None:
    import torch

    from ablate.bench.contenders import measure_arithmetic_rate
    from ablate.bench.layers import COLUMNS, lay_out_layers, measure_layers
    from ablate.data import loading
    from ablate.data.datasets import DATASETS

    cpu = torch.device("cpu")
    # The values of the pixels do not change the time of a step, so random images are enough.
    dataset = loading.make_noise(DATASETS["fashion_mnist"], images=10_000)
    limit = 0.0
    for name, times in measure_layers(dataset):
        limit = max(limit, measure_arithmetic_rate(cpu))
        total = sum(sum(layer.seconds.values()) for layer in times)
        say(f"{name}: {1 / total:,.0f} examples/s", style="bold")
        table = empty_table(*COLUMNS, "kB", right=[*COLUMNS, "kB"][1:])
        for column in table.columns:
            column.no_wrap = True
        for cells in lay_out_layers(times):
            table.add_row(*map(escape, cells))
        out.print(table, width=max(out.width, TABLE_WIDTH), crop=False)
    say(
        "- Times are microseconds per example on one core. The number after an @ is the rate in GFLOP/s, "
        "counted as for a direct computation. The time of the activation includes pooling. kB: the size "
        "of a layer's input, pre-activations and output for one example. "
        f"The core multiplies large fp32 matrices at {limit / 1e9:.0f} GFLOP/s."
    )


def _print_results(measuring: "Bench") -> None:
    from ablate.bench.results import COLUMNS, lay_out_sections

    for number, (heading, rows) in enumerate(lay_out_sections(measuring.results())):
        say(heading, style="bold")
        table = empty_table(*COLUMNS, right=[*COLUMNS][1:-1])
        table.show_header, table.padding = number == 0, (0, 1, 0, 0)
        for column, width in zip(table.columns, COLUMNS.values(), strict=True):
            column.min_width = width
        for cells in rows:
            table.add_row(*map(escape, cells))
        out.print(table, width=max(out.width, TABLE_WIDTH), crop=False)
    for remark in measuring.remarks():
        out.print(f"- {remark}", markup=False)
