"""Two hundred people draw at once: every request is answered, and the server's memory stays bounded.

Run with `pytest -m slow -n 0 -s tests/explore/test_load.py`, which prints requests/s, the 95th percentile of the
time to an answer, and the server's processor time and memory.
"""

import asyncio
import random
import time
from typing import Any

import numpy as np
import psutil
import pytest

from tests.commands import ROOT
from tests.explore.browsing import served
from tests.with_parts import needed

pytestmark = pytest.mark.slow
PEOPLE, STROKES = 200, 10
MOST_GROWTH = 300_000_000
"""The bytes by which the server's memory may grow while everyone draws."""


def draw(rng: random.Random) -> list[list[list[float]]]:
    """A drawing with values as the page sends them, to four decimals."""
    return [[[round(rng.random(), 4) for _ in range(28)] for _ in range(28)]]


async def take_part(client: Any, number: int, times: list[float]) -> None:
    """Open the page, and then send a drawing as soon as the last one is answered."""
    for path in ("", "page/main", "page/three"):
        (await client.get(path)).raise_for_status()
    rng = random.Random(number)
    for _ in range(STROKES):
        start = time.perf_counter()
        answer = await client.post("read", json={"image": draw(rng), "arms": ["baseline", "pooling=max"]})
        times.append(time.perf_counter() - start)
        assert answer.status_code == 200, answer.text
        for reading in answer.json().values():
            assert sum(reading["probabilities"]) == pytest.approx(1, abs=1e-5)


async def watch(server: psutil.Process, memory: list[int]) -> None:
    while True:
        memory.append(server.memory_info().rss)
        await asyncio.sleep(0.05)


async def draw_together(address: str, server: psutil.Process) -> tuple[list[float], list[int]]:
    import httpx2

    times: list[float] = []
    memory = [server.memory_info().rss]
    watching = asyncio.create_task(watch(server, memory))
    limits = httpx2.Limits(max_connections=PEOPLE)
    async with httpx2.AsyncClient(base_url=address, timeout=120, limits=limits) as client:
        await asyncio.gather(*(take_part(client, number, times) for number in range(PEOPLE)))
    watching.cancel()
    return times, memory


def test_two_hundred_people_draw_at_once() -> None:
    needed("httpx2")
    with served(ROOT / "reports" / "published" / "lenet_pooling") as address:
        (server,) = (one for one in psutil.Process().children() if "explore" in one.cmdline())
        start, used = time.perf_counter(), sum(server.cpu_times()[:2])
        times, memory = asyncio.run(draw_together(address, server))
        seconds, used = time.perf_counter() - start, sum(server.cpu_times()[:2]) - used
    print(
        f"\n{len(times)} drawings of {PEOPLE} people: {len(times) / seconds:.0f} requests/s, "
        f"95th percentile {np.percentile(times, 95):.2f} s, median {np.median(times):.2f} s, "
        f"{1000 * used / len(times):.1f} ms of the server's processor time for each, "
        f"memory {memory[0] / 1e6:.0f} MB before, at most {max(memory) / 1e6:.0f} MB"
    )
    assert len(times) == PEOPLE * STROKES
    assert max(memory) - memory[0] < MOST_GROWTH
