"""The simulated device runs what CPU torch runs, and refuses what a GPU refuses."""

import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.accelerator.counters import count
from tests.accelerator.settings import play

SIM = "sim:0"


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


@pytest.mark.parametrize("rule", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("fused", [False, True])
def test_a_network_trains_as_on_the_cpu(rule, fused):
    images, labels = torch.randn(6, 1, 8, 8), torch.arange(6)
    losses = []
    for device in ("cpu", SIM):
        network = make_network().to(device)
        optimizer = rule(network.parameters(), lr=0.01, fused=fused)
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            losses.append((loss.item(), network(images.to(device)).cpu()))
    assert losses[0][0] == losses[1][0]
    torch.testing.assert_close(losses[0][1], losses[1][1], rtol=0, atol=0)


def test_vmap_and_functional_calls_run():
    network = nn.Linear(3, 2).to(SIM)
    images = torch.ones(4, 5, 3, device=SIM)
    weights = {"weight": torch.ones(4, 2, 3, device=SIM), "bias": torch.zeros(4, 2, device=SIM)}
    out = torch.vmap(lambda own, batch: torch.func.functional_call(network, own, (batch,)))(weights, images)
    assert out.tolist() == torch.full((4, 5, 2), 3.0).tolist()


@pytest.mark.parametrize(
    "mix",
    [
        lambda here, there: here + there,
        lambda here, there: here @ there,
        lambda here, there: there.add_(here),
        lambda here, there: torch.cat([here, there]),
        lambda here, there: torch.add(here, here, out=there),
        lambda here, there: here.index_select(0, there.long()[0]),
        lambda here, there: here @ here @ torch.ones((), device=SIM).cpu(),
    ],
)
def test_tensors_of_two_devices_do_not_mix(mix):
    with pytest.raises(RuntimeError, match=r"same device|two devices|at least"):
        mix(torch.ones(2, 2, device=SIM), torch.ones(2, 2))


def test_numbers_and_indices_of_the_cpu_are_taken_as_cuda_takes_them():
    here = torch.arange(4.0, device=SIM)
    with count() as counts:
        assert (here * torch.tensor(2.0)).device == torch.device(SIM)
        assert counts.uploads.total() == 0
        assert here[torch.tensor([2, 0])].tolist() == [2, 0]
        assert counts.uploads == {"index": 1}


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda x: x[0].item(), "item"),
        (lambda x: float(x[0]), "item"),
        (lambda x: bool(x[0] > 0), "item"),
        (lambda x: x.tolist(), "copy"),
        (lambda x: x.cpu(), "copy"),
        (lambda x: torch.empty(3).copy_(x), "copy"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: x[x > 0], "index"),
        (lambda x: torch.equal(x, x), "equal"),
        (lambda x: x.long().bincount(), "bincount"),
    ],
)
def test_reads_of_the_host_are_counted(read, name):
    x = torch.ones(3, device=SIM)
    with count() as counts:
        read(x)
    assert counts.host_reads == {name: 1}


def test_work_on_the_device_alone_reads_nothing():
    x = torch.ones(3, device=SIM)
    with count() as counts:
        x.mul_(2).sum().view(1).expand(4).contiguous()
        x[0] = 1.0
        x[:2] = 0
    assert counts.host_reads == {}


def test_numpy_is_refused():
    with pytest.raises(TypeError, match="can't convert sim:0 device type tensor to numpy"):
        torch.ones(3, device=SIM).numpy()


@pytest.mark.parametrize(
    ("operate", "kernels", "size"),
    [
        (lambda x, w: x + x, {"add": 1}, 2 * 64),
        (lambda x, w: x + w, {"add": 1}, 3 * 64),
        (lambda x, w: x.add_(w), {"add_": 1}, 3 * 64),
        (lambda x, w: x.fill_(1), {"fill_": 1}, 64),
        (lambda x, w: x.copy_(w), {"copy_": 1}, 2 * 64),
        (lambda x, w: torch.add(x, w, out=torch.empty_like(x)), {"add": 1}, 3 * 64),
        (lambda x, w: torch.zeros_like(x), {"zeros_like": 1}, 64),
        (lambda x, w: x.new_zeros(4), {"new_zeros": 1}, 16),
        (lambda x, w: torch.zeros(4, device=SIM), {"zero_": 1}, 16),
        (lambda x, w: x.double(), {"_to_copy": 1}, 64 + 128),
        (lambda x, w: x[0].expand(4, 4).clone(), {"clone": 1}, 16 + 64),
        (lambda x, w: x.index_select(0, torch.zeros(1, dtype=torch.int64, device=SIM)), {"zero_": 1, "index_select": 1}, 8 + 8 + 2 * 16),
        (lambda x, w: x.view(16).t(), {}, 0),
        (lambda x, w: x.detach()[1:].unsqueeze(0).movedim(0, 1), {}, 0),
        (lambda x, w: torch.empty(4, device=SIM), {}, 0),
    ],
)  # fmt: skip
def test_kernels_and_the_bytes_that_they_move_are_counted(operate, kernels, size):
    x, w = torch.ones(4, 4, device=SIM), torch.ones(4, 4, device=SIM)
    with count() as counts:
        operate(x, w)
    assert counts.kernels == kernels
    assert counts.bytes_moved == size
    assert counts.launches == sum(kernels.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(2, dtype=torch.float64, device=SIM),
        lambda: torch.zeros(2, dtype=torch.float64).to(SIM),
        lambda: torch.zeros(2, device=SIM).double(),
        lambda: torch.zeros(2, device=SIM).sum(dtype=torch.float64),
        lambda: torch.tensor(1.0, dtype=torch.float64, device=SIM),
    ],
)
def test_a_missing_number_type_is_refused(make):
    make()
    with play(lacking=frozenset([torch.float64])):
        assert torch.float64 not in torch.accelerator.get_device_capability()["supported_dtypes"]
        with pytest.raises(TypeError, match="Cannot convert a SIM Tensor to float64"):
            make()
    assert torch.float64 in torch.accelerator.get_device_capability()["supported_dtypes"]


def test_a_checkpoint_moves_between_the_devices():
    network = make_network().to(SIM)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    for place in ("cpu", "sim:0", SIM):
        file.seek(0)
        state = torch.load(file, map_location=place, weights_only=True)
        assert {value.device for value in state.values()} == {torch.device(place)}
        torch.testing.assert_close(state["5.weight"].cpu(), network[5].weight.detach().cpu())


def test_random_numbers_of_the_device_have_a_generator_of_their_own():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = torch.rand(2, device=SIM), F.dropout(torch.ones(8, device=SIM))
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[SIM]):
        torch.manual_seed(3)
        assert torch.rand(2, device=SIM).tolist() == first[0].tolist()
        assert F.dropout(torch.ones(8, device=SIM)).tolist() == first[1].tolist()
    after = torch.rand(2, device=SIM).tolist()
    torch.manual_seed(3)
    torch.rand(2, device=SIM)
    F.dropout(torch.ones(8, device=SIM))
    assert torch.rand(2, device=SIM).tolist() == after


def test_a_generator_belongs_to_its_device():
    assert torch.rand(2, device=SIM, generator=torch.Generator(SIM).manual_seed(1)).device == torch.device(
        SIM
    )
    with pytest.raises(RuntimeError, match="Expected a 'sim' device type for generator but found 'cpu'"):
        torch.rand(2, device=SIM, generator=torch.Generator())


def test_torch_accelerator_answers_for_the_device():
    assert torch.accelerator.is_available()
    assert torch.accelerator.current_accelerator() == torch.device("sim")
    assert torch.accelerator.device_count() == 1
    assert torch.get_device_module(SIM).get_device_name(SIM) == "Simulated accelerator"
