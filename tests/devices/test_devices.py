"""Devices are named, chosen and described alike; what one lacks is asked of it."""

import pytest
import torch

from ablate.devices import choice, device, graphs, memory
from ablate.errors import AblateError

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch):
    """Let this machine have `count` accelerators of a type, or none."""

    def have(kind: str | None, count: int = 1) -> None:
        found = None if kind is None else torch.device(kind)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: found)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count if kind else 0)

    return have


@pytest.mark.parametrize(
    ("kind", "wanted", "chosen"),
    [
        (None, "auto", "cpu"),
        (None, "cpu", "cpu"),
        ("cuda", "auto", "cuda"),
        ("cuda", "cpu", "cpu"),
        ("cuda", "cuda:1", "cuda:1"),
        ("mps", "auto", "mps"),
        ("xpu", "xpu", "xpu"),
    ],
)
def test_a_device_is_chosen_by_its_name(has, kind, wanted, chosen) -> None:
    has(kind, count=2)
    assert choice.choose_device(wanted) == chosen


@pytest.mark.parametrize(
    ("kind", "wanted", "told"),
    [
        (None, "cuda", "torch finds no cuda device here: use --device cpu"),
        (None, "mps:0", "torch finds no mps device here: use --device cpu"),
        ("xpu", "cuda", "torch finds no cuda device here: use --device xpu"),
        ("cuda", "cude", "did you mean 'cuda'"),
        ("cuda", "cuda:2", "the numbers are 0 to 1"),
        ("cuda", "cuda:", "no device has this name"),
        ("cuda", "cuda:-1", "no device has this name"),
        ("cuda", "cpu:0", "no device has this name"),
        ("cuda", "auto:0", "no device has this name"),
        ("cuda", "", "did you mean|known|one of"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_line(has, kind, wanted, told) -> None:
    has(kind, count=2)
    with pytest.raises(AblateError, match=told) as refused:
        choice.choose_device(wanted)
    assert "\n" not in str(refused.value)


def test_a_device_of_another_machine_has_a_name(has) -> None:
    has(None)
    assert device.read_name(GPU) == "CUDA of another machine"
    assert choice.name_kind("cuda:1") == choice.name_kind("cuda") == "cuda"


def test_a_cpu_needs_no_waiting_and_has_no_statistics_graphs_or_software() -> None:
    device.synchronise(CPU)
    device.select(CPU)
    memory.free_unused(CPU)
    assert memory.measure_peak_bytes(lambda: pytest.fail("the step ran"), CPU) is None
    assert memory.measure_reserved_bytes(CPU) == 0
    assert not graphs.can_record(CPU)
    assert device.read_software(CPU) == {}
    assert device.supports(CPU, torch.float64)


def test_wide_sums_are_float32_where_float64_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.choose_wide_dtype(CPU) == torch.float64

    def refuse(*_: object, **__: object) -> None:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    monkeypatch.setattr(torch, "zeros", refuse)
    assert device.choose_wide_dtype(CPU) == torch.float32
