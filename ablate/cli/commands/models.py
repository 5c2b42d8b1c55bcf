"""`ablate models`: list the networks that a study can use, or show one network layer by layer."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape

from ablate.cli.console import Plugins, empty_table, out, say
from ablate.errors import AblateError


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The model to show; default: list all models.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEYWORD=VALUE]...", help="Keywords of the model, such as pooling=max conv_layers=3"
        ),
    ] = None,
    *,
    size: Annotated[
        int | None, typer.Option("--size", metavar="N", min=1, help="Use images of N×N pixels.")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """List the models, or show the layers of one model.

    The command shows output shapes, parameters and FLOPs. Without --size, the
    image sizes are those of Dive into Deep Learning (D2L).
    """
    if size is not None and name is None:
        raise AblateError("--size: also name a model, as in `models vgg --size 32`")
    from ablate import models as registry
    from ablate.models import own
    from ablate.study.overrides import parse_overrides

    own.allow(plugin or [])
    settings = parse_overrides(overrides or [])
    for model in registry.MODELS if name is None else [name]:
        (channels, *pixels), classes = registry.find_default_input(model)
        shape = (channels, *([size] * 2 if size else pixels))
        registry.check(model, settings, input_shape=shape, classes=classes)
        network = registry.sketch(model, settings, input_shape=shape, classes=classes)
        if name is None:
            say(f"{model}: {_describe_cost(network, shape)} at {'×'.join(map(str, pixels))}")
            defaults = registry.read_keywords(model).items()
            say(f"  {', '.join(f'{keyword}={_format_keyword(value)}' for keyword, value in defaults)}")
        else:
            _print_layers(network, shape)
            say(_describe_cost(network, shape))


def _print_layers(network: Any, shape: Sequence[int]) -> None:
    from ablate.models import list_layer_shapes

    table = empty_table("layer", "kind", "output shape", "parameters", right=["parameters"])
    table.add_row("input", "", str(shape), "")
    for row in list_layer_shapes(network, shape):
        count = f"{row.parameters:,}" if row.parameters else ""
        table.add_row(escape(row.name), row.kind, str(row.shape), count)
    out.print(table)


def _describe_cost(network: Any, shape: Sequence[int]) -> str:
    from ablate.timing.costs import count_flops_per_example

    parameters = sum(parameter.numel() for parameter in network.parameters())
    return f"{parameters:,} parameters, {count_flops_per_example(network, shape):,} FLOP an example (forward)"


def _format_keyword(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
