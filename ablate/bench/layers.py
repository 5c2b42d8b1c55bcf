"""Measure how long each layer takes in each part of a training step, with the lanes engine for CPUs."""

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
"""The number of examples in a training step. Steps are short, so that other programs interrupt few steps."""
STEPS = 300
QUANTILE = 0.1
"""Each part of a training step is timed in many steps. The result is this quantile of its times.

A low quantile is used, because other programs can only make a step slower.
"""
COLUMNS = {
    "layer": (),
    "forward": ("products",),
    "d weight": ("weights",),
    "d input": ("inputs",),
    "activation": ("activate", "slopes"),
    "batch norm": ("normalize",),
    "other": ("prepare", "load", "score", "update"),
}
"""Maps each column of the table to parts of a training step. A cell shows the total time of these parts.

The column `activation` includes the time of pooling.
"""


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """The time that one layer takes in a training step."""

    name: str
    seconds: dict[str, float]
    """Maps each part in `PARTS` to its time for one example, in seconds."""
    flops: int
    """The FLOPs of one of the layer's three products, for one example.

    The products are the forward pass, the gradient of the weights, and the gradient of the inputs. Each of
    them has the same FLOPs.
    """
    bytes: int
    """The size of the layer's input, pre-activations and output for one example, in bytes."""

    def rate(self, part: str) -> float | None:
        """Compute the FLOPs per second in a part of a step.

        Return None if the part computes no product, or if it took no time.
        """
        multiplies = part in ("products", "weights", "inputs") and self.seconds[part] > 0
        return self.flops / self.seconds[part] if multiplies else None


def measure_layers(dataset: Dataset) -> Iterator[tuple[str, list[LayerTime]]]:
    """Measure each network of `NETWORKS` on one core. Yield its name and the times of its layers.

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
    """Describe each convolution and each dense layer.

    Other layers, such as pooling, count as part of the convolution or dense layer before them.
    """
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
    """Lay out a network's times as rows of a table. The last row has the sums over all layers.

    The columns are those of `COLUMNS`, and a last column with the kilobytes for one example. A cell shows the
    microseconds for one example. In the columns of products, an @ and the GFLOP/s follow. The GFLOP/s are the
    FLOPs of a direct convolution divided by the measured time. So they look higher than the real rate if a
    layer uses minimal filtering (Winograd), which needs fewer FLOPs.
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
