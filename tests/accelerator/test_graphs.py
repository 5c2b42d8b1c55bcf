"""Graphs replay what was captured, on the same memory, with the same numbers of the host."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.accelerator.clock import read_seconds
from tests.accelerator.counters import count
from tests.accelerator.settings import play

SIM = "sim"


def capture(step, pool=None):
    module = torch.get_device_module(SIM)
    graph = module.CUDAGraph()
    with module.graph(graph, pool=pool):
        result = step()
    return graph, result


def test_a_capture_computes_nothing_and_a_replay_computes_all():
    x = torch.zeros(3, device=SIM)
    with count() as counts:
        graph, total = capture(lambda: x.add_(2).sum())
        assert counts.kernels == {}
    assert x.tolist() == [0, 0, 0]
    assert total.isnan().item()
    with count() as counts:
        graph.replay()
        graph.replay()
        assert counts.kernels == {"add_": 2, "sum": 2}
        assert counts.launches == 2
    assert x.tolist() == [4, 4, 4]
    assert total.item() == 12


def test_a_whole_training_step_replays_as_it_ran():
    torch.manual_seed(0)
    images, labels = torch.randn(5, 8, 12).to(SIM), torch.arange(8).to(SIM)
    position = torch.zeros((), dtype=torch.int64, device=SIM)
    parameters = []
    for captured in (False, True):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, 8)).to(SIM)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        optimizer.zero_grad()
        F.cross_entropy(network(images[4]), labels).backward()
        optimizer.step()
        position.zero_()

        def step(network=network, optimizer=optimizer):
            optimizer.zero_grad()
            F.cross_entropy(network(images.index_select(0, position.view(1))[0]), labels).backward()
            optimizer.step()
            position.add_(1)

        run = capture(step)[0].replay if captured else step
        for _ in range(3):
            run()
        parameters.append([parameter.tolist() for parameter in network.parameters()])
    assert parameters[0] == parameters[1]


def test_a_number_of_the_host_stays_as_it_was():
    state = {"rate": 1.0}
    x = torch.zeros(1, device=SIM)

    def step():
        x.add_(state["rate"])
        state["rate"] *= 2

    step()
    step()
    assert x.item() == 3
    x.zero_()
    state["rate"] = 1.0
    graph, _ = capture(step)
    graph.replay()
    graph.replay()
    assert x.item() == 2  # not 1 + 2


def test_a_tensor_that_a_step_replaces_stays_as_it_was():
    state = {"sum": torch.zeros(1, device=SIM)}
    first = state["sum"]

    def step():
        state["sum"] = state["sum"] + 1

    graph, _ = capture(step)
    graph.replay()
    graph.replay()
    assert state["sum"].item() == 1  # not 2
    state["sum"] = torch.full((1,), 7.0, device=SIM)
    graph.replay()
    assert state["sum"].item() == 7
    assert first.item() == 0


def test_a_graph_that_uses_freed_memory_is_found():
    state = {"x": torch.zeros(1, device=SIM)}
    graph, _ = capture(lambda: state["x"] + 1)
    graph.replay()
    del state["x"]
    with pytest.raises(RuntimeError, match="uses a tensor from before its capture that no longer exists"):
        graph.replay()


def test_each_replay_draws_new_random_numbers():
    torch.manual_seed(5)
    wanted = [F.dropout(torch.ones(50, device=SIM)).tolist() for _ in range(2)]
    torch.manual_seed(5)
    x = torch.ones(50, device=SIM)
    graph, dropped = capture(lambda: F.dropout(x))
    for numbers in wanted:
        graph.replay()
        assert dropped.tolist() == numbers


REFUSED = [
    lambda x: x.sum().item(),
    lambda x: x.tolist(),
    lambda x: x.to("cpu", non_blocking=True),
    lambda x: x.nonzero(),
    lambda x: x[x > 0],
    lambda x: x.copy_(torch.ones(3)),
    lambda x: torch.tensor(1.0, device=SIM),
    lambda x: x[torch.tensor([1])],
    lambda x: torch.accelerator.synchronize(),
    lambda x: torch.accelerator.current_stream().synchronize(),
    lambda x: torch.accelerator.current_stream().query(),
    lambda x: torch.get_device_module(SIM).Graph().capture_begin(),
]


@pytest.mark.parametrize("step", REFUSED)
def test_what_waits_for_the_device_is_refused_while_capturing(step):
    x = torch.zeros(3, device=SIM)
    with pytest.raises(RuntimeError, match="capturing"):
        capture(lambda: (x.add_(1), step(x)))
    assert x.tolist() == [0, 0, 0]
    assert not torch.get_device_module(SIM).is_current_stream_capturing()
    step(x) if step is not REFUSED[-1] else None


def test_memory_outside_of_the_capture_is_refused():
    x = torch.zeros(3, device=SIM)
    other = torch.Stream(device=SIM)

    def step():
        with other:
            x.add_(1)  # runs now, for it is not captured
            x + 1

    with pytest.raises(RuntimeError, match="add allocates memory outside of the capture"):
        capture(step)
    assert x.tolist() == [1, 1, 1]


def test_a_stream_that_waits_for_the_capture_is_captured():
    x = torch.zeros(3, device=SIM)
    other = torch.Stream(device=SIM)

    def step():
        x.add_(1)
        other.wait_stream(torch.accelerator.current_stream())
        with other:
            x.mul_(3)
        torch.accelerator.current_stream().wait_stream(other)

    graph, _ = capture(step)
    assert x.tolist() == [0, 0, 0]
    graph.replay()
    assert x.tolist() == [3, 3, 3]


def test_a_replay_costs_the_host_one_launch():
    x = torch.zeros(250, 1000, device=SIM)
    graph, _ = capture(lambda: [x.add_(1) for _ in range(5)])
    torch.accelerator.synchronize()
    started = read_seconds()
    with play(bytes_per_second=1e9, launch_seconds=1e-6):
        graph.replay()
        assert read_seconds() - started == pytest.approx(1e-6)
        torch.accelerator.synchronize()
        assert read_seconds() - started == pytest.approx(10e-3, rel=1e-3)


def test_graphs_of_one_pool_share_memory():
    module = torch.get_device_module(SIM)
    x = torch.zeros(1000, device=SIM)
    before = module.memory_allocated()
    pool = module.graph_pool_handle()

    def step():
        x.copy_((x + 1) * 2)

    graphs = [capture(step, pool)[0] for _ in range(3)]
    assert module.memory_allocated() - before == 2 * 4000
    graphs.clear()
    assert module.memory_allocated() == before


def test_a_result_that_outlives_its_capture_is_in_the_pool():
    module = torch.get_device_module(SIM)
    x = torch.zeros(1000, device=SIM)
    before = module.memory_allocated()
    graph, result = capture(lambda: (x + 1) * 2)
    assert module.memory_allocated() - before == 2 * 4000
    graph.replay()
    assert result[0].item() == 2
    del graph, result
    assert module.memory_allocated() == before


def test_a_device_without_graphs_says_so():
    with play(has_graphs=False):
        assert not hasattr(torch.get_device_module(SIM), "CUDAGraph")
        with pytest.raises(RuntimeError, match="Graph is not supported on device type: sim"):
            torch.accelerator.Graph()
