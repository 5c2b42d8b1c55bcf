"""Every generator has its own stream, and is afterwards as it was."""

import random
from contextlib import suppress

import numpy as np
import pytest
import torch

from ablate.seeds import derive_seed, read_streams, seeded_streams
from ablate.torch_settings import keep_torch_settings

DRAWS = {
    "random": lambda: random.gauss(),
    "numpy": lambda: np.random.normal(),
    "torch": lambda: torch.randn(3).tolist(),
}
"""One draw of each generator. Those of a normal number keep a second one for the next draw."""


def _seed(value: int) -> None:
    random.seed(value), np.random.seed(value), torch.manual_seed(value)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("seeding", [False, True])
def test_a_generator_goes_on_as_if_nothing_had_been_drawn(draw, failing: bool, seeding: bool) -> None:  # type: ignore[no-untyped-def]
    _seed(7)
    draw()
    wanted = draw()
    _seed(7)
    draw()
    with suppress(ZeroDivisionError), seeded_streams(0, "test"):
        draw()
        if seeding:
            _seed(1)
        1 / (0 if failing else 1)
    assert draw() == wanted


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_seed_and_purpose_alone_decide_what_is_drawn(draw) -> None:  # type: ignore[no-untyped-def]
    drawn = {}
    for before in (1, 2):
        for seed, purpose in [(0, "init"), (0, "dropout"), (1, "init")]:
            _seed(before)
            with seeded_streams(seed, purpose):
                drawn[before, seed, purpose] = draw()
    assert len({repr(value) for value in drawn.values()}) == 3
    assert all(drawn[1, *key] == drawn[2, *key] for _, *key in drawn)


def test_streams_differ_from_seed_to_seed_and_are_equal_once_code_seeds_them() -> None:
    states = []
    for seed in (0, 1):
        with seeded_streams(seed, "test"):
            states.append(read_streams())
            np.random.seed(3)
            states.append(read_streams())
    assert not any(states[0][name] == states[2][name] for name in states[0])
    assert [name for name in states[1] if states[1][name] == states[3][name]] == ["numpy.random.seed"]


def test_seeds_of_purposes_are_what_recorded_runs_used() -> None:
    assert derive_seed(0, "init") == 3598610026517748695


CHANGES = {
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "determinism": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "gradients": lambda: torch.set_grad_enabled(False),
    "inference": lambda: LEFT_OPEN[0].__enter__(),
    "anomalies": lambda: torch.set_anomaly_enabled(True),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "denormals": lambda: torch.set_flush_denormal(True),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
}
LEFT_OPEN = [torch.inference_mode()]


def _read_settings() -> tuple[object, ...]:
    made = torch.ones(1, requires_grad=torch.is_grad_enabled()) * 2
    return (
        made.dtype, made.device, made.requires_grad, made.is_inference(), torch.is_anomaly_enabled(),
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_float32_matmul_precision(), torch.get_num_threads(), (torch.full((), 2e-38) / 4).item(),
    )  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("around", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_torchs_settings_are_restored_also_after_an_error(change, around) -> None:  # type: ignore[no-untyped-def]
    with around():
        wanted = _read_settings()
        with suppress(ZeroDivisionError), keep_torch_settings():
            change()
            raise ZeroDivisionError
        assert _read_settings() == wanted
