"""The page's further questions in chromium, asked of the server and of a saved page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablate.explore.attribution import find_saliency, occlude
from ablate.records.folder import ReportFolder
from tests.commands import ablate
from tests.explore.browsing import Page

pytestmark = pytest.mark.explore


def open_question(page: Page, name: str) -> None:
    summary = page.one(f"#ask-{name} summary")
    # A click with the mouse could miss, because an answer that arrives now moves the questions down.
    page.driver.execute_script("arguments[0].click()", summary)


def press(page: Page, css: str) -> None:
    page.driver.execute_script("arguments[0].click()", page.one(css))


def show_picture(page: Page) -> None:
    """Choose the first test image of the list, and wait until the networks have read it."""
    before = page.answered
    press(page, "#pictures button")
    page.settle(before)


def shown_image(page: Page) -> int:
    return int(page.one('[data-index][aria-pressed="true"]').get_attribute("data-index"))


def shows_largest(page: Page, largest: float) -> bool:
    figures = page.all("#ask-heat figure")
    return bool(figures) and float(figures[0].get_attribute("data-largest")) == pytest.approx(
        largest, abs=1e-5
    )


def test_what_matters_is_shown_for_each_network_and_again_for_the_next_image(
    page: Page, session: Any
) -> None:
    show_picture(page)
    index, arm = shown_image(page), session.arms["baseline"]
    open_question(page, "heat")
    for words, compute in (("occlusion", occlude), ("gradient saliency", find_saliency)):
        page.choose("#ask-heat select", words)
        largest = float(compute(arm.reader, arm.test_image(index), int(arm.answers[index].argmax())).max())
        page.wait(lambda: shows_largest(page, largest))  # noqa: B023
        assert len(page.all("#ask-heat canvas")) == 2
    page.one("#clear").click()
    page.wait(lambda: "Draw or pick an image first." in page.text("#ask-heat"))


def test_a_cell_of_the_confusion_matrix_lists_images_and_an_image_is_read(page: Page, session: Any) -> None:
    open_question(page, "confusion")
    page.wait(lambda: page.all("#ask-confusion .matrix button"))
    guesses = session.arms["baseline"].answers.argmax(1)
    assert (
        f"{int((guesses == session.labels).sum())} of 360 test images are right after training"
        in page.text("#ask-confusion")
    )
    press(page, "#ask-confusion .matrix tr:nth-child(4) button")
    page.wait(lambda: page.all("#ask-confusion .thumbnails button"))
    before = page.answered
    press(page, "#ask-confusion .thumbnails button")
    page.settle(before)
    assert session.label(shown_image(page)) == 2
    assert f"test image {shown_image(page)}" in page.text("#shown")


def test_a_chosen_unit_chooses_the_map_whose_images_are_listed(page: Page, session: Any) -> None:
    show_picture(page)
    page.driver.execute_async_script(
        "const done = arguments[0]; import('unit').then(({ chooseUnit }) => {"
        " chooseUnit({ key: { arm: 'pooling=max', layer: 0, name: 'conv1' }, unit: [4, 3, 3] }); done(); });"
    )
    open_question(page, "exciting")
    page.wait(lambda: page.all("#ask-exciting .thumbnails button"))
    assert [select.get_attribute("value") for select in page.all("#ask-exciting select")][:3] == [
        "pooling=max",
        "0",
        "4",
    ]
    assert len(page.all("#ask-exciting .framed i")) == len(page.all("#ask-exciting .thumbnails button"))
    assert "undefined" not in page.text("#ask-exciting")


def test_a_unit_is_followed_to_its_sum_its_bias_and_its_activation(page: Page, session: Any) -> None:
    show_picture(page)
    page.driver.execute_async_script(
        "const done = arguments[0]; import('unit').then(({ chooseUnit }) => {"
        " chooseUnit({ key: { arm: 'baseline', layer: 0, name: 'conv1' }, unit: [2, 10, 11] }); done(); });"
    )
    value = page.value_of_unit()
    arm = session.arms["baseline"]
    layers = arm.reader.read(arm.test_image(shown_image(page))).layers
    assert value == pytest.approx(float(layers[0][2, 10, 11]), abs=1e-5)
    then = page.one("#unit [data-next]")
    assert float(then.get_attribute("data-next")) == pytest.approx(float(layers[1][2, 10, 11]), abs=1e-5)
    assert arm.reader.layers[1].kind in then.text
    rows = [
        [cell.text for cell in row.find_elements("css selector", "td")]
        for row in page.all("#unit table")[0].find_elements("css selector", "tr")[1:]
    ]
    number = lambda text: float(text.replace("−", "-"))  # noqa: E731
    assert sum(number(row[3]) for row in rows) == pytest.approx(value, abs=0.01)
    assert number(rows[-1][4]) == pytest.approx(value, abs=0.001)


def test_the_dots_of_the_seeds_say_who_is_right(page: Page, session: Any) -> None:
    open_question(page, "seeds")
    page.wait(lambda: "Pick a test image" in page.text("#ask-seeds"))
    press(page, "#pictures button")
    page.wait(lambda: page.all("#ask-seeds .dots i"))
    index = shown_image(page)
    for row, (_, by_seed) in zip(
        page.all("#ask-seeds tr"), session.seeds.list_guesses(index).items(), strict=True
    ):
        right = sum(guess == session.label(index) for guess in by_seed.values())
        assert f"{right} of {len(by_seed)} right" in row.text
        assert len(row.find_elements("css selector", "i.right")) == right


def test_a_saved_page_answers_what_it_can_and_says_what_it_cannot(
    driver: Any, folder: ReportFolder, session: Any, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    arms = ["baseline", "input_size=20"]
    done = ablate("explore", folder.path, "--arms", ",".join(arms), "--save", file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = Page(driver, file.as_uri())
    page.wait(lambda: page.answered)
    index = shown_image(page)
    heats = driver.execute_async_script(
        """
        const [arms, image, done] = arguments;
        import("state").then(({ answers }) => answers.asking.attribution(arms, image, "occlusion", 4))
          .then((found) => done(arms.map((arm) => [...found[arm].heat])));
        """,
        arms,
        index,
    )
    for name, heat in zip(arms, heats, strict=True):
        arm = session.arms[name]
        expected = occlude(arm.reader, arm.test_image(index), 4)
        np.testing.assert_allclose(heat, expected.flatten().numpy(), atol=1e-4)
    open_question(page, "heat")
    page.wait(lambda: len(page.all("#ask-heat canvas")) == 2)
    page.choose("#ask-heat select", "gradient saliency")
    page.wait(lambda: "`ablate explore` shows it" in page.text("#ask-heat"))
    open_question(page, "confusion")
    page.wait(lambda: page.all("#ask-confusion .matrix button"))
    open_question(page, "seeds")
    page.wait(lambda: page.all("#ask-seeds .dots i"))
    open_question(page, "exciting")
    pictures = page.wait(lambda: page.all("#ask-exciting .thumbnails button"))
    arm = session.arms["baseline"]
    best = int(pictures[0].get_attribute("data-index"))
    told = float(pictures[0].text.split()[0].replace("−", "-"))
    assert told == pytest.approx(float(arm.reader.read(arm.test_image(best)).layers[0][0].max()), abs=0.001)
    # The answers above ran the networks on other images. Units still belong to the shown image.
    unit = driver.execute_async_script(
        """
        const done = arguments[0];
        import("state").then(({ answers, state }) => answers.unit("baseline", state.sent, 0, [1, 5, 5])).then(({ sum, rest }) => done(sum + rest));
        """
    )
    layers = arm.reader.read(arm.test_image(index)).layers
    assert unit == pytest.approx(float(layers[0][1, 5, 5]), abs=1e-4)
    assert torch.isfinite(layers[0]).all()
