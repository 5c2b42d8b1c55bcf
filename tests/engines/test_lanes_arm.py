"""The lanes engine computes the same on ARM: compiled for it, and run by an emulator."""

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.engines import lanes_library
from ablate.engines.lanes import LanesTrainer
from ablate.engines.lanes_library import Examples, Optimizer
from ablate.engines.lanes_tables import Memory, describe_network
from ablate.engines.loop import LoopTrainer, build_initial_model
from tests.engines.test_lanes import CPU, DIGITS, IMAGE_SHAPE, flat, needs_compiler, random_batches, run_of
from tests.with_parts import program

pytestmark = pytest.mark.cross

LANES = 4
BASE = 0x200000000
"""The address of the file in the program, as in lanes_on_arm.cpp."""
FLOATS = 1 << 22
"""The size of the file. The networks below need half of it."""
NETWORKS: dict[str, dict[str, Any]] = {
    "D2L's LeNet": {},
    "3×3 kernels, max pooling, batch norm": {"kernel_size": 3, "pooling": "max", "activation": "elu", "batch_norm": True},
    "7×7 kernels, ReLU": {"kernel_size": 7, "padding": [3, 0], "activation": "leaky_relu", "pooling": "max"},
    "stride 2, tanh": {"pooling": "none", "stride": 2, "activation": "tanh", "channels": [7, 9]},
}  # fmt: skip


class FileMemory(Memory):
    """Memory in a file that the program maps at `BASE`. Its first word is the address of the list of calls."""

    def __init__(self, path: Path) -> None:
        super().__init__(LANES)
        self._all = torch.from_file(str(path), shared=True, size=FLOATS)
        self._used = 16

    def floats(self, count: int) -> Tensor:
        begin, self._used = self._used, self._used + -(-count // 16) * 16
        assert self._used <= FLOATS
        return self._all[begin : begin + count].zero_()

    def table(self, values: Any) -> int:
        return self.keep(torch.as_tensor(values, dtype=torch.int32)).data_ptr()

    def keep(self, tensor: Tensor) -> Tensor:
        """Copy the tensor to the file."""
        size = tensor.numel() * tensor.element_size() // 4
        return self.floats(size).view(tensor.dtype)[: tensor.numel()].view(tensor.shape).copy_(tensor)

    def write(self, structures: list[ctypes.Structure]) -> int:
        """Copy the structures to the file, with the program's addresses. Return where they are, for Python."""
        kind = type(structures[0])
        place = self.floats(len(structures) * ctypes.sizeof(kind) // 4).data_ptr()
        copies = (kind * len(structures)).from_address(place)
        for i, structure in enumerate(structures):
            copies[i] = structure
            for name, field in kind._fields_:
                if field is ctypes.c_void_p and (address := getattr(copies[i], name)):
                    setattr(copies[i], name, address - self._all.data_ptr() + BASE)
        return place

    def begin_with(self, place: int) -> None:
        self._all[:2].view(torch.int64)[0] = place - self._all.data_ptr() + BASE


class Call(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ["network", "optimizer", "examples", "result"]]


@pytest.fixture(scope="module")
def on_arm(tmp_path_factory):
    """The command that makes the calls in a file, on ARM."""
    compiler, emulator = program("aarch64-linux-gnu-g++"), program("qemu-aarch64")
    built = tmp_path_factory.mktemp("arm") / "lanes_on_arm"
    flags = [flag for flag in lanes_library.COMMON_FLAGS if flag not in ("-shared", "-fPIC")]
    source = Path(__file__).with_name("lanes_on_arm.cpp")
    include = f"-I{lanes_library.SOURCE.parent}"
    # With -O1, the compiler takes a third of the time, and inlines and vectorises the same.
    command = [compiler, *flags, "-O1", "-static", include, source, "-o", built]
    subprocess.run(command, check=True, timeout=200)
    return [emulator, built]


@needs_compiler
@pytest.mark.parametrize("keywords", NETWORKS.values(), ids=NETWORKS)
def test_the_engine_trains_on_arm_as_here_and_as_near_to_float64_as_the_loop(on_arm, tmp_path, keywords):
    run = run_of(keywords, batch_size=24, learning_rate=0.05, momentum=0.5, weight_decay=5e-4)
    batches = random_batches(5, [24, 13])

    file = tmp_path / "memory"
    memory = FileMemory(file)
    model = build_initial_model(run, IMAGE_SHAPE, 10).train()
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, memory.keep(buffer))
    network, layers = describe_network(model, IMAGE_SHAPE, 24 // LANES, memory)
    network.layers = memory.write(list(layers))
    images, labels = memory.keep(DIGITS.images), memory.keep(DIGITS.labels)
    optimizer = Optimizer(learning_rate=0.05, momentum=0.5, weight_decay=5e-4)
    logits, totals = memory.floats(100 * 10).view(100, 10), memory.keep(torch.zeros(2, dtype=torch.float64))
    described = [memory.write([network]), memory.write([optimizer])]

    def describe(batch: Tensor) -> int:
        indices = memory.keep(batch).data_ptr()
        data = {"images": images.data_ptr(), "labels": labels.data_ptr(), "count": len(images)}
        return memory.write([Examples(**data, batch=indices, batch_size=len(batch))])

    calls = [Call(*described, describe(batch), totals.data_ptr()) for batch in batches]
    calls.append(Call(described[0], None, describe(torch.arange(100)), logits.data_ptr()))
    memory.begin_with(memory.write([*calls, Call()]))
    subprocess.run([*on_arm, file], check=True, timeout=200)

    exact = build_initial_model(run, IMAGE_SHAPE, 10).double()
    start = flat(exact)
    descent = torch.optim.SGD(exact.parameters(), 0.05, 0.5, weight_decay=5e-4)
    loop, here = LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)
    for batch in batches:
        descent.zero_grad()
        F.cross_entropy(exact(DIGITS.images[batch].double()), DIGITS.labels[batch]).backward()
        descent.step()
        loop.step(batch)
        here.step(batch)
    way = (flat(exact) - start).norm()
    errors = [
        float((flat(trained) - flat(exact)).norm() / way) for trained in (loop.model, here.model, model)
    ]
    print("errors of the loop, lanes here and lanes on ARM:", errors)
    assert errors[2] <= max(5 * errors[0], 1e-6)
    assert (flat(model) - flat(here.model)).norm() <= 1e-5 * way
    assert torch.allclose(totals, here.totals(), rtol=1e-5)
    assert torch.allclose(logits, here.predict(DIGITS.images[:100]), rtol=1e-4, atol=1e-5)


def test_a_processor_that_is_not_supported_is_a_reason(monkeypatch):
    monkeypatch.setattr(lanes_library, "HERE", ("linux", "riscv64"))
    assert "not for linux on riscv64" in str(lanes_library.load_library.__wrapped__())
