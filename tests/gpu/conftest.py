"""The device of the GPU tests."""

import os

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    """The GPU. If `ABLATE_TEST_DEVICE` is `cpu`, a CPU takes its place, to try the tests themselves."""
    found = torch.device(os.environ.get("ABLATE_TEST_DEVICE", "cuda"))
    if found.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    return found


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """A GPU, for tests that no CPU can take."""
    if device.type != "cuda":
        pytest.skip("only a GPU has graphs, queues and a memory limit")
    return device
