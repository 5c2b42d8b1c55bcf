"""The explorer's page in chromium: drawing, views of layers, units, comparison of two networks."""

import random
import time
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ablate.records.folder import ReportFolder
from tests.commands import ROOT, ablate
from tests.explore.browsing import STROKES, Page, served

pytestmark = pytest.mark.explore


def drawn(page: Page) -> torch.Tensor:
    return torch.tensor(page.last_read["image"])


def test_a_drawn_digit_is_guessed_as_torch_guesses_it(page: Page, session) -> None:
    page.draw(7)
    for arm in ("baseline", "pooling=max"):
        reading = session.arms[arm].reader.read(drawn(page))
        assert page.guess(arm) == int(reading.probabilities.argmax())
        best, second = reading.probabilities.topk(2)[0].tolist()
        told = page.text(f'[data-arm="{arm}"] .guess')
        assert f"{best:.1%}" in told
        assert f"{second:.1%}" in told
    page.one("#clear").click()
    page.wait(lambda: page.text("#shown") == "Nothing is shown yet.")
    assert page.text("#answers") == ""


def test_the_page_opens_on_a_test_image_on_which_the_arms_differ(
    driver: Any, address: str, session: Any
) -> None:
    page = Page(driver, address)
    page.wait(lambda: page.answered)
    pick = session.choose_opening(["baseline", "pooling=max"])
    assert page.one("#pick").get_attribute("value").split()[0] == pick
    index = int(page.one('#pictures [aria-pressed="true"]').get_attribute("data-index"))
    assert f"test image {index}" in page.text("#shown")
    guesses = {}
    for arm in ("baseline", "pooling=max"):
        guesses[arm] = page.guess(arm)
        assert guesses[arm] == int(session.arms[arm].answers[index].argmax())
    told = ", and ".join(f"{session.arms[arm].title} predicts “{guess}”" for arm, guess in guesses.items())
    assert f"{told}. The true class is “{session.label(index)}”." in page.text("#seen")
    page.one("#clear").click()
    page.draw(1)
    assert "true class" not in page.text("#seen")
    assert "right" not in page.text("#seen")


def test_a_layer_is_hidden_and_shown_again(page: Page) -> None:
    from selenium.webdriver.common.by import By

    page.draw(1)
    before = page.one("#stack canvas").screenshot_as_png
    box = page.one('#layers input[data-layer="conv1"]')
    box.click()
    assert page.one("#stack canvas").screenshot_as_png != before
    page.one("#show-flat").click()
    headings = lambda: [heading.text for heading in page.one("#flat").find_elements(By.TAG_NAME, "h3")]  # noqa: E731
    assert not any(heading.startswith("conv1 ") for heading in headings())
    assert any(heading.startswith("conv2 ") for heading in headings())
    page.one('#layers input[data-layer="conv1"]').click()
    assert any(heading.startswith("conv1 ") for heading in headings())


def test_a_unit_clicked_in_the_flat_view_shows_torchs_numbers_in_both_arms(page: Page, session) -> None:
    from selenium.webdriver import ActionChains

    page.draw(7)
    page.one("#show-flat").click()
    sheet = next(
        canvas
        for canvas in page.all("#flat canvas")
        if "pooling=avg), conv1 " in canvas.get_attribute("aria-label")
    )
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", sheet)
    # Click row 10, column 12 of map 1. It is to the right of map 0, and each map has a border of one square.
    square = sheet.size["width"] / int(sheet.get_attribute("width"))
    x, y = (1 + 29 + 12 + 0.5) * square, (1 + 10 + 0.5) * square
    ActionChains(page.driver).move_to_element_with_offset(
        sheet, round(x - sheet.size["width"] / 2), round(y - sheet.size["height"] / 2)
    ).click().perform()
    page.wait(lambda: page.one("#unit").get_attribute("data-unit") == "conv1 map 1, row 10, column 12")
    for number, arm in enumerate(("baseline", "pooling=max")):
        unit = session.arms[arm].reader.unit(drawn(page), 0, (1, 10, 12))
        assert page.value_of_unit(number) == pytest.approx(unit.value, abs=1e-6)
    assert "rows 8 to 12, columns 10 to 14" in page.text("#unit")
    assert "25 inputs, each times its weight" in page.text("#unit")
    # The right arrow key moves one column on.
    from selenium.webdriver.common.keys import Keys

    sheet.send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: page.one("#unit").get_attribute("data-unit") == "conv1 map 1, row 10, column 13")


def test_a_unit_clicked_in_three_dimensions_is_the_one_under_the_mouse(page: Page, session) -> None:
    from selenium.webdriver import ActionChains

    page.choose("#arm-b", "none")
    page.draw(7)
    for box in page.all("#layers input:checked"):
        if box.get_attribute("data-layer") != "conv1":
            box.click()
    stack = page.one("#stack canvas")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", stack)
    seen = Image.open(BytesIO(stack.screenshot_as_png)).convert("RGB")
    reader = session.arms["baseline"].reader
    values = reader.read(drawn(page)).layers[0]
    agreed = 0
    places = list(product(range(30, seen.width, seen.width // 24), range(30, seen.height, seen.height // 9)))
    random.Random(0).shuffle(places)  # so that the first of them are all over the stack
    for x, y in places:
        where = x - stack.size["width"] // 2, y - stack.size["height"] // 2
        ActionChains(page.driver, duration=0).move_to_element_with_offset(stack, *where).click().perform()
        if not page.all("#unit .value"):
            continue
        layer, place = page.one("#unit").get_attribute("data-unit").split(maxsplit=1)
        unit = tuple(int(word) for word in place.replace(",", "").split() if word.isdigit())
        value = page.value_of_unit()
        page.one("#unit button").click()
        assert layer == "conv1"
        assert value == pytest.approx(values[unit].item(), abs=1e-6)
        red, _, blue = seen.getpixel((x, y))
        if abs(value) > values.abs().max() / 8 and abs(red - blue) > 20:
            # Orange is positive, purple is negative.
            assert (red > blue) == (value > 0), (x, y, layer, place)
            agreed += 1
        if agreed == 8:
            break
    assert agreed >= 5


def test_three_dimensions_turn_zoom_and_reset(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.draw(1)
    canvas = page.one("#stack canvas")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    views = [canvas.screenshot_as_png]
    page.one("#stack").send_keys(Keys.ARROW_LEFT)
    views.append(canvas.screenshot_as_png)
    page.one("#closer").click()
    views.append(canvas.screenshot_as_png)
    assert len(set(views)) == 3
    page.one("#reset").click()
    assert canvas.screenshot_as_png == views[0]


def test_test_images_are_picked_by_class_mistake_or_disagreement(page: Page, session) -> None:
    baseline = "baseline (input_size=null, pooling=avg)"
    for words in (
        "of class 4",
        f"most confident mistakes of {baseline}",
        f"{baseline} and pooling=max disagree",
    ):
        page.choose("#pick", words)
        page.wait(lambda: "Loading" not in page.text("#pictures") and page.all("#pictures > *"))
        time.sleep(0.5)
        for picture in page.all("#pictures button")[:1]:
            before = page.answered
            picture.click()
            page.settle(before)
            index = int(picture.get_attribute("data-index"))
            assert page.last_read["image"] == index
            guesses = [page.guess(arm) for arm in ("baseline", "pooling=max")]
            for arm, guess in zip(("baseline", "pooling=max"), guesses, strict=True):
                assert guess == int(session.arms[arm].answers[index].argmax())
            if "disagree" in words:
                assert guesses[0] != guesses[1]
            elif "mistakes" in words:
                assert guesses[0] != session.label(index)
            else:
                assert session.label(index) == 4


def test_the_pad_is_drawn_on_with_the_keyboard(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    pad, before = page.one("#pad"), page.answered
    pad.send_keys(" ")
    for _ in range(6):
        pad.send_keys(Keys.ARROW_DOWN)
    page.settle(before)
    assert drawn(page).sum() > 5
    assert "Pen down at column 14, row 20" in page.text("#shown")
    pad.send_keys(Keys.DELETE)
    page.wait(lambda: page.text("#answers") == "")


def test_arms_with_different_image_sizes_can_be_compared(page: Page) -> None:
    page.choose("#arm-b", "input_size=20")
    page.draw(0)
    page.one("#show-flat").click()
    assert "image 1×28×28" in page.text("#flat")
    assert len(page.all("#answers [data-arm]")) == 2
    page.choose("#arm-b", "none")
    page.wait(lambda: len(page.all("#answers [data-arm]")) == 1)


def test_it_fits_a_small_screen(page: Page) -> None:
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        small = Page(page.driver, page.driver.current_url)
        small.wait(lambda: small.answered)
        assert small.one("#flat").is_displayed()
        small.draw(1)
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 360
        small.one("#show-stack").click()
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_control_has_a_name_and_can_be_reached(page: Page) -> None:
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("button", "combobox", "checkbox", "application", "image")
    nameless = [
        node for node in tree
        if node.get("role", {}).get("value") in roles and not node.get("ignored") and not node.get("name", {}).get("value")
    ]  # fmt: skip
    assert nameless == []
    assert page.driver.execute_script(
        "return [...document.querySelectorAll('[tabindex]')].every((e) => e.tabIndex === 0)"
    )


def test_a_saved_page_reads_drawings_and_test_images_without_a_server(
    driver: Any, folder: ReportFolder, session: Any, extra: None, tmp_path: Path
) -> None:
    file, arms = tmp_path / "page.html", ("baseline", "input_size=20")
    done = ablate("explore", folder.path, "--arms", ",".join(arms), "--save", file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        page = Page(driver, file.as_uri())
        page.wait(lambda: page.answered)  # the page opens on a test image
        index = int(page.one('#pictures [aria-pressed="true"]').get_attribute("data-index"))
        for arm in arms:
            assert page.guess(arm) == int(session.arms[arm].answers[index].argmax())
        page.one("#clear").click()
        page.draw(7)
    finally:
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    sent, found = read_state(page)
    for name in arms:
        arm = session.arms[name]
        reading = arm.reader.read(arm.image(torch.tensor(sent)))
        assert page.guess(name) == int(reading.probabilities.argmax())
        for values, expected in zip(found[name]["layers"], reading.layers, strict=True):
            assert values == pytest.approx(expected.flatten().tolist(), abs=1e-4)
    loaded = driver.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert [name for name in loaded if not name.startswith("data:")] == []
    page.one("#show-flat").click()
    page.all("#flat canvas")[2].click()  # of the layer conv1
    page.wait(lambda: "Receptive field: rows" in page.text("#unit"))
    assert "each times its weight" in page.text("#unit")


def read_state(page: Page) -> tuple[Any, Any]:
    """The image that the networks have read, and their readings."""
    return page.driver.execute_async_script("""
        const [done] = arguments;
        import("state").then(({ state: { sent, readings } }) => done([sent, Object.fromEntries(
          Object.entries(readings).map(([arm, { layers }]) => [arm, { layers: layers.map((values) => [...values]) }]))]));
    """)


def test_the_network_of_the_visualiser_study_reads_drawn_digits(
    driver: Any, extra: None, real_data: Path, tmp_path: Path
) -> None:
    done = ablate(
        "run", ROOT / "studies" / "lenet_visualiser.yaml", "context=chapter", "seeds=1", "tuning.trials=0", "timing.blocks=0",
        "--data-dir", real_data, cwd=tmp_path, drawn=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with served(tmp_path / "reports" / "lenet_visualiser" / "chapter", "--data-dir", str(real_data)) as where:
        page = Page(driver, where)
        page.wait(lambda: page.answered)
        arm = page.one("#arm-a").get_attribute("value")
        for digit in STROKES:
            page.one("#clear").click()
            page.draw(digit)
            assert page.guess(arm) == digit
