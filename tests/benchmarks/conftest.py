"""What every benchmark stores beside its times, so that figures of one machine can be told from another's."""

from collections.abc import Callable

import pytest

from ablate.bench.bench import describe_hardware
from tests.cpu import CPU


@pytest.fixture
def note(benchmark) -> Callable[..., None]:
    """Stores the hardware, examples per second if a round trained any, and whatever else is named."""

    def noted(examples: int | None = None, **further: object) -> None:
        benchmark.extra_info.update(hardware=describe_hardware(CPU), **further)
        # None where benchmarks are switched off and this only runs once, as a test.
        if examples is not None and benchmark.stats is not None:
            benchmark.extra_info["examples_per_second"] = examples / benchmark.stats.stats.median

    return noted


@pytest.fixture
def in_full(benchmark, request: pytest.FixtureRequest) -> bool:
    """Whether figures are wanted (`--benchmark-only`), for what takes minutes at its full size."""
    return benchmark.enabled and bool(request.config.getoption("benchmark_only"))
