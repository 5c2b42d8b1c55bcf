"""The commands beside the main job: models, bench, export, activations, explore, dashboard, doctor."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ablate.cli.console import DataDir, Device, Plugins, Storage, device_of, empty_table, err, out, say, tell
from ablate.data.datasets import named
from ablate.errors import AblateError
from ablate.interruption import Interrupted, interruptible
from ablate.study import study_file
from ablate.study.spec import did_you_mean

app = typer.Typer()
BENCH_WIDTH = 100
LOOPBACK = "127.0.0.1"


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A model; all of them if left out.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEYWORD=VALUE]...")] = None,
    *,
    size: Annotated[
        int | None, typer.Option("--size", metavar="N", min=1, help="Images of N×N pixels.")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """List the models, or show one layer by layer: output shapes, parameters, FLOPs.

    A model gets images of the size that the documents give it, unless --size says otherwise.
    """
    if size is not None and name is None:
        raise AblateError("--size: name a model too, as in `models vgg --size 32`")
    from ablate import models as registry
    from ablate.models import own
    from ablate.timing.costs import flops_per_example

    own.allow(plugin or [])
    settings = study_file.values(overrides or [])
    for known in registry.MODELS if name is None else [name]:
        (channels, *pixels), classes = registry.made_for(known)
        shape = (channels, *([size] * 2 if size else pixels))
        registry.check(known, settings, input_shape=shape, classes=classes)
        network = registry.sketch(known, settings, input_shape=shape, classes=classes)
        if name is not None:
            table = empty_table("layer", "kind", "output shape", "parameters", right=["parameters"])
            table.add_row("input", "", str(shape), "")
            for row in registry.layer_shapes(network, shape):
                count = f"{row.parameters:,}" if row.parameters else ""
                table.add_row(escape(row.name), row.kind, str(row.shape), count)
            out.print(table)
        cost = (
            f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters, "
            f"{flops_per_example(network, shape):,} FLOP an example (forward)"
        )
        if name is None:
            say(f"{known}: {cost} at {'×'.join(map(str, pixels))}")
            say(f"  {', '.join(f'{k}={_shown(v)}' for k, v in registry.keywords(known).items())}")
        else:
            say(cost)


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
    study: Annotated[
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
    whole = None if quick or not end_to_end else study
    if whole is not None:
        study_file.read(whole)  # a mistake in it is told now, not in five minutes
    import torch

    from ablate.bench import bench as benches
    from ablate.bench.standings import COLUMNS, sections
    from ablate.cli.progress import display
    from ablate.data import sources
    from ablate.records.files import write_whole

    root = sources.find(named("fashion_mnist"), data_dir, download=True)
    extent = benches.extent(quick=quick, blocks=blocks)
    measuring = benches.Bench(extent, torch.device(device_of(device)), root, whole, engine)
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
        say(heading, style="bold")
        table = empty_table(*COLUMNS, right=[*COLUMNS][1:-1])
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
        say(f"written: {json_file}")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A report folder.")],
    *,
    arm: Annotated[str | None, typer.Option(metavar="NAME", help="Write this trained arm.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write the training curves.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to; default: DIR/export, for curves DIR/tensorboard."),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a trained arm as .pt and .onnx, or all training curves as TensorBoard events."""
    if arm is None and not tensorboard:
        raise AblateError("what is to be exported? Name an arm with --arm, or add --tensorboard")
    from ablate.cli import export as exporting
    from ablate.models import own

    own.allow(plugin or [])
    for file in exporting.write_arm(folder, arm, to or folder / "export") if arm is not None else ():
        say(f"written: {file.path}")
        for line in file.usage:
            say(f"  {line}")
    if tensorboard:
        curves = to or folder / "tensorboard"
        runs = exporting.write_curves(folder, curves)
        say(f"written: the curves of {runs} confirmed runs; a step is one training example seen")
        say(f"  tensorboard --logdir {curves}")


@app.command()
def activations(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A report folder that `run` wrote.")],
    *,
    arm: Annotated[
        str | None, typer.Option(metavar="NAME", help="The arm to look into; default: all.")
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(metavar="CLASS,CLASS", help="Classes, by how their names begin; default: the report's."),
    ] = None,
    layers: Annotated[
        str, typer.Option(metavar="N,N", help="Numbers of convolutions, or names of layers.")
    ] = "1,2",
    data_dir: DataDir = None,
    plugin: Plugins = None,
) -> None:
    """Draw what the layers of trained arms make of images of chosen classes, into DIR/figures."""
    from ablate.cli import activations as drawing
    from ablate.models import own

    own.allow(plugin or [])
    for path in drawing.draw(folder, arm=arm, inputs=inputs, layers=layers, data_dir=data_dir):
        say(str(path))


@app.command()
def explore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A report folder that `run` wrote.")],
    *,
    arms: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="The one or two to begin with; default: the first two."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write one file that opens without a server.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; default: this machine alone.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8050,
    data_dir: DataDir = None,
    plugin: Plugins = None,
) -> None:
    """See trained arms read what you draw, layer by layer, on a page in your browser."""
    from ablate.models import own

    own.allow(plugin or [])
    try:
        from ablate.explore import saved, server, session
    except ModuleNotFoundError as error:
        raise AblateError(f"{error.name} is not installed: pip install 'ablate[explore]'") from None
    from ablate.records.files import write_whole

    opened = session.opened(folder, data_dir=data_dir, tell=tell)
    chosen = session.chosen(opened, arms)
    if save is not None:
        write_whole(save, saved.written(opened, chosen).encode())
        say(f"written: {save}")
    else:
        server.serve(opened, chosen, host, port, lambda address: say(f"{address} until Ctrl-C"))


@app.command()
def dashboard(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A report folder.")] = None,
    *,
    storage: Storage = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of this machine's own address.")] = 8080,
) -> None:
    """Look at every run in optuna-dashboard, from this machine alone."""
    if (folder is None) == (storage is None):
        raise AblateError("what is to be shown? Name a report folder, or a server with --storage")
    from ablate.cli import dashboard as dashboards

    record = dashboards.of_server(storage) if storage is not None else dashboards.of_folder(folder or Path())
    say(f"http://{LOOPBACK}:{port} until Ctrl-C")
    dashboards.serve(record, LOOPBACK, port)


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Say which engines and data this machine has, and why not the rest; train nothing."""
    from ablate.cli import doctor as doctors

    table = empty_table("", "", "")
    for finding in doctors.examine(data_dir):
        table.add_row(finding.name, "yes" if finding.there else "no", escape(finding.told))
    out.print(table)


def _shown(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
