"""The time from a stroke on the pad to its answer: `pytest -m explore -n 0 --benchmark-only tests/explore/test_speed.py`."""

from typing import Any

import pytest
import torch

from tests.commands import ROOT
from tests.explore.browsing import Page

pytestmark = pytest.mark.explore
# Draw a short stroke, and call `done` when its answer is on the page.
STROKE = """
const [place, done] = arguments;
const pad = document.getElementById("pad"), box = pad.getBoundingClientRect();
const at = (share) => ({ pointerId: 1, bubbles: true, clientX: box.left + box.width * share, clientY: box.top + box.height * place });
pad.setPointerCapture = () => {};
const before = Number(document.body.dataset.answered ?? 0);
pad.dispatchEvent(new PointerEvent("pointerdown", at(0.3)));
pad.dispatchEvent(new PointerEvent("pointermove", at(0.7)));
pad.dispatchEvent(new PointerEvent("pointerup", at(0.7)));
const look = () => (Number(document.body.dataset.answered ?? 0) > before ? requestAnimationFrame(done) : setTimeout(look, 1));
look();
"""


def test_the_server_answers_a_stroke_of_two_networks(benchmark, client: Any) -> None:
    drawing = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(1)).tolist()
    wish = {"image": drawing, "arms": ["baseline", "pooling=max"]}
    assert benchmark(lambda: client.post("/read", json=wish)).status_code == 200


def draw_strokes(benchmark, page: Page) -> None:
    """Measure a short stroke. The places of the strokes are spread over the pad."""
    places = iter([0.05 + 0.9 * (i * 0.618 % 1) for i in range(1_000)])
    benchmark.pedantic(
        lambda: page.driver.execute_async_script(STROKE, next(places)),
        rounds=30,
        iterations=1,
        warmup_rounds=3,
    )
    assert page.answered


@pytest.mark.parametrize("view", ["flat", "stack"])
def test_a_stroke_is_answered_and_drawn(benchmark, page: Page, view: str) -> None:
    page.one(f"#show-{view}").click()
    draw_strokes(benchmark, page)


@pytest.mark.parametrize("slower", [1, 4])
@pytest.mark.parametrize("view", ["flat", "stack"])
def test_the_saved_page_answers_a_stroke(benchmark, driver: Any, view: str, slower: int) -> None:
    """The page of two LeNets that README links to. Chromium slows its own processor down."""
    page = Page(driver, (ROOT / "reports/published/lenet_pooling/explore.html").as_uri())
    page.wait(lambda: page.answered)
    page.one(f"#show-{view}").click()
    page.one("#clear").click()
    driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": slower})
    try:
        draw_strokes(benchmark, page)
    finally:
        driver.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": 1})
