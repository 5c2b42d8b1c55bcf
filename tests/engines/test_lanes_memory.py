"""The lanes engine reads no memory that it has not written, and accesses only its own memory."""

import ctypes
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines import lanes_library, lanes_tables
from ablate.engines.lanes import LanesTrainer
from ablate.engines.loop import LoopTrainer
from ablate.study.recipe import Recipe

CPU = torch.device("cpu")
NETWORKS = {
    "LeNet-5 of D2L": {},
    "max pooling with a rest": {"pooling": "max", "kernel_size": 4, "activation": "relu"},
    "odd in every way": {
        "conv_layers": 3,
        "channels": [5, 7, 9],
        "kernel_size": [5, 3, 3],
        "stride": [1, 2, 1],
        "padding": [1, 2, 1],
        "dilation": [1, 2, 1],
        "dense_layers": 4,
        "hidden": [50, 33, 21],
        "activation": "gelu",
        "pooling": "max",
        "dropout": 0.3,
    },
    "global average": {"head": "global_average", "kernel_size": 7, "padding": [3, 3]},
    "padded 3×3, 5×5 and 7×7 kernels": {"conv_layers": 4, "kernel_size": [7, 5, 3, 7], "padding": [3, 1, 1, 5], "channels": [3, 6, 7, 2]},
    "batch norm": {"batch_norm": True, "kernel_size": [3, 5], "pooling": "max", "activation": "tanh"},
    "a last convolution of one pixel": {"conv_layers": 3, "kernel_size": [5, 5, 5], "padding": [2, 0, 0]},
}  # fmt: skip

# As a script, this file has its own library, which must be the first that it loads.
missing = lanes_library.load_library() if __name__ != "__main__" else None
needs_compiler = pytest.mark.skipif(isinstance(missing, str), reason=f"no lanes engine here: {missing}")


def flags(vectors: str, *, sanitized: bool) -> tuple[str, ...]:
    """The engine's flags for other vectors, with little optimisation, which compiles faster."""
    given = [flag.replace("native", vectors) for flag in lanes_library.FLAGS]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if sanitized else []
    return *given, "-O0", *sanitizers


@cache
def load_digits() -> Dataset:
    return loading.load(find_dataset("digits"), None, CPU)


def trained(
    keywords: dict[str, object],
    engine: type[LanesTrainer | LoopTrainer] = LanesTrainer,
    *,
    digits: Dataset | None = None,
    poison: bool = False,
) -> torch.Tensor:
    """Parameters after four steps. With `poison`, buffers are filled with NaN before each step."""
    arm = Arm(
        name="arm",
        model="lenet",
        keywords=keywords,
        recipe=Recipe(batch_size=37, learning_rate=0.05),
        factors={},
    )
    trainer = engine(Run(phase="confirm", arm=arm, setting={}, seed=0), digits or load_digits(), CPU)
    torch.manual_seed(1)
    for size in (37, 5, 16, 37):
        if poison and isinstance(trainer, LanesTrainer):
            for address, floats in scratch(trainer):
                (ctypes.c_float * floats).from_address(address)[:] = [math.nan] * floats
        trainer.step(torch.arange(size))
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def scratch(trainer: LanesTrainer) -> Iterator[tuple[int, int]]:
    """Address and length of each buffer that a step must write before it reads. Padding keeps its zeros."""
    lanes = trainer._library.lanes()
    yield trainer._network.gradients, trainer._network.parameter_count
    for layer, _ in trainer._layers:
        slots = -(-37 // lanes) if layer.z_step else 1
        yield layer.z, slots * layer.outs * layer.pixels * lanes
        if layer.unnormed:
            yield layer.unnormed, slots * layer.outs * layer.pixels * lanes
            yield layer.channels, layer.outs * lanes_tables.CHANNEL_FLOATS
        if layer.slope:
            yield layer.slope, layer.outs * layer.windows * layer.window_size * lanes
        if layer.input_gradient:
            yield layer.input_gradient, layer.input_size * lanes
        if layer.kernel:
            products, channels = layer.segment + layer.kernel - 1, layer.taps // layer.kernel**2
            weights = products * layer.outs * channels * layer.kernel
            yield layer.row_weights, weights
            yield layer.row_weights_back, weights
            rows = layer.pixels // layer.width + layer.kernel - 1
            segments = rows * -(-layer.width // layer.segment)
            yield layer.row_inputs, layer.kept_groups * products * channels * segments * lanes
            yield layer.row_products, products * lanes_tables.FILTER_COLUMNS * layer.outs * lanes
        if layer.batch_inputs:
            groups = -(-37 // lanes)
            yield layer.batch_inputs, groups * lanes * -(-layer.taps // lanes) * lanes
            yield layer.batch_gradients, groups * layer.outs * lanes


@needs_compiler
@pytest.mark.parametrize("keywords", NETWORKS.values(), ids=NETWORKS)
def test_nothing_left_over_from_a_step_reaches_the_next(keywords):
    clean = trained(keywords)
    assert clean.isfinite().all()
    assert torch.equal(clean, trained(keywords, poison=True))


@needs_compiler
@pytest.mark.parametrize(
    ("vectors", "sanitized"),
    [
        pytest.param("native", True, marks=pytest.mark.thorough),
        pytest.param("haswell", False, marks=pytest.mark.thorough),
        pytest.param("haswell", True, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_another_build_agrees_with_the_loop(monkeypatch, tmp_path, vectors, sanitized):
    """Builds with narrower vectors or with sanitizers (address, undefined behaviour), each in its own process."""
    if vectors != "native" and platform.machine() != "x86_64":
        pytest.skip(f"{platform.machine()} has no {vectors}")
    compiler = shutil.which(os.environ.get("CXX", "g++")) or "g++"
    runtime = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if sanitized and not Path(runtime).is_file():
        pytest.skip("the compiler brings no address sanitizer")
    monkeypatch.setattr(lanes_library, "FLAGS", flags(vectors, sanitized=sanitized))
    # Compiled here, because a sanitizer would also check the compiler. The tests' cache keeps it by its flags.
    lanes_library.compile_library(compiler)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **({"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"} if sanitized else {}),
    }
    # The other process imports no scikit-learn for the digits, which takes seconds with a sanitizer.
    expected = [trained(keywords, LoopTrainer) for keywords in NETWORKS.values()]
    torch.save((load_digits(), expected), tmp_path / "loop.pt")
    command = [sys.executable, __file__, tmp_path / "loop.pt", vectors, *(["sanitized"] if sanitized else [])]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert finished.stdout.split() == ["agrees"] * len(NETWORKS), finished.stderr[-3000:]
    assert finished.returncode == 0


if __name__ == "__main__":
    loop, vectors, *sanitized = sys.argv[1:]
    lanes_library.FLAGS = flags(vectors, sanitized=bool(sanitized))
    digits, expected = torch.load(loop, weights_only=False)
    for keywords, by_loop in zip(NETWORKS.values(), expected, strict=True):
        if torch.allclose(trained(keywords, digits=digits), by_loop, rtol=1e-3, atol=1e-5):
            print("agrees", flush=True)
