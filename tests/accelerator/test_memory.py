"""The memory of the simulated device: live bytes, the peak, the limit."""

import gc

import pytest
import torch
from torch import nn

from tests.accelerator.settings import play

SIM = "sim"


def test_live_bytes_follow_the_tensors():
    before = torch.accelerator.memory_allocated()
    x = torch.zeros(1000, device=SIM)
    part = x[:10]
    assert torch.accelerator.memory_allocated() - before == 4000
    del x
    assert torch.accelerator.memory_allocated() - before == 4000  # the view keeps the memory
    del part
    assert torch.accelerator.memory_allocated() == before


def test_views_share_a_storage():
    x = torch.zeros(1000, device=SIM)
    assert x[5:].view(5, -1).untyped_storage() is x.untyped_storage()
    assert (x + 1).untyped_storage() is not x.untyped_storage()
    assert x.untyped_storage().nbytes() == 4000


def test_the_peak_includes_what_autograd_keeps():
    network = nn.Sequential(nn.Linear(100, 100), nn.Sigmoid(), nn.Linear(100, 1)).to(SIM)
    x = torch.ones(50, 100, device=SIM)
    before = torch.accelerator.memory_allocated()
    torch.accelerator.reset_peak_memory_stats()
    loss = network(x).sum()
    assert torch.accelerator.memory_allocated() - before == 4 * (50 * 100 + 1)  # the sigmoid, and the loss
    loss.backward()
    del loss
    gradients = sum(parameter.nbytes for parameter in network.parameters())
    assert torch.accelerator.memory_allocated() - before == gradients
    assert torch.accelerator.max_memory_allocated() - before > gradients + 4 * 50 * 100
    torch.accelerator.reset_peak_memory_stats()
    assert torch.accelerator.max_memory_allocated() == torch.accelerator.memory_allocated()


def test_an_operation_beyond_the_budget_is_out_of_memory():
    kept = torch.zeros(1000, device=SIM)
    gc.collect()
    times = torch.accelerator.memory_stats()["num_ooms"]
    with play(budget_bytes=torch.accelerator.memory_allocated() + 5000):
        assert torch.accelerator.get_memory_info()[1] == torch.accelerator.memory_allocated() + 5000
        more = kept + 1
        with pytest.raises(torch.OutOfMemoryError, match=r"SIM out of memory\. Tried to allocate 4000 bytes"):
            kept + 1
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.zeros(1000).to(SIM)
        more.add_(1)  # in place
        del more
        assert (kept + 1).sum().item() == 1000
    assert torch.accelerator.memory_stats()["num_ooms"] == times + 2


def test_out_of_memory_in_a_backward_pass_reaches_the_caller():
    x = torch.ones(1000, device=SIM, requires_grad=True)
    loss = x.sigmoid().sum()
    gc.collect()
    with (
        play(budget_bytes=torch.accelerator.memory_allocated() + 100),
        pytest.raises(torch.OutOfMemoryError, match="SIM out of memory"),
    ):
        loss.backward()


def test_a_device_without_memory_statistics_says_so():
    with play(has_memory_statistics=False):
        with pytest.raises(RuntimeError, match="is not a DeviceAllocator"):
            torch.accelerator.max_memory_allocated()
        with pytest.raises(RuntimeError, match="is not a DeviceAllocator"):
            torch.accelerator.reset_peak_memory_stats()
