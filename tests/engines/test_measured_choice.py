"""A short measurement decides which engine trains a large network, and the answer is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ablate.engines import choice, lanes_library, measured_choice
from ablate.engines.choice import choose_trainer
from ablate.engines.measured_choice import is_lanes_slower
from tests.cpu import CPU
from tests.engines.test_other_networks import DIGITS, run_of


class Clock:
    def __init__(self) -> None:
        self.now = 0.0


class Stub:
    """An engine whose step takes a given time, and draws a random number."""

    name = "stub"

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.model: nn.Module = nn.Identity()
        self.steps = 0
        self._clock, self._seconds = clock, seconds

    def step(self, _batch: Tensor) -> None:
        self.steps += 1
        self._clock.now += self._seconds * (50 if self.steps == 1 else 1)  # a first step also prepares
        torch.rand(1)

    def reset(self) -> None:
        raise AssertionError

    def totals(self) -> Tensor:
        raise AssertionError

    def predict(self, _images: Tensor) -> Tensor:
        raise AssertionError


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measured_choice.time, "thread_time", lambda: clock.now)
    monkeypatch.setattr(measured_choice, "locate_cache", lambda: tmp_path)
    return clock


def never() -> Stub:
    raise AssertionError("nothing is measured again")


def ask(clock: Clock, lanes: float, other: Callable[[], Stub], dropout: float = 0.5, **recipe: Any) -> bool:
    run = run_of("vgg", {"dropout": dropout}, **recipe)
    return is_lanes_slower(run, DIGITS, lambda: Stub(clock, lanes), other)


def test_the_faster_engine_is_chosen_and_the_choice_is_kept(clock: Clock) -> None:
    assert ask(clock, 1.5, lambda: Stub(clock, 1.0))
    assert ask(clock, 1.5, never)
    assert ask(clock, 1.5, never, learning_rate=0.5, dropout=0.1)
    assert not ask(clock, 1.5, lambda: Stub(clock, 1.6), dropout=0)
    assert not ask(clock, 1.5, lambda: Stub(clock, 1.6), batch_size=32)
    assert not ask(clock, 1.5, never, batch_size=32)
    assert ask(clock, 1.5, never)


def test_a_gain_that_may_be_chance_changes_nothing(clock: Clock) -> None:
    assert not ask(clock, 1.15, lambda: Stub(clock, 1.0))


def test_a_measurement_leaves_random_numbers_and_threads_alone(clock: Clock) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    assert ask(clock, 1.5, lambda: Stub(clock, 1.0))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_without_a_cache_all_processes_agree_on_lanes(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(measured_choice, "locate_cache", lambda: tmp_path / "file")
    assert not ask(clock, 1.5, lambda: Stub(clock, 1.0))


@pytest.mark.skipif(isinstance(lanes_library.load_library(), str), reason="no lanes engine here")
@pytest.mark.parametrize(
    ("smallest", "slower", "chosen"), [(1, True, "loop"), (1, False, "lanes"), (1_000_000, True, "lanes")]
)
def test_a_large_network_is_trained_by_the_engine_that_was_faster(
    smallest: int, slower: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(
        _run: object, _dataset: object, make_lanes: Callable[[], Any], make_other: Callable[[], Any]
    ) -> bool:
        assert (make_lanes().name, make_other().name) == ("lanes", "loop")
        return slower

    monkeypatch.setattr(choice, "is_lanes_slower", answer)
    monkeypatch.setattr(choice, "SMALLEST_MEASURED", smallest)
    assert choose_trainer(run_of("alexnet", {}), DIGITS, CPU).name == chosen
