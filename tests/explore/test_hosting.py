"""The page behind a proxy, slow and large requests, and many or unusual names of classes."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ablate import models
from tests.explore.browsing import Page
from tests.explore.conftest import SHOWN
from tests.explore.test_saved_networks import save_page
from tests.with_parts import needed

pytestmark = pytest.mark.explore
NAMES = ["🦋 butterfly", "👩‍👩‍👧 family", "חתול", "قطة صغيرة", "x" * 70, "<b>bold</b>", "日本語の名前", ""]


@contextmanager
def serving(application: Any) -> Iterator[str]:
    """Serve an application in a thread of this process; yields its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_the_page_works_below_the_path_of_a_proxy_and_asks_for_no_weights_before_a_click(
    driver: Any, session: Any
) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from ablate.explore import server

    with serving(Starlette(routes=[Mount("/lab/7", server.build_application(session, SHOWN))])) as address:
        page = Page(driver, f"{address}/lab/7/")
        page.wait(lambda: page.answered)
        page.one("#clear").click()
        page.draw(7)
        assert page.guess("baseline") in range(10)
        assert {path for path, _ in driver.execute_script("return window.sent")} == {"read"}
        page.driver.execute_script("document.querySelector('#ask-confusion summary').click()")
        page.wait(lambda: page.all("#ask-confusion .matrix button"))
        driver.get("about:blank")


def test_a_request_that_does_not_arrive_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("starlette")
    from starlette.requests import Request

    from ablate.explore import receiving

    monkeypatch.setattr(receiving, "BODY_SECONDS", 0.05)
    headers = [(b"content-type", b"application/json")]

    async def wait_for_ever() -> Any:
        await asyncio.sleep(60)

    async def ask() -> None:
        request = Request({"type": "http", "method": "POST", "headers": headers}, wait_for_ever)
        await receiving.Receiver((1, 28, 28)).receive(request, Any)  # type: ignore[arg-type]

    with pytest.raises(receiving.HTTPException) as refused:
        asyncio.run(ask())
    assert refused.value.status_code == 408


def test_the_largest_request_follows_from_the_size_of_a_drawing() -> None:
    needed("starlette")
    from ablate.explore import receiving

    drawing = receiving.Receiver((1, 28, 28))
    assert len(str([[[0.12345678901234567] * 28] * 28])) < drawing.largest < 30_000
    assert receiving.Receiver((3, 224, 224)).largest < 4_000_000


@pytest.mark.parametrize("width", [390, 1200])
def test_a_thousand_classes_with_unusual_names_fit(driver: Any, tmp_path: Path, width: int) -> None:
    classes = [*NAMES, *(f"class {number}" for number in range(len(NAMES), 1_000))]
    network = models.build("lenet", {}, input_shape=(1, 28, 28), classes=1_000, init="default", seed=1)
    network.get_submodule("dense3").bias.data[: len(NAMES)] += 5  # the networks predict the unusual names
    save_page({"network": network.eval()}, tmp_path / "page.html", classes=classes)
    driver.set_window_size(width, 900)
    page = Page(driver, (tmp_path / "page.html").as_uri())
    page.draw(1)
    told = page.text("#answers")
    assert sum(name in told.replace("\u2068", "").replace("\u2069", "") for name in NAMES if name) >= 7
    assert len(page.all("#answers .bars dt")) == 10
    driver.execute_script("document.querySelector('#ask-heat summary').click()")
    page.wait(lambda: page.all("#ask-heat canvas"))
    assert len(page.all("#ask-heat select")[1].find_elements("css selector", "option")) == 1_001
    assert not page.all("b b")  # names are text
    assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
