"""The interactive figures of a report in chromium: pointer, keyboard, narrow and dark screens, paper."""

import base64
from pathlib import Path
from typing import Any

import pytest

from ablate.report import writer
from ablate.study import study_file
from tests.conftest import SMALL
from tests.explore.browsing import wait_until
from tests.report.test_writer import write_folder

pytestmark = pytest.mark.explore
SCREENS = [(390, "light"), (390, "dark"), (1200, "light"), (1200, "dark")]
FORBIDS_EVAL = """<meta http-equiv="Content-Security-Policy" content="script-src 'unsafe-inline'">"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small study with two arms, three seeds and seven interactive figures."""
    parent = tmp_path_factory.mktemp("interactive")
    (parent / "small.yaml").write_text(SMALL)
    text = study_file.dump(study_file.read(parent / "small.yaml"))
    accuracies: dict[str, list[float | str]] = {
        "baseline": [0.85, 0.87, 0.9],
        "pooling=max": [0.88, 0.91, 0.93],
    }
    folder = write_folder(parent / "small", text, accuracies)
    writer.write(folder)
    return folder / "report.html"


@pytest.fixture
def screen(driver: Any) -> Any:
    """Opens a page on a screen of a width and theme, without its figures drawn. Undone after the test."""

    def open_page(path: Path, width: int = 1200, theme: str = "light") -> Any:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
        driver.get(path.as_uri())
        return driver

    yield open_page
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def draw_all(page: Any) -> None:
    """Scroll from figure to figure, until all are drawn."""

    def scroll_on() -> bool:
        left = page.find_elements("css selector", ".plot:not([data-drawn])")
        for figure in left[:1]:
            page.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
        return not left

    wait_until(scroll_on, lambda: "not all figures are drawn")


def point_at(page: Any, mark: Any) -> dict[str, str]:
    """Move the pointer away, then to a mark, and read the tooltip. It is empty if there is no tooltip."""
    from selenium.webdriver import ActionChains

    ActionChains(page, duration=20).move_by_offset(0, -60).move_to_element(mark).perform()
    return read_tip(page)


def count_shown(page: Any, css: str) -> int:
    return sum(one.is_displayed() for one in page.find_elements("css selector", css))


def read_table(page: Any, figure: Any) -> list[dict[str, str]]:
    """The rows of a figure's table, as the headings and the cells."""
    return page.execute_script(
        "const [heads, ...rows] = [...arguments[0].querySelectorAll('tr')].map((r) => [...r.cells].map((c) => c.textContent.trim()));"
        "return rows.map((row) => Object.fromEntries(row.map((cell, i) => [heads[i], cell])));",
        figure,
    )


def read_tip(page: Any) -> dict[str, str]:
    tip = page.find_element("css selector", ".tip")
    return dict(line.split(": ", 1) for line in tip.text.splitlines()) if tip.is_displayed() else {}


@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_figures_are_drawn_without_a_jump_on_every_screen(
    screen: Any, report: Path, width: int, theme: str
) -> None:
    page = screen(report, width, theme)
    height = "return document.documentElement.scrollHeight"
    before = page.execute_script(height)
    draw_all(page)
    assert page.execute_script(height) == before
    assert page.execute_script("return document.documentElement.scrollWidth") == width
    assert count_shown(page, ".plot .canvas > svg, .plot .canvas svg.marks") == 8  # training has two panels
    assert count_shown(page, ".has-plot > img") == 0
    # The text of the plots has the colour of the page's text.
    ink = page.execute_script("return getComputedStyle(document.body).color")
    label = page.find_element("css selector", ".canvas .role-axis-label text")
    assert label.value_of_css_property("fill") == ink


def test_the_pointer_reads_from_every_run_what_the_table_says(screen: Any, report: Path) -> None:
    from selenium.webdriver import ActionChains

    page = screen(report)
    draw_all(page)
    figure = page.find_element("xpath", "//figure[.//img[starts-with(@alt, 'Test result of every seed')]]")
    rows = read_table(page, figure)
    points = figure.find_elements("css selector", ".mark-symbol path")
    assert len(points) == len(rows) == 6
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    ActionChains(page).move_to_element(figure).perform()
    told = [wait_until(lambda point=point: point_at(page, point), lambda: "no tooltip") for point in points]
    for tip in told:
        assert {"arm", "seed", "setting", "test accuracy"} == tip.keys()
        assert any(tip.items() <= row.items() for row in rows)
    assert len({(tip["arm"], tip["seed"]) for tip in told}) == 6
    page.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert read_tip(page) == {}


def test_the_keyboard_opens_the_table_of_a_figure(screen: Any, report: Path) -> None:
    from selenium.webdriver import Keys

    page = screen(report)
    summary = page.find_element("css selector", ".has-plot details > summary")
    page.execute_script("arguments[0].focus()", summary)
    assert count_shown(page, ".has-plot table") == 0
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert count_shown(page, ".has-plot table") == 1
    page.switch_to.active_element.send_keys(Keys.TAB)
    assert page.switch_to.active_element.get_attribute("role") == "region"


def test_paper_and_readers_without_scripts_get_the_pictures(screen: Any, report: Path) -> None:
    page = screen(report, theme="dark")
    draw_all(page)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert count_shown(page, ".has-plot > img") == 7
    assert count_shown(page, ".plot, .tip, .has-plot details") == 0
    assert base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"]).startswith(b"%PDF")
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = screen(report)
        assert [count_shown(page, css) for css in (".has-plot > img", ".plot")] == [7, 0]
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_viewer_that_forbids_the_library_shows_the_pictures(
    screen: Any, report: Path, tmp_path: Path
) -> None:
    forbidding = tmp_path / "report.html"
    forbidding.write_text(
        report.read_text().replace('<meta charset="utf-8">', f'<meta charset="utf-8">{FORBIDS_EVAL}')
    )
    page = screen(forbidding)
    figure = page.find_element("css selector", ".has-plot")
    page.execute_script("arguments[0].scrollIntoView()", figure)
    wait_until(lambda: count_shown(page, ".has-plot > img") == 7, lambda: page.page_source[-500:])
    assert count_shown(page, ".plot") == 0
    page.get_log("browser")  # the browser reports what was forbidden
