"""Serve the explorer, and operate its page in chromium."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.commands import ROOT, environment

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu-sandbox", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--hide-scrollbars", "--force-device-scale-factor=1",
)  # fmt: skip
# The stroke of each digit, as points relative to the side of the pad.
STROKES = {
    1: [(0.5, 0.15), (0.5, 0.85)],
    7: [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)],
    0: [
        (0.5, 0.15),
        (0.3, 0.3),
        (0.27, 0.55),
        (0.35, 0.8),
        (0.5, 0.86),
        (0.66, 0.78),
        (0.73, 0.5),
        (0.68, 0.27),
        (0.5, 0.15),
    ],
}
PATIENCE = 60.0


def wait_until(ready: Callable[[], Any], describe: Callable[[], str]) -> Any:
    """Wait until something is true, and return it. After too long a time, fail with a description."""
    deadline = time.monotonic() + PATIENCE
    while not (found := ready()):
        assert time.monotonic() < deadline, describe()
        time.sleep(0.05)
    return found


class Page:
    """The page in a browser, with the actions of a user."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        driver.get(address)
        self.wait(lambda: self.all("#layers input"))
        driver.execute_script(
            "window.sent = []; const real = window.fetch;"
            "window.fetch = (path, more) => { if (more?.body) window.sent.push([path, more.body]); return real(path, more); };"
        )

    def wait(self, ready: Callable[[], Any]) -> Any:
        """Wait until something is true. Meanwhile the page may replace what is looked at."""
        from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException

        def look() -> Any:
            try:
                return ready()
            except (NoSuchElementException, StaleElementReferenceException):
                return False

        return wait_until(look, lambda: self.text("body"))

    def all(self, css: str) -> list[Any]:
        return self.driver.find_elements("css selector", css)

    def one(self, css: str) -> Any:
        return self.driver.find_element("css selector", css)

    def text(self, css: str) -> str:
        return self.one(css).text

    def choose(self, css: str, words: str) -> None:
        from selenium.webdriver.support.select import Select

        def select() -> bool:
            Select(self.one(css)).select_by_visible_text(words)
            return True

        self.wait(select)

    @property
    def answered(self) -> int:
        return int(self.one("body").get_attribute("data-answered") or 0)

    def draw(self, digit: int) -> None:
        """Draw a digit with the mouse, and wait for the answer to the last stroke."""
        from selenium.webdriver import ActionChains

        pad, before = self.one("#pad"), self.answered
        side = pad.size["width"]
        points = [((x - 0.5) * side, (y - 0.5) * side) for x, y in STROKES[digit]]
        moves = (
            ActionChains(self.driver, duration=40)
            .move_to_element_with_offset(pad, *map(round, points[0]))
            .click_and_hold()
        )
        for (x, y), (to_x, to_y) in pairwise(points):
            for step in (0.25, 0.5, 0.75, 1):
                moves.move_to_element_with_offset(
                    pad, round(x + (to_x - x) * step), round(y + (to_y - y) * step)
                )
        moves.release().perform()
        self.settle(before)

    def settle(self, before: int) -> None:
        """Wait until every request is answered."""
        self.wait(lambda: self.answered > before)
        while (seen := self.answered) and not time.sleep(0.4) and self.answered != seen:
            pass

    def guess(self, arm: str) -> int:
        return int(self.one(f'#answers [data-arm="{arm}"] [data-guess]').get_attribute("data-guess"))

    @property
    def last_read(self) -> dict[str, Any]:
        """The last request to read an image."""
        return json.loads(
            self.driver.execute_script("return window.sent.findLast(([path]) => path === 'read')[1]")
        )

    def value_of_unit(self, arm_number: int = 0) -> float:
        self.wait(lambda: len(self.all("#unit [data-found]")) > arm_number)
        return float(self.all("#unit .value")[arm_number].get_attribute("data-value"))


@contextmanager
def served(folder: Path, *more: str) -> Iterator[str]:
    """Serve a report folder with `ablate explore`; yields its address."""
    command = [sys.executable, "-m", "ablate", "explore", str(folder), "--port", "0", *more]
    given = environment() | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.terminate()
