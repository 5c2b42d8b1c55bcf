"""Where a training step of the lanes engine spends its time: by layer and part, with arithmetic rates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from ablate.bench.contenders import CPU, LENET, WIDER, make_run
from ablate.data.loading import Dataset
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.lanes_library import PARTS
from ablate.engines.training import repeat_batches, settle_process
from ablate.errors import AblateError
from ablate.study.spec import Value

NETWORKS: dict[str, dict[str, Value]] = {
    "LeNet-5": LENET,
    "LeNet-5 with batch norm": {"batch_norm": True},
    "channels 12, 32": {"channels": [12, 32]},
    "(16, 32), 3 convs": WIDER,
}
BATCH = 32
"""Examples a step. In a short step, few parts are interrupted by another program."""
STEPS = 300
QUANTILE = 0.1
"""A part's time is this quantile over the steps, because other programs only make steps longer."""
COLUMNS = {
    "layer": (),
    "forward": ("products",),
    "d weight": ("weights",),
    "d input": ("inputs",),
    "activation": ("activate", "slopes"),
    "batch norm": ("normalize",),
    "other": ("prepare", "load", "score", "update"),
}
"""The table's columns, and the parts whose times each column adds. Pooling is part of the activation."""


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """The time that one layer takes in a training step."""

    name: str
    seconds: dict[str, float]
    """Seconds per example, for each part in `PARTS`."""
    flops: int
    """FLOPs per example of one product: the forward pass, or the gradient of the weights or of the inputs."""
    bytes: int
    """Bytes per example of the layer's input, its pre-activations and its output, each counted once."""

    def rate(self, part: str) -> float | None:
        """Compute the FLOPs per second of a product, or None if the layer does not have it."""
        multiplies = part in ("products", "weights", "inputs") and self.seconds[part] > 0
        return self.flops / self.seconds[part] if multiplies else None


def measure_layers(dataset: Dataset) -> Iterator[tuple[str, list[LayerTime]]]:
    """Yield for each of `NETWORKS` its name and its layers' times, on one core.

    Raises:
        AblateError: this machine cannot run the lanes engine.
    """
    settle_process(1)
    for name, keywords in NETWORKS.items():
        run = make_run(keywords)
        if reason := reason_against(run, dataset, CPU):
            raise AblateError(f"--layers measures the lanes engine: {reason}")
        trainer = LanesTrainer(run, dataset, CPU)
        batches = repeat_batches(len(dataset.images), BATCH, CPU)
        nanoseconds = trainer.time_parts(list(islice(batches, STEPS))).double()
        seconds = nanoseconds.quantile(QUANTILE, dim=0) / (1e9 * BATCH)
        yield name, list(_describe_layers(trainer.model, dataset.images.shape[1:], seconds.tolist()))


def _describe_layers(
    model: nn.Module, image_shape: Sequence[int], seconds: Sequence[Sequence[float]]
) -> Iterator[LayerTime]:
    """Describe each convolution and dense layer, with the layers that follow it up to the next one."""
    values = torch.zeros(1, *image_shape)
    rows: list[tuple[str, int, int, int]] = []
    model.eval()
    for layer in model.children():
        read = values.numel()
        with torch.no_grad():
            values = layer(values)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            taps = layer.weight[0].numel()
            kernel = f", {'×'.join(map(str, layer.kernel_size))}" if isinstance(layer, nn.Conv2d) else ""
            name = f"{layer.weight.shape[1]} → {layer.weight.shape[0]}{kernel}"
            rows.append((name, 2 * taps * values.numel(), read, values.numel()))
    model.train()
    outputs = [*(read for _, _, read, _ in rows[1:]), values.numel()]
    for (name, flops, read, computed), output, times in zip(rows, outputs, seconds, strict=True):
        by_part = dict(zip(PARTS, times, strict=True))
        yield LayerTime(name=name, seconds=by_part, flops=flops, bytes=4 * (read + computed + output))


def lay_out_layers(layers: Sequence[LayerTime]) -> list[list[str]]:
    """Lay out a network's times as rows of cells under `COLUMNS` and the bytes; the last row has the sums.

    A cell has microseconds per example, and after an @ the GFLOP/s by direct computation.
    """
    table = []
    for layer in layers:
        cells = [layer.name]
        for parts in list(COLUMNS.values())[1:]:
            rate = layer.rate(parts[0])
            micro = 1e6 * sum(layer.seconds[part] for part in parts)
            cells.append(f"{micro:.2f}" + (f" @ {rate / 1e9:.0f}" if rate else "") if micro else "")
        table.append([*cells, f"{layer.bytes / 1e3:.1f}"])
    sums = [
        f"{1e6 * sum(layer.seconds[part] for layer in layers for part in parts):.2f}"
        for parts in list(COLUMNS.values())[1:]
    ]
    return [*table, ["together", *sums, f"{sum(layer.bytes for layer in layers) / 1e3:.1f}"]]
